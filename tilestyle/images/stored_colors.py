"""A finished picture for print: samples in the colors of its file, without alpha, extended by mirror images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.paper import PageCrop
from tilestyle.images.color_management import (
    MODEL_SPACES,
    UNREADABLE_PROFILE,
    ColorModel,
    profile_name,
    srgb_profile,
    working_profile,
)
from tilestyle.images.file_source import FileSource
from tilestyle.images.raw_samples import RawSamples
from tilestyle.images.strips import composite_on_white, quantize, strip_rows


@dataclass(frozen=True)
class StoredColors:
    """A part of a picture file as its samples, and a mirror image of it around. Only windows are in memory.

    Attributes:
        source: The picture.
        crop: The part of it, in its pixels.
        added: Pixels of the mirror image at every edge.
        profile: ICC profile of the samples.
        is_stored: Whether the samples are those of the file; else they are converted to the working space.
    """

    source: FileSource
    crop: PageCrop
    added: int
    profile: bytes
    is_stored: bool

    @classmethod
    def of(cls, source: FileSource, crop: PageCrop, added: int = 0) -> StoredColors:
        """Read the first pixels of a picture, to see what its samples are; this may convert the file.

        Args:
            source: The picture.
            crop: The part of it.
            added: Pixels of the mirror image at every edge.
        """
        stated = _stated_profile(source.samples(0, 0, 1, 1))
        return cls(source, crop, added, stated or working_profile(), stated is not None)

    @property
    def height(self) -> int:
        """Pixels, with the mirror image."""
        return self.crop.height + 2 * self.added

    @property
    def width(self) -> int:
        """Pixels, with the mirror image."""
        return self.crop.width + 2 * self.added

    def strips(self, left: int, width: int) -> Iterator[NDArray[Any]]:
        """Read columns from top to bottom in strips [h, width, C] of uint8 or uint16.

        Args:
            left: First column.
            width: Number of columns.
        """
        columns = _mirrored(left - self.added, width, self.crop.width)
        rows = strip_rows(max(width, int(np.ptp(columns)) + 1))
        for top in range(0, self.height, rows):
            indices = _mirrored(top - self.added, min(rows, self.height - top), self.crop.height)
            first, start = int(indices.min()), int(columns.min())
            read = self._read(first, start, int(np.ptp(indices)) + 1, int(np.ptp(columns)) + 1)
            yield read[np.ix_(indices - first, columns - start)]

    def _read(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Read a window of the crop."""
        window = self.crop.top + top, self.crop.left + left, height, width
        if self.is_stored:
            return _opaque(self.source.samples(*window))
        picture = self.source.window(*window)
        pixels = picture.pixels
        if picture.alpha is not None:
            pixels = composite_on_white(np.dstack([pixels, picture.alpha]))
        return quantize(pixels, 16, picture.name)


def _stated_profile(samples: RawSamples) -> bytes | None:
    """Return the profile that a picture's own samples have; None if they have to be converted first."""
    if samples.values.dtype not in (np.uint8, np.uint16) or samples.model is ColorModel.LAB:
        return None
    if samples.profile is None:
        return srgb_profile() if samples.model is ColorModel.RGB else None
    if not isinstance(samples.profile, bytes) or samples.profile[16:20] != MODEL_SPACES[samples.model]:
        return None
    return None if profile_name(samples.profile) == UNREADABLE_PROFILE else samples.profile


def _opaque(samples: RawSamples) -> NDArray[Any]:
    """Return values [h, w, C] on white paper."""
    values, alpha = samples.values, samples.alpha
    if alpha is None:
        return values
    max_value = np.iinfo(values.dtype).max
    white = 0 if samples.model is ColorModel.CMYK else max_value
    cover = alpha[..., None] / np.float64(np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1)
    return np.rint(values * cover + white * (1 - cover)).astype(values.dtype)


def _mirrored(start: int, count: int, side: int) -> NDArray[np.intp]:
    """Return the indices of positions before, in and after a side, mirrored at both ends as often as needed."""
    places = np.arange(start, start + count) % (2 * side)
    return np.where(places < side, places, 2 * side - 1 - places)
