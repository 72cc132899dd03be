"""What are the renderer's fixed design choices worth?

Renders pairs of pictures with one choice at a time changed, and prints the exact loss of the whole canvas (mean
over placements, as in parity.py) and the seconds it took.

    python -m benchmarks.ablations [--size 320] [--patch 128] [--networks vgg19] [--pairs 1]
        [--quality draft] [--only kept bf16]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.jobs import PAIRS, finished, job, parser, settings
from benchmarks.record import report
from tilestyle.benchmark.exact_loss import placed_loss
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Precision, Quality
from tilestyle.config.render import RenderConfig
from tilestyle.losses import level as levels
from tilestyle.optim import loop
from tilestyle.optim.loop import optimize
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import EXTRAPOLATION, Level, extrapolation
from tilestyle.reference.renderer import render_untiled


@dataclass(frozen=True)
class Choice:
    """A variant of the renderer.

    Attributes:
        name: Name for the table.
        settings: Settings that differ.
        undone: Makes a context in which the variant runs.
        render: The renderer.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    undone: Callable[[], AbstractContextManager[Any]] = nullcontext
    render: Callable[[Job], Canvas] = finished


def measuring(early: int, last: int) -> Callable[[], AbstractContextManager[Any]]:
    """Measure exact moments every `early` sweeps, and every `last` in the last quarter of a level."""
    return lambda: patch.object(
        levels, "measurement_interval", lambda side, view, *, late: last if late else early
    )


def leading(share: float, *, constant: bool = False) -> Callable[[], AbstractContextManager[Any]]:
    """Extrapolate the cotangents by another share of their change; a `constant` one does not decay."""
    return lambda: patch.object(
        levels,
        "extrapolation",
        lambda level, sweep: share if constant else share / EXTRAPOLATION * extrapolation(level, sweep),
    )


def all_near() -> AbstractContextManager[Any]:
    """Evaluate the coarse layers on the patches of the other layers."""
    return patch.object(Job, "scale_groups", lambda self, level: {1: self.weights.layer_names})


def averaged(task: Job) -> Canvas:
    """Render with a constant step size; a level ends with the mean of its last quarter's canvases."""
    canvases: list[Tensor] = []

    def observe(level: Level, sweep: int, terms: object, canvas: Canvas) -> None:
        if 4 * sweep >= 3 * level.sweeps:
            canvases.append(canvas.pixels.clone())
        if sweep + 1 == level.sweeps:
            canvas.pixels.copy_(torch.stack(canvases).mean(0))
            canvases.clear()

    with patch.object(loop, "step_size", lambda config, level, sweep: config.learning_rate):
        return optimize(task, lambda level: None, observe, lambda: False)[0]


CHOICES = (
    Choice("as it is"),
    Choice("untiled", render=render_untiled),
    Choice("untiled, moments one sweep old", render=lambda task: render_untiled(task, lag=1)),
    Choice("one patch", {"patch": 4096}),
    Choice("coarse layers near", undone=all_near),
    Choice("exact moments every 8th sweep", undone=measuring(8, 8)),
    Choice("exact moments every 4th sweep", undone=measuring(4, 4)),
    Choice("exact moments every 16th, late every 2nd sweep", undone=measuring(16, 2)),
    Choice("exact moments every 26th, late every 5th sweep", undone=measuring(26, 5)),
    Choice("exact moments every sweep", undone=measuring(1, 1)),
    Choice("exact moments once a level", undone=measuring(10**9, 10**9)),
    Choice("no lead", undone=leading(0)),
    Choice("a constant lead", undone=leading(EXTRAPOLATION, constant=True)),
    Choice("half the lead", undone=leading(EXTRAPOLATION / 2)),
    Choice("twice the lead", undone=leading(2 * EXTRAPOLATION)),
    Choice("averaged, not decayed", render=averaged),
    Choice("content kept", {"keep_content": True}),
    Choice("corners on a grid for 16 sweeps", undone=lambda: patch.object(loop, "GRID_PERIOD", 16)),
    Choice("bf16", {"precision": Precision.BF16}),
)


def measured(choice: Choice, pair: tuple[str, str], config: RenderConfig) -> dict[str, Any]:
    """Measure the loss and the seconds of a choice."""
    start = time.perf_counter()
    with choice.undone():
        canvas = choice.render(job(pair, replace(config, **choice.settings)))
    seconds = time.perf_counter() - start
    style, content = placed_loss(job(pair, config), canvas.pixels)
    return {
        "choice": choice.name,
        "loss": style + content,
        "style": style,
        "content": content,
        "seconds": seconds,
    }


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 320)
    arguments.add_argument("--only", nargs="+", help="parts of the names of choices")
    arguments.add_argument("--quality", type=Quality, default=Quality.NORMAL, help="draft normal best")
    options = arguments.parse_args()
    choices = [c for c in CHOICES if not options.only or any(part in c.name for part in options.only)]
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        config = settings(options, network, precision=Precision.FP32, quality=options.quality)
        for pair in PAIRS[: options.pairs]:
            for choice in choices:
                rows.append({"network": network, "pictures": " ".join(pair), **measured(choice, pair, config)})
                print(rows[-1], flush=True)
    report(rows, "exact loss with one choice undone", options.keep)


if __name__ == "__main__":
    main()
