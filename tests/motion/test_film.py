"""Films: frames in and out again, evenly spaced in change; appearing whole or not at all."""

import contextlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_app import folder  # noqa: F401
from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.config.enums import Codec
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.files import ownership
from tilestyle.images import Picture
from tilestyle.motion import film
from tilestyle.motion.clip import open_clip
from tilestyle.motion.film import Frame, VideoWriter, check_film, open_film, quantize_frame
from tilestyle.motion.film_parts import open_resumable_film
from tilestyle.motion.timelapse import Timelapse


class Kept:
    """A writer that keeps the frames."""

    count = 0

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def add(self, frame: Frame) -> None:
        self.frames.append(frame)


def pictures(count: int, height: int = 50, width: int = 70) -> list[Frame]:
    """Frames that differ, with color."""
    mixed = [waves(height, width, 1) * (1 - t) + waves(height, width, 2) * t for t in np.linspace(0, 1, count)]
    return [quantize_frame(pixels.permute(1, 2, 0).numpy()) for pixels in mixed]


def decoded(path: Path) -> list[Frame]:
    return [quantize_frame(frame) for frame in open_clip(path).frames()]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", None), ("a.mp4", Codec.H265), ("a.mkv", Codec.AV1), ("a.webm", None), ("a.mov", None)],
)
def test_a_film_has_the_frames_and_their_colors(tmp_path: Path, name: str, codec: Codec | None) -> None:
    frames = pictures(12, 96, 128)
    with open_film(tmp_path / name, FilmConfig(fps=12.5, codec=codec)) as writer:
        for frame in frames:
            writer.add(frame)
        assert not (tmp_path / name).exists()
    found = decoded(tmp_path / name)
    assert len(found) == 12
    for frame, shown in zip(frames, found, strict=True):
        assert np.abs(frame.astype(float) - shown).mean() < 9
        assert np.abs(frame.mean((0, 1)) - shown.mean((0, 1))).max() < 3
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_frames_in_a_folder_are_exact_and_gone_on_with(tmp_path: Path) -> None:
    frames = pictures(4)
    for part in (frames[:2], frames[2:]):
        with open_film(tmp_path / "film", FilmConfig()) as writer:
            for frame in part:
                writer.add(frame)
    files = sorted((tmp_path / "film").iterdir())
    assert [file.name for file in files] == [f"{number:05}.png" for number in range(1, 5)]
    for file, frame in zip(files, frames, strict=True):
        with Image.open(file) as image:
            assert (np.asarray(image) == frame).all()


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", None), ("a.mov", Codec.H265), ("a.webm", None)])
def test_parts_of_killed_and_stopped_runs_become_one_film(
    tmp_path: Path, name: str, codec: Codec | None
) -> None:
    frames, config, path = pictures(40, 96, 128), FilmConfig(fps=30000 / 1001, codec=codec), tmp_path / name
    (tmp_path / "work").mkdir()
    ownership.mark_folder(tmp_path / "work", "film-000007.mkv")
    (tmp_path / "work" / "film-000007.mkv").write_bytes(b"of another render")
    (tmp_path / "work" / "film-holiday.mkv").write_bytes(b"of a person")
    (tmp_path / "work" / "film-000001.mkv").write_bytes(b"of a person")
    with open_resumable_film(path, config, tmp_path / "work", restart=True) as writer:
        for frame in frames[:15]:
            writer.add(frame)
    assert len(decoded(path)) == 15
    with (
        pytest.raises(ZeroDivisionError),
        open_resumable_film(path, config, tmp_path / "work", restart=False) as writer,
    ):
        for frame in frames[15:30]:
            writer.add(frame)
        raise ZeroDivisionError
    ownership.claim(tmp_path / "work" / "film-000004.mkv")
    (tmp_path / "work" / "film-000004.mkv").write_bytes(b"")  # killed before anything was written
    for rest in (frames[30:], []):
        with open_resumable_film(path, config, tmp_path / "work", restart=False) as writer:
            for frame in rest:
                writer.add(frame)
    found = decoded(path)
    assert len(found) == 40
    assert (tmp_path / "work" / "film-holiday.mkv").read_bytes() == b"of a person"
    assert (tmp_path / "work" / "film-000001.mkv").read_bytes() == b"of a person"
    assert not (tmp_path / "work" / "film-000007.mkv").exists()
    for frame, shown in zip(frames, found, strict=True):
        assert np.abs(frame.astype(float) - shown).mean() < 9
    with film.import_pyav().open(str(path)) as container:
        times = [float(shown.pts * shown.time_base) for shown in container.decode(video=0)]
    np.testing.assert_allclose(np.diff(times), 1001 / 30000, atol=2e-3)


def test_a_film_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), open_film(path, FilmConfig()) as writer:
        writer.add(pictures(1)[0])
        raise ZeroDivisionError
    with pytest.raises(OutputError, match="no frames"), open_film(path, FilmConfig()):
        pass
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_filmed_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, codec, message in (
        ("a.avi", None, "does not have the suffix of a film"),
        ("a.png", None, "does not number the frames"),
        ("nowhere/a.mp4", None, "there is no folder"),
        ("a.webm", Codec.H264, "cannot hold h264"),
    ):
        with pytest.raises(OutputError, match=message):
            check_film(tmp_path / name, FilmConfig(codec=codec))
    with pytest.raises(SettingError, match="fps"):
        FilmConfig(fps=0)
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"pip install 'tilestyle\[video\]'"):
        check_film(tmp_path / "a.mp4", FilmConfig())
    check_film(tmp_path / "frames", FilmConfig())  # needs nothing


def test_frames_are_evenly_spaced_in_change_and_of_one_size() -> None:
    kept = Kept()
    timelapse = Timelapse(kept, FilmConfig(step=0.02), 40, 60)
    for value in (0.1, 0.105, 0.11, 0.2, 0.5, 0.501):  # slow, then fast
        side = 20 if value < 0.2 else 40
        timelapse.add_picture(Picture(np.full((side, side * 3 // 2, 3), value, np.float32)))
    means = [frame.mean() / 255 for frame in kept.frames]
    assert {frame.shape for frame in kept.frames} == {(40, 60, 3)}
    np.testing.assert_allclose(np.diff(means), 0.02, atol=0.005)
    assert means[-1] == pytest.approx(0.5, abs=0.005)
    assert len(means) == 21


def test_a_film_is_gone_on_with(folder: Path) -> None:  # noqa: F811
    words = ["render", "content.png", "--style", "style.png", "--size", "80", "-q", "-o", "a.png"]
    words += ["--film", "a.mp4", "--film-step", "0.002", "--sweeps", "12", "--checkpoint-every", "0"]
    whole = run_cli(folder, *words)
    assert whole.returncode == 0, whole.stderr
    frames = len(decoded(folder / "a.mp4"))
    for file in ("a.png", "a.mp4"):
        (folder / file).unlink()
    seen = 0

    def asked() -> bool:
        nonlocal seen
        seen += 1
        return seen > 6

    with mock.patch("tilestyle.cli.display.stop_on_interrupt", lambda **_: contextlib.nullcontext(asked)):
        stopped = run_cli(folder, *words)
    assert stopped.returncode == 130, stopped.stderr
    before = len(decoded(folder / "a.mp4"))
    assert 0 < before < frames
    assert list((folder / "a.png.work").glob("film-*.mkv"))
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    # But for those on the way of the first sweep after the stop.
    assert before < frames - 8 <= len(decoded(folder / "a.mp4")) <= frames
    assert not (folder / "a.png.work").exists()


def test_render_films_itself(folder: Path) -> None:  # noqa: F811
    words = ["render", "content.png", "--style", "style.png", "--size", "80", "--sweeps", "12", "-q"]
    done = run_cli(folder, *words, "-o", "a.png", "--film", "a.mp4", "--film-step", "0.002")
    assert done.returncode == 0, done.stderr
    frames = decoded(folder / "a.mp4")
    assert len(frames) > 40
    assert frames[0].shape == (60, 80, 3)
    with Image.open(folder / "a.png") as image:
        assert np.abs(np.asarray(image).astype(float) - frames[-1]).mean() < 9
    assert np.abs(frames[0].astype(float) - frames[-1]).mean() > 12
    done = run_cli(
        folder, "texture", "style.png", "--size", "64", "--sweeps", "8", "-q", "-o", "b.png", "--film", "b"
    )
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "b").iterdir())) > 5
    done = run_cli(folder, *words, "-o", "c.png", "--film", "c.txt")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "c.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("name", ["walk.mp4", "walk.mkv", "walk.webm"])
def test_a_full_disk_is_told_with_the_film_s_name(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(OutputError, match=f"cannot write the film {name} .No space left on device."):
        encoded = VideoWriter(Path("/dev/full"), FilmConfig(), name)
        for _ in range(60):
            encoded.add(noise)
        encoded.finish()
        encoded.close()
    assert "Svt[info]" not in capfd.readouterr().err
