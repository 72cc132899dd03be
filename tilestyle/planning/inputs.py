"""Pictures that come in, as planes: in memory, or in a mapped file where they are large."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.storage import SMALL, Folder, Store, touched
from tilestyle.errors import PictureError, SettingError
from tilestyle.files.paths import ordinary_file
from tilestyle.images import Picture, Source, filled, gathered, open_source, picture_from, source_from

AMPLE = 4
"""A picture that is read smaller than it is keeps so many times the size that is needed, per axis."""
SPARED = 2**22
"""Pixels that it keeps in any case."""


@dataclass(frozen=True)
class Style:
    """A picture whose style is taken; with a mask, for the regions that have the colours of its parts."""

    picture: object  # whatever holds a picture
    mask: object | None = None  # one of flat colours, or a colour #rrggbb that all of it is for

    @property
    def name(self) -> str:
        """Of its file, if it is one."""
        if isinstance(self.picture, str | os.PathLike):
            return os.path.basename(os.fspath(self.picture))
        name = getattr(self.picture, "name", None)
        return name if isinstance(name, str) else "picture"


def style_list(style: object) -> list[Style]:
    """One style or several, each with the mask it may have; none of None."""
    given = style if isinstance(style, list | tuple) else [style]
    if style is None:
        return []
    if not given:
        raise SettingError("there is no style", hint="give one")
    return [each if isinstance(each, Style) else Style(each) for each in given]


@contextmanager
def opened(given: object, convert_into: Path | None) -> Iterator[Source]:
    """Whatever holds a picture, to be read by windows; a Source is not closed."""
    if isinstance(given, Source):
        yield given
    elif isinstance(given, str | os.PathLike):
        with open_source(given, convert_into) as source:
            yield source
    else:
        yield source_from(picture_from(given))


def ample_sides(own: tuple[int, int], needed: tuple[float, float]) -> tuple[int, int]:
    """Height and width at which a picture is read that is looked at smaller than it is.

    Its own where that is not far more than is needed: pictures of up to 4 x SPARED pixels are always read as
    they are. Otherwise AMPLE times what is needed, so that the resampling that follows decides how it looks.

    Args:
        own: Height and width of the picture, pixels.
        needed: Height and width at which it is looked at, at most.
    """
    height, width = own
    factor = max(AMPLE * needed[0] / height, AMPLE * needed[1] / width, sqrt(SPARED / (height * width)))
    return own if factor > 1 / 2 else (min(height, ceil(height * factor)), min(width, ceil(width * factor)))


def planes_of(
    given: object, store: Store, sides: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Pixels [3, h, w] and alpha [1, h, w], if it has any, of a picture: views of memory, or mapped.

    What is transparent has the colours around it; a Source is taken as it is.

    Args:
        given: Whatever holds a picture.
        store: Where the planes go.
        sides: Height and width to read it at, by area means, where they are smaller than its own.
    """
    if sides is not None:
        with opened(given, None) as source:
            if sides != (source.height, source.width):
                smaller = (source if isinstance(given, Source) else filled(source)).shrunk(*sides)
                return planes_of(source_from(smaller), store)
    folder = store.path if isinstance(store, Folder) else None
    if folder is None and not isinstance(given, Source):
        picture = picture_from(given)
        return _viewed(picture if picture.alpha is None else gathered(filled(source_from(picture))))
    with opened(given, folder) as source:
        source = source if isinstance(given, Source) else filled(source)
        if folder is None or source.height * source.width <= SMALL:
            return _viewed(gathered(source))
        pixels = store.empty(3, source.height, source.width)
        alpha = store.empty(1, source.height, source.width) if source.has_alpha else None
        store.ranks.once(lambda: _copied(source, pixels, alpha))
        return pixels, alpha


def _copied(source: Source, pixels: Tensor, alpha: Tensor | None) -> None:
    """Copy a source to planes [3, h, w] and [1, h, w]."""
    top = 0
    for strip in source.strips():
        values = torch.from_numpy(strip).permute(2, 0, 1)
        rows = slice(top, top + values.shape[1])
        pixels[:, rows] = values[:3]
        if alpha is not None:
            alpha[:, rows] = values[3:]
        touched(values)
        top = rows.stop


def _viewed(picture: Picture) -> tuple[Tensor, Tensor | None]:
    alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)[None]
    return torch.from_numpy(picture.pixels).permute(2, 0, 1), alpha


def check_visible(source: Source, unit: int, role: str) -> None:
    """Raise PictureError for what a network sees nothing of."""
    if min(source.height, source.width) < unit:
        raise PictureError(
            f"{role} {source.name or 'picture'} is {source.width} x {source.height} pixels, "
            f"the layers in use see nothing under {unit}",
            hint="give a larger picture or shallower layers",
        )


def digest(given: object) -> str:
    """SHA-256 of what holds a picture: of a file's bytes, or of the pixels.

    Raises PictureError for a file that cannot be read.
    """
    if isinstance(given, str | os.PathLike):
        with ordinary_file(given).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    sums = hashlib.sha256()
    with opened(given, None) as source:
        for strip in source.strips():
            sums.update(np.ascontiguousarray(strip).data)
    return sums.hexdigest()
