"""Sums of features and products in one pass, against torch."""

from __future__ import annotations

import pytest
import torch

from tilestyle.kernels import moments
from tilestyle.kernels.moments import CELLS, MAX_CHANNEL_BLOCK, PROGRAMS, add_moments, takes

BLOCK = 32  # channels at most in a block, where there are several: each row of each takes the interpreter long

# Channels: few, no power of two, one block; below, several. Cells: one, fewer than a program's, more than all
# programs take at once, in rows that are longer or shorter than what is multiplied at once.
SHAPES = [
    (8, 1, 1),
    (3, 2, 5),
    (48, 9, CELLS + 3),
    (64, PROGRAMS // 4, 4 * CELLS + 1),
    (MAX_CHANNEL_BLOCK, 20, 13),
]
SHAPES_OF_BLOCKS = [(3 * BLOCK // 2, 7, 40), (3 * BLOCK, 5, 6)]


@pytest.mark.parametrize(("channels", "height", "width"), SHAPES)
def test_sums_of_a_part_of_features_are_added(channels: int, height: int, width: int) -> None:
    check_sums(channels, height, width)


@pytest.mark.parametrize(("channels", "height", "width"), SHAPES_OF_BLOCKS)
def test_sums_of_several_blocks_of_channels_are_added(
    channels: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "MAX_CHANNEL_BLOCK", BLOCK)
    check_sums(channels, height, width)


def check_sums(channels: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(1, channels, height + 3, width + 2).half()
    part = features.contiguous(memory_format=torch.channels_last)[:, :, 1 : 1 + height, 2 : 2 + width]
    assert takes(part)
    total, products = torch.ones(channels), torch.full((channels, channels), 2.0)
    add_moments(part, total, products)
    cells = part.double().permute(0, 2, 3, 1).reshape(-1, channels)
    torch.testing.assert_close(total.double() - 1, cells.sum(0), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(products.double() - 2, cells.mT @ cells, rtol=1e-5, atol=1e-3)
    assert torch.equal(products, products.mT)


def test_no_cells_add_nothing() -> None:
    features = torch.randn(1, 8, 4, 4).half().contiguous(memory_format=torch.channels_last)
    total, products = torch.ones(8), torch.ones(8, 8)
    add_moments(features[:, :, :0], total, products)
    assert total.eq(1).all() and products.eq(1).all()


@pytest.mark.parametrize(
    "features",
    [torch.zeros(1, 8, 4, 4).half(), torch.zeros(1, 8, 4, 4), torch.zeros(2, 8, 4, 4).half()],
    ids=["channel by channel", "float32", "two pictures"],
)
def test_other_features_are_left_to_torch(features: torch.Tensor) -> None:
    layout = (
        torch.contiguous_format if features.dtype is torch.half and len(features) == 1 else torch.channels_last
    )
    assert not takes(features.contiguous(memory_format=layout))
