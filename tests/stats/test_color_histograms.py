"""Colors at all scales together: counted and drawn as one scale after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.conftest import waves
from tilestyle.canvas.canvas import average_adjoint
from tilestyle.geometry.boxes import Box
from tilestyle.stats import color_histograms
from tilestyle.stats.color_histograms import PatchColors, add_upsampled
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    SCALES,
    WEIGHT_UNITS,
    average_blocks,
    color_axes,
    count_histograms,
    normalized_histogram,
    sliced_transport,
    transport_gradient,
)

SIZES = ((16, 24), (13, 22), (3, 5))
AXES = len(color_axes().vectors)


@pytest.fixture(params=[color_histograms.MAX_CACHED_BINS, 3 * 600, 1])  # all directions at once, three, and one
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(color_histograms, "MAX_CACHED_BINS", request.param)


def boxes_of(pixels: Tensor) -> list[Box]:
    """All but an edge, at every scale."""
    shapes = [average_blocks(pixels, scale).shape[1:] for scale in SCALES]
    return [Box(int(height > 1), 0, max(1, height - 1), max(1, width - 1)) for height, width in shapes]


def under(plane: Tensor, box: Box) -> Tensor:
    return plane[..., box.top : box.top + box.height, box.left : box.left + box.width]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("exact", [2**24, 0])  # cells that are counted in float32
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.usefixtures("together")
def test_counts_are_those_of_every_scale(
    size: tuple[int, int], exact: int, weighed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(color_histograms, "MAX_FLOAT32_COUNT", exact)
    pixels = waves(*size)
    boxes = boxes_of(pixels)
    weights = [torch.rand(box.height, box.width) for box in boxes]
    counts = torch.ones(len(SCALES), AXES, BINS, dtype=torch.int64)
    PatchColors(pixels).accumulate(counts, boxes, weights if weighed else None)
    for found, scale, box, weight in zip(counts, SCALES, boxes, weights, strict=True):
        seen = under(average_blocks(pixels, scale), box)
        assert torch.equal(found - 1, count_histograms(seen, weight if weighed else None))
        assert weighed or int(found[0].sum() - BINS) == WEIGHT_UNITS * box.area


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.usefixtures("together")
def test_slopes_are_those_of_every_scale(size: tuple[int, int]) -> None:
    pixels, goal = waves(*size), normalized_histogram(count_histograms(waves(30, 40, 2)))
    planes = [average_blocks(pixels, scale) for scale in SCALES]
    maps = torch.stack(
        [
            torch.from_numpy(sliced_transport(normalized_histogram(count_histograms(plane)), goal)[1]).float()
            for plane in planes
        ]
    )
    every = PatchColors(pixels)
    for _ in range(2):  # what is kept of the first time is as it was
        for found, plane, drawn in zip(every.transport_gradients(maps), planes, maps, strict=True):
            torch.testing.assert_close(found, transport_gradient(plane, drawn), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", SIZES)
def test_a_gradient_in_cells_is_added_to_their_pixels(size: tuple[int, int], scale: int) -> None:
    total, cells = torch.rand(3, *size), average_blocks(waves(*size), scale)
    expected = total + 0.5 * scale**2 * average_adjoint(cells, scale)[:, : size[0], : size[1]]
    add_upsampled(total, cells, scale, 0.5)
    torch.testing.assert_close(total, expected)
