"""Whose colors a picture has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import FEW, waves
from tilestyle import Color, Init, RenderConfig, SweepDone, render, texture
from tilestyle.canvas import storage
from tilestyle.canvas.color import LUMA_WEIGHTS, apply_chroma, color_moments, match_colors, to_grayscale
from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Precision
from tilestyle.errors import SettingError
from tilestyle.images import FloatArray, Picture, WriteOptions, as_source, read_picture
from tilestyle.pipeline.events import Event
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.recipes.preview import PreviewRequest, preview
from tilestyle.recipes.printing import prepare_inputs

# Within the gamut, and of other colors.
CONTENT = (
    waves(60, 80) * torch.tensor([0.6, 0.5, 0.3])[:, None, None] + torch.tensor([0.3, 0.2, 0.1])[:, None, None]
)
STYLE = waves(90, 70, 1)
QUICK: dict[str, Any] = {
    "sweeps": 3,
    "margin": 8,
    "coarsest": 64,
    "patch": 64,
    "precision": Precision.FP32,
    **FEW,
}


def chroma(pixels: FloatArray) -> Any:
    """Differences of channels: what a step of all channels alike leaves as it is."""
    return pixels[..., :2].astype(float) - pixels[..., 2:].astype(float)


def luminance(pixels: FloatArray) -> Any:
    return pixels @ np.array(LUMA_WEIGHTS, np.float32)


def array(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


def test_a_matched_picture_has_the_palette() -> None:
    wanted = color_moments(CONTENT)
    found = color_moments(match_colors(STYLE * 0.5 + 0.25, wanted, MemoryStore()))
    assert torch.allclose(found.mean, wanted.mean, atol=2e-3)
    assert torch.allclose(found.covariance, wanted.covariance, atol=1e-3)
    assert not torch.allclose(color_moments(STYLE).mean, wanted.mean, atol=0.05)


def test_what_is_transparent_has_no_part_in_a_palette() -> None:
    alpha = torch.zeros(1, 60, 80)
    alpha[:, :, :30] = 1
    assert torch.allclose(color_moments(CONTENT, alpha).mean, color_moments(CONTENT[:, :, :30]).mean)


def test_strips_make_the_same_palette(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = color_moments(CONTENT)
    monkeypatch.setattr("tilestyle.canvas.color.STRIP_PIXELS", 500)
    assert torch.allclose(color_moments(CONTENT).covariance, whole.covariance)


def test_gray_has_the_mean_and_deviation_of_the_palette() -> None:
    shown = to_grayscale(STYLE * 0.5 + 0.25, MemoryStore(), color_moments(CONTENT))
    wanted = luminance(array(CONTENT))
    assert torch.equal(shown[0], shown[2])
    assert float(shown[0].mean()) == pytest.approx(wanted.mean(), abs=2e-3)
    assert float(shown[0].std()) == pytest.approx(wanted.std(), abs=2e-3)


def test_a_tint_limits_luminance_and_never_chroma() -> None:
    bright = torch.ones(3, 60, 80)
    found = array(apply_chroma(bright, CONTENT, MemoryStore()))
    assert np.abs(chroma(found) - chroma(array(CONTENT))).max() < 1e-6
    assert np.allclose(found.max(2), 1)
    same = apply_chroma(CONTENT, CONTENT, MemoryStore())
    assert torch.allclose(same, CONTENT, atol=1e-6)


def test_content_colors_come_from_the_content() -> None:
    wanted = array(CONTENT).mean((0, 1))
    settings = {**QUICK, "sweeps": 12, "learning_rate": 0.1, "content_weight": 0.0, "init": Init.NOISE}
    found = render(CONTENT, STYLE, RenderConfig(color=Color.CONTENT, **settings)).pixels
    plain = render(CONTENT, STYLE, RenderConfig(**settings)).pixels
    assert np.abs(found.mean((0, 1)) - wanted).max() < 0.04
    assert np.abs(plain.mean((0, 1)) - wanted).max() > 0.1


@pytest.mark.parametrize(("suffix", "depth", "levels"), [(".png", 8, 255), (".tif", 16, 65535)])
def test_the_written_file_has_the_contents_chroma(tmp_path: Path, suffix: str, depth: int, levels: int) -> None:
    seen: list[np.ndarray] = []

    def observe(event: Event) -> None:
        if isinstance(event, SweepDone):
            seen.append(event.picture().pixels)

    picture = render(CONTENT, STYLE, RenderConfig(color=Color.LUMINANCE, **QUICK), observer=observe)
    picture.save(tmp_path / f"out{suffix}", WriteOptions(depth=depth))
    read = read_picture(tmp_path / f"out{suffix}").pixels
    assert np.abs(chroma(read) - chroma(array(CONTENT))).max() <= 1.01 / levels
    assert np.abs(luminance(read) - luminance(array(CONTENT))).max() > 0.05
    # Those who watch see colors, too.
    assert np.abs(chroma(seen[-1]) - chroma(array(CONTENT))).max() < 1e-5


def test_the_canvas_stays_gray() -> None:
    from tests.optim.test_loop import finished

    job = prepare(STYLE, RenderConfig(color=Color.LUMINANCE, **QUICK), CONTENT)
    canvas = finished(job).pixels
    assert float((canvas - canvas.mean(0)).abs().max()) < 1e-5


@pytest.mark.parametrize("mode", [Color.CONTENT, Color.LUMINANCE])
def test_mapped_and_resumed_renders_are_the_same(
    mode: Color, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha = np.linspace(0, 1, 80, dtype=np.float32)[None].repeat(60, 0)
    content = Picture(np.ascontiguousarray(array(CONTENT)), alpha=alpha)
    config = RenderConfig(color=mode, size=80, **{**QUICK, "sweeps": 2})
    whole = render(content, STYLE, config)
    assert whole.alpha is not None
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    asked = iter(range(1000))
    render(content, STYLE, config, work=tmp_path / "work", stop=lambda: next(asked) >= 5)
    found = render(content, STYLE, config, work=tmp_path / "work")
    assert np.array_equal(found.pixels, whole.pixels)


def test_crops_of_a_preview_are_matched_to_the_whole_content() -> None:
    # Left half dark, right half bright: a window has another palette than the whole.
    content = torch.cat([CONTENT * 0.5, CONTENT], 2).repeat(1, 2, 1)
    config = RenderConfig(size=160, color=Color.CONTENT, **{**QUICK, "sweeps": 1})
    style, whole = (as_source(Picture(np.ascontiguousarray(array(each)))) for each in (STYLE, content))
    seen: list[Any] = []

    def noted(*given: Any, **named: Any) -> Any:
        seen.append(named["palette"])
        return prepare(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tilestyle.recipes.preview.prepare", noted)
        preview(prepare_inputs(config, style, whole), PreviewRequest(80, 32, ((0.5, 0.1),)))
    assert len(seen) > 1
    assert all(torch.allclose(found.mean, color_moments(content).mean, atol=1e-3) for found in seen)


def test_colors_need_a_content() -> None:
    with pytest.raises(SettingError, match="--color luminance needs a content picture"):
        texture(STYLE, RenderConfig(size=64, color=Color.LUMINANCE, **QUICK))
    with pytest.raises(SettingError, match="color cannot be 'sepia'; give one of"):
        RenderConfig(color="sepia")  # type: ignore[arg-type]
