"""The margin continues the picture, and closes the torus without a seam."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import waves
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.reflection import reflect_indices
from tilestyle.geometry.boxes import canvas_extent


@given(st.integers(1, 20), st.integers(0, 50), st.integers(0, 50))
def test_mirrored_is_numpys_symmetric_padding(size: int, before: int, after: int) -> None:
    indices = reflect_indices(size, before, after).numpy()
    assert (indices == np.pad(np.arange(size), (before, after), "symmetric")).all()


def test_the_margin_mirrors_the_picture_and_closes_the_torus() -> None:
    picture = waves(30, 40)
    around = canvas_extent(30, 40, 10, 16)
    plane = with_margin(picture, around)
    box = around.picture
    assert torch.equal(plane[:, box.top : box.top + 30, box.left : box.left + 40], picture)
    nearest = plane[:, box.top - 1, box.left : box.left + 40]
    assert (nearest - picture[:, 0]).abs().max() < 0.02
    steps = (plane - plane.roll(1, 1)).abs().amax(), (plane - plane.roll(1, 2)).abs().amax()
    inside = (picture[:, 1:] - picture[:, :-1]).abs().amax()
    # Along the whole circle, edges of the plane included, nothing jumps more than the picture itself does.
    assert max(steps) < 2 * inside


@given(st.integers(1, 9), st.integers(0, 40), st.integers(1, 4))
def test_margins_wider_than_the_picture_are_filled(size: int, margin: int, unit: int) -> None:
    plane = with_margin(torch.full((1, size, size), 0.25), canvas_extent(size, size, margin, unit))
    assert torch.allclose(plane, torch.tensor(0.25))
