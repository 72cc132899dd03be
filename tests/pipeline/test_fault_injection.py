"""Work folders when file operations fail, when files are damaged, and when they were made to harm."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from tests.conftest import waves
from tests.support.cli import run_cli
from tests.support.file_faults import BROKEN, FULL, REFUSED, Faults, Killed
from tilestyle import RenderConfig, notices, render
from tilestyle.canvas import storage
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.errors import TilestyleError, WorkError
from tilestyle.files import ownership
from tilestyle.images import Picture, read_picture, write_picture, write_png
from tilestyle.pipeline import manifest, run, tensor_archive, timings
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.workdir import MANIFEST, Work
from tilestyle.planning.memory_budget import MemoryBudget

FULL_SWEEPS = bool(os.environ.get("TILESTYLE_FULL_SWEEPS"))
CONTENT, STYLE, OTHER = waves(64, 80, 1), waves(40, 48, 2), waves(64, 80, 3)
# Two levels of two patches, one sweep each: what matters here are the files.
CONFIG = RenderConfig(
    size=80,
    patch=64,
    coarsest=60,
    sweeps=1,
    margin=0,
    keep_content=False,
    palette_weight=0,
    content_weight=0.1,
    precision=Precision.FP32,
    network=NetworkName.WAVELET,
    style_layers={"first_1": 1},
    content_layers={"first_1": 1},
)
WORDS = (
    *("render", "content.png", "--style", "style.png", "-o", "out.png", "--size", "80", "--patch", "64"),
    *(
        "--sweeps=1",
        "--network=wavelet",
        "--style-layer=first_1",
        "--content-layer=first_1",
        "--palette-weight=0",
        "--content-weight=0.1",
        "--precision=fp32",
    ),
    *("--depth", "16", "-q", "--overwrite"),
)
OFTEN = ("--checkpoint-every", "0")


@pytest.fixture(params=["memory", "files"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where canvases live."""
    if request.param == "files":
        monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
        monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    return str(request.param)


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run makes the same system calls: none writes to the cache of times, which later ones would read."""
    monkeypatch.setattr(timings, "remember", lambda kind, samples: None)


@pytest.fixture(scope="module")
def expected() -> bytes:
    """The pixels of the render that nothing happens to."""
    return pixels(None)


def pixels(work: Any, **options: Any) -> bytes:
    """The bytes of a render's pixels."""
    return np.ascontiguousarray(render(CONTENT, STYLE, CONFIG, work=work, **options).pixels).tobytes()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a content, a style, and an old picture where the new one is to be."""
    folder = tmp_path / "here"
    folder.mkdir()
    write_picture(folder / "content.png", Picture(CONTENT.permute(1, 2, 0).contiguous().numpy()))
    write_picture(folder / "style.png", Picture(STYLE.permute(1, 2, 0).contiguous().numpy()))
    write_picture(folder / "old.png", Picture(OTHER.permute(1, 2, 0).contiguous().numpy()))
    shutil.copy(folder / "old.png", folder / "out.png")
    return folder


def outcome(call: Callable[[], Any]) -> str:
    """What became of a call in which a file operation fails."""
    try:
        call()
    except Killed:
        return "killed"
    except TilestyleError as error:
        assert "\n" not in str(error)
        return "refused"
    finally:
        gc.collect()  # files that nobody closed, as the end of a process does
    return "done"


def moments(count: int, some: int, first: int = 1) -> list[int]:
    """Operations that are made to fail: some, evenly spread; all where TILESTYLE_FULL_SWEEPS is set."""
    if FULL_SWEEPS:
        return list(range(first, count + 1))
    return sorted({first + (count - first) * k // (some - 1) for k in range(some)})


COUNTS: dict[str, int] = {}  # of file operations of a render that nothing happens to, by where its canvas lives
WRITTEN: dict[str, tuple[bytes, list[str]]] = {}  # its picture, and its file operations from the command line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes files
@pytest.mark.parametrize("error", [Killed, BROKEN, FULL, REFUSED], ids=["kill", "broken", "full", "refused"])
def test_whatever_file_operation_fails_the_render_ends_in_the_same_bytes(
    tmp_path: Path, home: str, expected: bytes, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch, tmp_path)
    if home not in COUNTS:
        faults.disarm()
        assert pixels(Work(tmp_path / "work", every=0.0)) == expected
        COUNTS[home] = faults.count
    for number in moments(COUNTS[home], 6):
        path = tmp_path / f"work-{number}"
        work = Work(path, every=0.0)
        faults.arm(number, error)
        found = outcome(lambda work=work: pixels(work))  # type: ignore[misc]
        where = f"{number}: {faults.names[number - 1]}, {found}"
        assert (found == "killed") == (error is Killed), where
        faults.disarm()
        if not ownership.is_marked(path):  # before anything was kept, or after everything was removed
            assert not path.exists() or len(list(path.iterdir())) <= 1, where
            foreign = set()
        else:
            foreign = FOREIGN - {file.name for file in path.iterdir()}
            for name in foreign:
                (path / name).write_bytes(b"mine")
        assert pixels(work) == expected, where
        assert {file.name for file in path.glob("*")} == foreign, where
        assert all(file.read_bytes() == b"mine" for file in path.glob("*")), where


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "error",
    [Killed, BROKEN, FULL, REFUSED, KeyboardInterrupt, MemoryError],
    ids=["kill", "broken", "full", "refused", "ctrl-c", "memory"],
)
def test_whatever_fails_while_the_picture_is_written_resume_writes_it(
    pictures: Path, home: str, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {file.name for file in pictures.iterdir()}
    faults = Faults(monkeypatch, pictures)
    if home not in WRITTEN:
        faults.disarm()
        assert run_cli(pictures, *WORDS).returncode == 0
        WRITTEN[home] = (pictures / "out.png").read_bytes(), list(faults.names)
    old, (whole, names) = (pictures / "old.png").read_bytes(), WRITTEN[home]
    first = max(k for k, name in enumerate(names, 1) if "x+b" in name)  # of the picture
    for number in moments(len(names), 4, first):
        shutil.copy(pictures / "old.png", pictures / "out.png")
        faults.arm(number, error)
        said: list[Any] = []
        found = outcome(lambda said=said: said.append(run_cli(pictures, *WORDS)))  # type: ignore[misc]
        where = f"{number - first}: {faults.names[number - 1]}, {found}, {[each.stderr for each in said]}"
        faults.disarm()
        written = (pictures / "out.png").read_bytes()
        assert written in (whole, old), where
        work = pictures / "out.png.work"
        if (work / MANIFEST).exists():
            (work / "letter.txt").write_text("dear")
            if said and written == old:
                assert said[0].returncode in (2, 130), where
                assert "nothing is lost: tilestyle resume out.png.work writes the picture" in said[0].stderr
                assert said[0].stderr.strip().count("\n") == 0 or error is KeyboardInterrupt, where
            done = run_cli(pictures, "resume", "out.png.work", "-q")
            assert (done.returncode, done.stderr) == (0, ""), where
            assert [file.name for file in work.iterdir()] == ["letter.txt"], where
        shutil.rmtree(work, ignore_errors=True)
        assert (pictures / "out.png").read_bytes() == whole, where
        assert {file.name for file in pictures.iterdir()} == inputs, where


@pytest.fixture
def stopped(tmp_path: Path, home: str) -> Path:
    """The folder of a render that was stopped on its second level, after a patch of it."""
    for name, style in (("work", STYLE), ("other", OTHER)):
        asked = iter(range(99))
        work = Work(tmp_path / name, every=0.0)
        render(CONTENT, style, CONFIG, work=work, stop=lambda asked=asked: next(asked) >= 3)  # type: ignore[misc]
    with (tmp_path / "work" / MANIFEST).open() as file:
        assert json.load(file)["place"]["level"] == 1
    return tmp_path / "work"


def contents(folder: Path) -> dict[str, bytes]:
    """Files, but for those that every process changes."""
    passing = ("lock", "owner.json", ownership.MARKER)
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name not in passing}


def resumed(work: Path, expected: bytes | None, where: str) -> str:
    """What becomes of a damaged folder: the same bytes, or one line and nothing changed.

    Without bytes to expect, of a folder that was forged, any picture will do.
    """
    before = contents(work)
    try:
        found = pixels(work)
    except WorkError as error:
        assert "\n" not in str(error), where
        assert len(str(error)) < 600, where
        assert contents(work) == before, where
        return "refused"
    assert expected is None or found == expected, where
    return "same"


DAMAGE: dict[str, Callable[[bytes, np.random.Generator, bytes], bytes | None]] = {
    "flip": lambda content, random, _: _flipped(content, int(random.integers(8 * max(1, len(content))))),
    "flip early": lambda content, random, _: _flipped(content, int(random.integers(300))),
    "cut": lambda content, random, _: content[: int(random.integers(max(1, len(content))))],
    "empty": lambda content, random, _: b"",
    "gone": lambda content, random, _: None,
    "extend": lambda content, random, _: content + random.bytes(50),
    "zeros": lambda content, random, _: bytes(len(content)),
    "swap": lambda content, random, other: other,
}


def _flipped(content: bytes, bit: int) -> bytes:
    found = bytearray(content or b"x")
    found[bit // 8 % len(found)] ^= 1 << bit % 8
    return bytes(found)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_of_any_file_is_refused_or_is_no_matter(
    tmp_path: Path, stopped: Path, expected: bytes, kind: str
) -> None:
    other = {re.sub(r"\d+", "#", file.name): file.read_bytes() for file in (tmp_path / "other").iterdir()}
    random = np.random.default_rng(zlib.crc32(kind.encode()))
    found = []
    for name in sorted(file.name for file in stopped.iterdir()):
        work = tmp_path / "copy"
        shutil.copytree(stopped, work)
        content = (work / name).read_bytes()
        damaged = DAMAGE[kind](content, random, other[re.sub(r"\d+", "#", name)])
        (work / name).unlink()
        if damaged is not None:
            (work / name).write_bytes(damaged)
        found.append((name, resumed(work, expected, f"{kind} {name}")))
        shutil.rmtree(work, ignore_errors=True)
    assert ("manifest.json", "refused") in found or kind == "gone"


def test_a_folder_of_which_nothing_was_damaged_goes_on(stopped: Path, expected: bytes) -> None:
    assert resumed(stopped, expected, "") == "same"
    assert not stopped.exists()


HOSTILE: list[Any] = [None, True, -1, 2**70, 0.5, float("nan"), "", "x" * 999, "\x1b[2J\n", "../../etc/passwd"]
HOSTILE += [1, 3, 7, 2**16, 2**19, False, [], {}, [[]] * 9, {"x": {}}, "/etc/passwd", "a\0b", 2**30, 10**400]


def leaves(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in JSON, of lists only the first."""
    yield path
    inside = (
        found.items() if isinstance(found, dict) else enumerate(found[:1]) if isinstance(found, list) else ()
    )
    for key, value in inside:
        yield from leaves(value, (*path, key))


def replaced(found: Any, path: tuple[Any, ...], value: Any) -> Any:
    """JSON with another value in one place."""
    if not path:
        return value
    copy = dict(found) if isinstance(found, dict) else list(found)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def test_a_manifest_that_was_made_to_harm_is_refused_or_is_no_matter(stopped: Path) -> None:
    """With the right digest: whoever forges one can have any picture, but nothing else."""
    whole = json.loads((stopped / MANIFEST).read_bytes())
    del whole["digest"]
    places = [path for path in leaves(whole) if path[:1] != ("about",) or len(path) < 3]
    folder = stopped.parent / "copy"
    same = 0
    for number, path in enumerate(places):
        for value in (HOSTILE if FULL_SWEEPS else HOSTILE[number % 3 :: 3]) if path else []:
            content = replaced(whole, path, value)
            if not folder.exists():
                shutil.copytree(stopped, folder)
            digest = manifest._digest(content)
            (folder / MANIFEST).write_text(json.dumps({"digest": digest, **content}))
            if (
                resumed(folder, None, f"{path} {value!r}") == "same"
            ):  # else nothing but the manifest has changed
                same += 1
                shutil.rmtree(folder, ignore_errors=True)
    assert same < 5 * len(places)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"format"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"format": 4',
        b"9" * 10_000,
        b"\xff\xfe{}",
        b'{"format": 3, "version": "0.1.0"}',
        b'{"format": 4, "version": "9.9\\u001b[2J"}',
        b'{"format": 99, "version": "x"}',
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    work = tmp_path / "work"
    work.mkdir()
    ownership.mark_folder(work, "manifest.json")
    (work / MANIFEST).write_bytes(content)
    with pytest.raises(WorkError) as caught:
        pixels(work)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert (work / MANIFEST).read_bytes() == content
    done = run_cli(tmp_path, "resume", "work")
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0


FOREIGN = {
    *("checkpoint-1.npz", "checkpoint-99.npz", "photos.npz", "checkpoint-1.journal", "diary.journal"),
    *("film-holiday.mkv", "film-000001.mkv", "source-of-joy.tif", "source-0123456789abcdef.tif"),
    *("pixels.plane", "wing.plane", ".tilestyle-0123.part", f".tilestyle-{'0' * 24}.part", "letter.txt"),
}


@pytest.mark.parametrize("restart", [False, True])
def test_a_person_s_folder_is_refused_and_left_as_it_is(tmp_path: Path, restart: bool) -> None:
    for name in sorted(FOREIGN | {MANIFEST, "lock", "owner.json", ownership.MARKER}):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        (folder / name).write_bytes(b'{"name": "my web app"}')
        with pytest.raises(WorkError, match=r"give (an empty folder|another --work-dir)"):
            pixels(Work(folder, restart=restart))
        assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [
            (name, b'{"name": "my web app"}')
        ]


def test_what_a_person_puts_into_a_work_folder_survives(tmp_path: Path, home: str, expected: bytes) -> None:
    """Whatever it is called, and whether the render goes on, ends, or begins anew."""
    work = tmp_path / "work"
    for restart in (False, True):
        asked = iter(range(99))
        pixels(Work(work, every=0.0), stop=lambda asked=asked: next(asked) >= 3)
        ours = {file.name for file in work.iterdir()}
        for name in FOREIGN - ours:
            (work / name).write_bytes(b"mine")
        foreign = FOREIGN - ours
        assert pixels(Work(work, every=0.0, restart=restart)) == expected
        left = {file.name: file.read_bytes() for file in work.iterdir()}
        assert {name for name, content in left.items() if content == b"mine"} == foreign
        assert set(left) == foreign
        shutil.rmtree(work)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    tmp_path: Path, stopped: Path, expected: bytes
) -> None:
    for file in sorted(stopped.iterdir()):
        if file.name == "lock":
            continue
        work = tmp_path / "copy"
        shutil.copytree(stopped, work)
        precious = tmp_path / "precious"
        shutil.copy(file, precious)
        before = precious.read_bytes()
        (work / file.name).unlink()
        (work / file.name).symlink_to(precious)
        resumed(work, expected, f"link {file.name}")
        assert precious.read_bytes() == before, file.name
        shutil.rmtree(work, ignore_errors=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, stopped: Path, expected: bytes
) -> None:
    for file in sorted(stopped.iterdir()):
        work = tmp_path / "copy"
        shutil.copytree(stopped, work)
        (work / file.name).unlink()
        os.mkfifo(work / file.name)
        try:
            assert pixels(work) == expected, file.name
        except WorkError as error:
            assert "\n" not in str(error), file.name
            assert (work / file.name).is_fifo(), file.name
        shutil.rmtree(work, ignore_errors=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("name", [MANIFEST, "lock", "owner.json", ownership.MARKER, "letter.txt"])
def test_a_person_s_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(WorkError, match="not a work folder"):
        pixels(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("answer", ["0 for everything", "an error"])
def test_a_drive_that_does_not_tell_its_size_is_written_to(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    def usage(path: Any) -> Any:
        if answer == "an error":
            raise REFUSED
        return shutil._ntuple_diskusage(0, 0, 0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    done = run_cli(pictures, *WORDS)
    assert done.returncode == 0, done.stderr


def test_a_drive_that_keeps_open_files_under_another_name_is_left_tidy(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and FUSE rename an open file that is removed, until it is closed: the lock."""
    real = os.rmdir
    silly = pictures / "out.png.work" / ".nfs0001"

    class Lock(filelock.FileLock):
        def release(self, force: bool = False) -> None:
            silly.unlink(missing_ok=True)
            super().release(force)

    def rmdir(path: Any, *more: Any, **named: Any) -> None:
        if Path(path) == silly.parent and not tried:
            tried.append(path)
            silly.touch()
        real(path, *more, **named)

    tried: list[Any] = []
    monkeypatch.setattr(filelock, "FileLock", Lock)
    monkeypatch.setattr(os, "rmdir", rmdir)
    with contextlib.chdir(pictures):
        done = run_cli(pictures, *WORDS[:5], str(pictures / "out.png"), *WORDS[6:])
    assert done.returncode == 0, done.stderr
    assert tried
    assert not silly.parent.exists()


def test_a_folder_that_is_renamed_while_it_is_written_to_is_tidied_by_the_next_run(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, elsewhere = pictures / "place", pictures / "elsewhere"
    place.mkdir()
    words = [*WORDS[:5], "place/out.png", *WORDS[6:], "--work-dir", "work"]

    def moving(*_: Any, **__: Any) -> Any:
        place.rename(elsewhere)
        raise BROKEN

    with monkeypatch.context() as patch:
        patch.setattr(write_png, "encode_png", moving)
        assert run_cli(pictures, *words).returncode == 2
    elsewhere.rename(place)
    assert list(place.glob(".tilestyle-*.part"))
    done = run_cli(pictures, *words)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in place.iterdir()] == ["out.png"]


def test_drives_that_refuse_wishes_get_all_that_is_needed(
    pictures: Path, home: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SMB and FUSE refuse permissions, fsync, replacing and locks: that is said, and the picture is there."""
    assert run_cli(pictures, *WORDS).returncode == 0
    whole = (pictures / "out.png").read_bytes()
    real = os.rename

    def refusing(*_: Any, **__: Any) -> None:
        raise REFUSED

    def rename(one: Any, other: Any) -> None:
        if os.path.exists(other):
            raise OSError(errno.EEXIST, "File exists")
        real(one, other)

    for names, call in (
        (("chmod",), refusing),
        (("fsync", "fdatasync", "posix_fallocate"), refusing),
        (("replace", "rename"), rename),
        ((), refusing),
    ):
        notices._logged.clear()
        caplog.clear()
        shutil.copy(pictures / "old.png", pictures / "out.png")
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, call)
            if not names:
                patch.setattr(filelock.FileLock, "acquire", lockless)
            done = run_cli(pictures, *WORDS, *OFTEN)
        assert done.returncode == 0, (names, done.stderr)
        assert (pictures / "out.png").read_bytes() == whole, names
        assert sorted(file.name for file in pictures.iterdir()) == [
            "content.png",
            "old.png",
            "out.png",
            "style.png",
        ]
        said = [record.getMessage() for record in caplog.records]
        assert 1 <= len(said) == len(set(said)) <= 4, said
        assert all(line.startswith("tilestyle: the drive of ") and "\n" not in line for line in said)


def lockless(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_an_old_picture_is_put_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"an older picture")
    real, renamed = os.rename, []

    def rename(one: Any, other: Any) -> None:
        renamed.append(other)
        if len(renamed) == 2:
            raise BROKEN
        real(one, other)

    def replace(*_: Any) -> None:
        raise REFUSED

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(TilestyleError):
        write_picture(path, waves(8, 8))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"an older picture"


def test_the_next_run_removes_what_a_killed_write_has_left_and_nobody_else_s(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = pictures / f".tilestyle-{'0' * 24}.part"
    foreign.write_bytes(b"mine")
    with monkeypatch.context() as patch:
        faults = Faults(patch, pictures)
        faults.disarm()
        assert run_cli(pictures, *WORDS).returncode == 0
        first = max(k for k, name in enumerate(faults.names, 1) if "x+b" in name)
        faults.arm(first + 2, Killed)
        assert outcome(lambda: run_cli(pictures, *WORDS)) == "killed"
    assert len(list(pictures.glob(".tilestyle-*.part"))) == 2
    done = run_cli(pictures, "resume", "out.png.work", "-q")
    assert done.returncode == 0, done.stderr
    assert list(pictures.glob(".tilestyle-*.part")) == [foreign]
    assert read_picture(pictures / "out.png").width == 80


def test_an_input_is_not_replaced_by_a_picture_that_is_not_finished(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word if word != "out.png" else "content.png" for word in (*WORDS, "--overwrite-input")]
    before = (pictures / "content.png").read_bytes()
    asked = iter(range(99))
    stop: Any = contextlib.nullcontext(lambda: next(asked) >= 2)
    with monkeypatch.context() as patch:
        patch.setattr("tilestyle.cli.display.stop_on_interrupt", lambda **_: stop)
        done = run_cli(pictures, *(word for word in words if word != "-q"))
    assert done.returncode == 130, done.stderr
    assert "content.png is an input and was not replaced" in done.stderr
    assert (pictures / "content.png").read_bytes() == before
    done = run_cli(pictures, "resume", "content.png.work", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert (pictures / "content.png").read_bytes() != before


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ZeroDivisionError])
def test_a_render_from_python_is_complete_when_its_picture_has_been_returned(
    tmp_path: Path, home: str, expected: bytes, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(run, "as_picture", failing)
        pixels(tmp_path / "work")
    assert (tmp_path / "work" / MANIFEST).exists()
    sweeps: list[Event] = []
    assert pixels(tmp_path / "work", observer=sweeps.append) == expected
    assert not any(isinstance(event, SweepDone) for event in sweeps)
    assert not (tmp_path / "work").exists()


def test_a_disk_without_room_for_the_finished_canvas_is_no_reason_not_to_write_it(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise FULL

    monkeypatch.setattr(tensor_archive, "save_tensors", full)
    assert pixels(tmp_path / "work") == expected
    assert not (tmp_path / "work").exists()
    assert "the finished render could not be saved in the work folder" in caplog.text


@pytest.mark.parametrize("error", [BROKEN, Killed])
def test_a_deep_zoom_picture_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dzi"
    write_picture(path, waves(40, 30, 1))

    def files() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    before, failed = files(), 0
    for number in range(1, 5):
        with monkeypatch.context() as patch:
            calls, real = iter(range(1, 100)), os.replace

            def replace(
                one: Any, other: Any, calls: Any = calls, number: int = number, real: Any = real
            ) -> None:
                if next(calls) == number:
                    raise error
                real(one, other)

            patch.setattr(os, "replace", replace)
            failed += outcome(lambda: write_picture(path, waves(40, 30, 2))) != "done"
        if number < 4:
            assert files() == before, number
    assert failed == 3
    assert files() != before


@pytest.mark.parametrize("mapped", [False, True], ids=["canvas in memory", "canvas in files"])
@pytest.mark.parametrize("way", ["emptied", "removed", "with a letter"])
def test_a_work_folder_that_is_emptied_meanwhile_is_ours_again_or_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: bytes, way: str, mapped: bool
) -> None:
    if mapped:
        monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
        monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    folder = tmp_path / "work"
    sweeps = 0

    def empty(event: Event) -> None:
        nonlocal sweeps
        if isinstance(event, SweepDone):
            sweeps += 1
            if sweeps == 2:
                shutil.rmtree(folder)
                if way != "removed":
                    folder.mkdir()
                if way == "with a letter":
                    (folder / "letter.txt").write_text("mine")

    def stop() -> bool:
        return sweeps >= 3

    with contextlib.suppress(TilestyleError):
        pixels(folder, observer=empty, stop=stop)
    if way == "with a letter":
        assert (folder / "letter.txt").read_text() == "mine"
        shutil.rmtree(folder)
    assert pixels(folder) == expected
