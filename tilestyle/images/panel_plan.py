"""The plan of a mural: the picture small, with its panels numbered from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tilestyle.images.captioned_rows import pillow_on_white
from tilestyle.images.picture import Picture

_GAP = 24  # pixels around the picture
_OVERLAP = (255, 255, 255, 110)


def draw_panel_plan(
    picture: Picture, panels: Sequence[tuple[float, float]], captions: Sequence[str], title: str
) -> Picture:
    """Draw the plan.

    Args:
        picture: The whole print, small.
        panels: Left and right edge of every panel, as shares of the width.
        captions: What stands below every panel, such as its width.
        title: What stands above.
    """
    width, height = picture.width, picture.height
    size = max(12, min(28, width // 50))
    font = ImageFont.load_default(size)
    line = round(1.6 * size)
    top = _GAP + line
    widest = max(width, ceil(font.getlength(title)))  # the title of a narrow picture is wider than it
    sheet = Image.new("RGB", (widest + 2 * _GAP, height + top + 2 * line + _GAP), "white")
    draw = ImageDraw.Draw(sheet, "RGBA")
    draw.text((_GAP, _GAP // 2), title, fill="black", font=font)
    sheet.paste(pillow_on_white(picture), (_GAP, top))
    edges = [(round(_GAP + left * width), round(_GAP + right * width)) for left, right in panels]
    for (_, right), (left, _) in pairwise(edges):  # what two panels share
        draw.rectangle((left, top, right, top + height - 1), fill=_OVERLAP)
    number_font = ImageFont.load_default(max(size, min(4 * size, height // 3)))
    for number, ((left, right), caption) in enumerate(zip(edges, captions, strict=True), 1):
        draw.line((left, top - 6, left, top + height + 6), fill="black", width=2)
        draw.line((right, top - 6, right, top + height + 6), fill="black", width=2)
        middle = (left + right) / 2, top + height / 2
        draw.text(
            middle,
            str(number),
            fill="white",
            font=number_font,
            anchor="mm",
            stroke_width=3,
            stroke_fill="black",
        )
        below = top + height + line * (0.75 if number % 2 else 1.6)  # neighbors do not run into each other
        draw.text((middle[0], below), caption, fill="black", font=font, anchor="mm")
    return Picture(np.asarray(sheet).astype(np.float32) / np.float32(255))
