"""Windows of the style pictures that correspond to places of the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilestyle.geometry.boxes import Box, CanvasExtent, Patch, round_up, split_on_torus
from tilestyle.planning.style_images import STYLE_PADDING, PaddedStyle
from tilestyle.stats.moments import Moments, mix_moments

# Smallest side of a style window, in units: fewer cells have no useful covariance.
MIN_WINDOW_UNITS = 2


@dataclass(frozen=True)
class StyleWindows:
    """The windows of the styles that correspond to places of a canvas.

    A place of the picture corresponds to the proportional place of each style, and a window is as large a part
    of its style as the patch is of the picture. If a patch wraps around the torus, each of its parts has a
    window.

    Attributes:
        styles: Share of each style, and the style at the sizes at which its layers see it.
        extent: Size of the canvas, and where the picture lies in it.
        scale: Canvas pixels averaged into a patch pixel, per axis.
    """

    styles: Sequence[tuple[float, Sequence[PaddedStyle]]]
    extent: CanvasExtent
    scale: int

    def moments(self, patch: Patch) -> dict[str, Moments]:
        """Return the moments of every layer in the windows of a patch.

        It takes one forward pass for each window, whose size does not exceed that of the patch.
        """
        parts_by_layer: dict[str, list[tuple[float, Moments]]] = {}
        for part in self._picture_parts(patch.owned):
            for share, padded_styles in self.styles:
                for padded_style in padded_styles:
                    for layer, moments in padded_style.window_moments(
                        *self._style_window(part, padded_style)
                    ).items():
                        parts_by_layer.setdefault(layer, []).append((share * part.area, moments))
        return {
            layer: mix_moments([moments for _, moments in parts], [weight for weight, _ in parts])
            for layer, parts in parts_by_layer.items()
        }

    def _picture_parts(self, box: Box) -> list[Box]:
        """Return the parts of the picture under a box of the torus, relative to its corner.

        For a box in the margin alone, it is the nearest pixel row, column or corner of the picture.
        """
        picture = self.extent.picture
        parts = []
        for part, _, _ in split_on_torus(box, self.extent.height, self.extent.width):
            top, height = _clip_span(part.top - picture.top, part.height, picture.height)
            left, width = _clip_span(part.left - picture.left, part.width, picture.width)
            parts.append(Box(top, left, height, width))
        visible = [part for part in parts if part.area]
        return visible or [
            Box(part.top, part.left, max(part.height, 1), max(part.width, 1)) for part in parts[:1]
        ]

    def _style_window(self, part: Box, style: PaddedStyle) -> tuple[Box, int]:
        """Return the window in a style for a part of the picture, and the halo around it that the network gets.

        The halo extends the window to the size of the part. So its cells are affected by padding where those of
        a patch are, and nowhere else.
        """
        picture, size, unit = self.extent.picture, style.size, style.unit
        top, height, halo_above = self._window_span(
            part.top, part.height, size.height / picture.height, style.padded_height, unit
        )
        left, width, halo_left = self._window_span(
            part.left, part.width, size.width / picture.width, style.padded_width, unit
        )
        return Box(top, left, height, width), min(max(halo_above, halo_left), STYLE_PADDING // unit * unit)

    def _window_span(
        self, start: int, length: int, factor: float, size: int, unit: int
    ) -> tuple[int, int, int]:
        """Compute one axis of a window, in pixels of the style.

        Args:
            start: Start of the part of the picture, pixels.
            length: Length of the part, pixels.
            factor: Length of the style over that of the picture.
            size: Padded length of the style, pixels.
            unit: Deepest stride in use, pixels.

        Returns:
            Start and length of the window, and the halo on either side.
        """
        patch_length = round_up(max(1, length // self.scale), unit)
        proportional = max(MIN_WINDOW_UNITS * unit, round(length * factor / unit) * unit)
        window_length = min(proportional, max(patch_length, MIN_WINDOW_UNITS * unit), size)
        centered_start = round((start + length / 2) * factor - window_length / 2)
        return (
            max(0, min(centered_start, size - window_length)),
            window_length,
            max(0, (patch_length - window_length) // 2 // unit * unit),
        )


def _clip_span(start: int, length: int, size: int) -> tuple[int, int]:
    """Clip a span to [0, size), and return its start and length.

    If it lies outside, the result has length 0, at the nearest end.
    """
    first, last = (min(max(place, 0), size - 1) for place in (start, start + length))
    if start + length > size and start < size:
        last = size
    return first, last - first
