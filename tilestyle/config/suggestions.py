"""What a misspelled command, option, choice or name was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# British endings, and what Americans write.
SPELLINGS = (
    (r"colour", "color"),
    (r"grey", "gray"),
    (r"isation", "ization"),
    (r"is(e|er|ed|ing)\b", r"iz\1"),
    (r"(cent|met|lit)re\b", r"\1er"),
    (r"neighbour", "neighbor"),
)
SHORTEST_START = 3  # letters that are taken for the beginning of a name


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that a word is a misspelling, another spelling or the beginning of; None if there is none."""
    spelled = {_spelled(name): name for name in names}
    spelled_word = _spelled(word)
    if spelled_word in spelled:
        return spelled[spelled_word]
    begun = [name for name in spelled if len(spelled_word) >= SHORTEST_START and name.startswith(spelled_word)]
    close = difflib.get_close_matches(spelled_word, spelled, n=1)
    return spelled[(begun or close)[0]] if begun or close else None


def did_you_mean(word: str, names: Iterable[str], prefix: str = "", *, quoted: bool = False) -> str:
    """The beginning of a hint, "did you mean render? "; empty if no name is near."""
    name = nearest(word, names)
    if name is None:
        return ""
    return f"did you mean {name!r}? " if quoted else f"did you mean {prefix}{name}? "


def _spelled(word: str) -> str:
    """A word without dashes at its beginning, in small letters and American spelling."""
    text = word.lstrip("-").lower().replace("_", "-")
    for british, american in SPELLINGS:
        text = re.sub(british, american, text)
    return text
