"""Suggestions for names that are not known."""

import pytest

from tilestyle.config.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--colour", "color"),
        ("COLOURS", "color"),
        ("optimise", "optimizer"),
        ("centre", "center"),
        ("grey", "gray"),
        ("tile", "tileable"),
        ("qualty", "quality"),
        ("style_scale", "style-scale"),
        ("xyzzy", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_across_spellings(word: str, name: str | None) -> None:
    names = ["color", "optimizer", "center", "gray", "tileable", "quality", "style-scale"]
    assert nearest(word, names) == name
    assert did_you_mean(word, names, quoted=True) == ("" if name is None else f"did you mean '{name}'? ")
    assert did_you_mean(word, names, "--") == ("" if name is None else f"did you mean --{name}? ")
