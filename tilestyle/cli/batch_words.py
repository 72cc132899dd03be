"""The command that renders one picture of a batch: the words of the batch, with one picture, style and result.

A batch runs these commands. So a result has the bytes that the command alone would give it, and a render that
was stopped can be resumed alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilestyle.cli import options as opt
from tilestyle.cli.batch_plan import Item
from tilestyle.cli.naming import with_options
from tilestyle.cli.parameters import Parameter
from tilestyle.cli.words import Word, parsed, rewritten

BATCH_ONLY = ("report", opt.DRY_RUN.name, opt.OPEN.name, opt.OVERWRITE.name, opt.YES.name)


class RenderWords:
    """Makes the words of the renders from those of the batch."""

    def __init__(self, words: Sequence[str], parameters: Iterable[Parameter[Any]], out: Path) -> None:
        """Read the words.

        Args:
            words: What follows after `tilestyle batch`.
            parameters: The parameters of the command.
            out: The output folder.
        """
        self._words = list(parsed(words, parameters))
        self._out = out
        self._has_out = any(_is(word, opt.OUT) for word in self._words)

    def of(self, item: Item, *, overwrite: bool = False) -> list[str]:
        """The words of one render, which begin with `render`.

        Args:
            item: What to render.
            overwrite: Whether a file of the result's name is replaced.
        """
        result, stem = self._out / item.name, "-".join(item.name.with_suffix("").parts)
        has_picture, style = False, -1

        def change(word: Word) -> Word | None:
            nonlocal has_picture, style
            if word.parameter is None and not word.flag:
                first, has_picture = not has_picture, True
                return Word(None, value=_argument(item.picture)) if first else None
            if word.parameter is None or word.parameter.name in BATCH_ONLY:
                return word if word.parameter is None else None
            if _is(word, opt.OUT):
                return replace(word, value=str(result))
            if _is(word, opt.STYLES):
                style += 1
                return word if item.style in (None, style) else None
            file = Path(word.value or "")
            if _is(word, opt.WORK_DIR) or (_is(word, opt.FILM_FILE) and not file.suffix):  # folders
                return replace(word, value=str(file / stem))
            if _is(word, opt.SAVE_CONFIG) or _is(word, opt.FILM_FILE):
                return replace(word, value=str(file.parent / f"{stem}-{file.name}"))
            return word

        words = rewritten(self._words, change)
        if not self._has_out:
            words.append(f"{opt.OUT.flags[0]}={result}")
        resume_options = [opt.YES.flags[0], *([opt.OVERWRITE.flags[0]] if overwrite else [])]
        return ["render", *with_options(words, *resume_options)]


def _is(word: Word, option: Parameter[Any]) -> bool:
    return word.parameter is not None and word.parameter.name == option.name


def _argument(path: Path) -> str:
    """A file as an argument, which does not look like an option."""
    return f".{os.sep}{path}" if str(path).startswith("-") else str(path)
