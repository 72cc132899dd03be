"""A series: numbered pictures in a folder, each made from the one before, and statistics of them.

Every step reads the file that the previous step wrote. So a series can be stopped and resumed anywhere, and on
a CPU the result has the same bytes.
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

from tilestyle.config.reuse import with_current_names
from tilestyle.errors import FolderTakenError, OutputError, PictureError, WorkError
from tilestyle.files.atomic import atomic_write
from tilestyle.files.durable import is_remnant_of
from tilestyle.files.ownership import recover_unlisted
from tilestyle.files.paths import read_limited
from tilestyle.images import Picture, read_picture, write_picture
from tilestyle.pipeline.checkpoint import differing_settings
from tilestyle.pipeline.fingerprint import content_hash
from tilestyle.pipeline.workdir import translating_errors, try_lock
from tilestyle.version import __version__

MANIFEST, STATISTICS, LOCK = "series.json", "statistics.json", ".lock"
Row = dict[str, Any]


class Series:
    """The pictures 0001.png, 0002.png, ... of a folder, and a row of statistics for each.

    Attributes:
        path: The folder.
        rows: The statistics of each picture, in order.
    """

    def __init__(self, path: Path, rows: list[Row]) -> None:
        self.path = path
        self.rows = rows

    @property
    def count(self) -> int:
        """The number of finished pictures."""
        return len(self.rows)

    @property
    def picture_paths(self) -> list[Path]:
        """The files of all finished pictures, in order."""
        return [self.picture_path(number) for number in range(1, self.count + 1)]

    def picture_path(self, number: int) -> Path:
        """Return the file of a picture; the first has the number 1."""
        return self.path / f"{number:04}.png"

    def last_pixels(self) -> Tensor:
        """Read the pixels [3, h, w] of the last picture."""
        return read_pixels(self.picture_path(self.count))

    def add(self, picture: Picture, row: Row) -> None:
        """Write the next picture and its row of statistics; it counts once both are on the disk.

        Args:
            picture: The picture.
            row: Statistics of the step, beside those of the pixels.

        Raises:
            OutputError: The picture or the statistics cannot be written.
            DiskError: The disk is full.
        """
        file = self.picture_path(self.count + 1)
        write_picture(file, picture)
        rows = [
            *self.rows,
            {"step": self.count + 1, **channel_statistics(picture), **row, "sha256": content_hash(file)},
        ]
        _write_json(self.path / STATISTICS, rows)
        self.rows = rows


@contextmanager
def open_series(path: Path, fingerprint: Mapping[str, Any]) -> Iterator[Series]:
    """Start or resume the series of a folder, and lock the folder meanwhile.

    A folder that was made for a series without pictures is removed again.

    Args:
        path: The folder; made if it does not exist.
        fingerprint: What determines the pictures, as JSON; a series can only be resumed with the same.

    Yields:
        The series, with the pictures that exist.

    Raises:
        OutputError: The folder cannot be made.
        WorkError: The folder holds something else, is in use, or its files have changed.
    """
    made_folders = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot use {path} as a folder ({error.strerror})", hint="use another --out"
        ) from error
    try:
        with translating_errors(path):
            _check_not_foreign(path)  # before the lock file is added
            lock = try_lock(path / LOCK)
    except filelock.Timeout:
        raise WorkError(f"{path} is in use", hint="wait for the other program, or use another --out") from None
    fresh = True
    try:
        with translating_errors(path):
            for name in (MANIFEST, STATISTICS):
                recover_unlisted(path / name)
        fresh = not (path / MANIFEST).exists()
        output = Series(path, _load_rows(path, {"version": __version__, **json.loads(json.dumps(fingerprint))}))
        try:
            with translating_errors(path):
                recover_unlisted(output.picture_path(output.count + 1))
            yield output
        except BaseException:
            # If a picture exists whose row could not be written, the manifest still marks the folder as ours.
            if fresh and not output.count and not os.path.lexists(output.picture_path(1)):
                with suppress(OSError):
                    (path / MANIFEST).unlink(missing_ok=True)
            raise
    finally:
        if lock is not None:
            lock.release()
        _remove_made_folders(path, made_folders)


def _remove_made_folders(path: Path, folders: Sequence[Path]) -> None:
    """Remove folders that this run made, if they hold nothing but the lock.

    Args:
        path: Folder of the series.
        folders: Folders that this run made, the innermost first.
    """
    with suppress(OSError):
        if folders and {file.name for file in path.iterdir()} <= {LOCK}:
            (path / LOCK).unlink(missing_ok=True)
            for folder in folders:
                folder.rmdir()


def _load_rows(path: Path, fingerprint: dict[str, Any]) -> list[Row]:
    """Return the rows of earlier runs, and write the manifest of a new series.

    Args:
        path: Folder of the series.
        fingerprint: What determines the pictures, as JSON.

    Raises:
        WorkError: The folder holds something else, or its files have changed.
    """
    manifest = path / MANIFEST
    if not manifest.exists():
        _check_not_foreign(path)
        _write_json(manifest, fingerprint)
        return []
    stored = with_current_names(_read_json(manifest))
    if stored != fingerprint:
        raise FolderTakenError(
            f"{path} holds another series ({differing_settings(stored, fingerprint)})",
            hint="repeat the same command to resume it, or use another folder",
        )
    rows: list[Row] = _read_json(path / STATISTICS) if (path / STATISTICS).exists() else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WorkError(f"{path / STATISTICS} is damaged", hint="start again in another folder")
    _verify_pictures(Series(path, rows))
    return rows


def _check_not_foreign(path: Path) -> None:
    """Raise WorkError for a folder that is neither empty nor holds a series."""
    manifest = path / MANIFEST
    if os.path.lexists(manifest):
        return
    names = sorted(file.name for file in path.iterdir() if file.name != LOCK)
    if any(is_remnant_of(name, manifest) for name in names):  # a run was killed while it wrote the manifest
        return
    if names:
        raise FolderTakenError(f"{path} holds {names[0]}", hint="use an empty folder or a new name")


def _verify_pictures(series: Series) -> None:
    """Raise WorkError if the pictures of a series have changed since they were written."""
    try:
        for number, row in enumerate(series.rows, 1):
            file = series.picture_path(number)
            if row["step"] != number or content_hash(file) != row["sha256"]:
                raise WorkError(
                    f"{file} has changed since it was written", hint="start again in another folder"
                )
    except PictureError as error:
        raise WorkError(str(error), hint="start again in another folder") from error
    except (TypeError, LookupError) as error:
        raise WorkError(
            f"{series.path / STATISTICS} is damaged", hint="start again in another folder"
        ) from error


def discard_series(series: Series) -> None:
    """Remove the files of a series, and its folder if it is empty then."""
    for file in [*series.picture_paths, series.path / STATISTICS, series.path / MANIFEST, series.path / LOCK]:
        file.unlink(missing_ok=True)
    with suppress(OSError):
        series.path.rmdir()


def _read_json(file: Path) -> Any:
    try:
        return json.loads(read_limited(file))
    except OSError as error:
        raise WorkError(f"{file} cannot be read ({error.strerror})", hint="check the disk") from error
    except (ValueError, RecursionError) as error:
        raise WorkError(f"{file} is damaged (not valid JSON)", hint="start again in another folder") from error


def _write_json(file: Path, value: object) -> None:
    with translating_errors(file.parent), atomic_write(file) as handle:
        handle.write(json.dumps(value, indent=1).encode())


def read_pixels(file: Path) -> Tensor:
    """Read the pixels [3, h, w] of a picture file."""
    return torch.from_numpy(np.ascontiguousarray(read_picture(file).pixels.transpose(2, 0, 1)))


def channel_statistics(picture: Picture) -> Row:
    """Return the mean and standard deviation of every channel, rounded."""
    pixels = picture.pixels.reshape(-1, 3)  # [h * w, 3]
    return {
        "mean": [round(float(value), 5) for value in pixels.mean(0, dtype=np.float64)],
        "deviation": [round(float(value), 5) for value in pixels.std(0, dtype=np.float64)],
    }
