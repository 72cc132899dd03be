"""Moments of a command, counted in its own steps, so that a fault can be repeated at the same place.

One counter is of calls of the program's functions (`sys.setprofile`), the other of its operations on files
(`sys.addaudithook`, and wrappers of `os.fsync` and the like). Neither knows the program's code.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import tilestyle

HERE = str(Path(tilestyle.__file__).parent)
RANDOM_NAME = re.compile(r"\.tilestyle-[0-9a-f]+\.part|nameless-[0-9a-f]+")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
AUDITED = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0, "os.chmod": 0}
FULL = ("ENOSPC", "EDQUOT")
DESCRIPTORS = ("fsync", "fdatasync", "posix_fallocate", "ftruncate", "fchmod")


@dataclass(frozen=True)
class Event:
    """Something that a command did with a file."""

    what: str  # such as "open", "os.rename", "fsync"
    path: str  # of it, from the command's folder; a rename's is the new one
    calls: int  # of the program's functions before it
    kept: bool  # whether a checkpoint was there


@dataclass(frozen=True)
class Fault:
    """What happens, and when: at the n-th call, or at the n-th event; the first is number 1."""

    action: str = ""  # the name of a signal, of an errno, MemoryError, or fill; nothing only counts
    call: int = 0
    event: int = 0
    lasting: str = ""  # an event that fails every time: a drive that does not know it
    times: int = 1  # how many events fail, one after the other
    copies: tuple[int, ...] = ()  # events at which the work folder is copied, as a kill would leave it
    counted: bool = False  # whether calls are counted even if nothing happens at one


@dataclass
class Recorder:
    """Counts, writes down what happens, and makes the fault; lives in the process of the command."""

    folder: Path  # of the command; other places are not counted
    log: Path
    fault: Fault = field(default_factory=Fault)
    calls: int = 0
    events: int = 0

    def arm(self) -> None:
        """Begin to count."""
        self._log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._root = str(self.folder.resolve())
        self._busy = False
        for name in DESCRIPTORS:
            if hasattr(os, name):
                setattr(os, name, self._watched(name, getattr(os, name)))
        sys.addaudithook(self._heard)
        if self.fault.call or self.fault.counted:
            sys.setprofile(self._called)

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(HERE):
            return
        self.calls += 1
        if self.calls == self.fault.call:
            self._fire()

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not isinstance(flags, int) or not flags & WRITING:
                return
            self._happens("open", path)
        elif event in AUDITED:
            self._happens(event, arguments[AUDITED[event]])

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(descriptor: int, *more: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.isdir("/proc/self/fd") else ""
            self._happens(name, path)
            return call(descriptor, *more)

        return watched

    def _happens(self, what: str, path: Any) -> None:
        """Note an event and make the fault, where there is one."""
        if self._busy or isinstance(path, int):
            return
        name = os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(path))))
        name = os.path.join(name, os.path.basename(os.fsdecode(path)))
        if not name.startswith(self._root + os.sep):
            return
        self._busy = True
        try:
            self.events += 1
            relative = RANDOM_NAME.sub("*", os.path.relpath(name, self._root))
            kept = any(os.path.exists(found) for found in _manifests(self._root))
            note = [what, relative, self.calls, kept]
            os.write(self._log, (json.dumps(note) + "\n").encode())
            if self.events in self.fault.copies:
                shutil.copytree(self.folder / "work", self.log.parent / f"copy-{self.events}")
        finally:
            self._busy = False
        if self.fault.lasting == what:
            self._fire()
        if what in ("os.remove", "os.rmdir") and self.fault.action in FULL:
            return  # that takes no room
        first = self.fault.event
        if first and first <= self.events < first + self.fault.times:
            self._fire()

    def _fire(self) -> None:
        os.write(self._log, (json.dumps(["fault", "", self.calls, False]) + "\n").encode())
        action = self.fault.action
        if action == "MemoryError":
            raise MemoryError
        if action == "fill":
            self._busy = True
            fill(Path(self._root) / "place")
            self._busy = False
            return
        if action.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, action))
        elif action:
            number = getattr(errno, action)
            raise OSError(number, os.strerror(number))


def fill(folder: Path) -> None:
    """Take all the room that is left on a disk, as another program may: a file named hog."""
    hog = os.open(folder / "hog", os.O_WRONLY | os.O_CREAT)
    for size in (2**20, 2**12, 1):
        try:
            while True:
                os.write(hog, b"x" * size)
        except OSError:
            continue
    os.close(hog)


def _manifests(root: str) -> list[str]:
    """Where a checkpoint of a command may be."""
    return [os.path.join(root, name, "manifest.json") for name in ("work", "out.work")] + [
        os.path.join(root, "place", name, "manifest.json") for name in ("work",)
    ]


def events_of(log: Path) -> list[Event]:
    """What a command has done, from its log."""
    if not log.exists():
        return []
    return [Event(*json.loads(line)) for line in log.read_text().splitlines()]
