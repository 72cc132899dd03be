"""How far a render has come: what another attempt, or another day, goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.sharding import dealt
from tilestyle.losses.objective import Terms
from tilestyle.optim.deferred import Rims
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import Held

SweepObserver = Callable[[Level, int, Terms, Canvas], None]
StopAsker = Callable[[], bool]


class Keeper(Protocol):
    """Who sees to it that little is lost when the program is killed."""

    def guard(self, canvas: Canvas, *boxes: Box) -> None:
        """Pixels under these boxes are going to be stepped."""

    def settle(self) -> None:
        """All pixels that are guarded are stepped now."""

    def due(self) -> bool:
        """Whether it is time to keep what there is."""

    def keep(self, at: Standing, sight: Mapping[str, Tensor]) -> None:
        """Keep what there is between two patches; `sight` is what has been seen of the level."""

    def enter(self, at: Standing) -> None:
        """A level begins, with its canvas; or all of them are done."""


class Careless:
    """Keeps nothing."""

    def guard(self, canvas: Canvas, *boxes: Box) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def keep(self, at: Standing, sight: Mapping[str, Tensor]) -> None:
        """Nothing."""

    def enter(self, at: Standing) -> None:
        """Nothing."""


@dataclass
class Standing:
    """The level and sweep at work, and which patches of that sweep have stepped their pixels."""

    level: int = -1  # before the first
    sweep: int = 0
    canvas: Canvas | None = None
    patches: list[Patch] = field(default_factory=list)  # of the sweep; none before it is drawn
    stepped: int = 0  # of those, from the first on, when they were dealt
    shares: list[list[Patch]] = field(default_factory=list)  # of the others, as dealt to every rank
    index: int = 0  # of this rank
    taken: int = 0  # patches of its share that have stepped
    held: Held | None = None  # the content's weight, where it is adjusted; None before it is
    rims: Rims = field(default_factory=Rims)  # of those, still to step
    prepared: bool = False  # whether the sweep's moments are at hand
    cut_short: bool = False  # whether these are what an attempt before this one had left of the sweep
    keeper: Keeper = field(default_factory=Careless)
    sight: dict[str, Tensor] = field(
        default_factory=dict
    )  # what an earlier run had seen of the level (level.py)

    @property
    def left(self) -> list[Patch]:
        """Patches of the sweep that this rank has still to step."""
        return self.shares[self.index][self.taken :] if self.shares else self.patches[self.stepped :]

    @property
    def begun(self) -> float:
        """Share of the sweep's patches that had stepped when they were dealt."""
        return self.stepped / len(self.patches) if self.patches else 0.0

    @property
    def others(self) -> list[Patch]:
        """Patches that have been dealt to other ranks, whether they have stepped or not."""
        return [patch for index, share in enumerate(self.shares) if index != self.index for patch in share]

    def deal(self, ranks: Ranks) -> None:
        """Share out what has not stepped."""
        shares = dealt(
            self.patches[self.stepped :], self.canvas.extent.height if self.canvas else 1, ranks.count
        )
        self.shares, self.index, self.taken = shares, ranks.index, 0

    def gather(self, ranks: Ranks) -> None:
        """Note what every rank has stepped, as if it had been the first in the list: nothing is dealt then."""
        counts = ranks.counts(self.taken) if self.shares else []
        done = [patch for share, count in zip(self.shares, counts, strict=True) for patch in share[:count]]
        rest = [patch for share, count in zip(self.shares, counts, strict=True) for patch in share[count:]]
        if self.shares:
            self.patches = self.patches[: self.stepped] + done + rest
        self.stepped, self.shares, self.taken = self.stepped + len(done), [], 0

    def enter(self, level: int, canvas: Canvas) -> None:
        """Begin a level with its canvas."""
        self.level, self.canvas, self.sweep, self.sight = level, canvas, 0, {}
        self.held = self.held and Held(self.held.weight)

    def begin(self, patches: list[Patch], *, cut_short: bool = False) -> None:
        """Begin the sweep, or the rest of it."""
        self.patches, self.stepped, self.prepared, self.cut_short = patches, 0, False, cut_short
        self.shares, self.taken = [], 0

    def turn(self) -> None:
        """End the sweep."""
        self.sweep += 1
        self.begin([])
