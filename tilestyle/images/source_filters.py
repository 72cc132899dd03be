"""Sources made of others, window by window: a part, colours as printed, what is hidden filled."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from tilestyle.images.alpha import filled_pixels
from tilestyle.images.area_average import AreaMean
from tilestyle.images.bilinear import enlarged
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.soft_proof import Proof
from tilestyle.images.source import Source, check_inside, check_shrinks

_FILL_SIDE = 1024
"""Long side of the copy that fills what is hidden, pixels: it has to be no sharper."""


def cropped(source: Source, top: int, left: int, height: int, width: int) -> Source:
    """The part of a source under a window that lies inside it, pixels."""
    check_inside(source, top, left, height, width)
    return (
        source
        if (height, width) == (source.height, source.width)
        else _Cropped(source, top, left, height, width)
    )


def proofed(source: Source, proof: Proof) -> Source:
    """A source in the colours that a press makes of it."""
    return _Proofed(source, proof)


def filled(source: Source) -> Source:
    """A source with the colours around it where it is transparent; its alpha stays as it is.

    What lies there in the file is arbitrary, often black, and a network would take its edge for one of
    the picture. Pixels that are seen keep their colours. The first window reads the whole source once.
    """
    return _Filled(source) if source.has_alpha else source


class _Derived(Source):
    """All but the pixels as in another source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.height, self.width = source.name, source.height, source.width
        self.depth, self.profile, self.dpi = source.depth, source.profile, source.dpi
        self.has_alpha = source.has_alpha

    def conversion_bytes(self) -> int:
        """As in the other source."""
        return self._source.conversion_bytes()

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


class _Cropped(_Derived):
    def __init__(self, source: Source, top: int, left: int, height: int, width: int) -> None:
        super().__init__(source)
        self._top, self._left, self.height, self.width = top, left, height, width

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """A window of the part."""
        check_inside(self, top, left, height, width)
        return self._source.window(self._top + top, self._left + left, height, width)

    def shrunk(self, height: int, width: int) -> Picture:
        """The part at a smaller size; read in full, once, in strips."""
        check_shrinks(self, height, width)
        mean = AreaMean((self.height, self.width), (height, width))
        for strip in self.strips():
            mean.add(strip)
        return replace(mean.picture(self.name), depth=self.depth, profile=self.profile)


class _Proofed(_Derived):
    def __init__(self, source: Source, proof: Proof) -> None:
        super().__init__(source)
        self._proof = proof

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """A window as printed."""
        return self._printed(self._source.window(top, left, height, width))

    def shrunk(self, height: int, width: int) -> Picture:
        """The smaller picture as printed."""
        return self._printed(self._source.shrunk(height, width))

    def _printed(self, picture: Picture) -> Picture:
        return replace(picture, pixels=self._proof(picture.pixels))


class _Filled(_Derived):
    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """A window, filled from a small copy that is enlarged under it."""
        seen = self._source.window(top, left, height, width)
        assert seen.alpha is not None, "a source with alpha has it in every window"
        if seen.alpha.all():
            return seen
        around = enlarged(self._colours, self.height, self.width, (top, left, height, width))
        return replace(seen, pixels=np.where(seen.alpha[..., None] > 0, seen.pixels, around))

    def shrunk(self, height: int, width: int) -> Picture:
        """The smaller picture, filled."""
        small = self._source.shrunk(height, width)
        assert small.alpha is not None, "a source with alpha has it at every size"
        return replace(small, pixels=filled_pixels(small.pixels, small.alpha))

    @cached_property
    def _colours(self) -> FloatArray:
        factor = min(1.0, _FILL_SIDE / max(self.height, self.width))
        return self.shrunk(*(max(1, round(side * factor)) for side in (self.height, self.width))).pixels
