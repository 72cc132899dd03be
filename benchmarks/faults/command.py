"""The command line, run in a forked copy of this process: torch is imported once for all of them.

The copy runs `tilestyle.cli.app.main` and ends as an interpreter would; it is watched from outside.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import pkgutil
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from benchmarks.faults.outcome import Ran

SECONDS = 90.0  # after which a command counts as hanging, by the wall clock
MEMORY = 2**30  # bytes that a small render may take, above this process
POLL = 0.01


def load() -> None:
    """Import all of the program, so that forked copies need not."""
    import tilestyle

    for module in pkgutil.walk_packages(tilestyle.__path__, "tilestyle."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:  # an optional library
                continue
    import torch

    torch.set_num_threads(1)
    for words in (
        ["presets"],
        ["info", "/none.png"],
        ["render", "/none.png", "--style", "/none.png", "-o", "o.png"],
    ):
        _warm(words)
    gc.collect()
    gc.freeze()  # a collection in a copy would touch, and so copy, all of it


def _warm(words: Sequence[str]) -> None:
    """Call a command that does next to nothing, for what is imported only then."""
    from tilestyle.cli.app import main

    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        mock.patch.object(sys, "argv", ["tilestyle", *words]),
        contextlib.suppress(SystemExit),
    ):
        main()


class Command:
    """A command that runs."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        prepare: Callable[[], None] | None = None,
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ) -> None:
        """Start `tilestyle WORDS` in a folder; `prepare` is called in its process before."""
        self.words = tuple(words)
        self._seconds, self._memory = seconds, memory
        self._out, self._err = _nameless(), _nameless()
        self._status: int | None = None
        self._hung = self._greedy = False
        self._peak = 0
        sys.stdout.flush()
        sys.stderr.flush()
        self.begun = time.monotonic()
        self.process = os.fork()
        if self.process == 0:
            _become(self.words, folder, self._out, self._err, prepare)
        self._first = _resident(self.process)

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.running():
            os.kill(self.process, number)

    def running(self) -> bool:
        """Whether it is still there; also ends it when it takes too long or too much."""
        if self._status is not None:
            return False
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            self._status = os.waitstatus_to_exitcode(status)
            return False
        grown = _resident(self.process) - self._first
        self._peak = max(self._peak, grown)
        self._greedy = grown > self._memory
        self._hung = time.monotonic() - self.begun > self._seconds
        if self._greedy or self._hung:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self._status = -signal.SIGKILL
            return False
        return True

    def sleep(self, seconds: float) -> bool:
        """Let it run for a time; whether it is still there."""
        until = time.monotonic() + seconds
        while self.running():
            if time.monotonic() >= until:
                return True
            time.sleep(POLL)
        return False

    def wait(self) -> Ran:
        """Wait for its end."""
        while self.running():
            time.sleep(POLL)
        assert self._status is not None
        return Ran(
            self.words,
            self._status,
            _content(self._out),
            _content(self._err),
            time.monotonic() - self.begun,
            self._peak,
            self._hung,
            self._greedy,
        )


def run(words: Sequence[str], folder: Path, *, prepare: Callable[[], None] | None = None) -> Ran:
    """Run `tilestyle WORDS` in a folder to its end."""
    return Command(words, folder, prepare=prepare).wait()


def line(words: Sequence[str]) -> str:
    """A command as one types it."""
    return shlex.join(["tilestyle", *words])


def _nameless() -> int:
    """An open file without a name."""
    return os.memfd_create("said") if hasattr(os, "memfd_create") else os.open("/tmp", os.O_TMPFILE | os.O_RDWR)


def _content(descriptor: int) -> str:
    """What is in it; closes it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def _resident(process: int) -> int:
    """Bytes of memory of a process that are its own; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    resident, shared = int(fields[1]), int(fields[2])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")  # files that are mapped are not counted


def _become(words: Sequence[str], folder: Path, out: int, err: int, prepare: Callable[[], None] | None) -> None:
    """Be the command, and end."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for place, descriptor in enumerate((nothing, out, err)):
            os.dup2(descriptor, place)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        os.chdir(folder)
        os.environ.pop("COLUMNS", None)
        sys.argv = ["tilestyle", *words]
        if prepare:
            prepare()
        code = _called()
    finally:
        os._exit(code)


def _called() -> int:
    """Call the program, and do what an interpreter does at its end; answers the exit code."""
    from tilestyle.__main__ import program

    try:
        code = _code(program)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 120
    sys.stderr.flush()
    return code


def _code(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return (ended.code or 0) & 255
        print(ended.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        return 130
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
