"""The difference from the content in one kernel, against torch."""

from __future__ import annotations

import pytest
import torch

from tilestyle.geometry.boxes import Box
from tilestyle.kernels.content import CELLS, CHANNELS, add_difference, takes
from tilestyle.networks.base import crop_cells


def laid(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", ["channels last", "channel by channel", "a part of a plane"])
@pytest.mark.parametrize(
    ("shape", "cells"),
    [
        ((1, 3, 1, 1), Box(0, 0, 1, 1)),
        ((1, CHANNELS + 5, 4, CELLS + 3), Box(1, 2, 2, CELLS)),
        ((1, 2 * CHANNELS, 3, 5), Box(0, 0, 0, 0)),
    ],
)
def test_difference_is_added_and_squared(shape: tuple[int, ...], cells: Box, layout: str) -> None:
    torch.manual_seed(0)
    features, target, gradient = (torch.randn(shape) for _ in range(3))
    if layout == "channels last":
        target = laid(target)
    elif layout == "a part of a plane":
        target = torch.randn(*shape[:2], shape[2] + 2, shape[3] + 4)[:, :, 1:-1, 3:-1]
    expected = gradient + 0.3 * (features - target)
    ours = laid(gradient)
    squares = add_difference(laid(features), target, ours, 0.3, cells)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(squares, crop_cells(features - target, cells).square().sum())


def test_other_features_are_left_to_torch() -> None:
    features = laid(torch.zeros(1, 8, 4, 4))
    assert takes(features, features.clone())
    assert not takes(features, torch.zeros(1, 8, 4, 4))
    assert not takes(laid(torch.zeros(2, 8, 4, 4)), laid(torch.zeros(2, 8, 4, 4)))
