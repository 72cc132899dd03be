"""Every pixel once, whatever the sizes; the same places for the same key."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilestyle.geometry.boxes import (
    Box,
    Patch,
    any_overlap,
    boxes_as_array,
    canvas_extent,
    even_partition,
    split_on_torus,
    tile_grid,
)
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches, random_windows

units = st.sampled_from([1, 4, 16])
draws = st.builds(SweepRng, seed=st.integers(0, 2**63 - 1), level=st.integers(0, 40), sweep=st.integers(0, 999))


def visits(patches: list[Patch], height: int, width: int) -> np.ndarray:
    """How often the patches own each pixel of the torus."""
    count = np.zeros((height, width), int)
    for patch in patches:
        for box, _, _ in split_on_torus(patch.owned, height, width):
            count[box.top : box.top + box.height, box.left : box.left + box.width] += 1
    return count


@given(draws, st.integers(0, 40), st.integers(1, 60), st.sampled_from([1, 4, 8]))
def test_aligned_draws_keep_their_grid_for_a_period(draw: SweepRng, low: int, count: int, stride: int) -> None:
    period = [replace(draw, sweep=sweep).on_grid(stride, 16) for sweep in range(32)]
    for axis in (0, 1):
        starts = [draw.random_offset(axis, low, count) for draw in period]
        assert all(low <= start < low + max(count, stride) for start in starts)
        assert len({start % stride for start in starts[:16]}) == 1
        assert len({start % stride for start in starts[16:]}) == 1


@given(st.integers(1, 300), st.integers(1, 300), units, st.integers(1, 8), st.sampled_from([1, 2, 4]), draws)
def test_a_grid_owns_every_pixel_once(
    height: int, width: int, unit: int, cells: int, scale: int, draw: SweepRng
) -> None:
    canvas = canvas_extent(height, width, 0, unit * scale)
    patches = grid_patches(canvas, cells * unit, unit, draw, scale)
    assert (visits(patches, canvas.height, canvas.width) == 1).all()
    assert all(max(p.read.height, p.read.width) <= cells * unit * scale for p in patches)


@given(st.integers(100, 300), st.integers(1, 60), st.sampled_from([4, 8]), draws)
def test_a_halo_widens_what_is_read_and_not_what_is_owned(
    height: int, width: int, halo: int, draw: SweepRng
) -> None:
    canvas = canvas_extent(height, width, 0, 4)
    patches = grid_patches(canvas, 64, 4, draw, context=PatchContext(halo))
    assert (visits(patches, canvas.height, canvas.width) == 1).all()
    for patch in patches:
        assert patch.read.height <= 64
        assert patch.owned.top - patch.read.top == halo
        # One patch is as wide as the canvas: nothing lies beyond it.
        assert patch.read.width == patch.owned.width == canvas.width


@given(
    st.integers(65, 300),
    st.integers(65, 300),
    st.sampled_from([1, 4, 16]),
    st.sampled_from([1, 2]),
    st.integers(1, 4),
    st.sampled_from([1, 4]),
    draws,
)
def test_aprons_overlap_and_every_pixel_is_owned_once_and_kept_from_neighbors(
    height: int, width: int, unit: int, scale: int, apron: int, stride: int, draw: SweepRng
) -> None:
    canvas = canvas_extent(height, width, 0, unit * scale)
    draw = draw if unit % stride else draw.on_grid(stride, 16)
    patches = grid_patches(canvas, 64, unit, draw, scale, PatchContext(apron=apron))
    full = canvas.height, canvas.width
    assert (visits(patches, *full) == 1).all()
    for index, patch in enumerate(patches):
        own, read = patch.owned, patch.read
        for start, length, first, count, whole, phase in (
            (own.top, own.height, read.top, read.height, full[0], draw.phase[0]),
            (own.left, own.width, read.left, read.width, full[1], draw.phase[1]),
        ):
            assert count % (unit * scale) == 0
            assert count <= 64 * scale
            assert length == whole or min(start - first, first + count - start - length) >= apron * scale
            assert length == whole or scale > 1 or first % draw.stride == phase
        others = boxes_as_array(other.read for other in patches[:index] + patches[index + 1 :])
        inner, borders = patch.interior_and_borders
        assert not inner.area or not any_overlap(inner, others, *full)
        parts = [Patch(box, box, 1) for box in (inner, *borders) if box.area]
        assert (visits(parts, *full) == visits([patch], *full)).all()


def test_boxes_meet_round_the_torus() -> None:
    others = boxes_as_array([Box(95, 10, 10, 10)])
    assert any_overlap(Box(0, 0, 1, 11), others, 100, 100)
    assert any_overlap(Box(4, -85, 1, 1), others, 100, 100)
    assert not any_overlap(Box(5, 10, 10, 10), others, 100, 100)
    assert not any_overlap(Box(95, 0, 10, 10), others, 100, 100)
    assert not any_overlap(Box(0, 0, 100, 100), boxes_as_array([]), 100, 100)


def test_one_patch_is_the_whole_canvas_in_place() -> None:
    patches = grid_patches(canvas_extent(48, 64, 0, 16), 64, 16, SweepRng(5, 1, 2))
    assert patches == [Patch(Box(0, 0, 48, 64), Box(0, 0, 48, 64), 1)]


def test_one_patch_shifts_within_the_margin() -> None:
    canvas = canvas_extent(48, 64, 10, 4)
    starts = set()
    for sweep in range(100):
        (patch,) = grid_patches(canvas, 128, 16, SweepRng(5, 1, sweep))
        assert (visits([patch], canvas.height, canvas.width) == 1).all()
        starts.add(patch.owned.top)
    assert starts == set(range(-8, 9))


def test_borders_fall_everywhere_over_many_sweeps() -> None:
    canvas = canvas_extent(64, 256, 0, 16)
    starts = {p.owned.left % 256 for k in range(400) for p in grid_patches(canvas, 64, 16, SweepRng(0, 0, k))}
    assert len(starts) > 250


@given(draws)
def test_scattered_windows_fit_and_add_up(draw: SweepRng) -> None:
    canvas = canvas_extent(200, 330, 0, 32)
    patches = random_windows(canvas, 64, (1.0, 1.0), draw)
    total = sum(patch.read.area for patch in patches)
    assert canvas.area <= total < canvas.area + 128 * 128
    assert {patch.scale for patch in patches} <= {1, 2}
    assert random_windows(canvas, 64, (1.0, 1.0), draw) == patches


def test_draws_depend_on_every_part_of_their_key() -> None:
    keys = [
        SweepRng(0, 0, 0),
        SweepRng(1, 0, 0),
        SweepRng(0, 1, 0),
        SweepRng(0, 0, 1),
        SweepRng(2**63 - 1, 0, 0),
    ]
    values = [tuple(key.integers(4)) for key in keys]
    assert len(set(values)) == len(keys)
    assert tuple(SweepRng(0, 0, 0).integers(4)) == values[0]
    assert tuple(SweepRng(0, 0, 0).integers(4, stream=1)) != values[0]


def test_draws_never_change() -> None:
    # Resumed and distributed jobs rely on these, whatever the version of numpy.
    drawn = [11128043944570826881, 16457429133282521230, 742702590223865956]
    assert SweepRng(7, 3, 11).integers(3).tolist() == drawn


@given(st.integers(1, 500), units, st.integers(1, 9))
def test_a_partition_is_even_and_complete(cells: int, unit: int, largest: int) -> None:
    parts = even_partition(cells * unit, largest * unit, unit)
    assert sum(parts) == cells * unit
    assert max(parts) <= largest * unit
    assert max(parts) - min(parts) <= unit
    assert all(part % unit == 0 for part in parts)


def test_partition_refuses_what_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="cannot cut 10"):
        even_partition(10, 8, 4)


def test_tiling_covers_the_plane() -> None:
    count = np.zeros((48, 80), int)
    for box in tile_grid(48, 80, 32, 16):
        count[box.top : box.top + box.height, box.left : box.left + box.width] += 1
    assert (count == 1).all()


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 30), st.integers(1, 30))
def test_pieces_put_a_wrapped_box_together(top: int, left: int, height: int, width: int) -> None:
    plane = np.arange(30 * 30).reshape(30, 30)
    window = np.full((height, width), -1)
    for box, row, column in split_on_torus(Box(top, left, height, width), 30, 30):
        part = plane[box.top : box.top + box.height, box.left : box.left + box.width]
        window[row : row + box.height, column : column + box.width] = part
    rows, columns = np.arange(top, top + height) % 30, np.arange(left, left + width) % 30
    assert (window == plane[np.ix_(rows, columns)]).all()


def test_a_box_larger_than_its_torus_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than its 4 x 4 torus"):
        list(split_on_torus(Box(0, 0, 5, 2), 4, 4))


def test_the_picture_lies_within_its_margin() -> None:
    canvas = canvas_extent(100, 333, 20, 32)
    assert canvas.height % 32 == canvas.width % 32 == 0
    box = canvas.picture
    assert (box.height, box.width) == (100, 333)
    assert min(box.top, box.left) >= 20
    assert canvas.height - box.top - box.height >= 20
    assert canvas.width - box.left - box.width >= 20
