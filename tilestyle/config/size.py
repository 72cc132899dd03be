"""Sizes of pictures: whole numbers for a long side, and width and height, in settings, options and files."""

from __future__ import annotations

from tilestyle.errors import SettingError, excerpt

LARGEST_SIDE = 2**32 - 1  # pixels: of TIFF, the largest that can be written

LONG_SIDES = {"2k": 1920, "4k": 3840, "8k": 7680, "16k": 15360}
"""Sizes by the names that screens have: the long side in pixels."""


def parse_size(text: str | None, more: str = "") -> int | tuple[int, int] | None:
    """Parse a size such as "2048" or "4k", a long side, or "3000x2000", width and height; pixels.

    Args:
        text: The size.
        more: What else the caller understands, for the hint of an error.

    Returns:
        The long side, or (width, height); None for None.

    Raises:
        SettingError: The text is malformed, or a side is below 1 or above LARGEST_SIDE.
    """
    if text is None:
        return None
    if (side := LONG_SIDES.get(text.strip().lower())) is not None:
        return side
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() for part in parts):
        raise SettingError(
            f"invalid size {excerpt(text)}", hint=f"give a long side such as 2048 or 4k, or 3000x2000{more}"
        )
    digits = len(str(LARGEST_SIDE))
    sides = [int(part) if len(part.lstrip("0")) <= digits else LARGEST_SIDE + 1 for part in parts]
    if min(sides) < 1:
        raise SettingError(f"invalid size {excerpt(text)}", hint="give at least 1 pixel per side")
    if max(sides) > LARGEST_SIDE:
        raise SettingError(
            f"size {excerpt(text)} is too large", hint=f"give at most {LARGEST_SIDE} pixels per side"
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def format_size(size: int | tuple[int, int] | None) -> str | None:
    """Format a size as `parse_size` reads it."""
    stored = stored_size(size)
    return None if stored is None else str(stored)


def stored_size(size: int | tuple[int, int] | None) -> int | str | None:
    """Return a size as files store it: a number, or text such as "3000x2000".

    Text, because the lists of older files are (height, width): `reuse.with_current_names` reads those.
    """
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else size
