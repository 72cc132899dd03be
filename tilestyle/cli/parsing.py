"""Values of options, from their text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tilestyle.config.enums import Init
from tilestyle.errors import PictureError, SettingError, excerpt
from tilestyle.files.paths import is_regular_file
from tilestyle.pictures import NAMES


@dataclass(frozen=True)
class StyleFile:
    """The file of a style, and the file or the color of its mask."""

    path: Path
    mask: Path | str | None = None


def parse_styles(texts: list[str]) -> list[StyleFile]:
    """Styles from STYLE, STYLE:MASK or STYLE:#rrggbb; file names may contain colons."""
    styles = []
    for text in texts:
        name, colon, last = text.rpartition(":")
        is_color = len(last) == 7 and last.startswith("#")
        mask: Path | str | None = last if is_color else Path(last)
        if not colon or is_regular_file(text) or not (is_color or _is_picture(last) or _is_picture(name)):
            name, mask = text, None
        if not name or (mask is not None and not last):  # Path("") would be the current folder
            empty = "a style's mask" if name else "a style"
            raise PictureError(f"the name of {empty} is empty", hint="give STYLE, STYLE:MASK or STYLE:#rrggbb")
        styles.append(StyleFile(Path(name), mask))
    return styles


def _is_picture(name: str) -> bool:
    return name in NAMES or is_regular_file(name)


def parse_blend(text: str | None) -> tuple[float, ...]:
    """Weights of several styles."""
    try:
        return () if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            f"invalid style-blend {excerpt(text)}", hint="give numbers such as 0.3,0.7"
        ) from None


def parse_sweeps(text: str | None) -> int | tuple[int, ...] | None:
    """The same number of sweeps for every level, or one number for each."""
    if text is None:
        return None
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            f"invalid sweeps {excerpt(text)}", hint="give whole numbers such as 40, or 40,20,10"
        ) from None
    return counts if len(counts) > 1 else counts[0]


def format_sweeps(sweeps: int | tuple[int, ...] | None) -> str | None:
    """Sweeps as `parse_sweeps` reads them."""
    return ",".join(map(str, sweeps)) if isinstance(sweeps, tuple) else None if sweeps is None else str(sweeps)


def parse_layers(texts: list[str] | None) -> dict[str, float]:
    """Layer names with their weights, from NAME or NAME=WEIGHT."""
    layers: dict[str, float] = {}
    for text in texts or []:
        name, equals, weight = text.partition("=")
        try:
            layers[name.strip()] = float(weight) if equals else 1.0
        except ValueError:
            raise SettingError(
                f"invalid weight in layer {excerpt(text)}", hint="give NAME or NAME=0.5"
            ) from None
    return layers


def parse_odds(text: str) -> tuple[float, ...]:
    """Probabilities of the scales 1, 2, 4, ..."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            f"invalid scale-odds {excerpt(text)}", hint="give numbers such as 1, or 0.9,0.1"
        ) from None


def parse_positions(texts: list[str] | None) -> tuple[tuple[float, float], ...]:
    """Positions X,Y as fractions of the image: (down, across)."""
    positions = []
    for text in texts or []:
        try:
            across, down = (float(part) for part in text.split(","))
        except ValueError:
            raise SettingError(
                f"invalid position {excerpt(text)} in --at", hint="give X,Y as fractions, such as 0.5,0.25"
            ) from None
        positions.append((down, across))
    return tuple(positions)


def parse_init(text: str | None) -> Init | Path | None:
    """A kind of starting image, or the name of an image file."""
    if text == "grey":
        return Init.GRAY
    return Init(text) if text in set(Init) else None if text is None else Path(text)
