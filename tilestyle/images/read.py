"""Files, arrays and tensors to pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.files import ordinary_file
from tilestyle.images import deepzoom, png, tiff
from tilestyle.images.arrays import Tensorlike, samples_from_array, samples_from_tensor
from tilestyle.images.border import decoding
from tilestyle.images.picture import Picture
from tilestyle.images.pillow import samples_from_deep_png, samples_from_pillow
from tilestyle.images.samples import Samples, picture_from_samples

PathLike = str | os.PathLike[str]


def read_picture(path: PathLike) -> Picture:
    """Read a picture file as sRGB, the right way up, with all the depth it has.

    Reads what tifffile and Pillow read: of animations the first frame, of TIFF the first page that is
    not a reduced copy. Embedded profiles are converted; a broken one counts as absent. Gamma and
    chromaticity fields of PNG without a profile are ignored, as most programs do.

    Raises PictureError when the file is missing, empty, broken, unknown, of one pixel or less, above
    2**31 pixels, or not finite; MemoryLimit when it does not fit into memory.
    """
    path = existing_file(path)
    with decoding(path.name):
        samples = samples_of_file(path)
    return picture_from_samples(samples, path.name)


def picture_from(source: object) -> Picture:
    """Make a picture of anything that holds one.

    A Picture (returned as it is), a path, a Pillow image, a numpy array [H, W], [H, W, 1], [H, W, 3] or
    [H, W, 4], or a torch tensor [H, W], [C, H, W] or [1, C, H, W]; arrays and tensors of uint8, uint16,
    bool, or floats in [0, 1]. Their values are copied.

    Raises PictureError for anything else, and as read_picture does.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | os.PathLike):
        return read_picture(source)
    if isinstance(source, Image.Image):
        name = Path(str(getattr(source, "filename", "") or "")).name
        with decoding(name or "the image"):
            samples = samples_from_pillow(source)
        return picture_from_samples(samples, name)
    if isinstance(source, np.ndarray):
        return picture_from_samples(samples_from_array(source), "")
    if isinstance(source, Tensorlike):
        return picture_from_samples(samples_from_tensor(source), "")
    raise PictureError(
        f"a picture cannot be made of {type(source).__name__}",
        hint="use a path, a Pillow image, a numpy array or a torch tensor",
    )


def existing_file(path: PathLike) -> Path:
    """Return the path of a file that has content, or raise PictureError that says what is there."""
    return ordinary_file(path)


def is_tiff(path: Path) -> bool:
    """Whether the file begins as TIFF or BigTIFF do."""
    with path.open("rb") as file:
        return file.read(4) in tiff.SIGNATURES


def samples_of_file(path: Path) -> Samples:
    """Decode a file whole."""
    deepzoom.check_input(path)
    if is_tiff(path):
        return tiff.samples_from_tiff(path)
    with path.open("rb") as file:
        is_png = file.read(8) == png.SIGNATURE
    if is_png and png.bits_per_channel(path) > 8:
        return samples_from_deep_png(path)
    with Image.open(path) as image:
        return samples_from_pillow(image)
