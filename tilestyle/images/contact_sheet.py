"""A contact sheet: a picture, with rows of parts of it below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tilestyle.images.captioned_rows import pillow_on_white
from tilestyle.images.picture import Picture

_GAP = 12  # pixels between pictures
_TAB = 14  # side of the square that holds a number, pixels
_WIDER = 1.6  # largest width of a row of parts before it is wrapped, as a multiple of the picture's width
FrameRect = tuple[float, float, float, float]  # top, left, height and width in pixels of the picture


def contact_sheet(picture: Picture, frames: Sequence[FrameRect], parts: Sequence[Picture]) -> Picture:
    """Draw a picture with numbered frames, and below it the parts with their numbers, on white.

    Args:
        picture: The picture.
        frames: Rectangles to draw on the picture, numbered from 1.
        parts: Pictures to draw below, in rows, numbered from 1.
    """
    row = sum(part.width + _GAP for part in parts) - _GAP
    widest = max((part.width for part in parts), default=0)
    across = max(picture.width, widest, min(row, round(_WIDER * picture.width)))
    spots: list[tuple[int, int]] = []
    top, left, tallest = picture.height + _GAP, 0, 0
    for part in parts:
        if left and left + part.width > across:
            top, left, tallest = top + tallest + _GAP, 0, 0
        spots.append((left, top))
        left, tallest = left + part.width + _GAP, max(tallest, part.height)
    sheet = Image.new("RGB", (across, top + tallest if parts else picture.height), "white")
    sheet.paste(pillow_on_white(picture), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, (y, x, height, width) in enumerate(frames, 1):
        box = round(x), round(y), round(x + width) - 1, round(y + height) - 1
        draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline="black")
        draw.rectangle(box, outline="white")
        _draw_number(draw, number, box[0], box[1])
    for number, (part, spot) in enumerate(zip(parts, spots, strict=True), 1):
        sheet.paste(pillow_on_white(part), spot)
        _draw_number(draw, number, *spot)
    return Picture(np.asarray(sheet).astype(np.float32) / np.float32(255), name=picture.name)


def _draw_number(draw: ImageDraw.ImageDraw, number: int, x: int, y: int) -> None:
    """Draw a number in a white box with its upper left corner at (x, y)."""
    text_width = 4 + 6 * len(str(number))
    draw.rectangle((x, y, x + max(text_width, _TAB - 4), y + _TAB), fill="white", outline="black")
    draw.text((x + 3, y + 2), str(number), fill="black")
