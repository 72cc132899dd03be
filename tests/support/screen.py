"""A terminal that turns what is written to it into a screen."""

from __future__ import annotations

from typing import cast

import pyte
from rich.console import Console

ROWS = 12


class Screen:
    """A terminal of so many columns.

    Attributes:
        console: What writes to it.
    """

    def __init__(self, columns: int) -> None:
        self._screen = pyte.HistoryScreen(columns, ROWS)
        self._screen.set_mode(pyte.modes.LNM)  # the terminal driver turns line feeds into new lines
        self._stream = pyte.Stream(self._screen)
        self.console = Console(
            file=cast("None", self), force_terminal=True, width=columns, height=ROWS, legacy_windows=False
        )

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Take what is written."""
        self._stream.feed(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """It is a terminal."""
        return True

    def resize(self, columns: int) -> None:
        """Change its width."""
        self._screen.resize(ROWS, columns)
        self.console.width = columns

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without empty ones at the end."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def shows_cursor(self) -> bool:
        """Whether there is a cursor."""
        return not self._screen.cursor.hidden
