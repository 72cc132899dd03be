"""A sheet of pictures in rows, with captions above them and labels beside them; on white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tilestyle.images.picture import Picture
from tilestyle.images.strips import on_white, quantised

_GAP = 12  # pixels between pictures, and around all
_SHARE = 1 / 24  # height of letters, of the longest side of a picture
_LETTERS = (11, 28)  # and its bounds, pixels
_LEADING = 1.5  # height of a line of text, of its letters


@dataclass(frozen=True)
class Row:
    """Pictures beside one another, each with its caption (which may be empty), and a label before them."""

    cells: Sequence[tuple[str, Picture]]
    label: str = ""


def captioned(rows: Sequence[Row]) -> Picture:
    """All rows below one another; columns are as wide as their widest picture or caption."""
    sides = [side for row in rows for _, picture in row.cells for side in (picture.height, picture.width)]
    size = round(min(max(_SHARE * max(sides), _LETTERS[0]), _LETTERS[1]))
    font = ImageFont.load_default(size)
    line = round(_LEADING * size)
    lefts = [_GAP + max(_width(font, row.label) for row in rows)]
    lefts[0] += _GAP * (lefts[0] > _GAP)
    for column in range(max(len(row.cells) for row in rows)):
        cells = [row.cells[column] for row in rows if column < len(row.cells)]
        widest = max(max(picture.width, _width(font, caption)) for caption, picture in cells)
        lefts.append(lefts[-1] + widest + _GAP)
    heights = [
        line * any(caption for caption, _ in row.cells) + max(picture.height for _, picture in row.cells) + _GAP
        for row in rows
    ]
    sheet = Image.new("RGB", (lefts[-1], _GAP + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        above = line * any(caption for caption, _ in row.cells)
        draw.text((_GAP, top + above), row.label, fill="black", font=font)
        for left, (caption, picture) in zip(lefts, row.cells, strict=False):
            draw.text((left, top), caption, fill="black", font=font)
            sheet.paste(image_on_white(picture), (left, top + above))
        top += height
    return Picture(np.asarray(sheet).astype(np.float32) / np.float32(255))


def _width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return round(font.getlength(text)) if text else 0


def image_on_white(picture: Picture) -> Image.Image:
    """A picture for Pillow, RGB at 8 bits."""
    pixels = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    return Image.fromarray(quantised(on_white(pixels), 8, picture.name))
