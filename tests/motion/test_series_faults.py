"""Series when the process is killed or the disk fails at any operation, and folders that are a person's."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import waves
from tests.support.file_faults import BROKEN, FULL, Faults, Killed
from tilestyle.errors import TilestyleError, WorkError
from tilestyle.files.durable import temporary_path
from tilestyle.images import Picture
from tilestyle.motion.series import LOCK, MANIFEST, STATISTICS, open_series

PICTURES = [Picture(waves(8, 8, seed).permute(1, 2, 0).contiguous().numpy()) for seed in (1, 2)]


def made(folder: Path) -> None:
    """Two pictures, or as many of them as are missing."""
    with open_series(folder, {"of": "waves"}) as found:
        for picture in PICTURES[found.count :]:
            found.add(picture, {})


def tree(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != LOCK}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes files
@pytest.mark.parametrize("replaces", [True, False], ids=["usual drive", "drive that cannot replace"])
@pytest.mark.parametrize("error", [Killed, BROKEN, FULL], ids=["kill", "broken", "full"])
def test_whatever_operation_fails_the_same_command_ends_in_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, replaces: bool
) -> None:
    if not replaces:
        real = os.rename

        def rename(one: Any, other: Any) -> None:
            if os.path.exists(other):
                raise OSError(errno.EEXIST, "File exists")
            real(one, other)

        monkeypatch.setattr(os, "replace", rename)
        monkeypatch.setattr(os, "rename", rename)
    faults = Faults(monkeypatch, tmp_path)
    faults.disarm()
    made(tmp_path / "whole")
    expected, count = tree(tmp_path / "whole"), faults.count
    assert count > 20
    for at in range(1, count + 1):
        folder = tmp_path / str(at)
        faults.arm(at, error)
        with contextlib.suppress(Killed, TilestyleError, OSError):
            made(folder)
        what = faults.names[-1]
        faults.disarm()
        made(folder)
        assert tree(folder) == expected, f"operation {at}, {what}"


@pytest.mark.parametrize("name", ["0001.png", "notes.txt", STATISTICS, f".tilestyle-{'0' * 24}.part"])
def test_a_person_s_folder_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(WorkError, match="holds "):
        made(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"mine"}


def test_what_others_have_in_the_folder_stays(tmp_path: Path) -> None:
    made(tmp_path)
    ours = temporary_path(tmp_path / "0003.png")
    theirs = [tmp_path / "notes.txt", tmp_path / "x.part", temporary_path(tmp_path / "notes.txt")]
    for file in [ours, *theirs]:
        file.write_bytes(b"something")
    made(tmp_path)
    assert not ours.exists()
    assert all(file.exists() for file in theirs)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("name", [MANIFEST, STATISTICS, "0001.png"])
def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(WorkError):
        made(tmp_path)
