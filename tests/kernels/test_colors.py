"""Colors counted and mapped in a kernel each, against torch."""

from __future__ import annotations

import pytest
import torch

from tilestyle.geometry.boxes import Box
from tilestyle.kernels.colors import COUNTED, count_colors, palette_slope
from tilestyle.stats.color_histograms import PatchColors, _axes_table, add_upsampled
from tilestyle.stats.sliced_wasserstein import BINS, SCALES, WEIGHT_UNITS, average_blocks, color_axes

DIRECTIONS = len(color_axes().vectors)


@pytest.mark.parametrize("size", [(1, 1), (38, 45), (3, COUNTED // 2)])
def test_counts_are_those_of_torch(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    pixels = torch.rand(3, *size)
    planes = [average_blocks(pixels, scale) for scale in SCALES]
    boxes = [
        Box(height // 4, width // 3, height - height // 4, width - width // 3)
        for height, width in (plane.shape[1:] for plane in planes)
    ]
    expected = torch.zeros(len(SCALES), DIRECTIONS, BINS, dtype=torch.int64)
    PatchColors(pixels).accumulate(expected, boxes)
    found = count_colors(planes, boxes, _axes_table(pixels.device), BINS)
    assert torch.equal(found.long() * WEIGHT_UNITS, expected)


def test_the_slope_is_that_of_torch() -> None:
    torch.manual_seed(0)
    pixels, maps = torch.rand(3, 38, 45), torch.rand(len(SCALES), DIRECTIONS, BINS)
    expected = torch.zeros_like(pixels)
    for scale, slope in zip(SCALES, PatchColors(pixels).transport_gradients(maps), strict=True):
        add_upsampled(expected, slope, scale, 0.7)
    planes = [average_blocks(pixels, scale) for scale in SCALES]
    found = palette_slope(planes, maps, _axes_table(pixels.device), 0.7 * 2 * 3 / DIRECTIONS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
