"""What of a printed page is cut off, and where marks show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Insets(NamedTuple):
    """Distances from the edges of a picture, in pixels."""

    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    left: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is any distance."""
        return any(self)


_NONE = Insets()


@dataclass(frozen=True, slots=True)
class PageBoxes:
    """The boxes of a page. The picture is all that is printed: the bleed box.

    Attributes:
        trim: From the edges of the picture to the cut.
        fold: From the edges of the picture to where it is folded, as round the edge of a canvas; 0 for no fold.
        marks: Whether crop marks, and marks of the folds, are drawn outside the picture.
    """

    trim: Insets = _NONE
    fold: Insets = _NONE
    marks: bool = False
