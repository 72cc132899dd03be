"""Papers that have a name: ISO 216, North American sizes, and prints of photographs."""

from __future__ import annotations

import difflib

_INCH = 25.4  # mm

_ISO = {
    "A0": (841, 1189),
    "A1": (594, 841),
    "A2": (420, 594),
    "A3": (297, 420),
    "A4": (210, 297),
    "A5": (148, 210),
    "A6": (105, 148),
    "B0": (1000, 1414),
    "B1": (707, 1000),
    "B2": (500, 707),
    "B3": (353, 500),
    "B4": (250, 353),
    "B5": (176, 250),
    "B6": (125, 176),
    "A3+": (329, 483),
}
_INCHES = {"letter": (8.5, 11), "legal": (8.5, 14), "tabloid": (11, 17), "ledger": (11, 17)}
# Photo sizes that everyone means in the same unit. 20x30 is sold in inches and in centimeters: it needs a unit.
_PHOTOS_INCHES = {"4x6": (4, 6), "5x7": (5, 7), "8x10": (8, 10), "11x14": (11, 14), "16x20": (16, 20)}
_PHOTOS_CENTIMETERS = {"9x13": (9, 13), "10x15": (10, 15), "13x18": (13, 18)}

PAPERS: dict[str, tuple[float, float]] = {
    **_ISO,
    **{name: (short * _INCH, long * _INCH) for name, (short, long) in (_INCHES | _PHOTOS_INCHES).items()},
    **{name: (10.0 * short, 10.0 * long) for name, (short, long) in _PHOTOS_CENTIMETERS.items()},
}
"""The short and the long side of each paper, in millimeters."""

PAPERS_IN_WORDS = (
    "A0 to A6, B0 to B6, A3+, letter, legal, tabloid, ledger, or a photo size such as 4x6 or 10x15"
)

_KEYS = {name.lower(): name for name in PAPERS} | {"a3plus": "A3+", "super-b": "A3+", "superb": "A3+"}
_KEYS |= {"x".join(reversed(name.split("x"))): name for name in (*_PHOTOS_INCHES, *_PHOTOS_CENTIMETERS)}


def named_paper(text: str) -> tuple[float, float] | None:
    """Return the sides of a paper, short and long, in millimeters; None for a name that is not known.

    Case does not matter, and a photo size may be named from either side: 4x6 and 6x4 are the same paper.
    """
    name = _KEYS.get(_key(text))
    return None if name is None else PAPERS[name]


def unit_of_named(text: str) -> str:
    """Return the unit in which a paper is sold: mm for A2 and for names that are not known."""
    name = _KEYS.get(_key(text))
    if name in _INCHES or name in _PHOTOS_INCHES:
        return "in"
    return "cm" if name in _PHOTOS_CENTIMETERS else "mm"


def similar_name(text: str) -> str | None:
    """Return the paper whose name is most similar to a misspelled one; None if none is."""
    near = difflib.get_close_matches(_key(text), _KEYS, n=1, cutoff=0.7)
    return _KEYS[near[0]] if near else None


def _key(text: str) -> str:
    return "".join(text.lower().replace("×", "x").split())
