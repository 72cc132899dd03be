"""File operations that fail, or are the last of the process: counted, so that each can be made the one."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CALLS = ("fsync", "fdatasync", "replace", "rename", "chmod", "unlink", "remove", "mkdir", "rmdir")


class Killed(BaseException):
    """The end of the process: whatever is done about it, nothing reaches the disk any more."""


class Faults:
    """Every write to a file and every change of a folder, numbered from 1, under one folder."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = str(folder)
        self.count = 0
        self.names: list[str] = []
        self._at = 0
        self._error: Exception | type[BaseException] = Killed
        self._dead = False
        for name in CALLS:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        opened = io.open

        def opening(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if ("r" in mode and "+" not in mode) or not str(file).startswith(self._folder):
                return opened(file, mode, *rest, **options)
            self.step(f"open {mode} {Path(file).name}")
            return Watched(opened(file, mode, *rest, **options), self)

        patch.setattr(io, "open", opening)
        patch.setattr(builtins, "open", opening)

    def arm(self, at: int, error: Exception | type[BaseException]) -> None:
        """Make an operation fail with an error, or kill the process."""
        self.count, self._at, self._error, self._dead, self.names = 0, at, error, False, []

    def disarm(self) -> None:
        """A new process, on a disk that works."""
        self.arm(0, Killed)

    def step(self, name: str) -> None:
        """Count an operation before it is done."""
        if self._dead:
            raise Killed
        self.count += 1
        self.names.append(name)
        if self.count != self._at:
            return
        self._dead = self._error is Killed
        raise self._error

    @property
    def is_first(self) -> bool:
        """Whether what failed just now is the operation that was to fail, not one after the end."""
        first = self.count == self._at
        self._at = 0
        return first

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.step(f"{name} {Path(str(arguments[0])).name}")
            return call(*arguments, **options)

        return wrapped


class Watched:
    """A file whose writes are counted; half of one that fails is written."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file = file
        self._faults = faults

    def write(self, content: Any) -> Any:
        try:
            self._faults.step("write")
        except BaseException:
            if self._faults.is_first:
                self._half(content)
            raise
        return self._file.write(content)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def _half(self, content: Any) -> None:
        if isinstance(content, str):
            self._file.write(content[: len(content) // 2])
        elif memoryview(content).nbytes:
            view = memoryview(content).cast("B")
            self._file.write(view[: len(view) // 2])
        self._file.flush()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *caught: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def failure(code: int) -> OSError:
    """An error of the system."""
    return OSError(code, os.strerror(code))


FULL, BROKEN, REFUSED = failure(errno.ENOSPC), failure(errno.EIO), failure(errno.EPERM)
