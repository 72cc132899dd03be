"""Numbers as people read them: never 2.21e+03."""

from __future__ import annotations

from math import floor, isfinite, log10

_LARGEST, _SMALLEST = 1e15, 1e-9  # beyond these a power of ten is easier to read


def format_number(value: float, digits: int = 6) -> str:
    """Format a number with some significant digits, but never less than its whole part.

    There is nothing between thousands, so that it can be typed as an option.

    Args:
        value: The number.
        digits: Significant digits of a number with decimals; zeros at the end are left out.
    """
    if not value or not isfinite(value) or not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_percent(share: float) -> str:
    """Format a share in percent with two digits: "56 %", "5.7 %"."""
    return f"{format_number(100 * share, 2)} %"


def format_megapixels(pixels: float) -> str:
    """Format a number of pixels: "0.25 megapixels", "38.4 megapixels", "2,210 megapixels"."""
    megapixels = pixels / 1e6
    return (
        f"{megapixels:,.0f} megapixels" if megapixels >= 999.5 else f"{format_number(megapixels, 3)} megapixels"
    )
