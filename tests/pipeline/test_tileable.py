"""Pictures that repeat without a seam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import waves
from tests.geometry.test_sampling import draws, visits
from tilestyle import Init, RenderConfig, Tileable, render, texture
from tilestyle.canvas import storage
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.resample import Filter, resample_strips
from tilestyle.canvas.resize import resize
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, canvas_extent
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches, random_windows
from tilestyle.images import FloatArray
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.memory_budget import MemoryBudget

BOTH = (True, True)
# A smooth texture, of which neighboring pixels are alike: where they are not, there is a seam.
STYLE = resize(waves(40, 40, 1), Box(0, 0, 120, 120)).clamp(0, 1)
QUICK: dict[str, Any] = {
    "patch": 64,
    "coarsest": 64,
    "precision": Precision.FP32,
    "network": NetworkName.WAVELET,
    "style_layers": {"color_2": 1},
    "tv_weight": 3.0,
}


def seams(pixels: FloatArray, axis: int) -> tuple[float, float, float]:
    """Mean squared difference across the wrapped edges; its mean and deviation between all other lines."""
    steps = np.square(np.diff(pixels, axis=axis, append=np.take(pixels, [0], axis))).mean(2)
    lines = steps.mean(1 - axis)
    return float(lines[-1]), float(lines[:-1].mean()), float(lines[:-1].std())


def resampled(picture: Tensor, height: int, width: int, repeats: tuple[bool, bool]) -> Tensor:
    return torch.cat([part for _, part in resample_strips(picture, (height, width), Filter.CUBIC, repeats)], 1)


@given(st.integers(20, 90), st.integers(20, 90), st.integers(20, 120), st.integers(20, 120))
def test_resampling_goes_round(rows: int, columns: int, height: int, width: int) -> None:
    picture = waves(rows, columns)
    found = resampled(picture, height, width, BOTH)
    again = resampled(picture.repeat(1, 3, 3), 3 * height, 3 * width, (False, False))
    torch.testing.assert_close(found, again[:, height : 2 * height, width : 2 * width], atol=2e-5, rtol=0)


def test_an_axis_that_repeats_has_no_margin() -> None:
    around = canvas_extent(100, 70, 10, 32, (False, True))
    assert (around.height, around.width) == (128, 96)
    assert around.picture == Box(14, 0, 100, 96)
    plane = with_margin(waves(100, 96), around)
    assert torch.equal(plane[:, 14:114], waves(100, 96))


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 2]), draws)
def test_coverings_and_windows_begin_anywhere_on_it(
    height: int, width: int, scale: int, draw: SweepRng
) -> None:
    canvas = canvas_extent(height, width, 9, 4 * scale, BOTH)
    patches = grid_patches(canvas, 64, 4, draw, scale)
    assert (visits(patches, canvas.height, canvas.width) == 1).all()
    assert visits(random_windows(canvas, 64, (1.0,), draw), canvas.height, canvas.width).sum() >= canvas.area


def test_one_patch_begins_everywhere() -> None:
    canvas = canvas_extent(64, 64, 0, 4, BOTH)
    found = [grid_patches(canvas, 64, 4, SweepRng(1, 0, sweep))[0].owned for sweep in range(300)]
    assert len({box.top for box in found}) > 55
    windows = [random_windows(canvas, 64, (1.0,), SweepRng(1, 0, sweep))[0].owned.left for sweep in range(100)]
    assert len(set(windows)) > 40


@pytest.mark.parametrize("tileable", list(Tileable))
def test_a_texture_has_no_seam_where_it_repeats(tileable: Tileable) -> None:
    config = RenderConfig(size=(96, 96), sweeps=(30, 10), tileable=tileable, **QUICK)
    pixels = texture(STYLE, config).pixels
    for axis, repeats in enumerate(config.repeats):
        seam, mean, deviation = seams(pixels, axis)
        if repeats:
            assert abs(seam - mean) < 4 * deviation
        else:
            assert seam > mean + 6 * deviation


def test_any_size_works_and_repeats() -> None:
    config = RenderConfig(size=(110, 75), sweeps=(40, 12), tileable=Tileable.BOTH, **QUICK)
    job = prepare(STYLE, config)
    assert [level.extent.height % job.unit for level in job.levels] == [0] * len(job.levels)
    pixels = texture(STYLE, config).pixels
    assert pixels.shape == (75, 110, 3)
    for axis in (0, 1):
        seam, mean, deviation = seams(pixels, axis)
        assert abs(seam - mean) < 4 * deviation


def test_a_stopped_one_has_its_size() -> None:
    config = RenderConfig(size=(150, 101), sweeps=2, tileable=Tileable.BOTH, **QUICK)
    assert texture(STYLE, config, stop=lambda: True).pixels.shape == (101, 150, 3)


@pytest.mark.parametrize("init", [Init.NOISE, Init.STYLE, Init.CONTENT])
def test_a_render_repeats_too(init: Init) -> None:
    # A content that repeats: only the margin's mirror would break it.
    y, x = np.mgrid[:96, :96] * (2 * np.pi / 96)
    content = torch.from_numpy(np.stack([np.sin(x), np.sin(y), np.cos(x + y)]) / 4 + 0.5).float()
    config = RenderConfig(init=init, sweeps=(20, 10), tileable=Tileable.BOTH, content_weight=0.1, **QUICK)
    pixels = render(content, STYLE, config).pixels
    for axis in (0, 1):
        seam, mean, deviation = seams(pixels, axis)
        assert abs(seam - mean) < 4 * deviation


def test_mapped_canvases_repeat_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RenderConfig(size=(150, 101), sweeps=2, tileable=Tileable.BOTH, **QUICK)
    whole = texture(STYLE, config).pixels
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    assert np.array_equal(texture(STYLE, config, work=tmp_path / "work").pixels, whole)


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(SettingError, match="tileable cannot be 'z'; give one of x, y, both"):
        RenderConfig(tileable="z")  # type: ignore[arg-type]
