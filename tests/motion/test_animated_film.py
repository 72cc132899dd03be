"""Films as GIF and WebP: frames, speed and loop; whole, in parts, or not at all."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_app import folder  # noqa: F401
from tests.motion.test_film import pictures
from tests.support.cli import run_cli
from tilestyle.config.enums import Animation, Codec
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.files import ownership
from tilestyle.images import encode_frame
from tilestyle.motion import film
from tilestyle.motion.animated_film import AnimationWriter
from tilestyle.motion.film import Frame, check_film, open_film
from tilestyle.motion.film_parts import open_resumable_film

NAMES = pytest.mark.parametrize("name", ["a.gif", "a.webp"])


def decoded(path: Path) -> tuple[list[Frame], list[float], int]:
    """Frames, their durations in milliseconds, and the number of repetitions."""
    frames, durations = [], []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(float(image.info["duration"]))
        return frames, durations, image.info["loop"]


@NAMES
def test_an_animation_has_the_frames_the_speed_and_the_loop(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "find_spec", lambda name: None)  # PyAV is not needed
    frames = pictures(8, 49, 71)
    with open_film(tmp_path / name, FilmConfig(fps=24)) as writer:
        for frame in frames:
            writer.add(frame)
        assert not (tmp_path / name).exists()
    found, durations, loop = decoded(tmp_path / name)
    assert loop == 0
    assert len(found) == len(frames)
    assert sum(durations) == pytest.approx(1000 * len(frames) / 24, abs=5.1)
    assert max(durations) - min(durations) <= 10
    for frame, shown in zip(frames, found, strict=True):
        assert np.abs(frame.astype(float) - shown).mean() < 9
        assert np.abs(frame.mean((0, 1)) - shown.mean((0, 1))).max() < 4
    assert [path.name for path in tmp_path.iterdir()] == [name]


@NAMES
def test_a_frame_that_stays_is_stored_once(tmp_path: Path, name: str) -> None:
    first, last = pictures(2)
    with open_film(tmp_path / name, FilmConfig(fps=20)) as writer:
        for frame in (first, *[last] * 30):
            writer.add(frame)
    assert writer.count == 31
    assert decoded(tmp_path / name)[1] == [50, 1500]


@NAMES
def test_few_colors_and_a_single_pixel_are_possible(tmp_path: Path, name: str) -> None:
    with open_film(tmp_path / name, FilmConfig()) as writer:
        for value in (0, 255):
            writer.add(np.full((1, 1, 3), value, np.uint8))
    assert [int(frame.mean()) for frame in decoded(tmp_path / name)[0]] == pytest.approx([0, 255], abs=3)


@NAMES
def test_parts_become_one_animation(tmp_path: Path, name: str) -> None:
    frames, path, work = pictures(9), tmp_path / name, tmp_path / "work"
    work.mkdir()
    ownership.mark_folder(work)
    for part in (frames[:4], frames[4:7]):
        with (
            pytest.raises(ZeroDivisionError),
            open_resumable_film(path, FilmConfig(), work, restart=part is frames[:4]) as writer,
        ):
            for frame in part:
                writer.add(frame)
            raise ZeroDivisionError
    cut = sorted(work.glob("film-*"))[-1]
    cut.write_bytes(cut.read_bytes()[:-7])  # killed while it wrote
    for rest in (frames[7:], []):
        with open_resumable_film(path, FilmConfig(), work, restart=False) as writer:
            for frame in rest:
                writer.add(frame)
    found = decoded(path)[0]
    assert len(found) == 8
    for frame, shown in zip([*frames[:6], *frames[7:]], found, strict=True):
        assert np.abs(frame.astype(float) - shown).mean() < 9
    with open_resumable_film(path, FilmConfig(), work, restart=True) as writer:
        writer.add(frames[0])
    assert len(decoded(path)[0]) == 1


@NAMES
def test_a_stopped_render_goes_on_with_its_animation(folder: Path, name: str) -> None:  # noqa: F811
    words = ["render", "content.png", "--style", "style.png", "--size", "32", "--network", "wavelet", "-q"]
    words += ["-o", "a.png", "--film", name, "--film-step", "0.002", "--sweeps", "4", "--checkpoint-every", "0"]
    asked = iter([False] * 3)
    with mock.patch(
        "tilestyle.cli.display.stop_on_interrupt", lambda **_: nullcontext(lambda: next(asked, True))
    ):
        stopped = run_cli(folder, *words)
    assert stopped.returncode == 130
    assert stopped.stderr.startswith("stopped at level")
    before = len(decoded(folder / name)[0])
    assert list((folder / "a.png.work").glob("film-*-frames"))
    done = run_cli(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(decoded(folder / name)[0]) > before > 0
    assert not (folder / "a.png.work").exists()


@NAMES
def test_an_animation_that_fails_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), open_film(path, FilmConfig()) as writer:
        writer.add(pictures(1)[0])
        raise ZeroDivisionError
    with pytest.raises(OutputError, match="no frames"), open_film(path, FilmConfig()):
        pass
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_animation_cannot_show_is_said_before(tmp_path: Path) -> None:
    for name, config, message in (
        ("a.gif", FilmConfig(fps=60), "GIF shows at most 50 frames per second, not 60"),
        ("a.webp", FilmConfig(fps=120), "WebP shows at most 90"),
    ):
        with pytest.raises(SettingError, match=message):
            check_film(tmp_path / name, config)
    with pytest.raises(OutputError, match="cannot hold h264"):
        check_film(tmp_path / "a.gif", FilmConfig(codec=Codec.H264))
    with pytest.raises(OutputError, match="no folder"):
        check_film(tmp_path / "nowhere" / "a.gif", FilmConfig())
    with pytest.raises(OutputError, match="exceed the limit of WebP, 16383"):
        encode_frame(Animation.WEBP, np.zeros((1, 16_384, 3), np.uint8), 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("form", Animation)
def test_a_full_disk_is_told_with_the_film_s_name(form: Animation) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    writer = AnimationWriter(Path("/dev/full"), form, Fraction(25), "walk")
    with pytest.raises(OutputError, match=r"cannot write the film walk \(No space left on device\)"):
        for shift in range(8):
            writer.add(np.roll(noise, shift))
        writer.finish()
    with suppress(OutputError):
        writer.close()
