"""Frames that come in: of a film, through PyAV, or pictures of a folder in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.enums import SUFFIXES
from tilestyle.errors import PictureError
from tilestyle.files.paths import ordinary_file
from tilestyle.images import inspect_picture, read_picture
from tilestyle.motion.film import pyav

Pixels = NDArray[np.float32]  # [height, width, 3], sRGB in [0, 1]
BT601, BT709, HIGH = 5, 1, 720  # what films without a matrix are in: SD one, HD the other


@dataclass(frozen=True)
class Footage:
    """Where frames come from, and what can be said of them before they are read."""

    path: Path
    height: int
    width: int
    fps: float | None  # None: pictures have no rate
    files: tuple[Path, ...] = ()  # of a folder

    def frames(self) -> Iterator[Pixels]:
        """Every frame, one at a time; raises PictureError for one of another size."""
        for number, frame in enumerate(self._pictures() if self.files else self._decoded(), 1):
            if frame.shape != (self.height, self.width, 3):
                raise PictureError(
                    f"frame {number} of {self.path} is {frame.shape[1]} x {frame.shape[0]} pixels, "
                    f"the first {self.width} x {self.height}",
                    hint="give frames of one size",
                )
            yield frame

    @property
    def count(self) -> int:
        """Frames there are; a film's are counted by what it is made of, without decoding."""
        if self.files:
            return len(self.files)
        with pyav().open(str(self.path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)

    def _pictures(self) -> Iterator[Pixels]:
        for file in self.files:
            yield read_picture(file).pixels

    def _decoded(self) -> Iterator[Pixels]:
        with pyav().open(str(self.path)) as container:
            for frame in container.decode(video=0):
                yield _pixels(frame)


def footage(path: Path) -> Footage:
    """A film, or a folder of pictures; raises PictureError when there is nothing to be seen in it."""
    if os.path.isdir(path):
        files = tuple(sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES))
        if not files:
            raise PictureError(f"there is no picture in {path}", hint="give a folder of pictures, or a film")
        first = inspect_picture(files[0])
        return Footage(path, first.height, first.width, None, files)
    ordinary_file(path, "clip")
    av = pyav()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            first = next(container.decode(stream))
            return Footage(path, first.height, first.width, float(rate) if rate else None)
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise PictureError(f"{path} is no film that can be read ({error})", hint="give another") from error


def _pixels(frame: Any) -> Pixels:
    """A decoded frame, converted by the matrix that it says, or that films of its height are in."""
    matrix = frame.colorspace if frame.colorspace in (BT601, BT709) else None
    matrix = matrix or (BT709 if frame.height >= HIGH else BT601)
    shown: NDArray[np.uint8] = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
    return shown.astype(np.float32) / np.float32(255)
