"""Windows of the style pictures that belong to places of a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilestyle.geometry.boxes import Box, Extent, Patch, pieces, rounded_up
from tilestyle.planning.style_images import SURROUNDINGS, Exhibit
from tilestyle.stats.moments import Moments, combined

# Units that a window of the style is long at the least: fewer cells have no covariance to speak of.
UNITS = 2


@dataclass(frozen=True)
class Windows:
    """The windows of the styles that belong to the places of a canvas.

    A place of the picture belongs to the proportional one of each style; a window is as large a part of its
    style as the patch is of the picture. Where a patch goes round the torus, each of its parts has a window.
    """

    styles: Sequence[tuple[float, Sequence[Exhibit]]]  # share, and the style as its layers see it
    extent: Extent
    scale: int

    def moments(self, patch: Patch) -> dict[str, Moments]:
        """Moments of every layer in the windows of a patch: one forward pass for each, of no more than it."""
        found: dict[str, list[tuple[float, Moments]]] = {}
        for part in self._parts(patch.owned):
            for share, exhibits in self.styles:
                for exhibit in exhibits:
                    for layer, moments in exhibit.part(*self._window(part, exhibit)).items():
                        found.setdefault(layer, []).append((share * part.area, moments))
        return {
            layer: combined([moments for _, moments in parts], [weight for weight, _ in parts])
            for layer, parts in found.items()
        }

    def _parts(self, box: Box) -> list[Box]:
        """What a box shows of the picture, from its corner; of margin alone, the pixels nearest to it."""
        picture = self.extent.picture
        parts = []
        for part, _, _ in pieces(box, self.extent.height, self.extent.width):
            top, height = _clipped(part.top - picture.top, part.height, picture.height)
            left, width = _clipped(part.left - picture.left, part.width, picture.width)
            parts.append(Box(top, left, height, width))
        shown = [part for part in parts if part.area]
        return shown or [
            Box(part.top, part.left, max(part.height, 1), max(part.width, 1)) for part in parts[:1]
        ]

    def _window(self, part: Box, exhibit: Exhibit) -> tuple[Box, int]:
        """The window of a part of the picture in a style, and how far around it the network looks.

        It is shown with surroundings up to the part's own size: so its cells know padding where a patch's do,
        and nowhere else.
        """
        picture, size, unit = self.extent.picture, exhibit.size, exhibit.unit
        top, height, above = self._span(part.top, part.height, size.height / picture.height, exhibit.rows, unit)
        left, width, before = self._span(
            part.left, part.width, size.width / picture.width, exhibit.columns, unit
        )
        return Box(top, left, height, width), min(max(above, before), SURROUNDINGS // unit * unit)

    def _span(self, start: int, length: int, factor: float, whole: int, unit: int) -> tuple[int, int, int]:
        """One axis of a window: start, length, and by how much the part is longer on either side; pixels."""
        seen = rounded_up(max(1, length // self.scale), unit)
        wanted = max(UNITS * unit, round(length * factor / unit) * unit)
        taken = min(wanted, max(seen, UNITS * unit), whole)
        first = round((start + length / 2) * factor - taken / 2)
        return max(0, min(first, whole - taken)), taken, max(0, (seen - taken) // 2 // unit * unit)


def _clipped(start: int, length: int, whole: int) -> tuple[int, int]:
    """The part of a span that lies in [0, whole); at its nearest end, of no length, where none does."""
    first, last = (min(max(place, 0), whole - 1) for place in (start, start + length))
    if start + length > whole and start < whole:
        last = whole
    return first, last - first
