"""Options for writing pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tilestyle.config.enums import Compression
from tilestyle.config.validation import between, check_fields, ranged_field
from tilestyle.errors import SettingError
from tilestyle.images.output_color import InkMeter, OutputColor
from tilestyle.images.page_boxes import PageBoxes
from tilestyle.images.provenance import Json, provenance_text

_NO_BOXES = PageBoxes()


class WriteSettings(TypedDict, total=False):
    """The fields of `WriteOptions`, as type checkers see them where they are keywords; text for choices."""

    depth: int
    quality: int
    lossless: bool
    compression: Compression | Literal["deflate", "zstd", "lzw", "jpeg", "none"]
    dpi: float | None
    provenance: Mapping[str, Json] | None
    color: OutputColor | None
    flat: bool
    boxes: PageBoxes
    title: str
    ink: InkMeter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Options for writing a picture.

    Attributes:
        depth: Bits per channel: 8, or 16 for PNG, TIFF and PDF.
        quality: Quality from 1 to 100 of JPEG (files, tiles of Deep Zoom, and TIFF with JPEG compression) and
            of lossy WebP.
        lossless: Whether WebP is lossless.
        compression: Compression of TIFF.
        dpi: Dots per inch to store in the file, from 0.1 to 60000. None: nothing is stored.
        provenance: Settings to store in the file. None: nothing is stored.
        color: Colors of the file. None: those of the picture, sRGB.
        flat: Whether a TIFF is one page of strips, without smaller copies.
        boxes: What of a PDF page is cut off after printing, and whether crop marks say where.
        title: Title of a PDF.
        ink: Measures the ink of a CMYK file.

    Raises:
        SettingError: A value is out of range.
    """

    depth: int = ranged_field(8, "8 or 16", between(0, 99))
    quality: int = ranged_field(95, "a number from 1 to 100", between(1, 100), "jpeg-quality")
    lossless: bool = False
    compression: Compression = Compression.DEFLATE
    dpi: float | None = None
    provenance: Mapping[str, Json] | None = None
    color: OutputColor | None = None
    flat: bool = False
    boxes: PageBoxes = _NO_BOXES
    title: str = ""
    ink: InkMeter | None = None

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[WriteSettings]) -> None: ...

    def __post_init__(self) -> None:
        """Validate the fields; raises SettingError."""
        check_fields(self, skip=("provenance", "color", "boxes", "ink"))
        for name, kind in (("color", OutputColor), ("boxes", PageBoxes), ("ink", InkMeter)):
            value = getattr(self, name)
            if not (isinstance(value, kind) or (value is None and name != "boxes")):
                raise SettingError(
                    f"{name} is of the type {type(value).__name__}",
                    hint=f"give a tilestyle.images.{kind.__name__}",
                )
        if self.depth not in (8, 16):
            raise SettingError(f"invalid depth of {self.depth} bits per channel", hint="use 8 or 16")
        if self.dpi is not None and not 0.1 <= self.dpi <= 60000:
            raise SettingError(f"{self.dpi} dots per inch is out of range", hint="use 0.1 to 60000")

    def provenance_text(self) -> str | None:
        """Return the provenance as the text to store; raises SettingError if it is not JSON."""
        return None if self.provenance is None else provenance_text(self.provenance)
