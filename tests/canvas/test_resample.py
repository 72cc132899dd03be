"""Pictures at other sizes, a few rows at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import waves
from tilestyle.canvas.resample import Filter, resample_strips

SIDES = st.integers(3, 150)


def resampled(picture: torch.Tensor, height: int, width: int, kind: Filter) -> torch.Tensor:
    """All strips below one another."""
    parts = list(resample_strips(picture, (height, width), kind))
    assert [top for top, _ in parts] == [sum(p.shape[1] for _, p in parts[:i]) for i in range(len(parts))]
    return torch.cat([part for _, part in parts], 1)


@given(SIDES, SIDES, SIDES, SIDES)
def test_it_is_what_torch_calls_antialiased(h: int, w: int, height: int, width: int) -> None:
    picture = waves(h, w)
    for kind, mode in [(Filter.CUBIC, "bicubic"), (Filter.LINEAR, "bilinear")]:
        expected = F.interpolate(picture[None], (height, width), mode=mode, antialias=True)[0]
        torch.testing.assert_close(resampled(picture, height, width, kind), expected, atol=2e-5, rtol=0)


@given(SIDES, SIDES, SIDES, SIDES)
def test_the_nearest_pixel_is_one_of_the_picture(h: int, w: int, height: int, width: int) -> None:
    picture = torch.arange(float(h * w)).reshape(1, h, w)
    expected = F.interpolate(picture[None], (height, width), mode="nearest-exact")[0]
    found = resampled(picture, height, width, Filter.NEAREST)
    assert set(found.flatten().tolist()) <= set(picture.flatten().tolist())
    # On a tie either is nearest.
    rows = (found - expected).abs() / w
    assert rows.max() <= 1 + 1 / w


def test_a_flat_picture_stays_flat() -> None:
    flat = torch.full((3, 37, 53), 0.25)
    for kind in Filter:
        assert torch.allclose(resampled(flat, 100, 20, kind), torch.tensor(0.25))


def test_the_spline_keeps_the_range_and_loses_what_alternates() -> None:
    alternating = (torch.arange(400).reshape(1, 1, -1) % 2).float().expand(3, 6, -1)
    for width in (530, 565):
        found = resampled(alternating, 6, width, Filter.SPLINE)[..., 20:-20]
        assert found.min() > 0.3
        assert found.max() < 0.7
        # The sharper one does not, where new pixels fall on old ones.
        assert resampled(alternating, 6, width, Filter.CUBIC)[..., 20:-20].max() > 0.9


@pytest.mark.parametrize("read", [1, 2**24])
def test_how_much_is_read_at_once_does_not_matter(read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = waves(90, 70)
    expected = resampled(picture, 33, 21, Filter.CUBIC)
    monkeypatch.setattr("tilestyle.canvas.resample.READ_BYTES", read)
    torch.testing.assert_close(resampled(picture, 33, 21, Filter.CUBIC), expected)
