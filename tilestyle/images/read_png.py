"""Reading the chunks of PNG files: the header, and a stream of the chunks that a decoder needs.

Decoders only get the chunks of the pixels. Metadata (profiles, texts, EXIF) is read here, so that a decoder
cannot fail on it, warn about it, or be influenced by it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tilestyle.errors import PictureError
from tilestyle.images.cicp import Cicp
from tilestyle.images.file_header import Alpha, Coding, Decoder, FileHeader
from tilestyle.images.metadata import (
    IMAGE_DESCRIPTION,
    exif_dpi,
    exif_tags,
    parse_raw_profile,
    plausible_dpi,
    read_orientation,
    split_app1,
)
from tilestyle.images.pixel_limit import check_not_empty
from tilestyle.images.write_png import SIDE_LIMIT, SIGNATURE

_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_BITS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 3, _GRAY_ALPHA: 2, _RGB_ALPHA: 4}
_NAMES = {
    _GRAY: "gray",
    _RGB: "RGB",
    _PALETTE: "palette",
    _GRAY_ALPHA: "gray + alpha",
    _RGB_ALPHA: "RGB + alpha",
}
_KEY_BYTES = {_GRAY: 2, _RGB: 6}
_INTERLACED = 1

_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_METADATA_CHUNKS = (b"iCCP", b"cICP", b"eXIf", b"pHYs", b"PLTE", b"tRNS")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_CONTENT_LIMIT = 1 << 26  # bytes of a metadata chunk: a longer one is damaged
_UNPACKED_LIMIT = 1 << 26  # bytes of an inflated profile or text
_TEXT_KEYWORDS = ("tilestyle", "XML:com.adobe.xmp")
_RAW_KEYWORDS = ("Raw profile type exif", "Raw profile type APP1", "Raw profile type xmp")
_COPY_BYTES = 1 << 18
_PIXELS_PER_METER, _METERS_PER_INCH = 1, 0.0254


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk of a PNG.

    Attributes:
        kind: Its four letters.
        start: Offset of its content in the file.
        length: Length of its content in bytes.
    """

    kind: bytes
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class PngInfo:
    """The header and the metadata of a PNG.

    Attributes:
        height: Stored height in pixels.
        width: Stored width in pixels.
        bits: Bits per sample.
        color_type: Color type as in the PNG specification.
        interlaced: Whether the pixels are interlaced.
        chunks: Content of metadata chunks by kind; of several, the first.
        texts: Content of text chunks by keyword; of several, the first.
    """

    height: int
    width: int
    bits: int
    color_type: int
    interlaced: bool
    chunks: dict[bytes, bytes]
    texts: dict[str, bytes]

    @property
    def has_color_key(self) -> bool:
        """Whether a valid tRNS chunk makes colors transparent."""
        content = self.chunks.get(b"tRNS")
        if content is None:
            return False
        if self.color_type == _PALETTE:
            return 0 < len(content) <= len(self.chunks.get(b"PLTE", b"")) // 3
        return len(content) == _KEY_BYTES.get(self.color_type)

    @property
    def exif(self) -> bytes:
        """Content of the eXIf chunk."""
        return self.chunks.get(b"eXIf", b"")


def describe_png(path: Path) -> FileHeader:
    """Read the header of a PNG; raises PictureError if it is damaged."""
    info = read_png_info(path)
    raw_exif, xmp = b"", _xmp(info)
    for keyword in _RAW_KEYWORDS:
        content = parse_raw_profile(info.texts.get(keyword, b""))
        if keyword == _RAW_KEYWORDS[2]:
            xmp = xmp or content
            continue
        app1_exif, app1_xmp = split_app1(content)
        raw_exif, xmp = raw_exif or app1_exif, xmp or app1_xmp
    tags = exif_tags(info.exif)
    turn = read_orientation(exif=tags, raw=exif_tags(raw_exif), xmp=xmp)
    has_alpha = info.has_color_key or info.color_type in (_GRAY_ALPHA, _RGB_ALPHA)
    colors = 1 if info.color_type in (_GRAY, _GRAY_ALPHA) else 3
    channels = _CHANNELS[info.color_type] + info.has_color_key
    name = "black and white" if (info.color_type, info.bits) == (_GRAY, 1) else _NAMES[info.color_type]
    return FileHeader(
        path=path,
        format="PNG",
        mode=f"{name} + alpha" if info.has_color_key else name,
        decoder=Decoder.LIBVIPS,
        stored_height=info.height,
        stored_width=info.width,
        orientation=turn.value,
        orientation_origin=turn.origin,
        channels=channels,
        dtype="uint16" if info.bits == 16 else "uint8",
        bits=16 if info.bits == 16 else 8,  # decoders stretch fewer bits to 8
        byte_order=">" if info.bits == 16 else "",
        compression="deflate, interlaced" if info.interlaced else "deflate",
        coding=Coding.GRAY if colors == 1 else Coding.RGB,
        alpha=Alpha.STRAIGHT if has_alpha else Alpha.NONE,
        alpha_channel=colors,
        profile=_color_profile(info),
        dpi=_dpi(info) or exif_dpi(tags),
        file_bytes=path.stat().st_size,
        is_streamable=True,
    )


def read_png_info(path: Path) -> PngInfo:
    """Read the header and the metadata chunks of a PNG, including those after the pixels.

    Reading stops at damage, and a chunk with a wrong checksum is ignored. The decoder finds damaged pixels.

    Raises:
        PictureError: The header is missing or damaged, or the picture has fewer than two pixels.
    """
    chunks: dict[bytes, bytes] = {}
    texts: dict[str, bytes] = {}
    header: tuple[int, int, int, int, int] | None = None
    with path.open("rb") as file:
        for chunk in _chunks(path):
            if header is None:
                file.seek(chunk.start)
                header = _parse_header(file.read(13)) if chunk.kind == b"IHDR" else None
                if header is None:
                    break
            is_needed = chunk.kind in _TEXTS or (chunk.kind in _METADATA_CHUNKS and chunk.kind not in chunks)
            if not is_needed or chunk.length > _CONTENT_LIMIT:
                continue
            file.seek(chunk.start)
            content, check = file.read(chunk.length), file.read(4)
            if check != struct.pack(">I", zlib.crc32(content, zlib.crc32(chunk.kind))):
                continue
            if chunk.kind in _TEXTS:
                keyword, text = _parse_text(chunk.kind, content)
                texts.setdefault(keyword, text)
            else:
                chunks[chunk.kind] = content
    if header is None:
        raise PictureError(
            f"{path.name} cannot be read: its PNG header is damaged",
            hint="copy or download the file again",
        )
    check_not_empty(path.name, header[0], header[1])
    return PngInfo(header[0], header[1], header[2], header[3], bool(header[4]), chunks, texts)


def pixel_stream(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a PNG in pieces, without the chunks that a decoder does not need."""
    transparent = read_png_info(path).has_color_key
    yield SIGNATURE
    with path.open("rb") as file:
        for chunk in _chunks(path):
            if chunk.kind not in _PIXEL_CHUNKS or (chunk.kind == b"tRNS" and not transparent):
                continue
            file.seek(chunk.start - 8)
            remaining = chunk.length + 12
            while remaining and (piece := file.read(min(remaining, _COPY_BYTES))):
                yield piece
                remaining -= len(piece)


def provenance_texts(path: Path) -> tuple[object, object]:
    """Read the two fields that may contain settings: the text of our keyword, and the description in EXIF."""
    info = read_png_info(path)
    settings_text = info.texts.get("tilestyle")
    description = exif_tags(info.exif).get(IMAGE_DESCRIPTION)
    return (None if settings_text is None else settings_text.decode("utf-8", "replace")), description


def _xmp(info: PngInfo) -> bytes:
    """Return the XMP packet among the texts."""
    return info.texts.get("XML:com.adobe.xmp", b"")


def _chunks(path: Path) -> Iterator[_Chunk]:
    """Yield the chunks of a PNG in order, up to the end or to damage."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != SIGNATURE:
            return
        position = 8
        while True:
            file.seek(position)
            head = file.read(8)
            if len(head) < 8:
                return
            length, kind = struct.unpack(">I4s", head)
            if not kind.isalpha():
                return
            yield _Chunk(kind, position + 8, length)
            position += 12 + length
            if kind == b"IEND" or position > size:
                return


def _parse_header(content: bytes) -> tuple[int, int, int, int, int] | None:
    """Parse height, width, bits, color type and interlacing; None if the values are invalid."""
    if len(content) < 13:
        return None
    width, height, bits, color_kind, packing, filtering, interlaced = struct.unpack(">IIBBBBB", content)
    sides_fit = 0 < height <= SIDE_LIMIT and 0 < width <= SIDE_LIMIT
    is_known = bits in _BITS.get(color_kind, ()) and packing == filtering == 0 and interlaced <= _INTERLACED
    return (height, width, bits, color_kind, interlaced) if sides_fit and is_known else None


def _parse_text(kind: bytes, content: bytes) -> tuple[str, bytes]:
    """Parse keyword and text of a text chunk; both are empty for other keywords, the text if it is damaged."""
    name, _, rest = content.partition(b"\0")
    keyword = name.decode("latin-1")
    if keyword not in (*_TEXT_KEYWORDS, *_RAW_KEYWORDS):
        return "", b""
    if kind == b"tEXt":
        return keyword, rest
    if kind == b"zTXt":
        return keyword, _inflate(rest[1:]) or b""
    packed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword, (_inflate(text) or b"") if packed else text


def _inflate(content: bytes) -> bytes | None:
    """Inflate a profile or text; None if it is damaged or longer than the limit."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, _UNPACKED_LIMIT)
    except zlib.error:
        return None
    return inflated if inflater.eof else None


def _color_profile(info: PngInfo) -> bytes | Cicp | None:
    """Return code points or else an ICC profile, the precedence of the PNG specification.

    For a profile that cannot be inflated, invalid bytes are returned, so that it is reported as broken.
    """
    code = info.chunks.get(b"cICP", b"")
    if len(code) == 4 and code[2] == 0:  # matrix coefficients of RGB, the only ones allowed in a PNG
        code_points = Cicp(code[0], code[1], full_range=code[3] != 0)
        if code_points.is_known:
            return code_points
    content = info.chunks.get(b"iCCP")
    if content is None:
        return None
    packed = content.partition(b"\0")[2][1:]
    return _inflate(packed) or b"?"


def _dpi(info: PngInfo) -> tuple[float, float] | None:
    """Return dots per inch (x, y) from the pHYs chunk; None without a unit."""
    content = info.chunks.get(b"pHYs", b"")
    if len(content) != 9 or content[8] != _PIXELS_PER_METER:
        return None
    return plausible_dpi(struct.unpack(">II", content[:8]), _METERS_PER_INCH)
