"""Replicated edges whose gradient is the same every time on a GPU, too."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.counting import on_device
from tests.elsewhere import DEVICE
from tests.test_device import CASES, CONTENT, SMALL, STYLE
from tilestyle import render
from tilestyle.networks import padding
from tilestyle.networks.padding import continued

# Operations of torch that may add in any order on CUDA (torch.use_deterministic_algorithms lists them). But for
# those whose order is no matter here: `histc` counts no more than float32 has whole numbers for, and
# `index_copy` writes to places that are all different.
UNORDERED = {
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d_backward",
    "bincount",
    "cumsum",
    "embedding_dense_backward",
    "gather_backward",
    "grid_sampler_2d_backward",
    "index_add",
    "index_reduce",
    "index_select_backward",
    "kthvalue",
    "max_unpool2d",
    "median",
    "nll_loss2d_forward",
    "put",
    "reflection_pad2d_backward",
    "replication_pad2d_backward",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
}
SIZES = ((1, 1), (1, 5), (2, 3), (9, 4), (16, 16))


@pytest.mark.parametrize(("size", "reach"), [*itertools.product(SIZES, (1, 2, 5))])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_is_that_of_torch(
    size: tuple[int, int], reach: int, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(padding, "COPYING", {"cpu"})
    picture = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    found, expected = continued(picture, reach), F.pad(picture, [reach] * 4, mode="replicate")
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(x, picture, weights)[0] for x in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_gradient_is_rounded_once(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "COPYING", {"cpu"})
    picture = torch.randn(1, 4, 12, 12).to(dtype).requires_grad_()
    padded = continued(picture, 5)
    weights = torch.randn_like(padded)
    (found,) = torch.autograd.grad(padded, picture, weights)
    exact = picture.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(F.pad(exact, [5] * 4, mode="replicate"), exact, weights.double())
    assert found.dtype is dtype
    # Of a row and then of a column.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2 * torch.finfo(dtype).eps * 20)


@pytest.mark.parametrize("case", ["coarse layers", "vgg", "mask", "anchor", "locality", "L-BFGS"])
def test_no_operation_of_a_render_adds_in_any_order(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "COPYING", {DEVICE.type})
    with on_device("device") as device:
        render(CONTENT, STYLE, replace(SMALL, **CASES[case]))
    assert "convolution_backward" in device.rounded
    assert device.rounded & UNORDERED == set()
