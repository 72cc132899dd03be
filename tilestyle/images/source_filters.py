"""Sources that modify another source window by window: cropping, soft proof, filling of transparency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tilestyle.images.alpha import fill_transparent_pixels
from tilestyle.images.area_average import PictureAccumulator
from tilestyle.images.bilinear import bilinear_window
from tilestyle.images.color_management import working_profile
from tilestyle.images.output_color import OutputColor, ShownColors
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.soft_proof import Proof
from tilestyle.images.source import ImageSource, check_downsample_size, check_inside

_FILL_SIDE = 1024
"""Long side in pixels of the downsampled picture that fills transparent areas; it need not be sharper."""


def crop_source(source: ImageSource, top: int, left: int, height: int, width: int) -> ImageSource:
    """Crop a source to a window.

    Args:
        source: The source.
        top: First row of the window in pixels.
        left: First column.
        height: Height of the window, which must lie inside the source.
        width: Width of the window.
    """
    check_inside(source, top, left, height, width)
    return (
        source
        if (height, width) == (source.height, source.width)
        else _CroppedSource(source, top, left, height, width)
    )


def soft_proof(source: ImageSource, proof: Proof) -> ImageSource:
    """Show a source in the colors that a press would print."""
    return _ProofedSource(source, replace(proof, colors=working_profile()))


def shown_in(source: ImageSource, color: OutputColor) -> ImageSource:
    """Show a source in the colors that a file has; the colors stay those of the source."""
    return _ProofedSource(source, ShownColors(color, working_profile()))


def fill_transparent(source: ImageSource) -> ImageSource:
    """Fill the transparent areas of a source with the colors around them; its alpha is unchanged.

    The colors stored there are arbitrary, often black, and a network would see an edge at their border.
    Visible pixels keep their colors. The first window reads the whole source once.
    """
    return _FilledSource(source) if source.has_alpha else source


class _WrappedSource(ImageSource):
    """A source with the facts of another one."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self.name, self.height, self.width = source.name, source.height, source.width
        self.depth, self.profile, self.dpi = source.depth, source.profile, source.dpi
        self.has_alpha = source.has_alpha

    def conversion_bytes(self) -> int:
        """Return what the wrapped source returns."""
        return self._source.conversion_bytes()

    @contextmanager
    def converting_into(self, folder: Path) -> Iterator[None]:
        """As in the other source."""
        with self._source.converting_into(folder):
            yield

    def close(self) -> None:
        """Close the wrapped source."""
        self._source.close()


class _CroppedSource(_WrappedSource):
    def __init__(self, source: ImageSource, top: int, left: int, height: int, width: int) -> None:
        super().__init__(source)
        self._top, self._left, self.height, self.width = top, left, height, width

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Read a window of the crop."""
        check_inside(self, top, left, height, width)
        return self._source.window(self._top + top, self._left + left, height, width)

    def downsample(self, height: int, width: int) -> Picture:
        """Downsample the crop, which is read once in strips at full size."""
        check_downsample_size(self, height, width)
        mean = PictureAccumulator((self.height, self.width), (height, width))
        for strip in self.strips():
            mean.add(strip)
        return replace(mean.picture(self.name), depth=self.depth, profile=self.profile)


class _ProofedSource(_WrappedSource):
    def __init__(self, source: ImageSource, proof: Callable[[FloatArray], FloatArray]) -> None:
        super().__init__(source)
        self._proof = proof

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Read a window as printed."""
        return self._apply_proof(self._source.window(top, left, height, width))

    def downsample(self, height: int, width: int) -> Picture:
        """Downsample the source, then apply the proof."""
        return self._apply_proof(self._source.downsample(height, width))

    def _apply_proof(self, picture: Picture) -> Picture:
        return replace(picture, pixels=self._proof(picture.pixels))


class _FilledSource(_WrappedSource):
    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Read a window, filled with colors interpolated from the small picture."""
        picture = self._source.window(top, left, height, width)
        assert picture.alpha is not None, "a source with alpha has it in every window"
        if picture.alpha.all():
            return picture
        fill = bilinear_window(self._fill_colors, self.height, self.width, (top, left, height, width))
        return replace(picture, pixels=np.where(picture.alpha[..., None] > 0, picture.pixels, fill))

    def downsample(self, height: int, width: int) -> Picture:
        """Downsample the source, then fill it."""
        small = self._source.downsample(height, width)
        assert small.alpha is not None, "a source with alpha has it at every size"
        return replace(small, pixels=fill_transparent_pixels(small.pixels, small.alpha))

    @cached_property
    def _fill_colors(self) -> FloatArray:
        """Pixels [h, w, 3] of the small filled picture."""
        factor = min(1.0, _FILL_SIDE / max(self.height, self.width))
        return self.downsample(*(max(1, round(side * factor)) for side in (self.height, self.width))).pixels
