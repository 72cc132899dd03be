"""Removing work folders on a system like Windows, which does not remove files that are open."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilestyle.files import durable, ownership
from tilestyle.pipeline import workdir
from tilestyle.pipeline.workdir import LOCK, LockedWorkDir


@pytest.fixture
def open_files(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that cannot be removed now."""
    names: set[str] = set()
    unlink = Path.unlink

    def refusing(self: Path, missing_ok: bool = False) -> None:
        if self.name in names:
            raise PermissionError(13, "The process cannot access the file", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    monkeypatch.setattr(durable, "WINDOWS", True)
    return names


def test_the_lock_is_released_before_it_is_removed(
    tmp_path: Path, open_files: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LockedWorkDir(tmp_path / "work")
    open_files.add(LOCK)
    release = folder._release

    def released() -> None:
        release()
        open_files.discard(LOCK)

    monkeypatch.setattr(folder, "_release", released)
    folder.close(remove=True)
    assert not (tmp_path / "work").exists()


def test_what_is_mapped_is_removed_when_the_program_ends(
    tmp_path: Path, open_files: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Callable[[], Any]] = []
    monkeypatch.setattr(
        atexit, "register", lambda function, *arguments: later.append(lambda: function(*arguments))
    )
    folder = LockedWorkDir(tmp_path / "work")
    plane = tmp_path / "work" / "pixels-8x8.plane"
    ownership.claim(plane)
    plane.touch()
    open_files.add(plane.name)
    folder.close(remove=True)
    assert plane.exists()
    open_files.clear()  # the picture is gone
    (remove,) = later
    remove()
    assert not (tmp_path / "work").exists()
    workdir.remove_finished(tmp_path / "work")  # nothing is left to do
