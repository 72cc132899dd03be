"""Reading pictures from files, Pillow images, arrays and tensors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike
from tilestyle.images import read_pillow
from tilestyle.images.decode import decode_whole
from tilestyle.images.file_header import FileHeader
from tilestyle.images.from_arrays import Tensorlike, samples_from_array, samples_from_tensor
from tilestyle.images.library_errors import translating_decode_errors
from tilestyle.images.picture import Picture
from tilestyle.images.pixel_limit import check_pixel_count
from tilestyle.images.raw_samples import RawSamples, picture_from_samples
from tilestyle.images.read_header import describe
from tilestyle.images.samples_to_srgb import interpret_samples


def read_picture(path: PathLike) -> Picture:
    """Read a picture file, convert it to sRGB and rotate it upright; its full bit depth is used.

    The first frame of an animation is read, and the first page of a TIFF that is not a reduced copy. Embedded
    ICC profiles are applied; a broken one is ignored. So are the color code points of PNG and AVIF (Display
    P3, BT.2020, PQ and HLG, whose highlights are compressed). Gamma and chromaticity fields of a PNG without a
    profile are ignored, as in most programs.

    Args:
        path: The file.

    Returns:
        The picture, with pixels float32 [H, W, 3].

    Raises:
        PictureError: The file is missing, empty, broken or in an unknown format, has fewer than two pixels or
            more than `pixel_limit` allows, or contains NaN or infinity.
        MemoryLimit: The picture does not fit into memory.
    """
    return picture_from_header(describe(path))


def picture_from_header(header: FileHeader) -> Picture:
    """Read the file of a header; raises what `read_picture` raises."""
    with translating_decode_errors(header.name):
        samples = interpret_samples(header, decode_whole(header))
    return picture_from_samples(samples, header.name)


def picture_from(source: object) -> Picture:
    """Convert anything that holds a picture to a Picture.

    Args:
        source: A Picture (returned as it is), a path, a Pillow image, a NumPy array [H, W], [H, W, 1], [H, W,
            3] or [H, W, 4], or a torch tensor [H, W], [C, H, W] or [1, C, H, W]. Arrays and tensors have type
            uint8, uint16 or bool, or are floats in [0, 1]; their values are copied.

    Raises:
        PictureError: The source is something else, or cannot be read as in `read_picture`.
        MemoryLimit: The picture does not fit into memory.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | os.PathLike):
        return read_picture(source)
    if isinstance(source, Image.Image):
        name = Path(str(getattr(source, "filename", "") or "")).name
        with translating_decode_errors(name or "the image"):
            samples = _image_samples(source, name)
        return picture_from_samples(samples, name)
    if isinstance(source, np.ndarray):
        return picture_from_samples(samples_from_array(source), "")
    if isinstance(source, Tensorlike):
        return picture_from_samples(samples_from_tensor(source), "")
    raise PictureError(
        f"cannot make a picture from {type(source).__name__}",
        hint="give a path, a Pillow image, a NumPy array or a torch tensor",
    )


def _load(image: Image.Image, name: str) -> None:
    """Load a Pillow image; refuse one that was closed, which Pillow says now."""
    try:
        image.load()
    except ValueError as error:
        if "closed" not in str(error):
            raise
        raise PictureError(
            f"{name or 'the image'} is a Pillow image that was closed", hint="open it again, or close it later"
        ) from error


def _image_samples(image: Image.Image, name: str) -> RawSamples:
    """Decode the current frame of an opened Pillow image without changing the image."""
    check_pixel_count(name or "the image", image.height, image.width)
    _load(image, name)  # some formats state the orientation at the end of the file, or rotate the image by it
    header = read_pillow.describe_image(image, Path(name))
    return interpret_samples(
        header, header.check_samples(read_pillow.decode(image, header), image.height, image.width)
    )
