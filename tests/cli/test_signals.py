"""Signals at every moment of a command: how it ends, what it says, and what it leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle import images
from tilestyle.cli import app, output_options, signals
from tilestyle.cli.app import main
from tilestyle.images import write_png
from tilestyle.losses.level import LevelObjective
from tilestyle.optim.lbfgs import LBFGSOptimizer
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline import api, tensor_archive, workdir
from tilestyle.pipeline import run as rendering
from tilestyle.pipeline.finished_picture import PictureFinish
from tilestyle.pipeline.workdir import LockedWorkDir

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")

INT, TERM, HUP, XCPU = 2, 15, 1, 24
SMALL = (
    "--size=72",
    "--patch=64",
    "--sweeps=2",
    "--network=wavelet",
    "--style-layer=first_1",
    "--precision=fp32",
)
LOOK = (*SMALL, "--content-layer", "contour_1")
RENDER = (
    "render",
    "content.png",
    "--style",
    "style.png",
    *LOOK,
    "-o",
    "out.png",
    "--overwrite",
    "--memory",
    "1GiB",
)
NAMES = {INT: "interrupted", TERM: "ended by SIGTERM", HUP: "ended by SIGHUP", XCPU: "ended by SIGXCPU"}


class Missed(BaseException):
    """A signal that the command does not handle."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to end a command, the next signal comes early."""
    monkeypatch.setattr(signals, "PATIENCE", 600.0)


@pytest.fixture(autouse=True)
def _unhandled() -> Iterator[None]:
    """Signals that nobody handles fail the test, rather than ending the tests; ours are restored."""

    def missed(number: int, frame: Any) -> None:
        raise Missed(number)

    before = {number: signal.signal(number, missed) for number in (INT, TERM, HUP, XCPU)}
    try:
        yield
        assert all(signal.getsignal(number) is missed for number in before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures. How long a render takes is not asked: that renders a little, too."""
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)
    for seed, name in enumerate(("content.png", "style.png")):
        pixels = (waves(60, 80, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def at_call(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, which: int, *numbers: int
) -> Callable[[], int]:
    """Send signals when a function is called for the `which`th time; answers how often it was."""
    calls, function = 0, getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == which:
            send(*numbers)
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, wrapped)
    return lambda: calls


def in_order(folder: Path, *others: str) -> None:
    """Nothing but what was there before is left in a folder."""
    assert sorted(each.name for each in folder.iterdir()) == sorted(["content.png", "style.png", *others])


def last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "number"),
    [
        *(("tilestyle.cli.commands", number) for number in (INT, TERM, HUP)),
        *(("typer", number) for number in (INT, TERM, HUP)),
        ("torch", INT),
    ],
)
def test_while_libraries_are_imported(folder: Path, module: str, number: int) -> None:
    code = f"""
import os, runpy, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Hook())
sys.argv = ["tilestyle", *{list(RENDER)!r}]
runpy.run_module("tilestyle", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == f"tilestyle: {NAMES[number]}, nothing was written\n"
    assert (done.returncode, done.stdout) == (128 + number, "")
    in_order(folder)


@pytest.mark.parametrize("number", [INT, TERM, HUP])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (images, "open_source"),
        (api, "prepare"),
        (rendering, "estimate_seconds"),
        (LevelObjective, "begin_sweep"),
        (CanvasUpdater, "apply"),
    ],
)
def test_before_the_first_patch_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int
) -> None:
    calls = at_call(monkeypatch, owner, name, 1, number)
    (folder / "out.png").write_bytes(b"mine")
    done = run_cli(folder, *RENDER)
    assert calls() == 1
    assert last(done) == f"tilestyle: {NAMES[number]}, nothing was written"
    assert done.returncode == 128 + number
    in_order(folder, "out.png")
    assert (folder / "out.png").read_bytes() == b"mine"


MODES: dict[str, tuple[Any, str, int, tuple[str, ...]]] = {
    "patches": (CanvasUpdater, "apply", 3, ()),
    "overlap": (CanvasUpdater, "apply", 7, ("--overlap", "8")),
    "windows": (CanvasUpdater, "apply", 7, ("--sampler", "windows")),
    "checkpoint": (tensor_archive, "save_tensors", 2, ("--checkpoint-every", "0")),
    "colors": (PictureFinish, "final_pixels", 1, ("--checkpoint-every", "0")),
    "writing": (write_png, "encode_png", 1, ("--checkpoint-every", "0")),
    "lbfgs": (LBFGSOptimizer, "step", 2, ("--optimizer", "lbfgs")),  # tried once: its import takes long
}


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """The file of a render that nothing happened to, by its words: made once."""
    made: dict[tuple[str, ...], bytes] = {}

    def bytes_of(source: Path, *words: str) -> bytes:
        if words not in made:
            place = tmp_path_factory.mktemp("peaceful")
            for name in ("content.png", "style.png"):
                (place / name).write_bytes((source / name).read_bytes())
            done = run_cli(place, *words)
            assert done.returncode == 0, done.stderr
            made[words] = (place / "out.png").read_bytes()
        return made[words]

    return bytes_of


@pytest.mark.parametrize(
    ("mode", "numbers"),
    [
        *[(mode, numbers) for mode in MODES for numbers in ((TERM,), (HUP, TERM, HUP))][:-1],
        ("patches", (XCPU, XCPU)),
    ],
)
def test_a_request_to_end_keeps_the_work(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    peaceful: Callable[..., bytes],
    mode: str,
    numbers: tuple[int, ...],
) -> None:
    owner, name, which, more = MODES[mode]
    words = (*RENDER, *more)
    expected = peaceful(folder, *words)
    (folder / "out.png").write_bytes(b"mine")
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, which, *numbers)
        done = run_cli(folder, *words)
    how = "tilestyle resume out.png.work"
    assert last(done) == f"tilestyle: {NAMES[numbers[0]]}, to continue: {how}"
    assert done.returncode == 128 + numbers[0]
    assert (folder / "out.png").read_bytes() == b"mine"
    in_order(folder, "out.png", "out.png.work")
    again = run_cli(folder, "resume", "out.png.work")
    assert again.returncode == 0, again.stderr
    assert (folder / "out.png").read_bytes() == expected
    in_order(folder, "out.png")


@pytest.mark.parametrize("mode", ["patches", "overlap", "checkpoint"])
def test_one_interrupt_writes_the_picture_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, peaceful: Callable[..., bytes], mode: str
) -> None:
    owner, name, which, more = MODES[mode]
    words = (*RENDER, *more)
    expected = peaceful(folder, *words)
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, which, INT)
        done = run_cli(folder, *words)
    assert done.returncode == 130, done.stderr
    assert "stopping after this patch; press Ctrl-C again to quit at once" in done.stderr
    assert last(done).startswith("stopped at level ")
    assert last(done).endswith("out.png is unfinished; to continue: tilestyle resume out.png.work")
    assert (folder / "out.png").read_bytes() != expected
    again = run_cli(folder, "resume", "out.png.work")
    assert again.returncode == 0, again.stderr
    assert (folder / "out.png").read_bytes() == expected
    in_order(folder, "out.png")


@pytest.mark.parametrize("mode", ["colors", "writing"])
def test_one_interrupt_does_not_end_the_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, peaceful: Callable[..., bytes], mode: str
) -> None:
    owner, name, which, more = MODES[mode]
    words = (*RENDER, *more)
    at_call(monkeypatch, owner, name, which, INT)
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "writing the image; press Ctrl-C again to quit at once (the checkpoint is kept)" in done.stderr
    assert "stop" not in done.stderr
    assert (folder / "out.png").read_bytes() == peaceful(folder, *words)
    in_order(folder, "out.png")


@pytest.mark.parametrize("numbers", [(INT, INT), (TERM, INT)], ids=str)
@pytest.mark.parametrize("mode", ["patches", "checkpoint", "colors", "writing"])
def test_a_second_interrupt_ends_at_once(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    peaceful: Callable[..., bytes],
    mode: str,
    numbers: tuple[int, ...],
) -> None:
    owner, name, which, more = MODES[mode]
    words = (*RENDER, *more, "--checkpoint-every", "0")
    (folder / "out.png").write_bytes(b"mine")
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, which, *numbers)
        done = run_cli(folder, *words)
    first = TERM if mode == "writing" and numbers[0] == TERM else INT
    assert done.returncode == 128 + first
    kept = (folder / "out.png.work").exists()
    after = "to continue: tilestyle resume out.png.work" if kept else "nothing was written"
    assert last(done) == f"tilestyle: {NAMES[first]}, {after}"
    assert kept or mode == "patches"  # it may come before the first checkpoint
    assert (folder / "out.png").read_bytes() == b"mine"
    again = run_cli(folder, *words)
    assert again.returncode == 0, again.stderr
    assert (folder / "out.png").read_bytes() == peaceful(folder, *words)
    in_order(folder, "out.png")


@pytest.mark.parametrize("numbers", [(INT, INT), (TERM, INT), (HUP, TERM), (INT, HUP, INT)], ids=str)
@pytest.mark.parametrize("moment", ["cleaning up", "saying so", "after it"])
def test_signals_while_the_command_ends_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str, numbers: tuple[int, ...]
) -> None:
    at_call(monkeypatch, CanvasUpdater, "apply", 1, numbers[0])
    owner, name = {
        "cleaning up": (LockedWorkDir, "close"),
        "saying so": (signals, "farewell"),
        "after it": (signals, "mark_ended"),
    }[moment]
    function = getattr(owner, name)

    def ending(*arguments: Any, **named: Any) -> Any:
        if moment != "after it":
            send(*numbers[1:])
        answer = function(*arguments, **named)
        send(*numbers[1:])
        return answer

    monkeypatch.setattr(owner, name, ending)
    done = run_cli(folder, *RENDER)
    assert done.stderr.splitlines()[-1:] == [f"tilestyle: {NAMES[numbers[0]]}, nothing was written"]
    assert done.returncode == 128 + numbers[0]
    in_order(folder)


def test_a_signal_counts_again_if_the_command_takes_long_to_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "PATIENCE", 0.0)
    at_call(monkeypatch, CanvasUpdater, "apply", 1, TERM)
    close = LockedWorkDir.close

    def closing(work_dir: LockedWorkDir, **options: Any) -> None:
        close(work_dir, **options)
        send(INT)

    monkeypatch.setattr(LockedWorkDir, "close", closing)
    done = run_cli(folder, *RENDER)
    assert done.stderr.splitlines()[-1:] == ["tilestyle: interrupted, nothing was written"]
    assert done.returncode == 128 + INT


def test_a_signal_whose_exception_was_swallowed_can_be_given_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, calls = CanvasUpdater.apply, 0

    def swallowing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            with contextlib.suppress(signals.Interrupted):  # as in a destructor
                send(TERM)
            send(TERM)
        return take(*arguments, **named)

    monkeypatch.setattr(CanvasUpdater, "apply", swallowing)
    done = run_cli(folder, *RENDER)
    assert done.returncode == 128 + TERM
    assert calls == 1


@pytest.mark.parametrize("number", [TERM, HUP])
def test_a_signal_inside_a_destructor_is_met_a_moment_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    class Gone:
        def __del__(self) -> None:
            send(number)

    take, calls = CanvasUpdater.apply, 0

    def destroying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            Gone()
            time.sleep(10)  # until it is met
        return take(*arguments, **named)

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(CanvasUpdater, "apply", destroying)
    done = run_cli(folder, *RENDER)
    assert done.returncode == 128 + number
    assert calls == 1
    assert "Traceback" not in done.stderr + capfd.readouterr().err


@pytest.mark.parametrize("number", [INT, TERM, HUP])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_outside_of_the_command_a_signal_makes_no_traceback(folder: Path, moment: str, number: int) -> None:
    code = f"""
import atexit, os, runpy, sys
def send(): os.kill(os.getpid(), {number})
if {moment!r} == "after":
    atexit.register(send)
else:
    class Hook:
        def find_spec(self, name, path=None, target=None):
            if name == "tilestyle.cli":
                send()
    sys.meta_path.insert(0, Hook())
sys.argv = ["tilestyle", "--version"]
runpy.run_module("tilestyle", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    # Once the exit code is set, signals change nothing: 143 would say that something is left to do.
    assert done.returncode == (0 if moment == "after" else -number)


SERIES = {
    "drift": ("drift", "content.png", "--style", "style.png", "-o", "out", "--cycles", "2"),
    "zoom": ("zoom", "style.png", "--start", "content.png", "-o", "out", "--steps", "2"),
    "sheet": ("sheet", "content.png", "--style", "style.png", "-o", "out.png", "--vary", "seed=1,2"),
}


@pytest.mark.parametrize("number", [TERM, HUP])
@pytest.mark.parametrize("command", SERIES)
def test_a_series_keeps_its_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, number: int
) -> None:
    words = (*SERIES[command], "--size=64", "--sweeps=2", "--network=wavelet", "--precision=fp32")
    with monkeypatch.context() as patched:
        taken = at_call(patched, CanvasUpdater, "apply", -1)
        assert run_cli(folder, *words).returncode == 0
        count = taken()
    place = folder / "out"
    expected = {each: each.read_bytes() for each in [*place.glob("*.png"), *folder.glob("out.png")]}
    assert expected
    for each in [*place.glob("*"), *place.glob(".lock"), *folder.glob("out.png")]:
        each.unlink(missing_ok=True)
    with monkeypatch.context() as patched:
        at_call(patched, CanvasUpdater, "apply", count, number)  # in the last of its renders
        done = run_cli(folder, *words)
    assert done.returncode == 128 + number
    where = "out.png.work" if command == "sheet" else "out"
    how = f"run the same command again ({where} has the finished pictures)"
    assert last(done) == f"tilestyle: {NAMES[number]}, to continue: {how}"
    assert not list(folder.rglob("*.part"))
    assert run_cli(folder, *words).returncode == 0
    assert {each: each.read_bytes() for each in expected} == expected


@pytest.mark.parametrize("number", [TERM, HUP])
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("preview", "content.png", "--style", "style.png", "-o", "out.png", "--crops", "0", *LOOK), ()),
        (("demo", "--out", "demo", "--size", "64"), ()),
    ],
)
def test_commands_that_keep_nothing_end_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], before: tuple[str, ...], number: int
) -> None:
    at_call(monkeypatch, CanvasUpdater, "apply", 1, number)
    done = run_cli(folder, *words)
    assert last(done) == f"tilestyle: {NAMES[number]}, nothing was written"
    assert done.returncode == 128 + number
    assert not list(folder.rglob("*.part"))
    assert not (folder / "out.png").exists()


def test_an_interrupt_ends_the_whole_demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_call(monkeypatch, CanvasUpdater, "apply", 3, INT)
    done = run_cli(folder, "demo", "--out", "demo", "--size", "64")
    assert done.returncode == 130, done.stderr
    assert [each.name for each in (folder / "demo").iterdir()] == ["raccoon-swirls.png"]


def test_a_request_that_finds_no_checkpoint_ends_within_its_grace(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_done() -> None:
        send(TERM)
        while True:
            time.sleep(0.01)

    acting(monkeypatch, CanvasUpdater, "apply", 3, never_done)
    done = run_cli(folder, *RENDER, "--grace", "1")
    assert done.returncode == 143
    assert last(done) == "tilestyle: ended by SIGTERM, nothing was written"


@pytest.mark.parametrize("which", [1, 3])
def test_a_step_that_cannot_be_interrupted_ends_within_the_grace(
    folder: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    codes: list[int] = []

    def deaf() -> None:
        """As a call of a library, in which Python does not handle signals."""
        with contextlib.suppress(signals.Interrupted):
            send(TERM)
        while not codes:
            with contextlib.suppress(signals.Interrupted):
                time.sleep(0.01)

    monkeypatch.setattr(os, "_exit", codes.append)
    acting(monkeypatch, CanvasUpdater, "apply", which, deaf)
    done = run_cli(folder, *RENDER, "--grace", "1")
    assert codes == [143]
    assert "tilestyle: ended by SIGTERM, nothing was written" in done.stderr.splitlines()


def acting(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, which: int, act: Callable[[], None]) -> None:
    """Do something when a function is called for the `which`th time."""
    calls, function = 0, getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == which:
            act()
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, wrapped)


def test_ctrl_break_of_windows_is_a_request_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    assert signals.Interrupted(21).code == signals.Interrupted(TERM).code == 143


def test_a_signal_is_sent_again_without_the_call_that_ends_a_process_on_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "kill")
    met: list[int] = []
    before = signal.signal(TERM, lambda number, frame: met.append(number))
    try:
        signals.reset()
        signals._send(TERM)
        monkeypatch.delattr(signal, "pthread_kill")
        signals._send(TERM)
    finally:
        signal.signal(TERM, before)
    assert met == [TERM, TERM]


def test_a_signal_that_is_ignored_stays_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_call(monkeypatch, CanvasUpdater, "apply", 3, HUP)
    before = signal.signal(HUP, signal.SIG_IGN)  # as nohup does
    try:
        done = run_cli(folder, *RENDER)
        assert signal.getsignal(HUP) is signal.SIG_IGN
    finally:
        signal.signal(HUP, before)
    assert done.returncode == 0, done.stderr


def test_another_thread_handles_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tilestyle", "--version"])
    codes: list[Any] = []

    def run() -> None:
        try:
            main()
        except SystemExit as ended:
            codes.append(ended.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("place", ["manifest", "render"])
def test_a_resume_that_ends_before_it_renders_says_how_to_continue(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str
) -> None:
    """What is kept stays kept, also while the pictures are read again."""
    owner, name, which, more = MODES["checkpoint"]
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, which, TERM)
        assert run_cli(folder, *RENDER, *more, "--checkpoint-every", "0").returncode == 128 + TERM
    module, name = {"manifest": (workdir, "load_manifest"), "render": (output_options.Output, "of")}[place]
    with monkeypatch.context() as patched:
        at_call(patched, module, name, 1, number)
        done = run_cli(folder, "resume", "out.png.work")
    assert done.returncode == 128 + number
    assert last(done) == f"tilestyle: {NAMES[number]}, to continue: tilestyle resume out.png.work"
    assert run_cli(folder, "resume", "out.png.work").returncode == 0
    in_order(folder, "out.png")
    done = run_cli(folder, "resume", "nowhere")
    assert "there is no folder nowhere" in done.stderr


def test_only_a_resume_of_kept_work_continues(tmp_path: Path) -> None:
    assert app.MANIFEST == workdir.MANIFEST
    (tmp_path / "a.work").mkdir()
    words = ["resume", "-q", f"{tmp_path}/a.work"]
    assert app.resume_typed(words) == ""
    (tmp_path / "a.work" / workdir.MANIFEST).touch()
    assert app.resume_typed(words) == f"tilestyle resume {tmp_path}/a.work"
    assert app.resume_typed(["info", *words[1:]]) == app.resume_typed(["resume"]) == app.resume_typed([]) == ""
