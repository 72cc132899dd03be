"""Numbers in messages and tables."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import tilestyle
from tilestyle.cli.inputs import _times
from tilestyle.cli.print_file import decimal
from tilestyle.config.readable import format_megapixels, format_number

# A number that a person reads: formatted with g, 2210 in three digits is 2.21e+03. Constants are no danger.
G_FORMAT = re.compile(r"\{(?![A-Z_]+:)[^{}\"]*:[0-9.]*g\}")
# Words of a command, a diagnosis of numbers that are out of all range, a timeout that the program sets.
EXEMPT = {"distributed.py", "cli/options.py", "studio/settings.py", "recipes/looks.py", "networks/energy.py"}


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (2210.4, 3, "2210"),
        (1e6, 6, "1000000"),
        (0.1 + 0.2, 6, "0.3"),
        (12345.6, 4, "12346"),
        (256, 2, "256"),
        (999.96, 3, "1000"),
        (0.000012, 4, "0.000012"),
        (-5.5, 3, "-5.5"),
        (300.0, 6, "300"),
        (0, 3, "0"),
        (1e30, 3, "1e+30"),
        (math.inf, 3, "inf"),
    ],
)
def test_numbers_have_no_exponent(value: float, digits: int, shown: str) -> None:
    assert format_number(value, digits) == shown


@pytest.mark.parametrize(
    ("pixels", "shown"),
    [(4096, "0.0041"), (250_000, "0.25"), (38_400_000, "38.4"), (999_600_000, "1,000"), (2.21e9, "2,210")],
)
def test_megapixels(pixels: float, shown: str) -> None:
    assert format_megapixels(pixels) == f"{shown} megapixels"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(999_960, "1 MB"), (999_400, "999 kB"), (2_210_000_000_000, "2.21 TB"), (12, "12 bytes")],
)
def test_files_as_print_shops_count_them(count: int, shown: str) -> None:
    assert decimal(count) == shown


@pytest.mark.parametrize(("length", "shown"), [("300mm", "120mm"), ("2.5cm", "1cm"), ("0.5%", "0.2%")])
def test_a_shorter_length_can_be_typed(length: str, shown: str) -> None:
    assert _times(length, 0.4) == shown


def test_nothing_else_formats_numbers_with_exponents() -> None:
    package = Path(tilestyle.__file__).parent
    found = [
        f"{file.relative_to(package).as_posix()}: {match[0]}"
        for file in sorted(package.rglob("*.py"))
        if file.relative_to(package).as_posix() not in EXEMPT
        for match in G_FORMAT.finditer(file.read_text(encoding="utf-8"))
    ]
    assert not found
