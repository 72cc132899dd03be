"""Drift: styles in turn, each applied to what the one before has left, as a whispered word goes round.

A step begins at half the full size, so that forms are told anew and not only their surface; the picture before
is its content. So nothing is handed on but what every style lets through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tilestyle.canvas.canvas import resized
from tilestyle.config.render import RenderConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.motion.repeated_job import finished, step_job, with_style_cache
from tilestyle.motion.series import Series, pixels_of, series
from tilestyle.pipeline.api import identity
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.inputs import digest
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import check_held
from tilestyle.planning.schedule import picture_size

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Watch:
    """Who is told of a series: of every render, and of every step; and what stops it."""

    observer: Observer | None = None
    tell: Callable[[Series], None] = lambda done: None
    stop: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        """See to it that neither callback can end the series: one that fails is not called again."""
        object.__setattr__(self, "tell", guarded(self.tell, "the observer"))
        if self.observer:
            object.__setattr__(self, "observer", guarded(self.observer, "the observer"))


NOBODY = Watch()


@isolated
def drift(
    start: PathLike,
    styles: Sequence[PathLike],
    folder: PathLike,
    config: RenderConfig,
    cycles: int,
    watch: Watch = NOBODY,
) -> Series:
    """Steps through all the styles, `cycles` times: numbered pictures in a folder, and statistics.

    `config.size` is that of the pictures. The same call again goes on where it was stopped, with more cycles
    beyond the end. Raises WorkError for a folder of another drift.
    """
    if not styles or cycles < 1:
        raise SettingError(f"a drift of {cycles} cycles through {len(styles)} styles", hint="give 1 or more")
    about = {"kind": "drift", **identity(config, {"start": start})}
    with series(Path(folder), {**about, "styles": [digest(style) for style in styles]}) as done:
        first = sized(pixels_of(Path(start)), config.size)
        size = first.shape[1], first.shape[2]
        config = replace(config, size=size, coarsest=max(1, max(size) // 2))
        jobs: dict[int, Job] = {}
        while done.count < cycles * len(styles):
            turn = done.count % len(styles)
            last = done.last() if done.count else first
            if turn not in jobs:
                jobs[turn] = with_style_cache(prepare(styles[turn], config, last))
            found = finished(step_job(jobs[turn], done.count, last, content=last), watch.observer, watch.stop)
            if found is None:
                break
            picture, terms = found
            row: dict[str, Any] = {"style": Path(styles[turn]).name}
            done.add(picture, {**row, "style loss": terms.style, "content loss": terms.content})
            watch.tell(done)
        return done


def sized(pixels: Tensor, size: int | tuple[int, int] | None) -> Tensor:
    """A picture [3, h, w] at the size that is asked for. Raises MemoryLimit for one that memory cannot hold."""
    height, width = picture_size(size, (pixels.shape[1], pixels.shape[2]))
    check_held(height, width)
    return resized(pixels, Box(0, 0, height, width)).clamp_(0, 1)
