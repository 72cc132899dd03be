"""A series: numbered pictures in a folder, each made from the one before, and what is said of them.

Every step begins with the file that the one before has written. So a series that was stopped anywhere goes on,
on a CPU to the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from torch import Tensor

from tilestyle.errors import OutputError, PictureError, WorkError
from tilestyle.files.atomic import replacing
from tilestyle.files.durable import is_remnant_of
from tilestyle.files.ownership import recover_unlisted
from tilestyle.files.paths import content_of
from tilestyle.images import Picture, read_picture, write_picture
from tilestyle.pipeline.checkpoint import differences
from tilestyle.pipeline.workdir import acquired, translated
from tilestyle.planning.inputs import digest
from tilestyle.version import __version__

MANIFEST, STATISTICS, LOCK = "series.json", "statistics.json", ".lock"
Row = dict[str, Any]


class Series:
    """The pictures 0001.png, 0002.png, ... of a folder, and a row of statistics for each."""

    def __init__(self, path: Path, rows: list[Row]) -> None:
        self.path = path
        self.rows = rows

    @property
    def count(self) -> int:
        """Pictures that are done."""
        return len(self.rows)

    @property
    def files(self) -> list[Path]:
        """All of them, in order."""
        return [self.file(number) for number in range(1, self.count + 1)]

    def file(self, number: int) -> Path:
        """Where a picture is, 1 the first."""
        return self.path / f"{number:04}.png"

    def last(self) -> Tensor:
        """Pixels [3, h, w] of the last picture."""
        return pixels_of(self.file(self.count))

    def add(self, picture: Picture, row: Row) -> None:
        """The next picture, and what is said of it. It counts once both are there."""
        file = self.file(self.count + 1)
        write_picture(file, picture)
        rows = [*self.rows, {"step": self.count + 1, **statistics(picture), **row, "sha256": digest(file)}]
        _write(self.path / STATISTICS, rows)
        self.rows = rows


@contextmanager
def series(path: Path, about: Mapping[str, Any]) -> Iterator[Series]:
    """A series in a folder, begun or gone on with; `about` is what it is of, as JSON.

    A folder that was made for a series of which nothing came is removed again. Raises WorkError when the folder
    holds something else, or is in use.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} is no folder ({error.strerror})", hint="give another --out") from error
    try:
        with translated(path):
            _refuse_foreign(path)  # before the lock is put there
            lock = acquired(path / LOCK)
    except filelock.Timeout:
        raise WorkError(f"{path} is in use", hint="wait for the other program, or give another --out") from None
    fresh = True
    try:
        with translated(path):
            for name in (MANIFEST, STATISTICS):
                recover_unlisted(path / name)
        fresh = not (path / MANIFEST).exists()
        found = Series(path, _begun(path, {"version": __version__, **json.loads(json.dumps(about))}))
        try:
            with translated(path):
                recover_unlisted(found.file(found.count + 1))
            yield found
        except BaseException:
            # With a picture whose row could not be written, the manifest says that the folder is ours.
            if fresh and not found.count and not os.path.lexists(found.file(1)):
                with suppress(OSError):
                    (path / MANIFEST).unlink(missing_ok=True)
            raise
    finally:
        if lock is not None:
            lock.release()
        _unmake(path, made)


def _unmake(path: Path, made: Sequence[Path]) -> None:
    """Remove folders that this run made, where they are empty but for the lock."""
    with suppress(OSError):
        if made and {file.name for file in path.iterdir()} <= {LOCK}:
            (path / LOCK).unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


def _begun(path: Path, about: dict[str, Any]) -> list[Row]:
    """Rows of what an earlier run has done."""
    manifest = path / MANIFEST
    if not manifest.exists():
        _refuse_foreign(path)
        _write(manifest, about)
        return []
    found = _read(manifest)
    if found != about:
        raise WorkError(
            f"{path} holds another series ({differences(found, about)})",
            hint="give the same command to go on, or another folder",
        )
    rows: list[Row] = _read(path / STATISTICS) if (path / STATISTICS).exists() else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WorkError(f"{path / STATISTICS} is damaged", hint="begin anew in another folder")
    _check(Series(path, rows))
    return rows


def _refuse_foreign(path: Path) -> None:
    """Raise WorkError for a folder that is neither empty nor that of a series."""
    manifest = path / MANIFEST
    if os.path.lexists(manifest):
        return
    found = sorted(file.name for file in path.iterdir() if file.name != LOCK)
    if any(is_remnant_of(name, manifest) for name in found):  # killed while it was written
        return
    if found:
        raise WorkError(f"{path} holds {found[0]}", hint="give an empty folder or a new name")


def _check(done: Series) -> None:
    """Raise WorkError unless the pictures of a series are those that were written."""
    try:
        for number, row in enumerate(done.rows, 1):
            file = done.file(number)
            if row["step"] != number or digest(file) != row["sha256"]:
                raise WorkError(f"{file} is not what was written", hint="begin anew in another folder")
    except PictureError as error:
        raise WorkError(str(error), hint="begin anew in another folder") from error
    except (TypeError, LookupError) as error:
        raise WorkError(f"{done.path / STATISTICS} is damaged", hint="begin anew in another folder") from error


def discard(done: Series) -> None:
    """Remove a series, and its folder if nothing else is in it."""
    for file in [*done.files, done.path / STATISTICS, done.path / MANIFEST, done.path / LOCK]:
        file.unlink(missing_ok=True)
    with suppress(OSError):
        done.path.rmdir()


def _read(file: Path) -> Any:
    try:
        return json.loads(content_of(file))
    except OSError as error:
        raise WorkError(f"{file} cannot be read ({error.strerror})", hint="check the disk") from error
    except (ValueError, RecursionError) as error:
        raise WorkError(f"{file} is damaged (it is no JSON)", hint="begin anew in another folder") from error


def _write(file: Path, value: object) -> None:
    with translated(file.parent), replacing(file) as handle:
        handle.write(json.dumps(value, indent=1).encode())


def pixels_of(file: Path) -> Tensor:
    """Pixels [3, h, w] of a picture file."""
    return torch.from_numpy(np.ascontiguousarray(read_picture(file).pixels.transpose(2, 0, 1)))


def statistics(picture: Picture) -> Row:
    """Mean and standard deviation of every channel."""
    pixels = picture.pixels.reshape(-1, 3)
    return {
        "mean": [round(float(value), 5) for value in pixels.mean(0, dtype=np.float64)],
        "deviation": [round(float(value), 5) for value in pixels.std(0, dtype=np.float64)],
    }
