"""From Python: every kind of source, every kind of mistake."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tilestyle
from tests.conftest import FEW, waves
from tilestyle import (
    Event,
    Finished,
    Init,
    LevelStarted,
    NetworkName,
    Picture,
    RenderConfig,
    SweepDone,
    TilestyleError,
    drift,
    render,
    stylize_video,
    texture,
    zoom,
)
from tilestyle.canvas.resize import resize
from tilestyle.config.enums import Precision, Sampler
from tilestyle.errors import LayerError, PictureError, SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.losses.style_statistics import style_moments
from tilestyle.pipeline.prepare import prepare

CONTENT, STYLE = waves(60, 80), waves(90, 70, 1)
PLAIN: dict[str, Any] = {"sweeps": 2, "margin": 8, "coarsest": 64, "patch": 128}
QUICK = {**PLAIN, **FEW}


def array(pixels: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def test_public_names_are_there() -> None:
    assert all(hasattr(tilestyle, name) for name in tilestyle.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tilestyle.nonsense


def test_a_picture_saves_itself_and_goes_to_pillow(tmp_path: Path) -> None:
    picture = render(CONTENT, STYLE, RenderConfig(**QUICK))
    picture.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(picture.pil()))
        assert image.size == (80, 60)


def test_every_kind_of_source_gives_the_same_picture(tmp_path: Path) -> None:
    content, style = array(CONTENT), array(STYLE)
    Image.fromarray(content).save(tmp_path / "content.png")
    as_tensor = torch.from_numpy(content).permute(2, 0, 1)
    sources: list[Any] = [
        tmp_path / "content.png",
        str(tmp_path / "content.png"),
        Image.fromarray(content),
        content,
        as_tensor,
    ]
    found = [render(source, style, RenderConfig(**QUICK)).pixels for source in sources]
    assert found[0].shape == (60, 80, 3)
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize(
    ("size", "shape"),
    [(None, (60, 80)), (100, (75, 100)), ("90x50", (50, 90)), ((90, 50), (50, 90)), (40, (30, 40))],
)
def test_the_picture_has_the_size_asked_for(size: Any, shape: tuple[int, int]) -> None:
    picture = render(CONTENT, STYLE, RenderConfig(size=size, **QUICK))
    assert picture.pixels.shape[:2] == shape
    assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1


def test_a_texture_is_made_of_the_style_alone() -> None:
    picture = texture(STYLE, RenderConfig(size=(96, 64), **{**QUICK, "sweeps": 30}))
    assert picture.pixels.shape == (64, 96, 3)
    goal = STYLE.mean((1, 2)).numpy()
    assert np.abs(picture.pixels.mean((0, 1)) - goal).max() < 0.1
    other = texture(STYLE, RenderConfig(size=(96, 64), seed=1, **QUICK))
    assert not np.array_equal(picture.pixels, other.pixels)


@pytest.mark.parametrize("init", [Init.NOISE, Init.STYLE, Init.CONTENT])
def test_every_beginning_differs(init: Init) -> None:
    picture = render(CONTENT, STYLE, RenderConfig(init=init, **QUICK))
    other = render(CONTENT, STYLE, RenderConfig(**QUICK))
    assert np.array_equal(picture.pixels, other.pixels) == (init is Init.CONTENT)


def test_a_picture_file_can_be_the_beginning(tmp_path: Path) -> None:
    Image.fromarray(array(waves(50, 50, 7))).save(tmp_path / "start.png")
    job = prepare(STYLE, RenderConfig(init=tmp_path / "start.png", **QUICK), CONTENT)
    assert isinstance(job.init, torch.Tensor)
    assert job.init.shape == (3, 50, 50)


def test_transparency_is_kept() -> None:
    alpha = np.linspace(0, 1, 80, dtype=np.float32)[None].repeat(60, 0)
    pixels = np.ascontiguousarray(CONTENT.permute(1, 2, 0).numpy())
    picture = render(Picture(pixels, alpha=alpha), STYLE, RenderConfig(size=160, **QUICK))
    assert picture.alpha is not None
    assert picture.alpha.shape == (120, 160)
    assert np.abs(picture.alpha[60] - np.linspace(0, 1, 160)).max() < 0.02


def test_observers_are_told_everything() -> None:
    events: list[Event] = []
    render(CONTENT, STYLE, RenderConfig(size=128, **QUICK), observer=events.append)
    levels = [event for event in events if isinstance(event, LevelStarted)]
    sweeps = [event for event in events if isinstance(event, SweepDone)]
    assert len(levels) == levels[0].levels == 3
    assert [event.sweep for event in sweeps] == [0, 1] * 3
    assert sweeps[-1].picture().pixels.shape == (96, 128, 3)
    assert all(event.seconds_left >= 0 for event in sweeps)  # after the last sweep, the finishing is left
    assert isinstance(events[-1], Finished)
    assert events[-1].complete


def test_a_stopped_render_answers_its_full_size() -> None:
    events: list[Event] = []
    picture = render(CONTENT, STYLE, RenderConfig(size=128, **QUICK), observer=events.append, stop=lambda: True)
    assert picture.pixels.shape == (96, 128, 3)
    assert isinstance(events[-1], Finished)
    assert not events[-1].complete


def test_a_style_smaller_than_a_patch_works() -> None:
    assert render(CONTENT, waves(33, 35), RenderConfig(size=200, **QUICK)).pixels.shape == (150, 200, 3)


def test_a_thin_picture_works() -> None:
    assert render(waves(32, 400), STYLE, RenderConfig(**QUICK)).pixels.shape == (32, 400, 3)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"style_layers": {"rleu3_1": 1.0}}, LayerError, "no layer 'rleu3_1'; did you mean 'relu3_1'?"),
        ({"style_layers": {"shape_3": 1.0}}, LayerError, "no layer 'shape_3'; the layers are conv1_1, relu1_1"),
        ({"style_layers": {"relu1_1": 0.0}}, SettingError, "no style layer has any weight"),
        ({"content_layers": {"first_1": -1.0}}, SettingError, "give a number from 0 up"),
        ({"patch": 16}, SettingError, "patch 16 is too small"),
        ({"device": "cuda:77"}, SettingError, "not in this machine"),
        ({"device": "toaster"}, SettingError, "is unknown"),
        ({"init": Init.STYLE, "size": (0, 5)}, SettingError, "size cannot be"),
        ({"init": "nowhere.png"}, PictureError, "nowhere.png"),
        ({"network": NetworkName.VGG19, "weights": "nowhere.pth"}, tilestyle.TilestyleError, "nowhere.pth"),
    ],
)
def test_settings_that_cannot_be_get_one_line(settings: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        render(CONTENT, STYLE, RenderConfig(**{**PLAIN, **settings}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"style_weight": -1},
        {"content_weight": float("nan")},
        {"tv_weight": float("inf")},
        {"style_scale": 0},
        {"learning_rate": -0.1},
        {"overlap": -1},
        {"margin": -1},
        {"seed": -1},
        {"seed": 2**63},
        {"sweeps": 0},
        {"patch": 0},
        {"level_ratio": 1.0},
        {"scale_odds": ()},
        {"scale_odds": (0.0, 1.0)},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="cannot be"):
        RenderConfig(**settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (waves(10, 300), "need at least 16 pixels"),
        (CONTENT.clone().fill_(float("nan")), "NaN or infinity"),
        (np.zeros((0, 5, 3), np.uint8), "."),
        (np.zeros((1, 1, 3), np.uint8), "."),
    ],
)
def test_pictures_that_cannot_be_used_get_one_line(content: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        render(content, STYLE, RenderConfig(**PLAIN))
    assert "\n" not in str(caught.value)


def test_an_included_picture_is_a_file_of_which_python_is_told() -> None:
    with pytest.raises(PictureError) as told:
        render(CONTENT, "swirls")
    call = "tilestyle.picture_path('swirls')"
    assert str(told.value) == f"there is no file swirls; for the included picture give {call}"
    assert tilestyle.picture_path("swirls").exists()


def test_choices_go_by_their_names_too() -> None:
    config = RenderConfig(precision="bf16", sampler="windows")
    assert config.precision is Precision.BF16
    assert config.sampler is Sampler.WINDOWS
    with pytest.raises(SettingError, match="precision cannot be 'fp8'") as caught:
        RenderConfig(precision="fp8")  # type: ignore[arg-type]
    assert "auto, fp32, bf16" in caught.value.hint


def test_a_texture_has_no_content_to_begin_with() -> None:
    with pytest.raises(SettingError, match="no content to start from"):
        texture(STYLE, RenderConfig(init=Init.CONTENT, **QUICK))


def test_patches_follow_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from tilestyle.planning import resolve

    automatic = {**QUICK, "patch": None, "size": 600, "precision": Precision.FP32, "device": "cpu"}
    monkeypatch.setattr(resolve, "free_bytes", lambda device: 2**40)
    roomy = prepare(STYLE, RenderConfig(**automatic), CONTENT)
    monkeypatch.setattr(resolve, "free_bytes", lambda device: 300 * 2**20)
    tight = prepare(STYLE, RenderConfig(**automatic), CONTENT)
    assert tight.patch_side < roomy.patch_side == 512
    monkeypatch.setattr(resolve, "free_bytes", lambda device: 2**10)
    with pytest.raises(MemoryError, match="give a smaller --patch"):
        prepare(STYLE, RenderConfig(**automatic), CONTENT)


def test_an_enlarged_style_is_seen_large_by_coarse_layers_alone() -> None:
    """A coarse layer sees the style as if it had been enlarged before; a fine one, as it is."""
    style = waves(96, 96, 4)
    large = resize(style, Box(0, 0, 384, 384)).clamp(0, 1)
    layers = {"first_1": 1.0, "first_3": 1.0}
    known: dict[str, Any] = {
        "network": NetworkName.WAVELET,
        "style_layers": layers,
        "size": (384, 384),
        "precision": Precision.FP32,
        "sweeps": 1,
    }
    ours = prepare(style, RenderConfig(style_scale=4, enlarge_style=True, **known))
    plain, enlarged = prepare(style, RenderConfig(**known)), prepare(large, RenderConfig(**known))
    found, fine, coarse = (style_moments(job, job.levels[-1])[0] for job in (ours, plain, enlarged))
    torch.testing.assert_close(found["first_1"].second, fine["first_1"].second)
    torch.testing.assert_close(found["first_3"].second, coarse["first_3"].second, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda picture: render(picture, picture, work=""),
        lambda picture: drift(picture, [picture], ""),
        lambda picture: zoom(picture, ""),
        lambda picture: stylize_video(picture, picture, ""),
        lambda picture: render("", picture),
        lambda picture: render(picture, [""]),
    ],
)
def test_an_empty_name_is_not_the_working_directory(
    call: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files would be written there, or a folder would be read."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    with pytest.raises(TilestyleError, match=r"the name of .* is empty"):
        call(tmp_path / "a.png")
    assert not list(empty.iterdir())
