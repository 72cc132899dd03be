"""Writing a PDF of one page, the picture, strip by strip: with its boxes, marks, profile and print condition.

Libraries hold the compressed picture in memory; here only the rows that are being written are.
"""

from __future__ import annotations

import os
import re
import time
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

from tilestyle.errors import OutputError
from tilestyle.images.page_boxes import Insets, PageBoxes

SIDE_LIMIT = 2**31 - 1
"""Largest height or width of a picture in pixels; the size of the page is limited, too (`check_page`)."""

_POINT = 72.0  # units of a page in an inch
_MILLIMETER = _POINT / 25.4
_PAGE_LIMIT = 14400.0  # units: 200 inches, or 5.08 meters, in Acrobat and all that follow it
_MARK_LENGTH = 5 * _MILLIMETER
_MARK_GAP = 1 * _MILLIMETER  # from the bleed to the marks
_LEAST_DISTANCE = 3 * _MILLIMETER  # from the cut to the marks
_MARGIN = 2 * _MILLIMETER  # from the marks to the edge of the page
_COLOR_SPACES = {1: "/DeviceGray", 3: "/DeviceRGB", 4: "/DeviceCMYK"}
_KEY = "Tilestyle"  # of the settings among the facts of the document
_TAIL_BYTES = 1 << 22  # at the end of the file, in which the settings are

_LENGTHS = {4: 10, 5: 11, 6: 12, 8: 13}  # objects with the lengths of the streams, by those of the streams
_STORED = re.compile(rb"/Tilestyle <([0-9A-F]*)>")

Pieces = Iterable[bytes]


@dataclass(frozen=True, slots=True)
class PdfFacts:
    """What a PDF states in addition to its pixels.

    Attributes:
        profile: ICC profile of the samples.
        profile_name: Its description.
        is_printer: Whether it is that of a press or printer, which makes the file a PDF/X-4.
        dpi: Dots per inch, which give the size of the page.
        title: Title of the document.
        software: Name of the program.
        settings: Settings to store; None for none.
        boxes: What is cut off, and marks.
    """

    profile: bytes
    profile_name: str
    is_printer: bool
    dpi: float
    title: str
    software: str
    settings: str | None
    boxes: PageBoxes


@dataclass(frozen=True, slots=True)
class PdfPicture:
    """The encoded picture.

    Attributes:
        pieces: Its bytes, drawn as they are written.
        height: Pixels.
        width: Pixels.
        channels: 1, 3 or 4.
        bits: Bits per channel.
        is_jpeg: Whether the bytes are a JPEG file, and not compressed rows (`write_png.compress_rows`).
    """

    pieces: Pieces
    height: int
    width: int
    channels: int
    bits: int
    is_jpeg: bool


def check_page(height: int, width: int, dpi: float, boxes: PageBoxes) -> None:
    """Raise OutputError if a page with this picture would be larger than PDF allows."""
    sides = _page_sides(height, width, dpi, boxes)
    if max(sides) > _PAGE_LIMIT:
        raise OutputError(
            f"a page of {max(sides) / _MILLIMETER / 1000:.1f} m exceeds the limit of PDF, 5.08 m",
            hint="give --scale 1:10, or write TIFF",
        )
    if min(sides) < 3:  # units; also a limit of Acrobat
        raise OutputError("the page would be smaller than 1 mm", hint="give a larger --print or a lower --dpi")


def write_pdf(file: BinaryIO, picture: PdfPicture, facts: PdfFacts) -> None:
    """Write a PDF 1.6 of one page. It is a PDF/X-4 if the profile is that of a press or printer.

    Args:
        file: The open file.
        picture: The encoded picture.
        facts: Profile, size and the rest.
    """
    page = _Page(picture, facts)
    document = uuid.uuid5(uuid.NAMESPACE_URL, f"{facts.title} {facts.settings} {_now()}")
    out = _Objects(file)
    out.raw(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
    out.add(1, "<< /Type /Catalog /Pages 2 0 R /Metadata 8 0 R /OutputIntents [7 0 R] >>")
    out.add(2, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
    out.add(3, page.dictionary())
    out.stream(4, "", [page.content().encode("ascii")])
    out.stream(5, page.picture_entries(), picture.pieces)
    profile = zlib.compress(facts.profile)
    out.stream(6, f"/N {picture.channels} /Filter /FlateDecode", [profile])
    out.add(7, _output_intent(facts))
    out.stream(8, "/Type /Metadata /Subtype /XML", [_metadata(facts, document).encode("utf-8")])
    out.add(9, _information(facts))
    out.finish(root=1, information=9, document=document)


def is_pdf(path: Path) -> bool:
    """Whether a file starts as a PDF."""
    with path.open("rb") as file:
        return file.read(5) == b"%PDF-"


def stored_settings(file: BinaryIO) -> str | None:
    """Return the settings that a PDF of tilestyle stores; None if it has none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    match = _STORED.search(file.read())
    return None if match is None else bytes.fromhex(match[1].decode("ascii")).decode("ascii", "replace")


class _Objects:
    """Objects of a PDF, written one after the other; a stream states its length in the object after it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._offset = file, 0
        self._offsets: dict[int, int] = {}

    def raw(self, content: bytes) -> None:
        """Write bytes as they are."""
        self._file.write(content)
        self._offset += len(content)

    def add(self, number: int, content: str) -> None:
        """Write an object."""
        self._offsets[number] = self._offset
        self.raw(f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1"))

    def stream(self, number: int, entries: str, pieces: Pieces) -> None:
        """Write a stream, and its length as an object of its own, because it is not known before."""
        self._offsets[number] = self._offset
        self.raw(f"{number} 0 obj\n<< {entries} /Length {_LENGTHS[number]} 0 R >>\nstream\n".encode("latin-1"))
        start = self._offset
        for piece in pieces:
            self.raw(piece)
        length = self._offset - start
        self.raw(b"\nendstream\nendobj\n")
        self.add(_LENGTHS[number], str(length))

    def finish(self, *, root: int, information: int, document: uuid.UUID) -> None:
        """Write the table of offsets and the end of the file."""
        start = self._offset
        size, name = len(self._offsets) + 1, document.hex
        self.raw(f"xref\n0 {size}\n0000000000 65535 f \n".encode("ascii"))
        self.raw(b"".join(b"%010d 00000 n \n" % self._offsets[number] for number in range(1, size)))
        self.raw(
            f"trailer\n<< /Size {size} /Root {root} 0 R /Info {information} 0 R /ID [<{name}> <{name}>] >>\n"
            f"startxref\n{start}\n%%EOF\n".encode("ascii")
        )


class _Page:
    """The page: where its boxes and marks lie, in units from the lower left corner."""

    def __init__(self, picture: PdfPicture, facts: PdfFacts) -> None:
        self._picture, self._facts = picture, facts
        self._unit = _POINT / facts.dpi  # units of a pixel
        self._width, self._height = picture.width * self._unit, picture.height * self._unit
        self._margin = _margin(facts.dpi, facts.boxes)

    def dictionary(self) -> str:
        """The page object."""
        media = (0.0, 0.0, self._width + 2 * self._margin, self._height + 2 * self._margin)
        spaces = ""
        if self._facts.boxes.marks:
            # On all plates, whatever the inks are called; shown as black.
            tint = "<< /FunctionType 2 /Domain [0 1] /C0 [1] /C1 [0] /N 1 >>"
            spaces = f" /ColorSpace << /All [/Separation /All /DeviceGray {tint}] >>"
        return (
            f"<< /Type /Page /Parent 2 0 R /MediaBox {_box(media)} /BleedBox {_box(self._inset(Insets()))} "
            f"/TrimBox {_box(self._inset(self._facts.boxes.trim))} /Contents 4 0 R "
            f"/Resources << /XObject << /Picture 5 0 R >>{spaces} >> >>"
        )

    def content(self) -> str:
        """What is drawn: the picture, and marks."""
        at = f"{_number(self._margin)} {_number(self._margin)}"
        drawn = f"q {_number(self._width)} 0 0 {_number(self._height)} {at} cm /Picture Do Q\n"
        boxes = self._facts.boxes
        if boxes.marks:
            drawn += "q /All CS 1 SCN 0.25 w\n" + self._marks(boxes.trim)
            drawn += ("[2 2] 0 d\n" + self._marks(boxes.fold) if boxes.fold else "") + "Q\n"
        return drawn

    def picture_entries(self) -> str:
        """The entries of the picture's dictionary."""
        picture = self._picture
        # A CMYK picture is in the inks of the output intent, which gives them their colors.
        space = "/DeviceCMYK" if picture.channels == 4 else "[/ICCBased 6 0 R]"
        entries = (
            f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} "
            f"/BitsPerComponent {picture.bits} /ColorSpace {space} "
        )
        if picture.is_jpeg:  # JPEG files store inks inverted, as Photoshop began to
            return (
                entries + f"/Filter /DCTDecode{' /Decode [1 0 1 0 1 0 1 0]' if picture.channels == 4 else ''}"
            )
        bits = f"/BitsPerComponent {picture.bits} /Columns {picture.width}"
        parameters = f"/Predictor 15 /Colors {picture.channels} {bits}"
        return entries + f"/Filter /FlateDecode /DecodeParms << {parameters} >>"

    def _inset(self, insets: Insets) -> tuple[float, float, float, float]:
        """Left, bottom, right and top of a box inside the picture."""
        left, bottom = self._margin + insets.left * self._unit, self._margin + insets.bottom * self._unit
        right = self._margin + self._width - insets.right * self._unit
        return left, bottom, right, self._margin + self._height - insets.top * self._unit

    def _marks(self, insets: Insets) -> str:
        """Two lines at every corner, in the extension of the edges of a box, outside the picture."""
        left, bottom, right, top = self._inset(insets)
        width, height = self._width + 2 * self._margin, self._height + 2 * self._margin
        span = _MARGIN, _MARGIN + _MARK_LENGTH
        lines = [(x, y0, x, y1) for x in (left, right) for y0, y1 in (span, [height - y for y in span])]
        lines += [(x0, y, x1, y) for y in (bottom, top) for x0, x1 in (span, [width - x for x in span])]
        return "".join(
            f"{_number(x0)} {_number(y0)} m {_number(x1)} {_number(y1)} l S\n" for x0, y0, x1, y1 in lines
        )


def _page_sides(height: int, width: int, dpi: float, boxes: PageBoxes) -> tuple[float, float]:
    margin = _margin(dpi, boxes)
    return height * _POINT / dpi + 2 * margin, width * _POINT / dpi + 2 * margin


def _margin(dpi: float, boxes: PageBoxes) -> float:
    """Units between the picture and the edge of the page, where the marks are."""
    if not boxes.marks:
        return 0.0
    nearest = min(boxes.trim) * _POINT / dpi  # from the cut to the edge of the picture
    return max(_MARK_GAP, _LEAST_DISTANCE - nearest) + _MARK_LENGTH + _MARGIN


def _output_intent(facts: PdfFacts) -> str:
    kind = "/GTS_PDFX" if facts.is_printer else "/GTS_PDFA1"
    name = _text(facts.profile_name)
    return (
        f"<< /Type /OutputIntent /S {kind} /OutputConditionIdentifier {name} /Info {name} "
        "/DestOutputProfile 6 0 R >>"
    )


def _information(facts: PdfFacts) -> str:
    date = _text(time.strftime("D:%Y%m%d%H%M%SZ", _now()))
    entries = f"/Title {_text(facts.title)} /Creator {_text(facts.software)} /Producer {_text(facts.software)} "
    entries += f"/CreationDate {date} /ModDate {date} /Trapped /False"
    if facts.is_printer:
        entries += " /GTS_PDFXVersion (PDF/X-4)"
    if facts.settings is not None:
        entries += f" /{_KEY} <{facts.settings.encode('ascii').hex().upper()}>"
    return f"<< {entries} >>"


def _metadata(facts: PdfFacts, document: uuid.UUID) -> str:
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", _now())
    version = "<pdfxid:GTS_PDFXVersion>PDF/X-4</pdfxid:GTS_PDFXVersion>" if facts.is_printer else ""
    spaces = {
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
        "pdf": "http://ns.adobe.com/pdf/1.3/",
        "pdfxid": "http://www.npes.org/pdfx/ns/id/",
    }
    named = " ".join(f'xmlns:{short}="{full}"' for short, full in spaces.items())
    title = f'<rdf:Alt><rdf:li xml:lang="x-default">{escape(facts.title)}</rdf:li></rdf:Alt>'
    software = escape(facts.software)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {named}><dc:title>{title}</dc:title>'
        f"<xmp:CreatorTool>{software}</xmp:CreatorTool><xmp:CreateDate>{date}</xmp:CreateDate>"
        f"<xmp:ModifyDate>{date}</xmp:ModifyDate><xmp:MetadataDate>{date}</xmp:MetadataDate>"
        f"<xmpMM:DocumentID>uuid:{document}</xmpMM:DocumentID><xmpMM:VersionID>1</xmpMM:VersionID>"
        f"<xmpMM:RenditionClass>default</xmpMM:RenditionClass><pdf:Producer>{software}</pdf:Producer>"
        f"<pdf:Trapped>False</pdf:Trapped>{version}</rdf:Description></rdf:RDF></x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    )


def _now() -> time.struct_time:
    """The time that a PDF must state; SOURCE_DATE_EPOCH gives another one, for files with the same bytes."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.gmtime(int(stated) if stated.isdecimal() else None)


def _box(corners: tuple[float, float, float, float]) -> str:
    return f"[{' '.join(map(_number, corners))}]"


def _number(value: float) -> str:
    """A length to a hundred-thousandth of a unit, without an exponent."""
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    """A text string: in parentheses, or as UTF-16 if it has other characters than ASCII."""
    if text.isascii() and text.isprintable():
        return "(" + re.sub(r"([()\\])", r"\\\1", text) + ")"
    return "<" + ("\ufeff" + text).encode("utf-16-be").hex().upper() + ">"
