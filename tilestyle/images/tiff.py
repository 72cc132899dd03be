"""What tifffile opens, as samples and as facts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from tilestyle.errors import PictureError
from tilestyle.images.border import check_size
from tilestyle.images.colour import CHANNELS, ColourModel
from tilestyle.images.orientation import known_orientation
from tilestyle.images.pillow import lab_from_bytes, samples_from_pillow
from tilestyle.images.samples import Samples, straight_from_premultiplied

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What tifffile logs about damaged files arrives as PictureError; without a handler it would be on the
# terminal as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MODELS = {
    PHOTOMETRIC.MINISWHITE: ColourModel.GREY,
    PHOTOMETRIC.MINISBLACK: ColourModel.GREY,
    PHOTOMETRIC.RGB: ColourModel.RGB,
    PHOTOMETRIC.PALETTE: ColourModel.RGB,
    PHOTOMETRIC.YCBCR: ColourModel.RGB,
    PHOTOMETRIC.SEPARATED: ColourModel.CMYK,
    PHOTOMETRIC.CIELAB: ColourModel.LAB,
    PHOTOMETRIC.ICCLAB: ColourModel.LAB,
}
_REDUCED, _MASK = 1, 4  # bits of the NewSubfileType tag
_CENTIMETRE = 3


@contextmanager
def main_page(path: Path) -> Iterator[tifffile.TiffPage]:
    """Open the first page that is neither a reduced copy nor a mask, or else the first page."""
    with tifffile.TiffFile(path) as file:
        yield main_page_of(file)


def main_page_of(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """The first page that is neither a reduced copy nor a mask, or else the first page."""
    for page in file.pages:
        if isinstance(page, tifffile.TiffPage) and not page.subfiletype & (_REDUCED | _MASK):
            return page
    return file.pages.first


def reduced_pages(file: tifffile.TiffFile, main: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """Smaller copies of the main page, from among the pages of the file and those under the main page."""
    others = [*file.pages, *(main.pages or ())]
    return [page for page in others if isinstance(page, tifffile.TiffPage) and _is_copy(page, main)]


def _is_copy(page: tifffile.TiffPage, main: tifffile.TiffPage) -> bool:
    """Whether a page says it is reduced, and has the kind of samples and the shape of the main page."""
    skew = page.imagelength * main.imagewidth - page.imagewidth * main.imagelength
    return (
        bool(page.subfiletype & _REDUCED)
        and _kind_of_samples(page) == _kind_of_samples(main)
        and abs(skew) <= max(main.imagelength, main.imagewidth)
    )


def _kind_of_samples(page: tifffile.TiffPage) -> tuple[object, ...]:
    return page.photometric, page.dtype, page.samplesperpixel, page.bitspersample, page.extrasamples


def samples_from_tiff(path: Path) -> Samples:
    """Decode the main page.

    Raises PictureError for volumes, unknown channels, signed numbers and files that end too early.
    """
    with main_page(path) as page:
        check_size(path.name, page.imagelength, page.imagewidth)
        if needs_libtiff(page):
            with Image.open(path) as image:
                return samples_from_pillow(image)
        check_page(page, path)
        return samples_of_page(page, _channels_last(page))


def samples_of_page(page: tifffile.TiffPage, stored: NDArray[Any]) -> Samples:
    """What decoded samples [h, w, C] of a page, or of a window of it, mean."""
    model = _MODELS[PHOTOMETRIC(page.photometric)]
    if page.photometric == PHOTOMETRIC.PALETTE:
        return _samples(page, _palette_colours(page, stored), None, ColourModel.RGB)
    if model is ColourModel.LAB:
        return _samples(page, _lab_values(page, stored[..., :3]), None, model)
    stored = _full_range(stored, page.bitspersample)
    values = stored[..., : CHANNELS[model]]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        values = (1 if values.dtype == np.float32 else np.iinfo(values.dtype).max) - values
    return _with_alpha(page, stored, values, model)


def mode_description(page: tifffile.TiffPage) -> str:
    """Name the kind of channels for people, such as "RGB + alpha, float"."""
    names = {PHOTOMETRIC.PALETTE: "palette", PHOTOMETRIC.YCBCR: "YCbCr", PHOTOMETRIC.CIELAB: "CIELAB"}
    photometric = PHOTOMETRIC(page.photometric)
    name = names.get(photometric) or str(_MODELS.get(photometric, photometric.name))
    alpha = " + alpha" if _alpha_channel(page) is not None else ""
    return f"{name}{alpha}{', float' if _is_float(page) else ''}"


def page_depth(page: tifffile.TiffPage) -> int:
    """Bits per channel, rounded up to 8, 16 or 32."""
    return next((depth for depth in (8, 16) if page.bitspersample <= depth), 32)


def page_profile(page: tifffile.TiffPage) -> bytes | None:
    """Return the embedded ICC profile."""
    profile = page.tags.valueof("InterColorProfile")
    return bytes(profile) if profile else None


def page_orientation(page: tifffile.TiffPage) -> int:
    """Return the orientation 1 to 8."""
    return known_orientation(page.tags.valueof("Orientation", default=1))


def page_dots_per_inch(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return (across, down); None when the file does not say or says it without a unit."""
    unit = page.tags.valueof("ResolutionUnit", default=2)
    factor = 2.54 if unit == _CENTIMETRE else 1.0
    ratios = [page.tags.valueof(tag) for tag in ("XResolution", "YResolution")]
    if unit not in (2, _CENTIMETRE) or any(not ratio or 0 in ratio for ratio in ratios):
        return None
    across, down = (factor * ratio[0] / ratio[1] for ratio in ratios)
    return across, down


def needs_libtiff(page: tifffile.TiffPage) -> bool:
    """Whether libtiff has to decode: tifffile reads YCbCr only where a JPEG codec turns it into RGB."""
    return page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG


def check_page(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError for volumes, unknown channels, signed numbers and files that end too early."""
    if page.photometric not in _MODELS:
        kind = getattr(page.photometric, "name", page.photometric)
        raise PictureError(
            f"{path.name} is a TIFF with {kind} channels", hint="develop or convert it to RGB first"
        )
    if page.imagedepth != 1:
        raise PictureError(f"{path.name} is a volume", hint="save one slice of it as a picture")
    kind = "" if page.dtype is None else page.dtype.kind
    if kind not in "bufc" or kind in ("", "c"):
        raise PictureError(
            f"{path.name} holds samples of type {page.dtype or 'unknown'}",
            hint="convert it to unsigned numbers or floats in [0, 1]",
        )
    photometric = PHOTOMETRIC(page.photometric)
    colours = 1 if photometric == PHOTOMETRIC.PALETTE else CHANNELS[_MODELS[photometric]]
    if page.samplesperpixel < colours:
        raise PictureError(
            f"{path.name} has {page.samplesperpixel} channels where {colours} are announced",
            hint="convert it to RGB first",
        )
    ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    if max(ends, default=0) > path.stat().st_size or not page.dataoffsets:
        raise PictureError(f"{path.name} is cut short", hint="copy or fetch the file again")


def _channels_last(page: tifffile.TiffPage) -> NDArray[Any]:
    """Decode to [H, W, C], whatever the planar configuration."""
    values = page.asarray()
    if page.samplesperpixel == 1:
        return values.reshape(page.imagelength, page.imagewidth, 1)
    return np.moveaxis(values, 0, -1) if page.axes.startswith("S") else values


def _full_range(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Stretch samples of any width to uint8, uint16 or float32 with white at the top."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if bits in (8, 16):
        return values
    top = np.float64(2**bits - 1)
    if bits in (1, 2, 4):
        return (values * (255 // top)).astype(np.uint8)
    return (values / top).astype(np.float32)


def _palette_colours(page: tifffile.TiffPage, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Look the indices [H, W, 1] up: -> [H, W, 3]."""
    table = page.colormap
    if table is None:
        raise PictureError("a palette TIFF without its palette", hint="convert it to RGB first")
    # The specification asks for 16 bits; some writers leave 8 bits in their place.
    eight_bits = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
    colours: NDArray[np.uint8] = eight_bits.T[stored[..., 0].astype(np.intp)]
    return colours


def _lab_values(page: tifffile.TiffPage, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Decode CIELAB (a, b signed) and ICCLAB (a, b offset), 8 or 16 bits, to L* a* b*."""
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    if page.photometric == PHOTOMETRIC.CIELAB and stored.dtype == np.uint8:
        return lab_from_bytes(np.ascontiguousarray(stored))
    if page.photometric == PHOTOMETRIC.CIELAB:
        colour = np.ascontiguousarray(stored[..., 1:]).view(np.int16).astype(np.float32) / 256
        white = 65535
    else:
        scale = 1 if stored.dtype == np.uint8 else 256
        colour = stored[..., 1:].astype(np.float32) / scale - 128
        white = 255 * scale
    lightness = stored[..., :1].astype(np.float32) * np.float32(100 / white)
    return np.concatenate([lightness, colour], axis=2)


def _alpha_channel(page: tifffile.TiffPage) -> tuple[int, bool] | None:
    """Index of the alpha channel, and whether it is premultiplied into the colours.

    Extra channels of unspecified meaning are left out: they may as well be spot inks or selections.
    """
    for position, kind in enumerate(page.extrasamples):
        if kind in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA):
            index = page.samplesperpixel - len(page.extrasamples) + position
            return index, kind == EXTRASAMPLE.ASSOCALPHA
    return None


def _with_alpha(
    page: tifffile.TiffPage, stored: NDArray[Any], values: NDArray[Any], model: ColourModel
) -> Samples:
    found = _alpha_channel(page)
    if found is None:
        return _samples(page, values, None, model)
    index, is_premultiplied = found
    alpha = stored[..., index]
    if is_premultiplied:
        values = straight_from_premultiplied(values, alpha)
    return _samples(page, values, alpha, model)


def _samples(
    page: tifffile.TiffPage, values: NDArray[Any], alpha: NDArray[Any] | None, model: ColourModel
) -> Samples:
    return Samples(
        values=values,
        model=model,
        depth=page_depth(page),
        alpha=alpha,
        profile=page_profile(page),
        orientation=page_orientation(page),
        dpi=page_dots_per_inch(page),
    )


def _is_float(page: tifffile.TiffPage) -> bool:
    return page.dtype is not None and page.dtype.kind == "f"
