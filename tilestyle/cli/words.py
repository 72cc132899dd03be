"""The words of a command line, each with the option that it belongs to, so that some can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tilestyle.cli.parameters import Parameter


@dataclass(frozen=True)
class Word:
    """An option with its value, or an argument.

    Attributes:
        parameter: The option; None for an argument.
        flag: How it was spelled.
        value: Its value; None for an option that takes none.
        joined: Whether the value follows after an equals sign.
    """

    parameter: Parameter[Any] | None
    flag: str = ""
    value: str | None = None
    joined: bool = False

    def spelled(self) -> list[str]:
        """The words of a command line."""
        if self.joined:
            return [f"{self.flag}={self.value}"]
        return [word for word in (self.flag or None, self.value) if word is not None]


def parsed(words: Iterable[str], parameters: Iterable[Parameter[Any]]) -> Iterator[Word]:
    """Read the words of a command as its parser does; `-qo out` becomes `-q -o out`."""
    by_flag = {name: each for each in parameters for name in each.names}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from (Word(None, value=each) for each in rest)
            return
        if not word.startswith("-") or word == "-":
            yield Word(None, value=word)
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            option = by_flag.get(flag)
            if option is None or not option.takes_value:
                yield Word(option, flag)
            elif equals:
                yield Word(option, flag, value, joined=True)
            else:
                yield Word(option, flag, rest.pop(0) if rest else None)
        else:
            yield from _short(word[1:], by_flag, rest)


def _short(letters: str, by_flag: dict[str, Parameter[Any]], rest: list[str]) -> Iterator[Word]:
    """Read options of one letter, of which the last one may have a value."""
    while letters:
        flag, letters = f"-{letters[0]}", letters[1:]
        option = by_flag.get(flag)
        if option is None or not option.takes_value:
            yield Word(option, flag)
        else:
            yield Word(option, flag, letters or (rest.pop(0) if rest else None))
            return


def rewritten(words: Iterable[Word], change: Callable[[Word], Word | None]) -> list[str]:
    """The words of a command after a change of each; None leaves one out."""
    return [part for word in words if (new := change(word)) is not None for part in new.spelled()]
