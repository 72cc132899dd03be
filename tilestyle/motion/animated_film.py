"""Films as animated GIF or WebP: whole, or in parts that several runs of a render leave behind.

A part holds the size of the film, then every encoded frame after its length. So it can be read as far as it was
written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.enums import Animation
from tilestyle.errors import OutputError
from tilestyle.files.atomic import atomic_write
from tilestyle.images import animation_head, encode_frame, finish_animation, ticks_until
from tilestyle.images.library_errors import translating_encode_errors

_SIZE, _LENGTH = struct.Struct("<II"), struct.Struct("<I")


class AnimationWriter:
    """Encodes a film as GIF or WebP; of equal frames in a row, it writes one that is shown for longer."""

    def __init__(self, path: Path, form: Animation, rate: Fraction, name: str) -> None:
        """Open a film for writing.

        Args:
            path: File to write.
            form: Its format.
            rate: Frames per second.
            name: Final name of the film, for messages.

        Raises:
            OutputError: The file cannot be written.
        """
        self._form, self._rate, self._name = form, rate, name
        self._waiting: NDArray[np.uint8] | None = None  # the last frame, which the next may be equal to
        self._first = 0  # number of the waiting frame
        self._size: tuple[int, int] | None = None
        self.count = 0
        with self._translating_errors():
            self._file = path.open("w+b")

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame [height, width, 3]."""
        if self._waiting is None or not np.array_equal(frame, self._waiting):
            self._encode_waiting()
            self._waiting, self._first = frame.copy(), self.count
        self.count += 1

    def finish(self) -> None:
        """Complete the file; raise OutputError if there are no frames."""
        self._encode_waiting()
        if self._size is None:
            raise OutputError("the film has no frames, so it was not written", hint="render more")
        with self._translating_errors():
            self._end()
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._translating_errors():
            self._file.close()

    def _encode_waiting(self) -> None:
        if self._waiting is None:
            return
        begin, end = (ticks_until(self._form, number, self._rate) for number in (self._first, self.count))
        with self._translating_errors():
            encoded = encode_frame(self._form, self._waiting, end - begin)
            if self._size is None:
                self._size = self._waiting.shape[0], self._waiting.shape[1]
                self._begin(*self._size)
            self._store(encoded)
        self._waiting = None

    def _begin(self, height: int, width: int) -> None:
        self._file.write(animation_head(self._form, height, width))

    def _store(self, encoded: bytes) -> None:
        self._file.write(encoded)

    def _end(self) -> None:
        finish_animation(self._form, self._file)

    def _translating_errors(self) -> AbstractContextManager[None]:
        return translating_encode_errors(f"the film {self._name}")


class AnimationPartWriter(AnimationWriter):
    """Encodes a part of a film, for `join_animation_parts`."""

    def _begin(self, height: int, width: int) -> None:
        self._file.write(_SIZE.pack(height, width))

    def _store(self, encoded: bytes) -> None:
        self._file.write(_LENGTH.pack(len(encoded)) + encoded)
        self._file.flush()  # what a killed process has written is used

    def _end(self) -> None:
        """A part has no end."""


def join_animation_parts(parts: Sequence[Path], path: Path, form: Animation) -> None:
    """Join the parts of a film; frames are copied, not encoded again.

    Args:
        parts: The parts, in order.
        path: The film.
        form: Its format.

    Raises:
        OutputError: No part has a frame, or the film cannot be written.
    """
    sizes = [size for part in parts if (size := part_size(part))]
    if not sizes:
        raise OutputError("the film has no frames, so it was not written", hint="render more")
    with translating_encode_errors(f"the film {path.name}"), atomic_write(path) as file:
        file.write(animation_head(form, *sizes[-1]))
        for part in parts:
            if part_size(part) == sizes[-1]:
                file.writelines(part_frames(part))
        finish_animation(form, file)


def part_size(part: Path) -> tuple[int, int] | None:
    """Height and width of the film that a part belongs to; None if it has no frames."""
    with part.open("rb") as file:
        head = file.read(_SIZE.size)
    if len(head) < _SIZE.size or next(part_frames(part), None) is None:
        return None
    height, width = _SIZE.unpack(head)
    return height, width


def part_frames(part: Path) -> Iterator[bytes]:
    """The encoded frames of a part, as far as it was written."""
    with part.open("rb") as file:
        file.seek(_SIZE.size)
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            encoded = file.read(length)
            if len(encoded) < length:
                return
            yield encoded
