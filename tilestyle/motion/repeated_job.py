"""One style again and again: a job whose pictures change, and whose style is looked at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from tilestyle.images import Picture
from tilestyle.losses.objective import Terms
from tilestyle.pipeline.events import Event, Observer, SweepDone
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.run import run
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.stats.moments import Moments
from tilestyle.stats.sliced_wasserstein import Shares

# Seeds of one step's render and the next: far apart, so that patches fall elsewhere.
STRIDE = 1_000_003


@dataclass(frozen=True)
class RepeatedJob(Job):
    """A job that remembers the moments of its style, also when it is replaced by one with other pictures."""

    known: dict[tuple[Level, int], list[dict[str, Moments]]] = field(default_factory=dict)
    palettes: dict[tuple[Level, int], list[dict[int, Shares]]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job) -> RepeatedJob:
        """The job, with nothing known yet."""
        return cls(**vars(job))

    def style_moments(self, level: Level, scale: int = 1) -> list[dict[str, Moments]]:
        """Moments of the styles as seen from a level at a scale, mixed for each region."""
        key = level, scale
        if key not in self.known:
            self.known[key] = super().style_moments(level, scale)
        return self.known[key]

    def style_palettes(self, level: Level, scale: int = 1) -> list[dict[int, Shares]]:
        """Colours of the styles as seen from a level at a scale, mixed for each region."""
        key = level, scale
        if key not in self.palettes:
            self.palettes[key] = super().style_palettes(level, scale)
        return self.palettes[key]

    def step(self, number: int, start: Tensor, **pictures: Any) -> RepeatedJob:
        """The job of a step that begins with `start` [3, h, w]; `pictures` are other fields of it."""
        seed = (self.config.seed + STRIDE * number) % 2**63
        return replace(self, config=replace(self.config, seed=seed), init=start, alpha=None, **pictures)


def finished(
    job: Job, observer: Observer | None = None, stop: Callable[[], bool] | None = None
) -> tuple[Picture, Terms] | None:
    """The picture of a job and the terms of its last sweep; None if it was stopped."""
    last: list[SweepDone] = []
    watch = guarded(observer, "the observer") if observer else None

    def observe(event: Event) -> None:
        if isinstance(event, SweepDone):
            last[:] = [event]
        if watch:
            watch(event)

    stopped = False

    def asked() -> bool:
        nonlocal stopped
        stopped = stopped or (stop is not None and stop())
        return stopped

    picture = run(job, observe, asked)
    if stopped:
        return None
    end = last[0]
    return picture, Terms(end.style, end.content, end.tv, end.anchor, end.palette, end.content_weight)
