"""Words of a command line, read as the parser reads them."""

from __future__ import annotations

from dataclasses import replace

from tilestyle.cli import options as opt
from tilestyle.cli.words import Word, parsed, rewritten

PARAMETERS = (opt.OUT, opt.STYLES, opt.QUIET, opt.VERBOSE, opt.FINISH, opt.OPTIMIZER)


def test_words_are_told_apart() -> None:
    line = "a.png -qo out --style=x.png -sy.png --no-finish --optimiser lbfgs - -- -b.png"
    words = list(parsed(line.split(), PARAMETERS))
    assert [(word.parameter.name if word.parameter else "", word.value) for word in words] == [
        ("", "a.png"),
        ("quiet", None),
        ("out", "out"),
        ("style", "x.png"),
        ("style", "y.png"),
        ("finish", None),
        ("optimizer", "lbfgs"),
        ("", "-"),
        ("", "-b.png"),
    ]


def test_they_keep_their_spelling_when_they_are_changed() -> None:
    def change(word: Word) -> Word | None:
        if word.parameter is opt.QUIET:
            return None
        return replace(word, value="new") if word.parameter is opt.OUT else word

    line = "a.png -q --out=old -s x.png --unknown --finish"
    words = rewritten(parsed(line.split(), PARAMETERS), change)
    assert words == ["a.png", "--out=new", "-s", "x.png", "--unknown", "--finish"]
