"""Jobs of a series: their pictures change, and their styles are measured once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from tilestyle.images import Picture
from tilestyle.losses.objective import Terms
from tilestyle.pipeline.events import Event, Observer, SweepDone
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.run import run
from tilestyle.planning.job import Job

# Seeds of one step's render and the next: far apart, so that patches fall elsewhere.
STRIDE = 1_000_003


def with_style_cache(job: Job) -> Job:
    """Return the job with a cache of what is measured of its styles, shared by the jobs made of it."""
    return replace(job, style_cache={})


def step_job(job: Job, number: int, start: Tensor, **pictures: Any) -> Job:
    """Return the job of one step of a series.

    Args:
        job: The job of another step.
        number: Of the step; it decides where patches fall.
        start: Pixels [3, h, w] that the step begins with.
        **pictures: Other fields of the job that differ in this step.
    """
    seed = (job.config.seed + STRIDE * number) % 2**63
    return replace(job, config=replace(job.config, seed=seed), init=start, alpha=None, **pictures)


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
