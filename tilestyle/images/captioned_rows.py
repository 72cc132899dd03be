"""A white sheet with rows of pictures, captions above them and labels on their left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tilestyle.images.picture import Picture
from tilestyle.images.strips import composite_on_white, quantize

_GAP = 12  # pixels between pictures and around them
_FONT_SHARE = 1 / 24  # font size as a share of the longest side of a picture
_FONT_SIZES = (11, 28)  # smallest and largest font size in pixels
_LEADING = 1.5  # height of a line as a multiple of the font size


@dataclass(frozen=True)
class CaptionedRow:
    """A row of pictures.

    Attributes:
        cells: The pictures with their captions, which may be empty.
        label: Text on the left of the row.
    """

    cells: Sequence[tuple[str, Picture]]
    label: str = ""


def draw_captioned_rows(rows: Sequence[CaptionedRow], title: str = "") -> Picture:
    """Draw a sheet of rows; a column is as wide as its widest picture or caption.

    Args:
        rows: The rows, from top to bottom; at least one with a picture.
        title: Text above all rows.
    """
    sides = [side for row in rows for _, picture in row.cells for side in (picture.height, picture.width)]
    size = round(min(max(_FONT_SHARE * max(sides), _FONT_SIZES[0]), _FONT_SIZES[1]))
    font = ImageFont.load_default(size)
    line = round(_LEADING * size)
    lefts = [_GAP + max(_text_width(font, row.label) for row in rows)]
    lefts[0] += _GAP * (lefts[0] > _GAP)
    for column in range(max(len(row.cells) for row in rows)):
        cells = [row.cells[column] for row in rows if column < len(row.cells)]
        widest = max(max(picture.width, _text_width(font, caption)) for caption, picture in cells)
        lefts.append(lefts[-1] + widest + _GAP)
    heights = [
        line * any(caption for caption, _ in row.cells) + max(picture.height for _, picture in row.cells) + _GAP
        for row in rows
    ]
    title_height = line + _GAP if title else 0
    width = max(lefts[-1], _text_width(font, title) + 2 * _GAP * bool(title))
    sheet = Image.new("RGB", (width, _GAP + title_height + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, fill="black", font=font)
    top = _GAP + title_height
    for row, height in zip(rows, heights, strict=True):
        caption_height = line * any(caption for caption, _ in row.cells)
        draw.text((_GAP, top + caption_height), row.label, fill="black", font=font)
        for left, (caption, picture) in zip(lefts, row.cells, strict=False):
            draw.text((left, top), caption, fill="black", font=font)
            sheet.paste(pillow_on_white(picture), (left, top + caption_height))
        top += height
    return Picture(np.asarray(sheet).astype(np.float32) / np.float32(255))


def _text_width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return round(font.getlength(text)) if text else 0


def pillow_on_white(picture: Picture) -> Image.Image:
    """Convert a picture to a Pillow image, RGB with 8 bits per channel, composited on white."""
    pixels = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    return Image.fromarray(quantize(composite_on_white(pixels), 8, picture.name))
