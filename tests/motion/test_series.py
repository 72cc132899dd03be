"""Drift and zoom: steps that follow one another, stopped and gone on with, loops, films."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_app import folder  # noqa: F401
from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import DRIFT_DEFAULTS, ZOOM_DEFAULTS, RenderConfig
from tilestyle.errors import SettingError, WorkError
from tilestyle.images import Picture
from tilestyle.motion.clip import open_clip
from tilestyle.motion.drift import SeriesCallbacks, drift
from tilestyle.motion.series import Series, discard_series, open_series, read_pixels
from tilestyle.motion.zoom import zoom
from tilestyle.motion.zoom_path import ZoomPath as Way
from tilestyle.motion.zoom_path import blend_textures, inbetween_frames, zoom_about

SMALL: dict[str, Any] = {
    "size": 64,
    "sweeps": 2,
    "margin": 8,
    "precision": Precision.FP32,
    "network": NetworkName.WAVELET,
    "style_layers": {"color_2": 1, "first_2": 1},
    "content_layers": {"contour_2": 1},
}


def drifted(folder: Path, name: str, config: RenderConfig, cycles: int = 2, **watch: Any) -> Series:  # noqa: F811
    styles = [folder / "style.png", folder / "content.png"]
    return drift(folder / "content.png", styles, folder / name, config, cycles, SeriesCallbacks(**watch))


def kept(done: Series) -> list[bytes]:
    return [read_pixels(file).numpy().tobytes() for file in done.picture_paths]


def test_a_drift_goes_on_to_the_same_pictures(folder: Path) -> None:  # noqa: F811
    config = replace(DRIFT_DEFAULTS, **SMALL)
    expected = drifted(folder, "a", config)
    assert [row["style"] for row in expected.rows] == ["style.png", "content.png"] * 2
    asked = iter(range(1000))
    assert drifted(folder, "b", config, stop=lambda: next(asked) >= 6).count == 1
    (folder / "b" / "0002.png").write_bytes(b"what a killed process may leave")
    told: list[int] = []
    done = drifted(folder, "b", config, on_step=lambda series: told.append(series.count))
    assert told == [2, 3, 4]
    assert kept(done) == kept(expected)
    assert done.rows == expected.rows == json.loads((folder / "b" / "statistics.json").read_text())
    pictures = [read_pixels(file) for file in done.picture_paths]
    changes = [(b - a).abs().mean() for a, b in pairwise(pictures)]
    assert min(changes) > 0.02  # every style has its say
    assert done.rows[0]["mean"] == pytest.approx(pictures[0].mean((1, 2)).tolist(), abs=1e-3)
    assert kept(drifted(folder, "b", config, cycles=1)) == kept(expected)  # there is more already
    with pytest.raises(WorkError, match=r"holds another series \(seed\)"):
        drifted(folder, "b", replace(config, seed=3))
    with pytest.raises(WorkError, match="holds a;"):
        drifted(folder, "", config)


def test_the_size_in_an_older_folder_is_height_and_width(tmp_path: Path) -> None:
    with open_series(tmp_path / "a", {"settings": {"size": [32, 48]}}) as series:
        series.add(Picture(np.zeros((32, 48, 3), np.float32)), {})
    with open_series(tmp_path / "a", {"settings": {"size": "48x32"}}) as series:
        assert series.count == 1
    with (
        pytest.raises(WorkError, match=r"holds another series \(size\)"),
        open_series(tmp_path / "a", {"settings": {"size": "32x48"}}),
    ):
        pass


def test_a_zoom_goes_in_and_on_to_the_same_pictures(folder: Path) -> None:  # noqa: F811
    config, style = replace(ZOOM_DEFAULTS, **SMALL), folder / "style.png"
    config = replace(config, content_layers={})
    start = folder / "content.png"
    expected = zoom(style, folder / "a", config, Way(4, 1.1), start)
    asked = iter(range(1000))
    assert (
        zoom(
            style, folder / "b", config, Way(4, 1.1), start, SeriesCallbacks(stop=lambda: next(asked) >= 7)
        ).count
        < 4
    )
    done = zoom(style, folder / "b", config, Way(4, 1.1), start)
    assert kept(done) == kept(expected)
    first, second = (read_pixels(file) for file in done.picture_paths[:2])
    inwards = zoom_about(first, 1.1, Way(4, 1.1).center(1, first))
    assert (second - inwards).abs().mean() < 0.7 * (second - first).abs().mean()
    assert (second - inwards).abs().mean() > 0.005  # the style has put something in
    with pytest.raises(WorkError, match="factor"):
        zoom(style, folder / "b", config, Way(4, 1.2), start)


def test_a_loop_ends_where_it_begins(folder: Path) -> None:  # noqa: F811
    config, style = replace(ZOOM_DEFAULTS, **SMALL), folder / "style.png"
    config = replace(config, content_layers={}, learning_rate=0.005)
    way = Way(9, 1.2, loop=True)
    assert way.loop_overlap == 3
    done = zoom(style, folder / "a", config, way, folder / "content.png")
    last, same, other = (read_pixels(done.picture_path(number)) for number in (9, 3, 7))
    assert (last - same).abs().mean() < 0.3 * (other - same).abs().mean()
    frames = list(way.frames(done, 1))
    assert len(frames) == 12  # six pictures, and one before each
    jumps = [np.abs(b.astype(float) - a).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert jumps[-1] < 1.5 * max(jumps[:-1])


def test_zooming_keeps_what_it_should() -> None:
    picture = waves(60, 80)
    torch.testing.assert_close(zoom_about(picture, 1.0), picture, atol=1e-5, rtol=0)
    back = zoom_about(zoom_about(picture, 1.25, (0.2, -0.1)), 0.8, (0.2, -0.1))
    assert (back - picture)[:, 15:45, 20:60].abs().mean() < 0.01
    one, other = (0.5 + 0.1 * torch.randn(3, 60, 80) for _ in range(2))
    half = blend_textures(one, other, 0.5)
    assert half.std() == pytest.approx(float(one.std()), rel=0.05)
    assert (blend_textures(one, other, 1.0) - other).abs().max() < 1e-6
    after = zoom_about(picture, 1.1, (0.1, 0.0))
    (way,) = inbetween_frames(picture, after, 1.1, 1, (0.1, 0.0))
    assert (way - zoom_about(picture, 1.1**0.5, (0.1, 0.0))).abs().mean() < 0.01


@pytest.mark.parametrize("way", [(0, 1.1), (5, 1.0), (5, 3.0)])
def test_ways_that_cannot_be(way: tuple[int, float]) -> None:
    with pytest.raises(SettingError, match="zoom"):
        Way(*way)
    with pytest.raises(SettingError, match="loop"):
        Way(5, 1.1, loop=True)


def test_the_commands(folder: Path) -> None:  # noqa: F811
    words = ["--size", "64", "--sweeps", "2", "--out", "d", "--film", "d.mp4"]
    done = run_cli(folder, "drift", "content.png", "-s", "style.png", *words, "--cycles", "2", "--between", "3")
    assert done.returncode == 0, done.stderr
    assert "d: 2 of 2 pictures" in done.stderr
    assert len(list(open_clip(folder / "d.mp4").frames())) == 5
    words = ["--size", "64x48", "--sweeps", "2", "-o", "z", "-q", "--steps", "2"]
    done = run_cli(folder, "zoom", "style.png", *words, "--film", "frames")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list((folder / "frames").iterdir())) == 4
    with Image.open(folder / "z" / "0002.png") as image:
        assert image.size == (64, 48)
    done = run_cli(folder, "zoom", "style.png", *words[:-1], "3")
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "z" / "0003.png") as image:
        assert image.size == (64, 48)
    (folder / "frames" / "00002.png").write_bytes(b"somebody's")
    done = run_cli(folder, "zoom", "style.png", *words, "--film", "frames")  # of all that there are
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "frames").iterdir())) == 7
    assert (folder / "frames" / "00002.png").read_bytes() == b"somebody's"
    done = run_cli(folder, "zoom", "style.png", *words, "--factor", "1.2")
    assert done.returncode == 2
    assert "holds another series (factor)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("damage", ["swap", "cut", "gone", "rows", "no rows", "json"])
def test_a_damaged_series_is_refused(folder: Path, damage: str) -> None:  # noqa: F811
    config = replace(DRIFT_DEFAULTS, **SMALL)
    drifted(folder, "a", config, cycles=1)
    where = folder / "a"
    if damage == "swap":
        (where / "0001.png").write_bytes((where / "0002.png").read_bytes())
    elif damage == "cut":
        (where / "0002.png").write_bytes((where / "0002.png").read_bytes()[:-9])
    elif damage == "gone":
        (where / "0001.png").unlink()
    else:
        content = {"rows": '[{"step": 1}]', "no rows": "7", "json": "[" * 9999}[damage]
        (where / "statistics.json").write_text(content)
    before = {file.name: file.read_bytes() for file in where.iterdir()}
    with pytest.raises(WorkError, match=r"start again in another folder") as caught:
        drifted(folder, "a", config, cycles=2)
    assert "\n" not in str(caught.value)
    assert {file.name: file.read_bytes() for file in where.iterdir()} == before


def test_only_the_pictures_of_a_series_are_discarded(folder: Path) -> None:  # noqa: F811
    done = drifted(folder, "a", replace(DRIFT_DEFAULTS, **SMALL), cycles=1)
    (folder / "a" / "0099.png").write_bytes(b"mine")
    discard_series(done)
    assert [file.name for file in (folder / "a").iterdir()] == ["0099.png"]


def test_a_series_takes_settings_as_keywords_and_shows_its_progress(
    folder: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = {**SMALL, "size": 32, "sweeps": 1}
    start = folder / "content.png"
    done = drift(start, [folder / "style.png"], folder / "d", cycles=1, progress=True, **few)
    assert done.count == 1
    assert "picture 1 of 1" in capsys.readouterr().err
    with pytest.raises(SettingError, match="no setting 'sise'; did you mean 'size'"):
        drift(start, [folder / "style.png"], folder / "e", sise=3)  # type: ignore[call-arg]
    with pytest.raises(SettingError, match="no setting 'callback'; did you mean 'callbacks'"):
        zoom(start, folder / "e", callback=None)  # type: ignore[call-arg]
    assert not (folder / "e").exists()
