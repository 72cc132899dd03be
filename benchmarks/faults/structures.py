"""Damage that knows the structure of a file, and so gets further into a reader than a flipped bit.

Chunks of a PNG are edited and get a right checksum; entries of a TIFF's directory and segments of a JPEG are
edited in place. Data of another format is returned as it is.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from benchmarks.faults.mutate import MUTATIONS, NUMBERS

PNG = b"\x89PNG\r\n\x1a\n"
TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    274,
    277,
    278,
    279,
    282,
    284,
    296,
    317,
    320,
    322,
    323,
    338,
    339,
    530,
)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of the chunks, as far as they go."""
    found, at = [], len(PNG)
    while at + 12 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The file of these chunks, with right lengths and checksums."""
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return PNG + b"".join(parts)


def edited_png(data: bytes, draw: random.Random) -> bytes:
    """A chunk is damaged, gone, there twice, elsewhere, or another's."""
    chunks = png_chunks(data) if data.startswith(PNG) else []
    if not chunks:
        return data
    at = draw.randrange(len(chunks))
    name, content = chunks[at]
    way = draw.choice(["content", "content", "content", "packed", "gone", "twice", "moved", "named"])
    if way == "content":
        chunks[at] = name, draw.choice(MUTATIONS)(content, draw)
    elif way == "packed" and name == b"IDAT":
        try:
            chunks[at] = name, zlib.compress(draw.choice(MUTATIONS)(zlib.decompress(content), draw))
        except zlib.error:
            chunks[at] = name, content[:-4]
    elif way == "gone":
        del chunks[at]
    elif way == "twice":
        chunks.insert(draw.randrange(len(chunks) + 1), chunks[at])
    elif way == "moved":
        chunks.insert(draw.randrange(len(chunks)), chunks.pop(at))
    else:
        names = [
            b"iCCP",
            b"eXIf",
            b"tRNS",
            b"PLTE",
            b"acTL",
            b"fcTL",
            b"sBIT",
            b"zTXt",
            b"iTXt",
            b"cICP",
            b"ABCD",
        ]
        chunks[at] = draw.choice(names), content
    return png_of(chunks)


def tiff_entries(data: bytes) -> tuple[str, list[int]]:
    """Byte order and offsets of the entries of the first directory of a classic TIFF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
    if not order or len(data) < 8:
        return "", []
    start = struct.unpack(f"{order}I", data[4:8])[0]
    if start + 2 > len(data):
        return "", []
    count = struct.unpack(f"{order}H", data[start : start + 2])[0]
    places = [start + 2 + 12 * index for index in range(count)]
    return order, [place for place in places if place + 12 <= len(data)]


def edited_tiff(data: bytes, draw: random.Random) -> bytes:
    """An entry of the directory has another tag, type, count or value, or is that of another."""
    order, entries = tiff_entries(data)
    if not entries:
        return data
    at = draw.choice(entries)
    way = draw.choice(["tag", "type", "count", "value", "value", "small", "small", "copy"])
    if way == "tag":
        return data[:at] + struct.pack(f"{order}H", draw.choice(TAGS)) + data[at + 2 :]
    if way == "type":
        return data[: at + 2] + struct.pack(f"{order}H", draw.randrange(0, 20)) + data[at + 4 :]
    if way == "copy":
        other = draw.choice(entries)
        return data[:at] + data[other : other + 12] + data[at + 12 :]
    place = at + 4 if way == "count" else at + 8
    number = draw.randrange(0, 12) if way == "small" else draw.choice(NUMBERS)
    small = struct.pack(f"{order}H", number & 0xFFFF) + data[place + 2 : place + 4]
    whole = struct.pack(f"{order}I", number)
    return data[:place] + draw.choice([small, whole]) + data[place + 4 :]


def edited_jpeg(data: bytes, draw: random.Random) -> bytes:
    """A segment is damaged, with a right length or a wrong one, gone, or there twice."""
    if not data.startswith(b"\xff\xd8"):
        return data
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2 : at + 4])[0]
        segments.append((at, at + 2 + size))
        at += 2 + size
    if not segments:
        return data
    start, end = draw.choice(segments)
    segment = data[start:end]
    way = draw.choice(["content", "content", "length", "gone", "twice"])
    if way == "content":
        content = draw.choice(MUTATIONS)(segment[4:], draw)[:65000]
        segment = segment[:2] + struct.pack(">H", len(content) + 2) + content
    elif way == "length":
        segment = segment[:2] + struct.pack(">H", draw.choice(NUMBERS) & 0xFFFF) + segment[4:]
    return data[:start] + {"gone": b"", "twice": segment * 2}.get(way, segment) + data[end:]


def changed(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Any damage, in a way that fits the file, and its name."""
    fitting: list[Callable[[bytes, random.Random], bytes]] = list(MUTATIONS)
    for magic, edit in (
        (PNG, edited_png),
        (b"II", edited_tiff),
        (b"MM", edited_tiff),
        (b"\xff\xd8", edited_jpeg),
    ):
        if data.startswith(magic):
            fitting += [edit] * len(MUTATIONS)
    mutation = draw.choice(fitting)
    return mutation(data, draw), mutation.__name__
