"""Extras are named in one way, in messages and pages: one that works in any folder, clone or not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FOR_CLONES = {"test", "dev", "docs"}  # they need files of the clone
PLACES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "tilestyle").rglob("*.py")),
]
NAMED = re.compile(r"pip install\s+'([^'\[]*)\[([a-z,]+)\]'")


def test_extras_are_those_of_the_installed_package() -> None:
    named = [
        (file, what, {*names.split(",")}) for file in PLACES for what, names in NAMED.findall(file.read_text())
    ]
    assert {*EXTRAS} == {extra for _, _, extras in named for extra in extras}
    wrong = [each for each in named if each[1] != ("." if each[2] <= FOR_CLONES else "tilestyle")]
    assert not wrong
