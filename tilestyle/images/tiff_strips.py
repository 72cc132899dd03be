"""The writing of TIFF, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

SIDE_LIMIT = 2**32 - 1
"""Largest height or width that a TIFF tag can state."""

_STRIP_BYTES = 1 << 20
_CLASSIC_LIMIT = 2**32 - 2**25  # classic TIFF addresses 4 GiB; 32 MiB of it for tags and incompressibility


@dataclass(frozen=True, slots=True)
class TiffTags:
    """What a written TIFF says beside its pixels."""

    profile: bytes
    description: str | None
    software: str
    dpi: float | None


def write_strips(
    file: BinaryIO,
    bands: Callable[[int], Iterator[NDArray[Any]]],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    tags: TiffTags,
) -> None:
    """Write ``shape`` [H, W, C] of uint8 or uint16, deflated with the horizontal predictor.

    ``bands(rows)`` gives the picture as bands of that many rows. BigTIFF from 4 GiB of samples on: the
    compressed size is not known before the offsets are laid out. Strips, because more programs read them
    than tiles, and compressed here, because tifffile takes strips of arrays only all at once.
    """
    height, width, channels = shape
    rows = max(1, min(height, _STRIP_BYTES // (width * channels * dtype.itemsize)))
    resolution = None
    if tags.dpi is not None:
        ratio = Fraction(tags.dpi).limit_denominator(1000).as_integer_ratio()
        resolution = (ratio, ratio)
    with tifffile.TiffWriter(
        file, bigtiff=height * width * channels * dtype.itemsize > _CLASSIC_LIMIT, byteorder="<"
    ) as writer:
        writer.write(
            (_deflated(band) for band in bands(rows)),
            shape=shape,
            dtype=dtype,
            photometric="rgb",
            extrasamples=["unassalpha"] if channels == 4 else None,
            rowsperstrip=rows,
            compression="zlib",
            predictor=True,
            iccprofile=tags.profile,
            description=tags.description,
            software=tags.software,
            resolution=resolution,
            resolutionunit="inch" if resolution else None,
            metadata=None,
        )


def _deflated(strip: NDArray[Any]) -> bytes:
    differences = strip.astype(strip.dtype.newbyteorder("<"))
    differences[:, 1:] -= strip[:, :-1]  # wraps around, as the predictor is defined
    return bytes(imagecodecs.deflate_encode(differences.tobytes(), level=6))
