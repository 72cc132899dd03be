"""Read the frames of a clip: a film, through PyAV, or the pictures of a folder in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.enums import READABLE_SUFFIXES
from tilestyle.errors import PictureError
from tilestyle.files.paths import regular_file
from tilestyle.images import inspect_picture, read_picture
from tilestyle.motion.film import import_pyav

Pixels = NDArray[np.float32]  # [height, width, 3], sRGB in [0, 1]
# Color matrices, as FFmpeg numbers them. A film that names none uses BT.601 below HIGH rows, else BT.709.
BT601, BT709, HD_HEIGHT = 5, 1, 720


@dataclass(frozen=True)
class Clip:
    """A source of frames of one size, described without reading them all.

    Attributes:
        path: The film, or the folder of pictures.
        height: Height of the first frame, in pixels.
        width: Width of the first frame, in pixels.
        fps: Frames per second; None for a folder of pictures.
        files: The pictures of a folder; empty for a film.
    """

    path: Path
    height: int
    width: int
    fps: float | None
    files: tuple[Path, ...] = ()

    def frames(self) -> Iterator[Pixels]:
        """Read the frames, one at a time.

        Raises:
            PictureError: A frame has another size than the first.
        """
        for number, frame in enumerate(self._read_files() if self.files else self._decode(), 1):
            if frame.shape != (self.height, self.width, 3):
                raise PictureError(
                    f"frame {number} of {self.path} is {frame.shape[1]} x {frame.shape[0]} pixels, "
                    f"but the first is {self.width} x {self.height}",
                    hint="use frames of one size",
                )
            yield frame

    @property
    def count(self) -> int:
        """The number of frames; a film's are counted by its packets, without decoding."""
        if self.files:
            return len(self.files)
        with import_pyav().open(str(self.path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)

    def _read_files(self) -> Iterator[Pixels]:
        for file in self.files:
            yield read_picture(file).pixels

    def _decode(self) -> Iterator[Pixels]:
        with import_pyav().open(str(self.path)) as container:
            for frame in container.decode(video=0):
                yield _frame_pixels(frame)


def open_clip(path: Path) -> Clip:
    """Open a film, or a folder of pictures.

    Raises:
        PictureError: The folder holds no pictures, or the film cannot be decoded.
        SettingError: PyAV is not installed.
    """
    if os.path.isdir(path):
        files = tuple(sorted(file for file in path.iterdir() if file.suffix.lower() in READABLE_SUFFIXES))
        if not files:
            raise PictureError(f"there is no picture in {path}", hint="give a folder of pictures or a film")
        first = inspect_picture(files[0])
        return Clip(path, first.height, first.width, None, files)
    regular_file(path, "clip")
    av = import_pyav()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            first = next(container.decode(stream))
            return Clip(path, first.height, first.width, float(rate) if rate else None)
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise PictureError(
            f"{path} is not a film that can be read ({error})", hint="use another file"
        ) from error


def _frame_pixels(frame: Any) -> Pixels:
    """Convert a decoded frame to RGB, with its own matrix or else the usual one for its height."""
    matrix = frame.colorspace if frame.colorspace in (BT601, BT709) else None
    matrix = matrix or (BT709 if frame.height >= HD_HEIGHT else BT601)
    rgb: NDArray[np.uint8] = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
    return rgb.astype(np.float32) / np.float32(255)
