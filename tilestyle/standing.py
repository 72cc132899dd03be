"""How far a render has come: what another attempt goes on from."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilestyle.canvas import Canvas
from tilestyle.geometry import Patch


@dataclass
class Standing:
    """The level and sweep at work, and which patches of that sweep have stepped their pixels."""

    level: int = -1  # before the first
    sweep: int = 0
    canvas: Canvas | None = None
    patches: list[Patch] = field(default_factory=list)  # of the sweep; none before it is drawn
    stepped: int = 0  # of those, from the first on
    cut_short: bool = False  # whether these are what an attempt before this one had left of the sweep

    @property
    def left(self) -> list[Patch]:
        """Patches of the sweep that have not stepped."""
        return self.patches[self.stepped :]

    def enter(self, level: int, canvas: Canvas) -> None:
        """Begin a level with its canvas."""
        self.level, self.canvas, self.sweep = level, canvas, 0

    def begin(self, patches: list[Patch], *, cut_short: bool) -> None:
        """Begin the sweep, or the rest of it."""
        self.patches, self.stepped, self.cut_short = patches, 0, cut_short

    def turn(self) -> None:
        """End the sweep."""
        self.sweep += 1
        self.begin([], cut_short=False)
