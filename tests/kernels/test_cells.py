"""Rectifier, pooling and padding in one kernel, against torch."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from tilestyle.config.enums import Pooling
from tilestyle.kernels.cells import (
    BLOCK,
    MAX_CHANNEL_BLOCK,
    Step,
    convolve_pixels,
    convolve_pixels_by_torch,
    filter_rows,
    fold_gradient,
    fold_gradient_by_torch,
    pool_and_pad,
    pool_and_pad_by_torch,
    rectify_gradient,
)

# Smallest, odd, of channels that are no multiple of a block, and wider than a program's cells.
SHAPES = [(1, 3, 2, 2), (2, 8, 6, 4), (1, 24, 5, 7), (1, 40, 2, 2 * BLOCK // MAX_CHANNEL_BLOCK + 2)]
STEPS = [
    Step(pooling, 1.5 if pooling else 1.0, padding)
    for pooling, padding in itertools.product((None, *Pooling), (0, 1))
]


def laid(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def rectified(shape: tuple[int, int, int, int]) -> Tensor:
    features = torch.randn(shape).relu()
    features[:, :, :2, :2] = 1.0  # equal maxima: the first one counts
    return laid(features)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_are_those_of_torch(shape: tuple[int, int, int, int], step: Step) -> None:
    features = rectified(shape)
    found, expected = pool_and_pad(features, step), pool_and_pad_by_torch(features, step)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_torch(shape: tuple[int, int, int, int], step: Step, added: bool) -> None:
    features = rectified(shape)
    gradient = laid(torch.randn_like(pool_and_pad_by_torch(features, step)))
    facts = {"padding": step.padding, "features": features, "step": step}
    if added:
        facts["cotangent"] = torch.randn(shape)
    torch.testing.assert_close(
        fold_gradient(gradient, **facts),  # type: ignore[arg-type]
        fold_gradient_by_torch(gradient, **facts),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_padding_alone_is_folded(padding: int, channels: int | None) -> None:
    gradient = laid(torch.randn(2, 8, 5, 70))
    torch.testing.assert_close(
        fold_gradient(gradient, padding=padding, channels=channels),
        fold_gradient_by_torch(gradient, padding=padding, channels=channels),
    )


def test_a_gradient_is_rectified() -> None:
    features, gradient, more = rectified((1, 8, 3, 5)), laid(torch.randn(1, 8, 3, 5)), torch.randn(1, 8, 3, 5)
    torch.testing.assert_close(rectify_gradient(gradient, features), gradient * (features > 0))
    torch.testing.assert_close(rectify_gradient(gradient, features, more), (gradient + more) * (features > 0))


def test_bfloat16_is_rounded_once() -> None:
    features = rectified((1, 16, 4, 6)).bfloat16()
    step = Step(Pooling.AVERAGE, 1.5, 1)
    expected = pool_and_pad_by_torch(features.double(), step).bfloat16()
    torch.testing.assert_close(pool_and_pad(features, step), expected, rtol=0.008, atol=0)


@pytest.mark.parametrize("channels", [24, 64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_convolved_as_by_torch(channels: int, layout: torch.memory_format) -> None:
    pixels = torch.rand(2, 3, 3, 70).contiguous(memory_format=layout)
    rows, bias = filter_rows(torch.randn(channels, 3, 3, 3)), torch.randn(channels)
    torch.testing.assert_close(
        convolve_pixels(pixels, rows, bias), convolve_pixels_by_torch(pixels, rows, bias), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("shape", [(1, 8, 3, 5), (2, 16, 2, 70), (1, 48, 3, 4), (1, 192, 2, 66)])
def test_affine_gradients_are_those_at_every_cell(
    shape: tuple[int, int, int, int], padding: int, added: bool
) -> None:
    features = rectified(shape).half()
    gradient = laid(torch.randn_like(pool_and_pad_by_torch(features.float(), Step(padding=padding))).half())
    matrix, offset = torch.randn(shape[1], shape[1]).half(), torch.randn(shape[1]).half()
    facts = {"padding": padding, "features": features, "affine": ((matrix + matrix.mT) / 8, offset)}
    if added:
        facts["cotangent"] = laid(torch.randn(shape).half())
    torch.testing.assert_close(
        fold_gradient(gradient, **facts),  # type: ignore[arg-type]
        fold_gradient_by_torch(gradient, **facts),  # type: ignore[arg-type]
        rtol=2e-3,
        atol=2e-3,
    )
