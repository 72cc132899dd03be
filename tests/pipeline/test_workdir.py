"""Work folders that cannot be set up, or not be removed at once."""

from __future__ import annotations

import atexit
import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.file_faults import Faults
from tilestyle.errors import OutputError
from tilestyle.files import durable, ownership
from tilestyle.pipeline import workdir
from tilestyle.pipeline.workdir import LOCK, OWNER, LockedWorkDir


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


def test_a_new_folder_that_cannot_be_set_up_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is refused, such as on a full disk."""
    faults = Faults(monkeypatch, tmp_path)
    LockedWorkDir(tmp_path / "trial")
    refused = 0
    for step in range(1, faults.count + 1):
        faults.arm(step, OSError(errno.ENOSPC, "No space left on device"))
        try:
            folder = LockedWorkDir(tmp_path / "work")
        except OutputError as error:
            refused += 1
            assert re.search("work cannot be .*No space left", str(error))
            assert not (tmp_path / "work").exists(), faults.names
        else:  # not every step is needed
            folder.close(remove=True)
        faults.disarm()
    assert refused >= 5


def test_a_folder_that_was_there_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LockedWorkDir(tmp_path / "work").close(remove=False)
    before = sorted(each.name for each in (tmp_path / "work").iterdir())
    faults = Faults(monkeypatch, tmp_path)
    LockedWorkDir(tmp_path / "work").close(remove=False)
    step = 1 + next(index for index, name in enumerate(faults.names) if OWNER in name)
    faults.arm(step, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError, match="cannot be written to"):
        LockedWorkDir(tmp_path / "work")
    assert sorted(each.name for each in (tmp_path / "work").iterdir()) == before


@pytest.mark.parametrize("gone", ["work", ""])
def test_a_folder_that_somebody_has_removed_is_set_up_again(tmp_path: Path, gone: str) -> None:
    """Also with the folder above it: of all that was rendered, nothing is lost."""
    path = tmp_path / "results" / "work"
    path.parent.mkdir()
    folder = LockedWorkDir(path)
    shutil.rmtree(path.parent / gone)
    folder.reclaim()
    assert ownership.is_marked(path)
    folder.close(remove=True)
    assert not path.exists()
