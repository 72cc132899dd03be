"""Planes on a torus: reads and their adjoint, enlargement, margins."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import waves
from tilestyle.canvas.canvas import (
    Canvas,
    add_to_box,
    average_adjoint,
    pixel_indices,
    pyramid_expand,
    pyramid_reduce,
    read_box,
)
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.resize import resize
from tilestyle.geometry.boxes import Box, canvas_extent


@given(st.integers(-40, 80), st.integers(-40, 80), st.sampled_from([1, 2, 4]))
def test_reading_at_a_scale_is_the_adjoint_of_writing(top: int, left: int, scale: int) -> None:
    plane = torch.rand(3, 32, 40, dtype=torch.float64)
    box = Box(top, left, 24, 32)
    patch = torch.rand(3, 24 // scale, 32 // scale, dtype=torch.float64)
    seen = torch.nn.functional.avg_pool2d(read_box(plane, box), scale)
    written = torch.zeros_like(plane)
    add_to_box(written, box, average_adjoint(patch, scale))
    torch.testing.assert_close((seen * patch).sum(), (plane * written).sum())
    torch.testing.assert_close(read_box(plane, box, scale), seen, check_dtype=False, rtol=1e-5, atol=1e-6)


@given(st.integers(-40, 80), st.integers(-40, 80), st.sampled_from([2, 4]), st.booleans())
def test_expanding_is_the_adjoint_of_reducing(top: int, left: int, factor: int, whole: bool) -> None:
    plane = torch.rand(3, 32, 40)
    cells = torch.rand(3, 32 // factor, 40 // factor)
    seen = pyramid_reduce(plane, Box(0, 0, 32, 40), factor)
    box = Box(top, left, 32, 40) if whole else Box(top, left, 13, 22)
    spread_out = pyramid_expand(cells, Box(0, 0, 32, 40), factor)
    torch.testing.assert_close((seen * cells).sum(), (plane * spread_out).sum())
    torch.testing.assert_close(pyramid_expand(cells, box, factor), read_box(spread_out, box))
    assert pyramid_reduce(torch.ones(1, 32, 40), Box(top, left, 16, 20), factor).sub(1).abs().max() < 1e-6


def test_a_read_goes_round_the_torus() -> None:
    plane = torch.rand(3, 10, 12)
    wrapped = read_box(plane, Box(7, -5, 6, 9))
    assert torch.equal(wrapped, plane.roll((-7, 5), (1, 2))[:, :6, :9])


def test_views_write_through() -> None:
    canvas = Canvas(canvas_extent(20, 20, 2, 8), torch.zeros(3, 24, 24))
    for views, _, _ in canvas.views(Box(20, 20, 8, 8)):
        views["pixels"].fill_(1)
    assert canvas.pixels.sum() == 3 * 64
    assert canvas.pixels[:, 20:, 20:].min() == canvas.pixels[:, :4, :4].min() == 1


def test_enlarging_keeps_the_picture_and_its_state() -> None:
    small, large = canvas_extent(30, 40, 4, 8), canvas_extent(60, 80, 4, 8)
    canvas = Canvas(small, with_margin(waves(30, 40), small))
    canvas.first, canvas.second = canvas.pixels - 0.5, canvas.pixels**2
    canvas.steps.fill_(7)
    bigger = canvas.upsampled(large)
    assert bigger.pixels.shape == (3, large.height, large.width)
    assert bigger.picture().shape == (3, 60, 80)
    back = resize(bigger.picture(), Box(0, 0, 30, 40))
    assert (back - canvas.picture()).abs().max() < 0.04  # a spline is soft
    # The interpolations are linear and each knows its plane.
    assert (bigger.first - (bigger.pixels - 0.5)).abs().max() < 1e-3
    assert bigger.second.min() >= 0
    assert (bigger.steps == 7).all()


def test_pixels_must_fill_the_extent() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        Canvas(canvas_extent(8, 8, 0, 8), torch.zeros(3, 8, 9))


def test_boxes_gathered_are_what_is_read_under_them() -> None:
    area = canvas_extent(24, 32, margin=4, unit=4)
    canvas = Canvas(area, torch.rand(3, area.height, area.width))
    canvas.steps.add_(torch.rand(1, area.height, area.width))
    boxes = [Box(-3, 5, 7, 2), Box(0, -2, 3, 9), Box(area.height - 1, area.width - 1, 4, 1), Box(2, 90, 1, 1)]
    there = pixel_indices(boxes, area, torch.device("cpu"))
    for name, found in canvas.gather(there).items():
        plane = canvas.planes[name]
        assert torch.equal(found, torch.cat([read_box(plane, box).flatten(1) for box in boxes], 1))
    before = canvas.pixels.clone()
    changed = {name: plane.index_select(1, there) for name, plane in flattened(canvas).items()}
    changed["pixels"] = 1 - changed["pixels"]
    canvas.scatter(there, changed)
    inside = torch.zeros(area.height * area.width, dtype=torch.bool)
    inside[there] = True
    expected = torch.where(inside.view(area.height, area.width), 1 - before, before)
    assert torch.equal(canvas.pixels, expected)


def flattened(canvas: Canvas) -> dict[str, torch.Tensor]:
    return {name: plane.flatten(1) for name, plane in canvas.planes.items()}
