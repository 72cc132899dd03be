"""Folders that do not exist yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tilestyle.errors import OutputError


def nearest_folder(folder: Path) -> Path:
    """Return a folder, or the nearest folder above it that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


@contextmanager
def created_folder(folder: Path) -> Iterator[None]:
    """Create a folder and those above it; what is empty when the block ends is removed again.

    Raises:
        OutputError: A folder cannot be created.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot create the folder {folder} ({error.strerror})", hint="choose another one"
            ) from error
        yield
    finally:
        for each in missing:
            with suppress(OSError):  # it is not empty
                each.rmdir()
