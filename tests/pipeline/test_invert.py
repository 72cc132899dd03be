"""Pictures from activations alone, and the frames of how they come about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle import Init, RenderConfig, SweepDone, invert
from tilestyle.canvas.resize import resize
from tilestyle.config.consistency import inversion_config
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.errors import OutputError, SettingError, WorkError
from tilestyle.geometry.boxes import Box
from tilestyle.images import FloatArray, Picture, read_picture, read_provenance
from tilestyle.losses.planes import region_weights
from tilestyle.motion.snapshots import MIN_CHANGE, SnapshotRecorder
from tilestyle.optim.initial import initial_pixels
from tilestyle.pipeline.events import Event, Finished, Resumed
from tilestyle.pipeline.prepare import prepare

CONTENT = resize(waves(40, 50), Box(0, 0, 80, 100)).clamp(0, 1)
WANTED = CONTENT.permute(1, 2, 0).numpy()
QUICK: dict[str, Any] = {
    "patch": 64,
    "coarsest": 64,
    "margin": 8,
    "precision": Precision.FP32,
    "network": NetworkName.WAVELET,
    "content_layers": {"color_1": 1},
}


def likeness(pixels: FloatArray) -> float:
    """Correlation with the content."""
    return float(np.corrcoef(pixels.ravel(), WANTED.ravel())[0, 1])


def test_a_shallow_layer_gives_the_picture_back() -> None:
    pixels = invert(CONTENT, RenderConfig(sweeps=30, **QUICK)).pixels
    assert pixels.shape == WANTED.shape
    assert likeness(pixels) > 0.95
    start = prepare(None, inversion_config(RenderConfig(**QUICK)), CONTENT)
    first = initial_pixels(start, start.levels[0], region_weights(start, start.levels[0]))
    assert abs(float(np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1])) < 0.05
    assert abs(float(first.mean()) - 0.5) < 0.01


@pytest.mark.parametrize("layer", ["shape_5", "first_5"])
def test_the_coarsest_layers_can_be_looked_at(layer: str) -> None:
    settings = {**QUICK, "content_layers": {layer: 1}}
    losses: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, SweepDone):
            losses.append(event.content)

    invert(CONTENT, RenderConfig(sweeps=8, size=150, **settings), observer=observe)
    assert losses[-1] < 0.8 * losses[0]


def test_the_deepest_layer_of_vgg_can_be_looked_at(assets: Path) -> None:
    settings = {**QUICK, "content_layers": {"relu5_1": 1}, "network": NetworkName.VGG19}
    weights = assets / "weights" / "vgg19_slim.safetensors"
    picture = invert(CONTENT, RenderConfig(sweeps=2, weights=weights, **settings))
    assert picture.pixels.shape == WANTED.shape


def test_smoothness_is_weighed_in() -> None:
    # A layer that does not see fine noise: nothing else takes it away.
    settings = {**QUICK, "content_layers": {"shape_3": 1}, "sweeps": 8}
    plain, smooth = (
        invert(CONTENT, RenderConfig(tv_weight=weight, **settings)).pixels for weight in (0.0, 20.0)
    )
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.8 * np.abs(np.diff(plain, axis=0)).mean()


@pytest.mark.parametrize("settings", [{"init": Init.CONTENT}, {"init": Init.STYLE}, {"style_layers": {"a": 1}}])
def test_what_is_no_activation_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="an inversion uses neither a style"):
        invert(CONTENT, RenderConfig(**settings))
    with pytest.raises(SettingError, match="needs a content weight above 0"):
        invert(CONTENT, RenderConfig(content_weight=0))


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    config = RenderConfig(sweeps=3, **QUICK)
    asked = iter(range(1000))
    invert(CONTENT, config, work=tmp_path / "work", stop=lambda: next(asked) >= 6)
    assert (tmp_path / "work").exists()
    found = invert(CONTENT, config, work=tmp_path / "work")
    assert np.array_equal(found.pixels, invert(CONTENT, config).pixels)


def done(value: float) -> SweepDone:
    """A sweep after which the picture has one brightness."""
    picture = Picture(np.full((20, 30, 3), value, np.float32))
    return SweepDone(None, 1, 0, 0, 0, 0, 0, 0, 0, lambda: picture)  # type: ignore[arg-type]


def kept(folder: Path) -> list[float]:
    return [float(read_picture(path).pixels.mean()) for path in sorted(folder.glob("*.png"))]


def test_frames_are_kept_evenly_in_change(tmp_path: Path) -> None:
    earlier = SnapshotRecorder(tmp_path, 40, 60)
    for value in (0.1, 0.3, 0.5, 0.7, 0.9):
        earlier(done(value))
    frames = SnapshotRecorder(tmp_path, 40, 60)
    for value in (
        0.5,
        0.5 + 0.4 * MIN_CHANGE,
        0.5 + 1.4 * MIN_CHANGE,
        0.5 + 1.5 * MIN_CHANGE,
        0.5 + 1.6 * MIN_CHANGE,
    ):
        frames(done(value))
    frames(Finished(True, 0.0))
    # The first, the third, and the last: what an earlier run left is gone.
    assert kept(tmp_path) == pytest.approx([0.5, 0.5 + 1.4 * MIN_CHANGE, 0.5 + 1.6 * MIN_CHANGE], abs=3e-3)
    assert {read_picture(path).pixels.shape for path in tmp_path.glob("*.png")} == {(40, 60, 3)}


def test_frames_of_somebody_else_stay(tmp_path: Path) -> None:
    """In a folder of theirs, and under a name in a folder of ours."""
    theirs = tmp_path / "theirs" / "frame-00000.png"
    theirs.parent.mkdir()
    theirs.write_bytes(b"mine")
    with pytest.raises(OutputError, match="holds other files"):
        SnapshotRecorder(theirs.parent, 20, 30)(done(0.25))
    Image.fromarray((WANTED * 255).astype(np.uint8)).save(tmp_path / "content.png")
    words = [
        "invert",
        "content.png",
        "--network=wavelet",
        "--layer=color_1",
        "-o",
        "out.png",
        "--frames",
        "theirs",
    ]
    ended = run_cli(tmp_path, *words)
    assert ended.returncode == 2
    assert (
        ended.stderr == "tilestyle: theirs holds other files; use an empty folder or a new name for --frames\n"
    )
    assert [file.read_bytes() for file in theirs.parent.iterdir()] == [b"mine"]
    ours = tmp_path / "ours"
    frames = SnapshotRecorder(ours, 20, 30)
    frames(done(0.25))
    (ours / "frame-00001.png").write_bytes(b"mine")
    (ours / "frame-00005.png").write_bytes(b"mine")
    with pytest.raises(WorkError, match="not created by tilestyle"):
        frames(done(0.75))
    again = SnapshotRecorder(ours, 20, 30)
    again(done(0.5))
    again(Finished(True, 0.0))
    assert {file.name for file in ours.glob("*.png") if file.read_bytes() == b"mine"} == {
        "frame-00001.png",
        "frame-00005.png",
    }


def test_frames_go_on(tmp_path: Path) -> None:
    SnapshotRecorder(tmp_path, 20, 30)(done(0.25))
    frames = SnapshotRecorder(tmp_path, 20, 30)
    frames(Resumed(None, 1, 0, 0))  # type: ignore[arg-type]
    frames(done(0.25))
    frames(done(0.75))
    assert kept(tmp_path) == pytest.approx([0.25, 0.75], abs=3e-3)


def test_the_command_writes_picture_and_frames(tmp_path: Path) -> None:
    Image.fromarray((WANTED * 255).astype(np.uint8)).save(tmp_path / "content.png")
    words = [
        "invert",
        "content.png",
        "--network=wavelet",
        "--layer=color_1",
        "--layer=shape_3=0.5",
        "-o",
        "out.png",
    ]
    more = ["--sweeps", "3", "--coarsest", "100", "--frames", "frames", "--size", "100"]
    ended = run_cli(tmp_path, *words, *more)
    assert ended.returncode == 0, ended.stderr
    assert "level 1 of 1" in ended.stderr
    made = read_provenance(tmp_path / "out.png")
    assert made is not None
    assert made["style"] is None
    assert made["settings"]["content_layers"] == {"color_1": 1.0, "shape_3": 0.5}  # type: ignore[index,call-overload]
    frames = sorted((tmp_path / "frames").glob("*.png"))
    assert len(frames) >= 2
    assert np.array_equal(read_picture(frames[-1]).pixels, read_picture(tmp_path / "out.png").pixels)


def test_noise_is_of_the_seed() -> None:
    starts = [prepare(None, inversion_config(RenderConfig(seed=seed, **QUICK)), CONTENT) for seed in (0, 0, 1)]
    first, again, other = (
        initial_pixels(job, job.levels[0], region_weights(job, job.levels[0])) for job in starts
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
