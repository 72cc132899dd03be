"""Reading the header of TIFF files, from the tags that tifffile finds."""

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
from tilestyle.images.file_header import COLOR_CHANNELS, Alpha, Coding, Decoder, FileHeader
from tilestyle.images.library_errors import shorten_text
from tilestyle.images.metadata import ORIENTATION, plausible_dpi, read_orientation
from tilestyle.images.pixel_limit import check_not_empty

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_CODINGS = {
    PHOTOMETRIC.MINISWHITE: Coding.WHITE_IS_ZERO,
    PHOTOMETRIC.MINISBLACK: Coding.GRAY,
    PHOTOMETRIC.RGB: Coding.RGB,
    PHOTOMETRIC.PALETTE: Coding.PALETTE,
    PHOTOMETRIC.YCBCR: Coding.RGB,
    PHOTOMETRIC.SEPARATED: Coding.CMYK,
    PHOTOMETRIC.CIELAB: Coding.LAB_SIGNED,
    PHOTOMETRIC.ICCLAB: Coding.LAB_OFFSET,
}
_NAMES = {PHOTOMETRIC.PALETTE: "palette", PHOTOMETRIC.YCBCR: "YCbCr", PHOTOMETRIC.CIELAB: "CIELAB"}
_NAMES[PHOTOMETRIC.ICCLAB] = "Lab"
_STREAMED_COMPRESSION = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
}
_STREAMED_PHOTOMETRIC = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB}
_XMP = 700
_REDUCED, _MASK = 1, 4  # bits of the NewSubfileType tag
_CENTIMETER = 3


@contextmanager
def open_main_page(path: Path) -> Iterator[tifffile.TiffPage]:
    """Open a file and yield its main page (see `find_main_page`)."""
    with tifffile.TiffFile(path) as file:
        yield find_main_page(file)


def find_main_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the first page that is neither a reduced copy nor a mask, or else the first page."""
    for page in file.pages:
        if isinstance(page, tifffile.TiffPage) and not page.subfiletype & (_REDUCED | _MASK):
            return page
    return file.pages.first


def reduced_pages(file: tifffile.TiffFile, main: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """Return the reduced copies of the main page, among the pages of the file and its sub-pages."""
    pages = [*file.pages, *(main.pages or ())]
    return [page for page in pages if isinstance(page, tifffile.TiffPage) and _is_reduced_copy(page, main)]


def _is_reduced_copy(page: tifffile.TiffPage, main: tifffile.TiffPage) -> bool:
    """Whether a page is marked as reduced and has the kind of samples and the aspect ratio of the main page."""
    skew = page.imagelength * main.imagewidth - page.imagewidth * main.imagelength
    return (
        bool(page.subfiletype & _REDUCED)
        and _kind_of_samples(page) == _kind_of_samples(main)
        and abs(skew) <= max(main.imagelength, main.imagewidth)
    )


def _kind_of_samples(page: tifffile.TiffPage) -> tuple[object, ...]:
    return page.photometric, page.dtype, page.samplesperpixel, page.bitspersample, page.extrasamples


def describe_tiff(path: Path) -> FileHeader:
    """Read the header of the main page.

    Raises:
        PictureError: The file is a volume, has unknown channels or signed samples, or ends too early.
    """
    try:
        with open_main_page(path) as page:
            return describe_page(page, path)
    except TypeError as error:  # tifffile expects numbers in certain tags
        raise PictureError(f"{path.name} is a TIFF whose tags are damaged", hint="export it again") from error


def describe_page(page: tifffile.TiffPage, path: Path) -> FileHeader:
    """Read the header of a page; raises what `describe_tiff` raises."""
    _check_numbers(page, path)
    check_not_empty(path.name, page.imagelength, page.imagewidth)
    photometric = _photometric(page, path)
    _check_compression(page, path)
    by_libtiff = _needs_libtiff(page)
    _check_samples(page, path)
    if not has_all_segments(page, path.stat().st_size):
        raise PictureError(f"{path.name} is truncated", hint="copy or download the file again")
    coding = _CODINGS[photometric]
    alpha, channel = (Alpha.NONE, 0) if by_libtiff else _alpha(page)
    if alpha is Alpha.PREMULTIPLIED and coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET, Coding.PALETTE):
        raise PictureError(
            f"{path.name} has {coding} colors with premultiplied alpha",
            hint="save it with straight alpha, or as RGB",
        )
    turn = read_orientation(exif={ORIENTATION: page.tags.valueof("Orientation")}, xmp=_xmp(page))
    name = _NAMES.get(photometric, str(coding if coding is not Coding.WHITE_IS_ZERO else Coding.GRAY))
    bits = 8 if by_libtiff else page.bitspersample
    dtype = "uint8" if by_libtiff else np.dtype(page.dtype).name
    parts = [name] + ["alpha"] * (alpha is not Alpha.NONE)
    packing = page.compression
    return FileHeader(
        path=path,
        format="TIFF",
        mode=" + ".join(parts) + (", float" if dtype.startswith("float") else ""),
        decoder=Decoder.LIBTIFF if by_libtiff else Decoder.TIFFFILE,
        page=page.index,
        stored_height=page.imagelength,
        stored_width=page.imagewidth,
        orientation=turn.value,
        orientation_origin="Orientation tag" if turn.origin == "EXIF" else turn.origin,
        channels=3 if by_libtiff else page.samplesperpixel,
        dtype=dtype,
        bits=bits,
        byte_order=page.parent.byteorder,
        compression=getattr(packing, "name", shorten_text(packing)).lower(),
        coding=coding,
        alpha=alpha,
        alpha_channel=channel,
        palette=_palette(page, path) if coding is Coding.PALETTE else None,
        profile=_profile(page),
        dpi=_dots_per_inch(page),
        file_bytes=path.stat().st_size,
        is_streamable=not by_libtiff and _is_streamed(page, alpha),
    )


def is_sparse(page: tifffile.TiffPage) -> bool:
    """Whether tiles or strips are omitted, which then contain only the "no data" value, as in GeoTIFF."""
    ranges = zip(page.dataoffsets, page.databytecounts, strict=True)
    return any(offset == 0 or count == 0 for offset, count in ranges)


def segment_sides(page: tifffile.TiffPage) -> tuple[int, int]:
    """Return height and width in pixels of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def plane_count(page: tifffile.TiffPage) -> int:
    """Return the number of separately stored planes: one, or as many as channels."""
    return page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1


def _check_numbers(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError if a tag that must be a single positive number is not."""
    names = ["imagelength", "imagewidth", "samplesperpixel", "bitspersample", "imagedepth", "planarconfig"]
    names += ["tilelength", "tilewidth"] if page.is_tiled else ["rowsperstrip"]
    for name in names:
        value = getattr(page, name)
        if not isinstance(value, int) or value < 1:
            raise PictureError(
                f"{path.name} is a TIFF whose {name} is {shorten_text(value)}", hint="export it again"
            )


def _check_compression(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError for a compression that tifffile cannot decode."""
    packing = page.compression
    if not isinstance(packing, int) or packing not in tifffile.TIFF.DECOMPRESSORS:
        name = shorten_text(getattr(packing, "name", packing))
        raise PictureError(
            f"{path.name} is a TIFF with unsupported compression {name}", hint="save it with LZW or deflate"
        )


def _photometric(page: tifffile.TiffPage, path: Path) -> PHOTOMETRIC:
    """Return the photometric interpretation; raises PictureError if it is not supported."""
    stated = page.photometric
    if isinstance(stated, int) and stated in _CODINGS:
        return PHOTOMETRIC(stated)
    kind = shorten_text(getattr(stated, "name", stated))
    raise PictureError(f"{path.name} is a TIFF with {kind} channels", hint="develop or convert it to RGB first")


def _needs_libtiff(page: tifffile.TiffPage) -> bool:
    """Whether libtiff must decode the page: tifffile reads YCbCr only if a JPEG codec converts it to RGB."""
    return page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG


def _check_samples(page: tifffile.TiffPage, path: Path) -> None:
    """Raise PictureError for volumes, and for types and numbers of samples that are not supported."""
    if page.imagedepth != 1:
        raise PictureError(f"{path.name} is a volume", hint="save one slice of it as a picture")
    kind = "" if page.dtype is None else page.dtype.kind
    if kind not in "bufc" or kind in ("", "c"):
        raise PictureError(
            f"{path.name} has samples of type {page.dtype or 'unknown'}",
            hint="convert it to unsigned integers or floats in [0, 1]",
        )
    coding = _CODINGS[PHOTOMETRIC(page.photometric)]
    colors = COLOR_CHANNELS[coding]
    if _needs_libtiff(page) and (page.samplesperpixel, page.bitspersample) != (colors, 8):
        raise PictureError(f"{path.name} is a YCbCr TIFF without 8-bit samples", hint="convert it to RGB first")
    if page.samplesperpixel < colors or len(page.extrasamples) > page.samplesperpixel - colors:
        raise PictureError(
            f"{path.name} has {page.samplesperpixel} channels, {len(page.extrasamples)} of them extra, but "
            f"{coding} needs {colors}",
            hint="convert it to RGB first",
        )
    lab = coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET)
    if lab and np.dtype(page.dtype).name not in ("uint8", "uint16", "float32", "float16", "float64"):
        raise PictureError(
            f"{path.name} has Lab colors of {page.bitspersample} bits", hint="convert it to 8 or 16 bits"
        )


def has_all_segments(page: tifffile.TiffPage, file_bytes: int) -> bool:
    """Whether all strips or tiles lie inside the file: decoders would not notice missing ones.

    Args:
        page: The page.
        file_bytes: Size of the file.
    """
    height, width = segment_sides(page)
    across = math.ceil(page.imagewidth / width) if page.is_tiled else 1
    expected = math.ceil(page.imagelength / height) * across * plane_count(page)
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) != expected or len(counts) != expected:
        return False
    segment_ends = [start + count for start, count in zip(offsets, counts, strict=True) if start and count]
    if page.is_contiguous and not is_sparse(page):
        segment_ends.append(offsets[0] + page.nbytes)  # the byte count of a single strip may be wrong
    elif page.compression == COMPRESSION.NONE:
        channels = page.samplesperpixel // plane_count(page)
        row_bytes = -(-width * channels * page.bitspersample // 8)
        last = height if page.is_tiled else (page.imagelength - 1) % height + 1
        if any(0 < count < min(height, last) * row_bytes for count in counts):
            return False
    return max(segment_ends, default=0) <= file_bytes


def _palette(page: tifffile.TiffPage, path: Path) -> NDArray[np.uint8]:
    """Return the colors [n, 3] of the palette; raises PictureError without a valid one."""
    table = page.colormap
    if table is None or table.shape != (3, 2**page.bitspersample) or page.bitspersample > 16:
        raise PictureError(
            f"{path.name} is a palette TIFF without a valid palette", hint="convert it to RGB first"
        )
    # The specification demands 16-bit colors; some writers store 8-bit ones.
    return np.ascontiguousarray((table >> 8 if table.max() > 255 else table).astype(np.uint8).T)


def _profile(page: tifffile.TiffPage) -> bytes | None:
    profile = page.tags.valueof("InterColorProfile")
    return bytes(profile) if profile else None


def _xmp(page: tifffile.TiffPage) -> bytes:
    content = page.tags.valueof(_XMP)
    return content.encode("utf-8", "replace") if isinstance(content, str) else bytes(content or b"")


def _dots_per_inch(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return dots per inch (x, y); None if the file does not state them, or states them without a unit."""
    unit = page.tags.valueof("ResolutionUnit", default=2)
    ratios = [page.tags.valueof(tag) for tag in ("XResolution", "YResolution")]
    if unit not in (2, _CENTIMETER) or any(not isinstance(ratio, tuple) or len(ratio) != 2 for ratio in ratios):
        return None
    if any(0 in ratio for ratio in ratios):
        return None
    return plausible_dpi([ratio[0] / ratio[1] for ratio in ratios], 2.54 if unit == _CENTIMETER else 1.0)


def _alpha(page: tifffile.TiffPage) -> tuple[Alpha, int]:
    """Return the kind of transparency and the index of the alpha channel.

    Extra channels of unspecified meaning are ignored: they may be spot colors or selections.
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
    is_known = page.compression in _STREAMED_COMPRESSION and page.photometric in _STREAMED_PHOTOMETRIC
    is_plain = (
        page.dtype is not None and page.dtype.name in ("uint8", "uint16") and page.bitspersample in (8, 16)
    )
    colors = COLOR_CHANNELS[_CODINGS[PHOTOMETRIC(page.photometric)]]
    has_extras = page.samplesperpixel != colors + (alpha is Alpha.STRAIGHT)
    is_complete = plane_count(page) == 1 and not is_sparse(page) and not page.is_subifd
    is_supported = is_known and is_plain and is_complete and page.fillorder == 1
    return is_supported and not has_extras and alpha is not Alpha.PREMULTIPLIED
