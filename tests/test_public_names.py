"""What `import tilestyle` offers."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
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


def public_functions() -> list[str]:
    """The names of the functions among them."""
    values = {name: getattr(tilestyle, name) for name in tilestyle.__all__}
    return [name for name, value in values.items() if inspect.isfunction(value)]


@pytest.mark.parametrize("name", public_functions())
def test_every_public_function_says_what_it_takes_returns_and_raises(name: str) -> None:
    function = getattr(tilestyle, name)
    doc = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^    \**{parameter}: ", doc, re.MULTILINE), parameter
    for section in ("Args", "Returns", "Raises"):
        assert f"\n{section}:\n" in doc, section


@pytest.mark.parametrize("name", tilestyle.__all__)
def test_every_attribute_of_a_public_class_is_documented(name: str) -> None:
    value = getattr(tilestyle, name)
    doc = inspect.getdoc(value) or ""
    for field in fields(value) if is_dataclass(value) else ():
        assert re.search(rf"^    {field.name}: ", doc, re.MULTILINE), field.name


@pytest.mark.skipif(not DOCS.is_dir(), reason="an installation without documentation")
def test_the_reference_shows_every_public_name() -> None:
    text = (DOCS / "api.md").read_text()
    apart = {"__version__", "Event", "Observer", "Settings", "TilestyleError"}  # described in text
    assert {name for name in tilestyle.__all__ if not re.search(rf"\b{name}\b", text)} <= apart
