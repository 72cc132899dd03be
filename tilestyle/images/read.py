"""Files, arrays and tensors to pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike
from tilestyle.images import read_pillow
from tilestyle.images.decode import decoded
from tilestyle.images.file_header import Description
from tilestyle.images.from_arrays import Tensorlike, samples_from_array, samples_from_tensor
from tilestyle.images.library_errors import decoding
from tilestyle.images.picture import Picture
from tilestyle.images.pixel_limit import check_pixels
from tilestyle.images.raw_samples import Samples, picture_from_samples
from tilestyle.images.read_header import describe
from tilestyle.images.samples_to_srgb import samples_of


def read_picture(path: PathLike) -> Picture:
    """Read a picture file as sRGB, the right way up, with all the depth it has.

    Of animations the first frame is read, of TIFF the first page that is not a reduced copy. Embedded
    profiles are converted; a broken one counts as absent. So are the code points of PNG and AVIF (Display P3,
    BT.2020, PQ and HLG, whose highlights are compressed). Gamma and chromaticity fields of PNG without a
    profile are ignored, as most programs do.

    Raises PictureError when the file is missing, empty, broken, unknown, of one pixel or less, of more pixels
    than are read (``pixel_limit``), or not finite; MemoryLimit when it does not fit into memory.
    """
    return picture_of(describe(path))


def picture_of(seen: Description) -> Picture:
    """Read a file that is described. Raises what read_picture raises."""
    with decoding(seen.name):
        samples = samples_of(seen, decoded(seen))
    return picture_from_samples(samples, seen.name)


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
            samples = _samples_of_image(source, name)
        return picture_from_samples(samples, name)
    if isinstance(source, np.ndarray):
        return picture_from_samples(samples_from_array(source), "")
    if isinstance(source, Tensorlike):
        return picture_from_samples(samples_from_tensor(source), "")
    raise PictureError(
        f"a picture cannot be made of {type(source).__name__}",
        hint="use a path, a Pillow image, a numpy array or a torch tensor",
    )


def _samples_of_image(image: Image.Image, name: str) -> Samples:
    """Decode the current frame of an opened image, which is left as it is."""
    check_pixels(name or "the image", image.height, image.width)
    image.load()  # formats state the orientation at the end of the file, or turn the image by it
    seen = read_pillow.describe_image(image, Path(name))
    return samples_of(seen, seen.checked(read_pillow.decode(image, seen), image.height, image.width))
