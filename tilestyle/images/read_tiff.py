"""TIFF files, described by what tifffile finds in their tags."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from tilestyle.errors import PictureError
from tilestyle.images.file_header import COLOUR_CHANNELS, Alpha, Coding, Decoder, Description
from tilestyle.images.library_errors import shortened
from tilestyle.images.metadata import ORIENTATION, sane_dpi, turn_of
from tilestyle.images.pixel_limit import check_content

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_CODINGS = {
    PHOTOMETRIC.MINISWHITE: Coding.WHITE_IS_ZERO,
    PHOTOMETRIC.MINISBLACK: Coding.GREY,
    PHOTOMETRIC.RGB: Coding.RGB,
    PHOTOMETRIC.PALETTE: Coding.PALETTE,
    PHOTOMETRIC.YCBCR: Coding.RGB,
    PHOTOMETRIC.SEPARATED: Coding.CMYK,
    PHOTOMETRIC.CIELAB: Coding.LAB_SIGNED,
    PHOTOMETRIC.ICCLAB: Coding.LAB_OFFSET,
}
_NAMES = {PHOTOMETRIC.PALETTE: "palette", PHOTOMETRIC.YCBCR: "YCbCr", PHOTOMETRIC.CIELAB: "CIELAB"}
_NAMES[PHOTOMETRIC.ICCLAB] = "Lab"
_STREAMED_PACKING = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
}
_STREAMED_PHOTOMETRIC = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB}
_XMP = 700
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


def describe_tiff(path: Path) -> Description:
    """Describe the main page.

    Raises PictureError for volumes, unknown channels, signed numbers and files that end too early.
    """
    try:
        with main_page(path) as page:
            return describe_page(page, path)
    except TypeError as error:  # tifffile takes tags that have to be numbers for such
        raise PictureError(f"{path.name} is a TIFF whose tags are damaged", hint="export it again") from error


def describe_page(page: tifffile.TiffPage, path: Path) -> Description:
    """Describe a page. Raises PictureError as describe_tiff does."""
    _check_numbers(page, path)
    check_content(path.name, page.imagelength, page.imagewidth)
    photometric = _photometric(page, path)
    _check_packing(page, path)
    by_libtiff = _needs_libtiff(page)
    _check_samples(page, path)
    if not has_all_segments(page, path.stat().st_size):
        raise PictureError(f"{path.name} is cut short", hint="copy or fetch the file again")
    coding = _CODINGS[photometric]
    alpha, channel = (Alpha.NONE, 0) if by_libtiff else _alpha(page)
    if alpha is Alpha.PREMULTIPLIED and coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET, Coding.PALETTE):
        raise PictureError(
            f"{path.name} has {coding} colours multiplied by alpha",
            hint="save it with straight alpha, or as RGB",
        )
    turn = turn_of(exif={ORIENTATION: page.tags.valueof("Orientation")}, xmp=_xmp(page))
    name = _NAMES.get(photometric, str(coding if coding is not Coding.WHITE_IS_ZERO else Coding.GREY))
    bits = 8 if by_libtiff else page.bitspersample
    dtype = "uint8" if by_libtiff else np.dtype(page.dtype).name
    parts = [name] + ["alpha"] * (alpha is not Alpha.NONE)
    packing = page.compression
    return Description(
        path=path,
        format="TIFF",
        mode=" + ".join(parts) + (", float" if dtype.startswith("float") else ""),
        decoder=Decoder.LIBTIFF if by_libtiff else Decoder.TIFFFILE,
        page=page.index,
        stored_height=page.imagelength,
        stored_width=page.imagewidth,
        orientation=turn.value,
        orientation_from="Orientation tag" if turn.origin == "EXIF" else turn.origin,
        channels=3 if by_libtiff else page.samplesperpixel,
        dtype=dtype,
        bits=bits,
        byte_order=page.parent.byteorder,
        packing=getattr(packing, "name", shortened(packing)).lower(),
        coding=coding,
        alpha=alpha,
        alpha_channel=channel,
        palette=_palette(page, path) if coding is Coding.PALETTE else None,
        profile=_profile(page),
        dpi=_dots_per_inch(page),
        file_bytes=path.stat().st_size,
        streamed=not by_libtiff and _is_streamed(page, alpha),
    )


def is_sparse(page: tifffile.TiffPage) -> bool:
    """Whether segments are left out, which then hold nothing but the "no data" value, as in GeoTIFF."""
    places = zip(page.dataoffsets, page.databytecounts, strict=True)
    return any(offset == 0 or count == 0 for offset, count in places)


def segment_sides(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def planes_of_page(page: tifffile.TiffPage) -> int:
    """Planes that are stored one after the other: one of all channels, or one for each."""
    return page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1


def _check_numbers(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError where a tag that has to be one number is none, or repeated."""
    names = ["imagelength", "imagewidth", "samplesperpixel", "bitspersample", "imagedepth", "planarconfig"]
    names += ["tilelength", "tilewidth"] if page.is_tiled else ["rowsperstrip"]
    for name in names:
        value = getattr(page, name)
        if not isinstance(value, int) or value < 1:
            raise PictureError(
                f"{path.name} is a TIFF whose {name} is {shortened(value)}", hint="export it again"
            )


def _check_packing(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError for a compression that tifffile has no decoder for."""
    packing = page.compression
    if not isinstance(packing, int) or packing not in tifffile.TIFF.DECOMPRESSORS:
        name = shortened(getattr(packing, "name", packing))
        raise PictureError(f"{path.name} is a TIFF packed with {name}", hint="save it with LZW or deflate")


def _photometric(page: tifffile.TiffPage, path: Path) -> PHOTOMETRIC:
    stated = page.photometric
    if isinstance(stated, int) and stated in _CODINGS:
        return PHOTOMETRIC(stated)
    kind = shortened(getattr(stated, "name", stated))
    raise PictureError(f"{path.name} is a TIFF with {kind} channels", hint="develop or convert it to RGB first")


def _needs_libtiff(page: tifffile.TiffPage) -> bool:
    """Whether libtiff has to decode: tifffile reads YCbCr only where a JPEG codec turns it into RGB."""
    return page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG


def _check_samples(page: tifffile.TiffPage, path: Path) -> None:
    if page.imagedepth != 1:
        raise PictureError(f"{path.name} is a volume", hint="save one slice of it as a picture")
    kind = "" if page.dtype is None else page.dtype.kind
    if kind not in "bufc" or kind in ("", "c"):
        raise PictureError(
            f"{path.name} holds samples of type {page.dtype or 'unknown'}",
            hint="convert it to unsigned numbers or floats in [0, 1]",
        )
    coding = _CODINGS[PHOTOMETRIC(page.photometric)]
    colours = COLOUR_CHANNELS[coding]
    if _needs_libtiff(page) and (page.samplesperpixel, page.bitspersample) != (colours, 8):
        raise PictureError(f"{path.name} is no YCbCr TIFF of 8 bits", hint="convert it to RGB first")
    if page.samplesperpixel < colours or len(page.extrasamples) > page.samplesperpixel - colours:
        raise PictureError(
            f"{path.name} has {page.samplesperpixel} channels, {len(page.extrasamples)} of them extra, where "
            f"{coding} needs {colours}",
            hint="convert it to RGB first",
        )
    lab = coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET)
    if lab and np.dtype(page.dtype).name not in ("uint8", "uint16", "float32", "float16", "float64"):
        raise PictureError(
            f"{path.name} holds Lab colours of {page.bitspersample} bits", hint="convert it to 8 or 16 bits"
        )


def has_all_segments(page: tifffile.TiffPage, file_bytes: int) -> bool:
    """Whether all strips or tiles lie within the file: what is missing would not be noticed in decoding."""
    height, width = segment_sides(page)
    across = math.ceil(page.imagewidth / width) if page.is_tiled else 1
    wanted = math.ceil(page.imagelength / height) * across * planes_of_page(page)
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) != wanted or len(counts) != wanted:
        return False
    ends = [start + count for start, count in zip(offsets, counts, strict=True) if start and count]
    if page.is_contiguous and not is_sparse(page):
        ends.append(offsets[0] + page.nbytes)  # whatever the one count of a single strip says
    elif page.compression == COMPRESSION.NONE:
        channels = page.samplesperpixel // planes_of_page(page)
        row_bytes = -(-width * channels * page.bitspersample // 8)
        last = height if page.is_tiled else (page.imagelength - 1) % height + 1
        if any(0 < count < min(height, last) * row_bytes for count in counts):
            return False
    return max(ends, default=0) <= file_bytes


def _palette(page: tifffile.TiffPage, path: Path) -> NDArray[np.uint8]:
    """The colours [n, 3] that indices stand for."""
    table = page.colormap
    if table is None or table.shape != (3, 2**page.bitspersample) or page.bitspersample > 16:
        raise PictureError(f"{path.name} is a palette TIFF without its palette", hint="convert it to RGB first")
    # The specification asks for 16 bits; some writers leave 8 bits in their place.
    return np.ascontiguousarray((table >> 8 if table.max() > 255 else table).astype(np.uint8).T)


def _profile(page: tifffile.TiffPage) -> bytes | None:
    profile = page.tags.valueof("InterColorProfile")
    return bytes(profile) if profile else None


def _xmp(page: tifffile.TiffPage) -> bytes:
    content = page.tags.valueof(_XMP)
    return content.encode("utf-8", "replace") if isinstance(content, str) else bytes(content or b"")


def _dots_per_inch(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return (across, down); None when the file does not say or says it without a unit."""
    unit = page.tags.valueof("ResolutionUnit", default=2)
    ratios = [page.tags.valueof(tag) for tag in ("XResolution", "YResolution")]
    if unit not in (2, _CENTIMETRE) or any(not isinstance(ratio, tuple) or len(ratio) != 2 for ratio in ratios):
        return None
    if any(0 in ratio for ratio in ratios):
        return None
    return sane_dpi([ratio[0] / ratio[1] for ratio in ratios], 2.54 if unit == _CENTIMETRE else 1.0)


def _alpha(page: tifffile.TiffPage) -> tuple[Alpha, int]:
    """Kind of transparency, and the channel that has it.

    Extra channels of unspecified meaning are left out: they may as well be spot inks or selections.
    """
    kinds: dict[int, Alpha] = {
        EXTRASAMPLE.ASSOCALPHA: Alpha.PREMULTIPLIED,
        EXTRASAMPLE.UNASSALPHA: Alpha.STRAIGHT,
    }
    for position, kind in enumerate(page.extrasamples):
        if kind in kinds:
            return kinds[kind], page.samplesperpixel - len(page.extrasamples) + position
    return Alpha.NONE, 0


def _is_streamed(page: tifffile.TiffPage, alpha: Alpha) -> bool:
    """Whether libvips decodes a page to the same samples as tifffile."""
    known = page.compression in _STREAMED_PACKING and page.photometric in _STREAMED_PHOTOMETRIC
    plain = page.dtype is not None and page.dtype.name in ("uint8", "uint16") and page.bitspersample in (8, 16)
    colours = COLOUR_CHANNELS[_CODINGS[PHOTOMETRIC(page.photometric)]]
    straight = page.samplesperpixel == colours + (alpha is Alpha.STRAIGHT) and alpha is not Alpha.PREMULTIPLIED
    whole = planes_of_page(page) == 1 and not is_sparse(page) and not page.is_subifd
    return known and plain and straight and whole and page.fillorder == 1
