"""Render and texture, from Python: pictures in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tilestyle.allocator import release
from tilestyle.budget import Limits, find_device, needed
from tilestyle.canvas import Canvas, resized
from tilestyle.config import Init, RenderConfig
from tilestyle.errors import PictureError, SettingError
from tilestyle.estimate import seconds_for
from tilestyle.footprint import Pictures
from tilestyle.geometry import Box
from tilestyle.images import Picture, inspect_picture, picture_from
from tilestyle.job import Job
from tilestyle.objective import Terms
from tilestyle.plan import Level
from tilestyle.progress import Clock, Finished, LevelStarted, Observer, PatchHalved, Started, SweepDone
from tilestyle.rescue import persist
from tilestyle.resolved import planned, resolve

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | Image | np.ndarray[Any, Any] | Tensor | Picture


def render(
    content: Source,
    style: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
) -> Picture:
    """The content in the style: a picture of `config.size`, by default the content's own.

    `content` and `style` are paths, PIL images, arrays [H, W(, C)] or tensors [C, H, W] (uint8, or
    floats in [0, 1]). `observer` is told of every level and sweep (progress.py). `stop` is asked after every
    patch; once it answers True, the picture is returned as far as it got, at its full size.

    Raises TilestyleError (errors.py) when an input, a setting or a device cannot be used.
    """
    config = config or RenderConfig()
    (seen,) = opened(config, content)
    return run(prepare(style, config, seen), observer, stop, seen)


def texture(
    style: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
) -> Picture:
    """A picture of `config.size` (512 pixels square by default) with the style alone, from noise.

    Arguments and errors as in `render`. The style is seen at its own size times `config.style_scale`.
    """
    return run(prepare(style, config or RenderConfig()), observer, stop)


def opened(config: RenderConfig, *sources: Source) -> list[Picture]:
    """Pictures of the sources, if the limits of the settings leave room to read them; else MemoryLimit."""
    files = [source for source in sources if isinstance(source, str | os.PathLike)]
    facts = [inspect_picture(file) for file in files]
    pixels = sum(fact.height * fact.width for fact in facts)
    Limits.of(config).check_reading(pixels, find_device(config.device))
    return [picture_from(source) for source in sources]


def prepare(style: Source, config: RenderConfig, content: Source | None = None) -> Job:
    """Resolve pictures and settings into a job."""
    seen = resolve(config, with_content=content is not None)
    init = None if config.init is None or isinstance(config.init, Init) else config.init
    sources = {"style": style, "content": content, "init": init}
    given = {role: source for role, source in sources.items() if source is not None}
    pictures = dict(zip(given, opened(config, *given.values()), strict=True))
    pixels = {role: _pixels(picture, seen.unit, role) for role, picture in pictures.items()}
    sizes = {role: (picture.height, picture.width) for role, picture in pictures.items()}
    plan = planned(config, seen, Pictures(**sizes))
    release()
    return Job(
        config=config,
        network=seen.network,
        weights=seen.weights,
        levels=plan.levels,
        side=plan.side,
        unit=seen.unit,
        halo=seen.halo,
        style=pixels["style"],
        content=pixels.get("content"),
        init=pixels["init"] if "init" in pixels else _init(config, with_content=content is not None),
        home=plan.home,
        content_kept=plan.content_kept,
        need=plan.need,
        limits=seen.limits,
    )


def run(
    job: Job,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    content: Picture | None = None,
) -> Picture:
    """Render a job; the content's transparency, if it has any, is kept."""
    tell: Callable[..., None] = observer or (lambda event: None)
    tell(started(job))
    release()
    clock = Clock([(level.extent.area / 1e6, level.sweeps) for level in job.levels])

    def begin(level: Level) -> None:
        clock.level()
        tell(LevelStarted(level, len(job.levels)))

    def look(canvas: Canvas) -> Picture:
        release()  # what patches used makes room for the copy
        return as_picture(canvas.picture(), content)

    def done(level: Level, sweep: int, terms: Terms, canvas: Canvas) -> None:
        taken = clock.sweep()
        tell(
            SweepDone(
                level,
                len(job.levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                clock.seconds,
                clock.left(),
                level.extent.area / 1e6 / taken,
                lambda: look(canvas),
            )
        )

    canvas, complete = persist(job, begin, done, stop or (lambda: False), lambda side: tell(PatchHalved(side)))
    release()
    pixels = canvas.picture()
    del canvas  # with the optimiser's state, before the picture is copied
    finest = job.levels[-1].extent.picture
    if not complete:
        pixels = resized(pixels, finest).clamp_(0, 1)
    picture = as_picture(pixels, content)
    tell(Finished(complete, clock.seconds))
    return picture


def started(job: Job) -> Started:
    """What a render can say of itself before it begins."""
    device = job.network.device
    need, limits = needed(job.need, device, job.home), job.limits
    return Started(
        job.side, device.type, need, limits.memory, job.need.held, limits.host, lambda: seconds_for(job)
    )


def as_picture(pixels: Tensor, content: Picture | None = None) -> Picture:
    """Host pixels [3, h, w] in [0, 1] as a Picture, with the content's transparency resampled."""
    alpha = None
    if content is not None and content.alpha is not None:
        plane = torch.from_numpy(content.alpha)[None]
        size = Box(0, 0, pixels.shape[1], pixels.shape[2])
        alpha = resized(plane, size).clamp(0, 1)[0].numpy()
    name = content.name if content is not None else ""
    return Picture(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()), alpha=alpha, name=name)


def _pixels(picture: Picture, unit: int, role: str) -> Tensor:
    """[3, h, w] pixels of a picture the network can see."""
    if min(picture.height, picture.width) < unit:
        raise PictureError(
            f"{role} {picture.name or 'picture'} is {picture.width} x {picture.height} pixels, "
            f"the layers in use see nothing under {unit}",
            hint="give a larger picture or shallower layers",
        )
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)  # a view: pictures can be large


def _init(config: RenderConfig, *, with_content: bool) -> Init:
    """What to begin with, where that is no picture."""
    if config.init is Init.CONTENT and not with_content:
        raise SettingError("a texture has no content to start from", hint="give --init noise or style")
    if isinstance(config.init, Init):
        return config.init
    return Init.CONTENT if with_content else Init.NOISE
