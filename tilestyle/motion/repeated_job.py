"""Jobs that render several pictures in one style, and measure the style only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from tilestyle.images import Picture
from tilestyle.losses.objective import LossTerms
from tilestyle.pipeline.events import Event, Observer, SweepDone
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.run import render_job
from tilestyle.planning.job import Job

# Between the seeds of two steps: large, so that their patches lie differently.
SEED_STRIDE = 1_000_003


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
    seed = (job.config.seed + SEED_STRIDE * number) % 2**63
    return replace(job, config=replace(job.config, seed=seed), init=start, alpha=None, **pictures)


def render_step(
    job: Job, observer: Observer | None = None, stop: Callable[[], bool] | None = None
) -> tuple[Picture, LossTerms] | None:
    """Render a job.

    Args:
        job: The job.
        observer: Receives the events of the render.
        stop: Returns True to stop the render.

    Returns:
        The picture and the loss terms of its last sweep; None if it was stopped.
    """
    last_sweep: list[SweepDone] = []
    guarded_observer = guard_callback(observer, "the observer") if observer else None

    def observe(event: Event) -> None:
        if isinstance(event, SweepDone):
            last_sweep[:] = [event]
        if guarded_observer:
            guarded_observer(event)

    stopped = False

    def should_stop() -> bool:
        nonlocal stopped
        stopped = stopped or (stop is not None and stop())
        return stopped

    picture = render_job(job, observe, should_stop)
    if stopped:
        return None
    sweep = last_sweep[0]
    terms = LossTerms(sweep.style, sweep.content, sweep.tv, sweep.anchor, sweep.palette, sweep.content_weight)
    return picture, terms
