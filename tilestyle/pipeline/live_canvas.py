"""A look at the canvas of a render while it runs: any part of the picture, at any size.

Unlike the pictures of events, which are small, a part is shown at full detail, and no more is read than that
needs: a canvas in files may have a billion pixels. The render need not wait: another thread may look while it
continues, and sees patches that are just being written.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.canvas.color import apply_chroma
from tilestyle.canvas.mapped_pages import file_of, is_mapped, release_mapped_pages
from tilestyle.canvas.storage import MIN_MAPPED_PIXELS, MemoryStore
from tilestyle.images import FloatArray, Picture
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.finished_picture import PictureFinish

MAX_SAMPLES = 4  # per axis, that a pixel is the mean of where a part is shown smaller than the canvas
STRIP_ROWS = 32  # rows of the result that are computed at once
MAPPED_STRIP_ROWS = 4  # of a plane in a file without a name


@dataclass(frozen=True)
class LiveCanvas:
    """The canvas of a render, whichever it is at the moment. It does not keep the canvas in memory.

    Attributes:
        state: The state of the render.
        finish: What the picture has that its canvas lacks.
    """

    state: weakref.ReferenceType[RenderState]
    finish: PictureFinish

    @classmethod
    def of(cls, state: RenderState, finish: PictureFinish) -> LiveCanvas:
        """Return the look at the canvas of a render."""
        return cls(weakref.ref(state), finish)

    def window(self, place: tuple[float, float, float, float], rows: int, columns: int) -> Picture | None:
        """Return a part of the picture as it is now.

        Args:
            place: Top, left, height and width of the part, in pixels of the finished picture; fractions are
                allowed.
            rows: Height of the result, pixels.
            columns: Its width.

        Returns:
            The part; None before there is a canvas, and after the end of the render.
        """
        state = self.state()
        canvas = None if state is None else state.canvas
        if canvas is None:
            return None
        size = self.finish.size.height, self.finish.size.width
        pixels = _resampled(canvas.picture(), place, size, (rows, columns))
        if self.finish.colors is not None:
            colors = _resampled(self.finish.colors, place, size, (rows, columns))
            pixels = apply_chroma(torch.from_numpy(pixels), torch.from_numpy(colors), MemoryStore()).numpy()
        alpha = None
        if self.finish.alpha is not None:
            alpha = _resampled(self.finish.alpha, place, size, (rows, columns))[0]
        return Picture(np.ascontiguousarray(pixels.transpose(1, 2, 0)), alpha=alpha)


@dataclass(frozen=True)
class StillCanvas:
    """The picture of a render that has ended, seen in the same way while it is written to a file."""

    picture: Picture

    def window(self, place: tuple[float, float, float, float], rows: int, columns: int) -> Picture:
        """Return a part of the picture, as `LiveCanvas.window`."""
        size, target = (self.picture.height, self.picture.width), (rows, columns)
        plane = torch.from_numpy(self.picture.pixels).permute(2, 0, 1)
        pixels = _resampled(
            plane,
            place,
            size,
            target,
            maybe_mapped=self.picture.height * self.picture.width > MIN_MAPPED_PIXELS,
        )
        alpha = self.picture.alpha
        if alpha is not None:
            alpha = _resampled(torch.from_numpy(alpha)[None], place, size, target)[0]
        return Picture(np.ascontiguousarray(pixels.transpose(1, 2, 0)), alpha=alpha)


def _resampled(
    plane: Tensor,
    place: tuple[float, float, float, float],
    size: tuple[int, int],
    target: tuple[int, int],
    *,
    maybe_mapped: bool = False,
) -> FloatArray:
    """Return a part of a plane [C, h, w] at another size, [C, rows, columns].

    Args:
        plane: The plane.
        place: Top, left, height and width of the part, in pixels of a picture of this size.
        size: Height and width of that picture.
        target: Height and width of the result.
        maybe_mapped: Whether the plane may be in a file although it does not look so.
    """
    top, left, height, width = place
    down, across = plane.shape[1] / size[0], plane.shape[2] / size[1]
    vertical = _Axis.along(top * down, height * down, target[0], plane.shape[1])
    horizontal = _Axis.along(left * across, width * across, target[1], plane.shape[2])
    result = np.empty((plane.shape[0], *target), np.float32)
    mapped = is_mapped(plane)
    with ExitStack() as stack:
        reader = _FileRows.open(plane, stack) if mapped else None
        released = reader is None and (mapped or maybe_mapped)
        height = MAPPED_STRIP_ROWS if released else STRIP_ROWS
        for start in range(0, target[0], height):
            strip = slice(start, min(start + height, target[0]))
            rows, columns = vertical.places[strip], horizontal.places
            if reader is not None:
                samples = reader.gather(rows.ravel(), columns.ravel())
            else:
                samples = _gather(plane, rows.ravel(), columns.ravel())
            samples = samples.reshape(len(samples), *rows.shape, *columns.shape)
            result[:, strip] = np.einsum(
                "crsdt,rs,dt->crd", samples, vertical.weights[strip], horizontal.weights, optimize=True
            )
            if released:  # a system may bring a megabyte into memory with each row that is touched
                release_mapped_pages()
    return result


class _FileRows:
    """Rows of a plane in a file, read from the file: reading them from the mapping would fill memory."""

    def __init__(self, plane: Tensor, file: BinaryIO) -> None:
        self._shape, self._strides, self._start = plane.shape, plane.stride(), int(plane.storage_offset())
        self._file = file

    @classmethod
    def open(cls, plane: Tensor, stack: ExitStack) -> _FileRows | None:
        """Open the file of a mapped plane; None if it has no name any more."""
        try:
            return cls(plane, stack.enter_context(file_of(plane).open("rb", buffering=0)))
        except OSError:
            return None

    def gather(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> FloatArray:
        """Return the pixels [C, rows, columns]."""
        first, last = int(columns.min()), int(columns.max())
        values = np.empty((self._shape[0], len(rows), len(columns)), np.float32)
        row = np.empty(last + 1 - first, np.float32)
        for channel in range(self._shape[0]):
            for index, place in enumerate(rows):
                if index == 0 or place != rows[index - 1]:
                    start = self._start + channel * self._strides[0] + int(place) * self._strides[1] + first
                    self._file.seek(4 * start)
                    self._file.readinto(row.data)  # type: ignore[attr-defined]  # of a raw file
                values[channel, index] = row[columns - first]
        return values


@dataclass(frozen=True)
class _Axis:
    """Where the pixels of the result take their samples along an axis.

    Attributes:
        places: Index of every sample, [n, samples].
        weights: Its weight, [n, samples].
    """

    places: NDArray[np.int64]
    weights: FloatArray

    @classmethod
    def along(cls, start: float, length: float, count: int, side: int) -> _Axis:
        """Place the samples of `count` pixels over a part of an axis of `side` pixels."""
        step = length / count
        if step <= 1:  # enlarged: between two pixels
            centers = start + (np.arange(count) + 0.5) * step - 0.5
            low = np.floor(centers)
            share = (centers - low).astype(np.float32)
            places, weights = np.stack([low, low + 1], axis=1), np.stack([1 - share, share], axis=1)
        else:
            samples = min(MAX_SAMPLES, int(np.ceil(step)))
            offsets = (np.arange(samples) + 0.5) / samples
            places = np.floor(start + (np.arange(count)[:, None] + offsets) * step)
            weights = np.full(places.shape, 1 / samples, np.float32)
        indices = np.clip(places, 0, side - 1).astype(np.int64)
        return cls(indices, weights.astype(np.float32))


def _gather(plane: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> FloatArray:
    """Return the pixels [C, rows, columns] of a plane on any device."""
    if plane.device.type == "cpu":
        values: FloatArray = plane.numpy()[:, rows[:, None], columns[None, :]]
        return values
    device = plane.device
    picked = plane.index_select(1, torch.from_numpy(rows).to(device))
    gathered: FloatArray = picked.index_select(2, torch.from_numpy(columns).to(device)).cpu().numpy()
    return gathered
