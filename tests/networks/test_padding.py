"""Replicated edges whose gradient is the same every time on a GPU, too."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.pipeline.test_device import CASES, CONTENT, SMALL, STYLE
from tests.support.device_cost import on_device
from tests.support.fake_device import DEVICE
from tilestyle import RenderConfig, render
from tilestyle.networks import padding
from tilestyle.networks.padding import replicate_pad
from tilestyle.networks.registry import load_network

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
    monkeypatch.setattr(padding, "COPYING_DEVICE_TYPES", {"cpu"})
    picture = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    found, expected = replicate_pad(picture, reach), F.pad(picture, [reach] * 4, mode="replicate")
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(x, picture, weights)[0] for x in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_gradient_is_rounded_once(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "COPYING_DEVICE_TYPES", {"cpu"})
    picture = torch.randn(1, 4, 12, 12).to(dtype).requires_grad_()
    padded = replicate_pad(picture, 5)
    weights = torch.randn_like(padded)
    (found,) = torch.autograd.grad(padded, picture, weights)
    exact = picture.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(F.pad(exact, [5] * 4, mode="replicate"), exact, weights.double())
    assert found.dtype is dtype
    # Of a row and then of a column.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2 * torch.finfo(dtype).eps * 20)


@pytest.mark.parametrize("case", ["coarse layers", "vgg", "mask", "anchor", "locality", "L-BFGS"])
def test_no_operation_of_a_render_adds_in_any_order(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "COPYING_DEVICE_TYPES", {DEVICE.type})
    with on_device("device") as device:
        render(CONTENT, STYLE, replace(SMALL, **CASES[case]))
    assert "convolution_backward" in device.rounded
    assert device.rounded & UNORDERED == set()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (9, 7)])
def test_a_convolution_of_a_continued_picture_is_that_of_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    picture, weight, bias = (
        torch.randn(size, generator=generator, dtype=torch.float64)
        for size in ((2, 4, *shape), (5, 4, 3, 3), (5,))
    )
    picture.requires_grad_()
    expected = F.conv2d(F.pad(picture, [1] * 4, mode="replicate"), weight, bias)
    found = padding.replicate_pad_conv(picture, weight, bias)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad(each, picture, gradient)[0] for each in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_the_default_network_sees_no_edge_in_a_flat_picture() -> None:
    network = load_network(RenderConfig())
    picture = torch.tensor([0.2, 0.6, 0.4])[None, :, None, None].expand(1, 3, 48, 64)
    for features in network.features(picture, network.style_layers).values():
        torch.testing.assert_close(features, features[:, :, :1, :1].expand_as(features), rtol=1e-4, atol=1e-4)
