"""PNG files as they are read: what their chunks say, and the chunks that a decoder needs.

Decoders get the chunks of the pixels and no others. What is beside them (profiles, texts, EXIF) is read here,
so that a decoder can neither fail on it, nor warn, nor decide anything by it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tilestyle.errors import PictureError
from tilestyle.images.cicp import Cicp
from tilestyle.images.file_header import Alpha, Coding, Decoder, Description
from tilestyle.images.metadata import (
    IMAGE_DESCRIPTION,
    exif_dpi,
    exif_tags,
    raw_profile,
    sane_dpi,
    split_app1,
    turn_of,
)
from tilestyle.images.pixel_limit import check_content
from tilestyle.images.write_png import SIDE_LIMIT, SIGNATURE

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_BITS = {
    _GREY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 3, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_NAMES = {
    _GREY: "grey",
    _RGB: "RGB",
    _PALETTE: "palette",
    _GREY_ALPHA: "grey + alpha",
    _RGB_ALPHA: "RGB + alpha",
}
_KEY_BYTES = {_GREY: 2, _RGB: 6}
_INTERLACED = 1

_DECODED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_KEPT = (b"iCCP", b"cICP", b"eXIf", b"pHYs", b"PLTE", b"tRNS")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_CONTENT_LIMIT = 1 << 26  # no ancillary chunk of a picture needs 64 MiB: a longer one is damage
_UNPACKED_LIMIT = 1 << 26  # nor does a profile or text, unpacked
_TEXT_KEYWORDS = ("tilestyle", "XML:com.adobe.xmp")
_RAW_KEYWORDS = ("Raw profile type exif", "Raw profile type APP1", "Raw profile type xmp")
_COPY_BYTES = 1 << 18
_PIXELS_PER_METRE, _METRES_PER_INCH = 1, 0.0254


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int  # of its content in the file
    length: int


@dataclass(frozen=True, slots=True)
class PngFacts:
    """What a PNG holds beside its pixels: first chunks of their kind, and texts by their keywords."""

    height: int
    width: int
    bits: int
    colour_type: int
    interlaced: bool
    chunks: dict[bytes, bytes]
    texts: dict[str, bytes]

    @property
    def transparent(self) -> bool:
        """Whether a tRNS chunk makes colours transparent, which it may not do everywhere."""
        content = self.chunks.get(b"tRNS")
        if content is None:
            return False
        if self.colour_type == _PALETTE:
            return 0 < len(content) <= len(self.chunks.get(b"PLTE", b"")) // 3
        return len(content) == _KEY_BYTES.get(self.colour_type)

    @property
    def exif(self) -> bytes:
        """The content of the eXIf chunk."""
        return self.chunks.get(b"eXIf", b"")


def describe_png(path: Path) -> Description:
    """Describe a PNG. Raises PictureError when its header is none."""
    facts = facts_of(path)
    raw_exif, xmp = b"", _xmp(facts)
    for keyword in _RAW_KEYWORDS:
        content = raw_profile(facts.texts.get(keyword, b""))
        if keyword == _RAW_KEYWORDS[2]:
            xmp = xmp or content
            continue
        found_exif, found_xmp = split_app1(content)
        raw_exif, xmp = raw_exif or found_exif, xmp or found_xmp
    tags = exif_tags(facts.exif)
    turn = turn_of(exif=tags, raw=exif_tags(raw_exif), xmp=xmp)
    has_alpha = facts.transparent or facts.colour_type in (_GREY_ALPHA, _RGB_ALPHA)
    colours = 1 if facts.colour_type in (_GREY, _GREY_ALPHA) else 3
    channels = _CHANNELS[facts.colour_type] + facts.transparent
    name = "black and white" if (facts.colour_type, facts.bits) == (_GREY, 1) else _NAMES[facts.colour_type]
    return Description(
        path=path,
        format="PNG",
        mode=f"{name} + alpha" if facts.transparent else name,
        decoder=Decoder.LIBVIPS,
        stored_height=facts.height,
        stored_width=facts.width,
        orientation=turn.value,
        orientation_from=turn.origin,
        channels=channels,
        dtype="uint16" if facts.bits == 16 else "uint8",
        bits=16 if facts.bits == 16 else 8,  # fewer are stretched by decoders
        byte_order=">" if facts.bits == 16 else "",
        packing="deflate, interlaced" if facts.interlaced else "deflate",
        coding=Coding.GREY if colours == 1 else Coding.RGB,
        alpha=Alpha.STRAIGHT if has_alpha else Alpha.NONE,
        alpha_channel=colours,
        profile=_colours(facts),
        dpi=_dpi(facts) or exif_dpi(tags),
        file_bytes=path.stat().st_size,
        streamed=True,
    )


def facts_of(path: Path) -> PngFacts:
    """Read the chunks of a PNG, those after the pixels too. Raises PictureError when it has no header.

    Damage ends the reading, and a chunk whose checksum is wrong counts as absent: whether pixels are damaged
    is for their decoder to say.
    """
    chunks: dict[bytes, bytes] = {}
    texts: dict[str, bytes] = {}
    header: tuple[int, int, int, int, int] | None = None
    with path.open("rb") as file:
        for chunk in _chunks(path):
            if header is None:
                file.seek(chunk.start)
                header = _header(file.read(13)) if chunk.kind == b"IHDR" else None
                if header is None:
                    break
            wanted = chunk.kind in _TEXTS or (chunk.kind in _KEPT and chunk.kind not in chunks)
            if not wanted or chunk.length > _CONTENT_LIMIT:
                continue
            file.seek(chunk.start)
            content, check = file.read(chunk.length), file.read(4)
            if check != struct.pack(">I", zlib.crc32(content, zlib.crc32(chunk.kind))):
                continue
            if chunk.kind in _TEXTS:
                keyword, text = _text(chunk.kind, content)
                texts.setdefault(keyword, text)
            else:
                chunks[chunk.kind] = content
    if header is None:
        raise PictureError(
            f"{path.name} is not a picture in a format that can be read: its PNG header is damaged",
            hint="fetch it again",
        )
    check_content(path.name, header[0], header[1])
    return PngFacts(header[0], header[1], header[2], header[3], bool(header[4]), chunks, texts)


def pixel_stream(path: Path) -> Iterator[bytes]:
    """A PNG in pieces, without the chunks that pixels do not need."""
    transparent = facts_of(path).transparent
    yield SIGNATURE
    with path.open("rb") as file:
        for chunk in _chunks(path):
            if chunk.kind not in _DECODED or (chunk.kind == b"tRNS" and not transparent):
                continue
            file.seek(chunk.start - 8)
            left = chunk.length + 12
            while left and (piece := file.read(min(left, _COPY_BYTES))):
                yield piece
                left -= len(piece)


def provenance_texts(path: Path) -> tuple[object, object]:
    """What a PNG keeps where its writer's settings may be: the text for them, and EXIF's description."""
    facts = facts_of(path)
    own = facts.texts.get("tilestyle")
    return (None if own is None else own.decode("utf-8", "replace")), exif_tags(facts.exif).get(
        IMAGE_DESCRIPTION
    )


def _xmp(facts: PngFacts) -> bytes:
    """The XMP packet among the texts."""
    return facts.texts.get("XML:com.adobe.xmp", b"")


def _chunks(path: Path) -> Iterator[_Chunk]:
    """Places of the chunks of a PNG in order, to its end or to damage."""
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


def _header(content: bytes) -> tuple[int, int, int, int, int] | None:
    """Height, width, bits, colour type and interlacing; None for what a header cannot say."""
    if len(content) < 13:
        return None
    width, height, bits, colour_type, packing, filtering, interlaced = struct.unpack(">IIBBBBB", content)
    sides_fit = 0 < height <= SIDE_LIMIT and 0 < width <= SIDE_LIMIT
    known = bits in _BITS.get(colour_type, ()) and packing == filtering == 0 and interlaced <= _INTERLACED
    return (height, width, bits, colour_type, interlaced) if sides_fit and known else None


def _text(kind: bytes, content: bytes) -> tuple[str, bytes]:
    """Keyword and text of a text chunk; nothing of texts that nobody asks for, or that are damaged."""
    name, _, rest = content.partition(b"\0")
    keyword = name.decode("latin-1")
    if keyword not in (*_TEXT_KEYWORDS, *_RAW_KEYWORDS):
        return "", b""
    if kind == b"tEXt":
        return keyword, rest
    if kind == b"zTXt":
        return keyword, _unpacked(rest[1:]) or b""
    packed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword, (_unpacked(text) or b"") if packed else text


def _unpacked(content: bytes) -> bytes | None:
    """Inflate; None for what is damaged, or unpacks to more than any profile or text needs."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(content, _UNPACKED_LIMIT)
    except zlib.error:
        return None
    return found if inflater.eof else None


def _colours(facts: PngFacts) -> bytes | Cicp | None:
    """By the precedence of the PNG specification: code points, then a profile.

    A profile that cannot be unpacked is passed on as it is, so that it counts as a broken one and is named so.
    """
    code = facts.chunks.get(b"cICP", b"")
    if len(code) == 4 and code[2] == 0:  # the matrix of RGB: there is no other in a PNG
        found = Cicp(code[0], code[1], full_range=code[3] != 0)
        if found.is_known:
            return found
    content = facts.chunks.get(b"iCCP")
    if content is None:
        return None
    packed = content.partition(b"\0")[2][1:]
    return _unpacked(packed) or b"?"


def _dpi(facts: PngFacts) -> tuple[float, float] | None:
    content = facts.chunks.get(b"pHYs", b"")
    if len(content) != 9 or content[8] != _PIXELS_PER_METRE:
        return None
    return sane_dpi(struct.unpack(">II", content[:8]), _METRES_PER_INCH)
