"""Pictures as a colour mode shows them to the renderer."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tilestyle.config import Color
from tilestyle.luminance import grey
from tilestyle.palette import Palette, matched
from tilestyle.planes import Store

NOT_STYLE = ("content", "init")


def recoloured(
    mode: Color, pictures: Mapping[str, Tensor], palette: Palette, store: Store
) -> dict[str, Tensor]:
    """Pictures [3, h, w] by role; a style takes its colours from `palette`, that of the whole content."""
    found = dict(pictures)
    for role, picture in pictures.items():
        style = role not in NOT_STYLE
        if mode is Color.LUMINANCE:
            found[role] = grey(picture, store, palette if style else None)
        elif mode is Color.CONTENT and style:
            found[role] = matched(picture, palette, store)
    return found
