"""What Ctrl-C and requests to end do to a command, depending on what it is doing.

Before rendering, a command ends at once. While it renders, it ends after the current patch: Ctrl-C then writes
the picture as far as it is done, a request to end (SIGTERM, SIGHUP, SIGXCPU; on Windows, Ctrl-Break) saves a
checkpoint and writes nothing. While the picture is written, only a second Ctrl-C ends the command. Once the
result is there, signals change nothing any more: the command does what little is left and ends as usual,
because the same command would now find that its result exists.

A command that was asked to end does so within its grace (`--grace`), whatever it is doing: schedulers and spot
machines kill it later. A thread sees to that, because Python handles signals between two steps of the main
thread only, and one step of a library may take long.

This is imported before everything else, so it imports almost nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from types import FrameType
from typing import TYPE_CHECKING

from tilestyle.cli.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

# Requests to end. SIGBREAK is Ctrl-Break on Windows, or its closed window; SIGXCPU comes at a limit of CPU time
# (ulimit -t, Grid Engine), some time before SIGKILL.
ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGXCPU")
    if hasattr(signal, name)
]


TERMINATED = 128 + signal.SIGTERM  # and of one that was asked to end
INTERRUPTED = 128 + signal.SIGINT  # exit code of a command that Ctrl-C ended
# Seconds in which another signal changes nothing while the command ends because of the one before.
PATIENCE = 2.0
# Seconds after which a signal is sent again that came where it could not be handled.
MOMENT = 0.01
# Seconds from a request to end to the end; torchrun kills its processes after 30.
GRACE = 20.0
# Part of the grace after which a command no longer waits for its checkpoint; the rest is for its cleanup.
WAITING_SHARE = 0.8

Identity = tuple[int, int, int]  # what tells a file from the one that replaces it


class Interrupted(BaseException):
    """The command ends now. Not an Exception, so that no error handling stops it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def code(self) -> int:
        """The exit code, as shells give it; Ctrl-Break of Windows counts as SIGTERM."""
        return TERMINATED if self.number == getattr(signal, "SIGBREAK", None) else 128 + self.number


class Doing(Enum):
    """What a command is doing, as far as it matters for signals."""

    PREPARING = auto()  # nothing that would be lost
    RENDERING = auto()  # patches
    FINISHING = auto()  # the last patch is done: a checkpoint, colors
    WRITING = auto()  # the picture; all work is kept


class _State:
    """State shared by the handler and the command; one per process, as signals are."""

    def __init__(self) -> None:
        self.doing = Doing.PREPARING
        self.keeps = False  # whether a render that is asked to end can save a checkpoint
        self.quiet = False
        self.interrupted = False  # Ctrl-C has come once
        self.writes = True  # whether Ctrl-C writes the picture as it is; otherwise it saves a checkpoint
        self.ending = 0  # the request to end that waits for a checkpoint
        self.grace = GRACE  # seconds from a request to the end
        self.overdue = False  # whether the wait for a checkpoint has taken too long
        self.passing: weakref.ref[Interrupted] | None = None  # what ends the command
        self.since = 0.0  # when it was raised, or the command was over
        self.result: tuple[Path, Identity | None] | None = None  # the last file, and what was there before
        self.late = 0  # the signal that came when the result was there
        self.ended = False
        self.code = 0  # the exit code, when it is over
        self.continue_command: Callable[[], str] = lambda: ""  # how to continue, if there is anything to
        self.written: list[str] = []
        self.part: tuple[str, Callable[[], str]] | None = None  # a file that has a part of the result


_state = _State()


@contextmanager
def handled(numbers: Sequence[int] = ENDING, *, ends_process: bool = False) -> Iterator[None]:
    """Handle signals inside the block, and restore the handlers after it.

    A signal other than Ctrl-C that is ignored stays ignored: that is how `nohup` works. Outside the main
    thread this does nothing.

    Args:
        numbers: The signals.
        ends_process: Whether the process ends with the block, so that no other handler may see the end of it.
    """
    previous_handlers = {}
    try:
        for number in numbers:
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                previous_handlers[number] = signal.signal(number, _received)
    except ValueError:  # not the main thread
        pass
    try:
        with _sent_again():
            yield
    finally:
        if not ends_process:
            for number, handler in previous_handlers.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def ignore_all() -> None:
    """Ignore all requests to end while the interpreter ends: it would give them back their default, to kill."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def reset() -> None:
    """A command begins."""
    _state.__init__()  # type: ignore[misc]


@contextmanager
def _sent_again() -> Iterator[None]:
    """Send a signal again that came inside a destructor, where Python swallows and prints exceptions."""
    previous_hook = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        ended = unraisable.exc_value
        if not isinstance(ended, Interrupted):
            previous_hook(unraisable)
            return
        _state.passing = None
        # From a thread, a moment later: a handler that is called here would raise in vain once more.
        later = threading.Timer(MOMENT, _send, (ended.number,))
        later.daemon = True
        later.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous_hook


def _send(number: int) -> None:
    """Send a signal to the main thread. `os.kill` would end the process on Windows."""
    if _state.ended:
        return
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


def allow(seconds: float) -> None:
    """Set the grace: the seconds from a request to end to the end."""
    _state.grace = seconds


@contextmanager
def ending_in_time() -> Iterator[None]:
    """Inside the block, a request to end ends the process within its grace.

    Python writes the number of every signal to a socket at once, whatever the main thread is doing. Outside the
    main thread this does nothing.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        try:
            previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            yield
            return
        watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous_fd)
            writer.close()
            watcher.join()


def _watch(requests: socket.socket) -> None:
    """Wait for a request to end, and see to it that the process ends; return when the socket is closed."""
    number = _received_number(requests)
    if number is None:
        return
    start, grace = time.monotonic(), _state.grace
    for share in (WAITING_SHARE, 1.0):
        while (seconds_left := start + share * grace - time.monotonic()) > 0:
            requests.settimeout(seconds_left)
            with suppress(TimeoutError):
                if not requests.recv(64):
                    return
        if share < 1:
            _state.overdue = True
            _send(number)
    if not _state.ended:
        ended = Interrupted(number)
        say_farewell(ended)
        os._exit(ended.code)


def _received_number(requests: socket.socket) -> int | None:
    """Wait for a request to end and return its number; None if the socket is closed first."""
    while numbers := requests.recv(64):
        for number in numbers:
            if number != signal.SIGINT and _handles(number):
                return number
    return None


def _handles(number: int) -> bool:
    """Whether a signal is a request to end that is not ignored: `nohup` ignores SIGHUP."""
    return number in ENDING and signal.getsignal(number) is not signal.SIG_IGN


def kept_by(text: Callable[[], str]) -> None:
    """Set the function that says how to continue; it returns "" as long as there is no checkpoint."""
    _state.continue_command = text


def kept_in(folder: Path, files: str) -> None:
    """The same command continues from the finished pictures in a folder.

    Args:
        folder: Where a series keeps its images.
        files: A pattern that their names match.
    """
    kept_by(
        lambda: (
            f"run the same command again ({folder} has the finished pictures)"
            if any(folder.glob(files))
            else ""
        )
    )


def wrote(file: os.PathLike[str]) -> None:
    """Note that an output file was written."""
    _state.written.append(os.fspath(file))
    _state.part = None


def wrote_part(file: os.PathLike[str], part: Callable[[], str]) -> None:
    """Note that an output file has a part of the result, until the whole is written; `part` says which."""
    _state.part = os.fspath(file), part


def writes(file: Path) -> None:
    """Note where the result of the command goes: once this file is there, signals change nothing.

    The file itself is asked, when a signal comes: a flag that is set after the file has got its name would be a
    moment late. Of several results the first one counts, until there is `more_to_do`.
    """
    if not _is_written():
        _state.result = file, _identity(file)


def more_to_do() -> None:
    """What was written is not the last: signals count again. Raises Interrupted for one that came since."""
    late, _state.late, _state.result = _state.late, 0, None
    if late:
        raise _ending(late)


def _is_written() -> bool:
    """Whether the result of the command is there."""
    return _state.result is not None and _identity(_state.result[0]) != _state.result[1]


def _identity(file: Path) -> Identity | None:
    """What tells a file from the one that replaces it; None if there is none."""
    try:
        facts = os.stat(file)
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


def enter(doing: Doing) -> None:
    """Note what the command does from here on."""
    _state.doing = doing


@contextmanager
def stopping(*, quiet: bool, keeps: bool, writes: bool = True) -> Iterator[Callable[[], bool]]:
    """Let signals stop a render.

    Args:
        quiet: Whether Ctrl-C prints nothing (of several processes, one prints).
        keeps: Whether a request to end waits for a checkpoint.
        writes: Whether Ctrl-C lets the render write the picture as it is; otherwise it is a request to end.

    Yields:
        A function that the render calls after every patch; it returns whether to stop.
    """
    more_to_do()
    _state.doing, _state.keeps, _state.quiet, _state.writes = Doing.PREPARING, keeps, quiet, writes
    _state.interrupted, _state.ending = False, 0

    def stop() -> bool:
        if _state.doing is Doing.PREPARING:  # asked for the first time: a patch is done
            _state.doing = Doing.RENDERING
        return bool(_state.ending) or (_state.interrupted and _state.doing is Doing.RENDERING)

    # SIGTERM again: several processes have another handler for it while they do not render (distributed.py).
    with handled((signal.SIGINT, signal.SIGTERM)):
        try:
            yield stop
            end_if_asked()
        finally:
            _state.doing, _state.keeps = Doing.PREPARING, False


def end_if_asked() -> None:
    """Handle a request to end that has waited until now. Raises Interrupted."""
    if _state.ending:
        raise _ending(_state.ending)


def was_asked() -> bool:
    """Whether Ctrl-C has come during the last render, which went on to its end."""
    return _state.interrupted


def mark_ended(code: int = 0) -> None:
    """The command has ended and its exit code is set: from here on signals change nothing."""
    _state.since, _state.code = time.monotonic(), code
    _state.ended = True


def say_farewell(ended: Interrupted) -> None:
    """Print the line that says what ended the command; of several processes that render, one does."""
    if not _state.quiet:
        say(f"tilestyle: {farewell(ended)}")


def farewell(ended: Interrupted) -> str:
    """The line that says what ended the command, and what was written or how to continue."""
    cause = "interrupted" if ended.number == signal.SIGINT else f"ended by {ended}"
    command = _state.continue_command()
    if command:
        return f"{cause}, to continue: {command}"
    if _state.part:
        file, part = _state.part
        return f"{cause}, {file} has {part()}"
    return f"{cause}, {', '.join(_state.written) or 'nothing'} was written"


def _received(number: int, frame: FrameType | None) -> None:
    if _state.ended:
        if time.monotonic() - _state.since > PATIENCE:  # what is left to do hangs, such as a full pipe
            os._exit(_state.code)
        return
    if _is_passing():  # impatience, or a closed terminal that signals more than once
        return
    if _is_written():
        _state.late = _state.late or number
        return
    if number == signal.SIGINT:
        _interrupted()
    elif _state.keeps and _state.doing in (Doing.RENDERING, Doing.FINISHING) and not _state.overdue:
        _state.ending = _state.ending or number
    else:
        raise _ending(number)


def _ending(number: int) -> Interrupted:
    """The exception that ends the command. Only its raiser may keep it: `_is_passing` checks if it is alive."""
    ended = Interrupted(number)
    _state.passing, _state.since = weakref.ref(ended), time.monotonic()
    return ended


def _is_passing() -> bool:
    """Whether the command is about to end, so that another exception would only disturb its cleanup.

    If the exception was swallowed on the way, a new signal counts again; also if the cleanup takes long.
    """
    alive = _state.passing is not None and _state.passing() is not None
    return alive and time.monotonic() - _state.since < PATIENCE


def _interrupted() -> None:
    if _state.doing is Doing.PREPARING or _state.interrupted or _state.ending:
        raise _ending(signal.SIGINT)
    if _state.keeps and not _state.writes and _state.doing is not Doing.WRITING:
        _state.ending = signal.SIGINT
        if not _state.quiet:
            say("saving a checkpoint after this patch; press Ctrl-C again to quit at once")
        return
    _state.interrupted = True
    if _state.quiet:
        return
    if _state.doing is Doing.RENDERING:
        say("stopping after this patch; press Ctrl-C again to quit at once")
        return
    kept = " (the checkpoint is kept)" if _state.continue_command() else ""
    say(f"writing the image; press Ctrl-C again to quit at once{kept}")
