"""Previews: windows that lie where they should, and crops that come near the picture itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import FEW, waves
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.images import FloatArray, Picture, area_average, as_source, contact_sheet, read_all
from tilestyle.images.faces import Face
from tilestyle.pipeline.api import render
from tilestyle.planning.job import Job
from tilestyle.recipes import preview as recipe
from tilestyle.recipes.preview import PreviewRequest, PreviewStep, crop_centers, preview, resample_box
from tilestyle.recipes.printing import crop_masks, prepare_inputs


def smooth(height: int, width: int, seed: int = 0) -> Picture:
    """A picture that resampling changes little."""
    return area_average(Picture(waves(4 * height, 4 * width, seed).permute(1, 2, 0).numpy()), height, width)


def ramp(height: int, width: int) -> Picture:
    """Every pixel says where it is, as a share of the picture."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    plane = np.stack(np.broadcast_arrays(y[:, None], x[None], np.zeros((1, 1))), axis=2)
    return Picture(plane.astype(np.float32), np.ones((height, width), np.float32))


def config(**settings: Any) -> RenderConfig:
    return RenderConfig(**{"precision": Precision.FP32, **FEW, **settings})


@given(st.integers(20, 90), st.integers(20, 300), st.floats(0, 1), st.integers(1, 64))
def test_a_part_lies_where_it_does_in_the_whole(own: int, whole: int, place: float, side: int) -> None:
    side = min(side, whole)
    top = round(place * (whole - side))
    box = Box(top, top // 2, side, min(side, whole))
    seen = resample_box(as_source(ramp(own, own)), Box(0, 0, own, own), (own, own), box, (whole, whole))
    assert (seen.height, seen.width) == (box.height, box.width)
    assert seen.alpha is not None and seen.alpha.min() > 0.99
    expected = ramp(whole, whole).pixels[box.top :, box.left :][: box.height, : box.width]
    # Half a pixel of the whole; at the edges, where nothing lies beyond, half of one of its own.
    assert np.abs(seen.pixels - expected).max() <= 0.75 / min(whole, own) + 0.75 / whole + 1e-3


def test_crops_come_near_the_render_itself() -> None:
    content, style = smooth(150, 220), smooth(90, 120, 1)
    settings = config(size=220, sweeps=8, style_scale=0.5)
    full = render(content, style, settings)
    steps: list[PreviewStep] = []
    found = preview(
        prepare_inputs(settings, as_source(style), as_source(content)),
        PreviewRequest(side=156, crop=64, at=((0.5, 0.5), (0, 1))),
        steps.append,
    )
    assert (found.height, found.width) == (150, 220)
    assert (found.small.height, found.small.width) == (106, 156)
    assert [(step.crop, step.width) for step in steps] == [(0, 156), (1, 220)]  # a window for both
    assert [crop.box for crop in found.crops] == [Box(43, 78, 64, 64), Box(0, 156, 64, 64)]
    for crop in found.crops:
        box = crop.box
        part = full.pixels[box.top : box.top + 64, box.left : box.left + 64]
        assert np.corrcoef(crop.picture.pixels.ravel(), part.ravel())[0, 1] > 0.8
    sheet = found.sheet()
    assert (sheet.height, sheet.width) == (106 + 12 + 64, 156)


def test_windows_are_no_larger_than_they_need_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.recipes.preview.MIN_WINDOW", 96)
    monkeypatch.setattr("tilestyle.recipes.preview.MIN_CROP_MARGIN", 32)
    steps: list[PreviewStep] = []
    settings = config(size=400, sweeps=1)
    seen = prepare_inputs(settings, as_source(smooth(90, 120, 1)), as_source(smooth(80, 100)))
    found = preview(seen, PreviewRequest(side=128, crop=40, at=((0.3, 0.6),)), steps.append)
    assert max(step.height for step in steps) <= 104
    assert all(step.width == 104 for step in steps[2:])
    assert (found.crops[0].picture.height, found.crops[0].picture.width) == (40, 40)


def test_a_texture_is_shown_at_its_own_size() -> None:
    settings = config(size=(240, 180), sweeps=1)
    found = preview(
        prepare_inputs(settings, as_source(smooth(90, 120, 1))),
        PreviewRequest(side=120, crop=50, at=crop_centers(2)),
    )
    assert (found.small.height, found.small.width) == (90, 120)
    assert [(crop.picture.height, crop.picture.width) for crop in found.crops] == [(50, 50)] * 2


def test_what_is_small_is_shown_as_it_is() -> None:
    settings = config(size=96, sweeps=1)
    seen = prepare_inputs(settings, as_source(smooth(60, 60, 1)), as_source(smooth(60, 80)))
    found = preview(seen, PreviewRequest(side=500, crop=300, at=crop_centers(1)))
    assert found.small.width == 96
    assert np.array_equal(found.crops[0].picture.pixels, found.small.pixels)


def test_crops_are_not_foreseen_out_of_their_place() -> None:
    style = as_source(smooth(90, 120, 1))
    with pytest.raises(SettingError, match="crops cannot be previewed with locality"):
        preview(
            prepare_inputs(config(size=200, sweeps=1, locality=1.0), style),
            PreviewRequest(64, 32, ((0.5, 0.5),)),
        )


@pytest.mark.parametrize("name", ["mask", "blend_map", "content_map"])
def test_a_window_has_the_part_of_the_mask_over_it(name: str) -> None:
    mask = as_source(smooth(40, 80))
    settings: dict[str, Any] = {name: mask}
    part = getattr(crop_masks(RenderConfig(**settings), (100, 300, 50, 100), (200, 400)), name)
    assert np.array_equal(read_all(part).pixels, read_all(mask).pixels[20:30, 60:80])


def test_transparency_reaches_the_crops() -> None:
    content = Picture(smooth(60, 80).pixels, np.linspace(0, 1, 4800, dtype=np.float32).reshape(60, 80))
    settings = config(size=160, sweeps=1)
    seen = prepare_inputs(settings, as_source(smooth(60, 60, 1)), as_source(content))
    found = preview(seen, PreviewRequest(side=80, crop=60, at=crop_centers(1)))
    assert found.small.alpha is not None and found.crops[0].picture.alpha is not None
    assert found.crops[0].picture.alpha.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("wrong", [{"side": 9}, {"crop": 3}, {"at": ((0.5, 1.2),)}])
def test_what_cannot_be_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        PreviewRequest(**{"side": 100, "crop": 50, "at": crop_centers(1), **wrong})
    with pytest.raises(SettingError, match="cannot be placed"):
        crop_centers(99)


def test_sheets_hold_all_parts() -> None:
    def plain(height: int, width: int, value: float) -> Picture:
        pixels: FloatArray = np.full((height, width, 3), value, np.float32)
        return Picture(pixels)

    parts = [plain(50, 90, value) for value in (0.2, 0.4, 0.6)]
    sheet = contact_sheet(plain(100, 200, 0.8), [(10, 20, 30, 40)], parts)
    assert (sheet.height, sheet.width) == (100 + 12 + 50, 294)
    assert sheet.pixels[150, 250, 0] == pytest.approx(0.6, abs=0.01)
    assert sheet.pixels[10, 59].tolist() == [1, 1, 1]  # of the frame
    assert contact_sheet(plain(9, 9, 0), [], []).pixels.shape == (9, 9, 3)


def test_faces_are_looked_for_once_and_lie_in_the_crops_where_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def render_nothing(job: Job, *watch: object) -> Picture:
        jobs.append(job)
        return Picture(np.full((job.size.height, job.size.width, 3), 0.5, np.float32))

    monkeypatch.setattr(recipe, "faces_in", lambda content: (Face(0.4, 0.6, 0.2, 0.2),))
    monkeypatch.setattr(recipe, "render_job", render_nothing)
    monkeypatch.setattr(recipe, "MIN_WINDOW", 64)
    monkeypatch.setattr(recipe, "MIN_CROP_MARGIN", 8)
    settings = config(size=400, sweeps=1, keep_faces=True, strength=0.8, network="wavelet")
    inputs = prepare_inputs(settings, as_source(smooth(60, 60, 1)), as_source(smooth(80, 100)))
    preview(inputs, PreviewRequest(side=64, crop=32, at=((0.5, 0.7), (0.5, 0.1))))
    seen = [job.content_map for job in jobs]
    inside, outside = seen[len(seen) // 2], seen[-1]  # the finest windows of both crops
    assert seen[0] is not None and inside is not None and outside is not None
    assert {job.face_count for job in jobs} == {1}
    assert float(seen[0].median()) == 1 < float(seen[0].max())
    assert float(inside.min()) > 1
    assert float(outside.max()) == 1
