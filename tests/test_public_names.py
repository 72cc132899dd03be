"""What `import tilestyle` offers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import tilestyle

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", tilestyle.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    value = getattr(tilestyle, name)
    assert name in dir(tilestyle)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert (value.__doc__ or "").strip()


@pytest.mark.skipif(not DOCS.is_dir(), reason="an installation without documentation")
def test_the_reference_shows_every_public_name() -> None:
    text = (DOCS / "api.md").read_text()
    apart = {"__version__", "Event", "Observer", "Settings", "TilestyleError"}  # described in text
    assert {name for name in tilestyle.__all__ if not re.search(rf"\b{name}\b", text)} <= apart
