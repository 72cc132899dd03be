"""Pictures kept while a render runs, evenly in what changes: time alone would show the end for most of it."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from tilestyle.canvas.canvas import resized
from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture, read_picture
from tilestyle.pipeline.events import Event, Finished, Resumed, SweepDone

# Root mean square of the difference between two frames, of the range of brightness.
CHANGE = 0.03
LONGEST = 1600  # long side of a frame, pixels
NUMBERED = re.compile(r"frame-(\d{5})\.png")


class Frames:
    """Keeps numbered frames of one size in a folder; an observer (events.py).

    Each differs from the one before by as much, or is the last. A render that goes on adds to those that are
    there, another one takes their place. Only frames that an earlier run has listed in the folder's marker
    (ownership.py) are ever replaced or removed.
    """

    def __init__(self, folder: Path, height: int, width: int) -> None:
        """For a finished picture of this size. The folder is made with the first frame."""
        factor = min(1.0, LONGEST / max(height, width))
        self._size = Box(0, 0, max(1, round(height * factor)), max(1, round(width * factor)))
        self._folder = folder
        self._kept: Tensor | None = None  # pixels [3, h, w] of the last frame, at the size that it was seen at
        self._latest: Picture | None = None  # not kept yet
        self._number = 0  # of the next

    def __call__(self, event: Event) -> None:
        """Keep a frame when it is time to."""
        if isinstance(event, Resumed):
            self._go_on()
        elif isinstance(event, SweepDone):
            self._look(event.picture())
        elif isinstance(event, Finished) and self._latest is not None:
            self._keep(self._latest)
            if event.complete:
                self._clear(self._number)

    def _go_on(self) -> None:
        numbers = self._numbers()
        if numbers:
            self._number = max(numbers) + 1
            self._kept = _pixels(read_picture(self._path(max(numbers))))

    def _look(self, picture: Picture) -> None:
        self._latest = picture
        pixels = _pixels(picture)
        if self._kept is not None:
            before = resized(self._kept, Box(0, 0, pixels.shape[1], pixels.shape[2]))
            if float((pixels - before).square().mean().sqrt()) < CHANGE:
                return
        self._keep(picture)

    def _keep(self, picture: Picture) -> None:
        pixels = _pixels(picture)
        check_folder(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not ownership.is_marked(self._folder):
                ownership.mark(self._folder)
            ownership.claim(self._path(self._number))
        except OSError as error:
            raise OutputError(
                f"cannot make folder {self._folder}: {error.strerror}", hint="give another"
            ) from error
        frame = resized(pixels, self._size).clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()
        Picture(frame).save(self._path(self._number))
        self._number += 1
        self._kept, self._latest = pixels.clone(), None

    def _clear(self, first: int) -> None:
        """Remove the frames of an earlier render from a number on."""
        for number in self._numbers():
            if number >= first:
                ownership.remove(self._path(number))

    def _numbers(self) -> list[int]:
        found = (NUMBERED.fullmatch(name) for name in ownership.names(self._folder))
        return [int(match[1]) for match in found if match]

    def _path(self, number: int) -> Path:
        return self._folder / f"frame-{number:05}.png"


def check_folder(folder: Path) -> None:
    """Raise OutputError for a folder that is neither empty nor one that frames were kept in."""
    try:
        foreign = folder.is_dir() and not ownership.is_marked(folder) and any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder} cannot be read ({error.strerror})", hint="give another folder") from error
    if foreign:
        raise OutputError(f"{folder} holds other files", hint="give an empty folder or a new name for --frames")


def _pixels(picture: Picture) -> Tensor:
    """[3, h, w]."""
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)
