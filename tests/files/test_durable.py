"""Replacing files where the system refuses it for a moment, as Windows does for files that are open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tilestyle.files import durable
from tilestyle.files.atomic import atomic_write


def refusing(monkeypatch: pytest.MonkeyPatch, times: int, windows: bool = True) -> Callable[[], int]:
    """Let replacing and renaming fail so often; returns the number of tries so far."""
    tries, replace = 0, os.replace

    def refused(source: Path, target: Path) -> None:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise PermissionError(13, "The process cannot access the file", str(target))
        replace(source, target)

    monkeypatch.setattr(durable, "WINDOWS", windows)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(os, "rename", refused)
    return lambda: tries


def test_a_file_that_is_open_for_a_moment_is_replaced_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.png"
    file.write_bytes(b"old")
    tries = refusing(monkeypatch, 3)
    with atomic_write(file) as handle:
        handle.write(b"new")
    assert (file.read_bytes(), tries()) == (b"new", 4)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_stays_open_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.png"
    file.write_bytes(b"old")
    refusing(monkeypatch, 1000)
    with pytest.raises(PermissionError), atomic_write(file) as handle:
        handle.write(b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
