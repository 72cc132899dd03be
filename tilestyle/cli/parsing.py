"""What words on the command line mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.config.enums import Init, Intent
from tilestyle.errors import SettingError, excerpt
from tilestyle.files.paths import is_file
from tilestyle.geometry.paper import Fit, parsed_length, parsed_paper

if TYPE_CHECKING:
    from tilestyle.recipes.printing import Printing


LARGEST_SIDE = 2**32 - 1  # pixels: of TIFF, the largest that can be written


@dataclass(frozen=True)
class StyleFile:
    """A style's file, and that of its mask or its colour."""

    path: Path
    mask: Path | str | None = None


def parsed_size(text: str | None) -> int | tuple[int, int] | None:
    """A long side, or (height, width) of WIDTHxHEIGHT; pixels."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() for part in parts):
        raise SettingError(f"size {excerpt(text)} is no size", hint="give a long side like 2048, or 3000x2000")
    digits = len(str(LARGEST_SIDE))
    sides = [int(part) if len(part.lstrip("0")) <= digits else LARGEST_SIDE + 1 for part in parts]
    if min(sides) < 1:
        raise SettingError(f"size {excerpt(text)} is no size", hint="give 1 pixel or more a side")
    if max(sides) > LARGEST_SIDE:
        raise SettingError(
            f"size {excerpt(text)} is too large", hint=f"give at most {LARGEST_SIDE} pixels a side"
        )
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])


def parsed_printing(
    paper: str | None,
    dpi: float | None,
    fit: Fit,
    bleed: str,
    stroke: str | None,
    proof: Path | None,
    intent: Intent,
) -> Printing:
    """What is asked for of paper and ink."""
    from tilestyle.images import open_proof
    from tilestyle.recipes.printing import Printing

    return Printing(
        paper=None if paper is None else parsed_paper(paper),
        dpi=dpi,
        fit=fit,
        bleed=parsed_length(bleed, "bleed"),
        stroke=stroke,
        proof=None if proof is None else open_proof(proof, intent),
    )


def parsed_styles(texts: list[str]) -> list[StyleFile]:
    """Styles from STYLE, STYLE:MASK or STYLE:#rrggbb; a colon that is part of a name stays one."""
    found = []
    for text in texts:
        name, colon, mask = text.rpartition(":")
        is_colour = len(mask) == 7 and mask.startswith("#")
        if not colon or is_file(text) or not (is_colour or is_file(mask) or is_file(name)):
            found.append(StyleFile(Path(text)))
        else:
            found.append(StyleFile(Path(name), mask if is_colour else Path(mask)))
    return found


def parsed_blend(text: str | None) -> tuple[float, ...]:
    """Weights of styles."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SettingError(
            f"style-blend {excerpt(text)} are no numbers", hint="give weights such as 0.3,0.7"
        ) from None


def parsed_sweeps(text: str | None) -> int | tuple[int, ...] | None:
    """Sweeps of every level, or of each."""
    if text is None:
        return None
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(f"sweeps {excerpt(text)} are no numbers", hint="give 40, or 40,20,10") from None
    return counts if len(counts) > 1 else counts[0]


def parsed_layers(texts: list[str] | None) -> dict[str, float]:
    """Layer names with their weights, from NAME or NAME=WEIGHT."""
    layers: dict[str, float] = {}
    for text in texts or []:
        name, _, weight = text.partition("=")
        try:
            layers[name.strip()] = float(weight) if weight else 1.0
        except ValueError:
            raise SettingError(
                f"layer {excerpt(text)} has no number for a weight", hint="give NAME=0.5"
            ) from None
    return layers


def parsed_odds(text: str) -> tuple[float, ...]:
    """Shares of scales 1, 2, 4, ..."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingError(f"scale-odds {excerpt(text)} are no numbers", hint="give 1 or 0.9,0.1") from None


def parsed_places(texts: list[str] | None) -> tuple[tuple[float, float], ...]:
    """Places X,Y as shares of a picture: (down, across)."""
    found = []
    for text in texts or []:
        try:
            across, down = (float(part) for part in text.split(","))
        except ValueError:
            raise SettingError(
                f"at {excerpt(text)} is no place X,Y", hint="give shares like 0.5,0.25"
            ) from None
        found.append((down, across))
    return tuple(found)


def parsed_init(text: str | None) -> Init | Path | None:
    """A way to begin, or the name of a picture file."""
    return Init(text) if text in set(Init) else None if text is None else Path(text)
