"""Save snapshots of a render, evenly spaced in change.

If they were evenly spaced in time, most would show the nearly finished picture.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from tilestyle.canvas.resize import resize
from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture, read_picture
from tilestyle.pipeline.events import Event, Finished, Resumed, SweepDone

# Root mean square difference between two frames, as a fraction of the brightness range.
MIN_CHANGE = 0.03
MAX_FRAME_SIDE = 1600  # long side of a frame, in pixels
SNAPSHOT_NAME = re.compile(r"frame-(\d{5})\.png")


class SnapshotRecorder:
    """An observer (events.py) that saves numbered frames of one size in a folder.

    A frame is saved when the picture has changed enough since the last one, and at the end. A resumed render
    adds to the existing frames; a new one replaces them. Only frames that an earlier run has listed in the
    folder's marker (ownership.py) are ever replaced or removed.
    """

    def __init__(self, folder: Path, height: int, width: int) -> None:
        """Plan the frames; the folder is made with the first.

        Args:
            folder: Folder for the frames.
            height: Height of the finished picture, in pixels.
            width: Width of the finished picture, in pixels.
        """
        factor = min(1.0, MAX_FRAME_SIDE / max(height, width))
        self._size = Box(0, 0, max(1, round(height * factor)), max(1, round(width * factor)))
        self._folder = folder
        self._last_saved: Tensor | None = None  # pixels [3, h, w] of the last saved picture, at its own size
        self._unsaved: Picture | None = None  # the newest picture, while it is not saved
        self._number = 0  # of the next frame

    def __call__(self, event: Event) -> None:
        """Save a frame if the event is due for one."""
        if isinstance(event, Resumed):
            self._resume()
        elif isinstance(event, SweepDone):
            self._consider(event.picture())
        elif isinstance(event, Finished) and self._unsaved is not None:
            self._save(self._unsaved)
            if event.complete:
                self._remove_from(self._number)

    def _resume(self) -> None:
        numbers = self._numbers()
        if numbers:
            self._number = max(numbers) + 1
            self._last_saved = _picture_tensor(read_picture(self._path(max(numbers))))

    def _consider(self, picture: Picture) -> None:
        self._unsaved = picture
        pixels = _picture_tensor(picture)
        if self._last_saved is not None:
            previous = resize(self._last_saved, Box(0, 0, pixels.shape[1], pixels.shape[2]))
            if float((pixels - previous).square().mean().sqrt()) < MIN_CHANGE:
                return
        self._save(picture)

    def _save(self, picture: Picture) -> None:
        pixels = _picture_tensor(picture)
        check_snapshot_folder(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not ownership.is_marked(self._folder):
                ownership.mark_folder(self._folder)
            ownership.claim(self._path(self._number))
        except OSError as error:
            raise OutputError(
                f"cannot create the folder {self._folder} ({error.strerror})", hint="use another folder"
            ) from error
        frame = resize(pixels, self._size).clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()  # [h, w, 3]
        Picture(frame).save(self._path(self._number))
        self._number += 1
        self._last_saved, self._unsaved = pixels.clone(), None

    def _remove_from(self, first: int) -> None:
        """Remove the frames of an earlier render from number `first` on."""
        for number in self._numbers():
            if number >= first:
                ownership.remove_owned(self._path(number))

    def _numbers(self) -> list[int]:
        matches = (SNAPSHOT_NAME.fullmatch(name) for name in ownership.owned_names(self._folder))
        return [int(match[1]) for match in matches if match]

    def _path(self, number: int) -> Path:
        return self._folder / f"frame-{number:05}.png"


def check_snapshot_folder(folder: Path) -> None:
    """Raise OutputError for a folder that is neither empty nor one of snapshots."""
    try:
        foreign = folder.is_dir() and not ownership.is_marked(folder) and any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder} cannot be read ({error.strerror})", hint="use another folder") from error
    if foreign:
        raise OutputError(f"{folder} holds other files", hint="use an empty folder or a new name for --frames")


def _picture_tensor(picture: Picture) -> Tensor:
    """The pixels of a picture, [3, h, w]."""
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)
