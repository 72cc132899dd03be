"""The canvas that a level begins with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, resized
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import touched
from tilestyle.config.enums import Init
from tilestyle.geometry.boxes import Box, shrunk
from tilestyle.geometry.rng import Draw
from tilestyle.losses.planes import content_plane, level_plane, region_weights
from tilestyle.losses.style_statistics import style_side
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

# How far noise without a style leaves the middle gray.
NOISE = 0.1

# Noise of a gray start, of the full range of brightness; that of fast.ai's course, for neural-style's is less.
FAINT = 0.05 / 255


def started(job: Job, level: Level, before: Canvas | None) -> Canvas:
    """The canvas that a level begins with."""
    if before and before.extent == level.extent:  # an attempt that failed got as far
        return before
    if before:
        return before.enlarged(level.extent, job.store)
    return Canvas(level.extent, initial_pixels(job, level), store=job.store)


def expose(job: Job, level: Level, canvas: Canvas) -> None:
    """Show the content where no style is: once the canvas before is gone, which took as much memory."""
    regions = region_weights(job, level)
    if regions and regions.partial:
        content = content_plane(job, level)
        assert content is not None, "without a content, all of the canvas is styled"
        job.ranks.once(partial(regions.expose, canvas.pixels, content))


def initial_pixels(job: Job, level: Level) -> Tensor:
    """Pixels [3, H, W] that the first level begins with."""
    init = job.init
    if init is Init.CONTENT:
        init = job.content if job.content is not None else Init.NOISE
    elif init is Init.STYLE:
        init = job.styles[0].picture if job.styles else Init.NOISE
    if not isinstance(init, Tensor):
        return (
            _random_pixels(job, level, init) if init in (Init.UNIFORM, Init.GREY) else _style_noise(job, level)
        )
    return level_plane(job, init, level, "pixels")


def _random_pixels(job: Job, level: Level, init: Init) -> Tensor:
    """Noise of all colours, or grey with too little noise to be seen: flat, some networks have no slope."""
    spread = 1.0 if init is Init.UNIFORM else FAINT
    plane = job.store.zeros(3, level.extent.height, level.extent.width, "pixels")
    key = Draw(job.config.seed, level.index, 0)

    def scatter() -> None:
        for channel in range(3):
            for top, drawn in key.rows(level.extent.height, level.extent.width, (2 << 32) + channel):
                noise = torch.from_numpy(drawn >> 11) * 2.0**-53 - 0.5
                plane[channel, top : top + len(drawn)] = 0.5 + spread * noise
            touched(plane[channel : channel + 1])

    job.ranks.once(scatter)
    return plane


def _style_noise(job: Job, level: Level) -> Tensor:
    """Noise in the styles' colours: each pixel is one of those of its region at this size, at random."""
    colours = _region_colors(job, level)
    regions = region_weights(job, level)
    key = Draw(job.config.seed, level.index, 0)
    width = level.extent.width
    plane = job.store.zeros(3, level.extent.height, width, "pixels")

    def scatter() -> None:
        for top, drawn in key.rows(level.extent.height, width, stream=1 << 32):
            place = Box(top, 0, len(drawn), width)
            which = torch.zeros(drawn.shape, dtype=torch.int64) if regions is None else regions.largest(place)
            rows = plane[:, top : top + len(drawn)]
            for region, of_region in enumerate(colours):
                index = torch.from_numpy((drawn % of_region.shape[1]).astype("int64"))
                chosen = of_region[:, index.flatten()].reshape(3, *index.shape)
                rows.copy_(torch.where(which.to(rows.device) == region, chosen.to(rows.device), rows))
            touched(rows)

    job.ranks.once(scatter)
    return plane


def _region_colors(job: Job, level: Level) -> list[Tensor]:
    """Colours [3, n] of each region: pixels of its styles, in proportion to their shares.

    Without a style, all colours alike: nothing of the picture but its activations is to be in it.
    """
    if not job.styles:
        return [_cube()]
    found: list[list[tuple[float, Tensor]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        height, width = style.picture.shape[1:]
        size = shrunk(height, width, style_side(job, style, level, 1))
        pixels = resized(style.picture, size).clamp(0, 1).flatten(1)  # [3, n]
        guide = None
        if style.guide is not None:
            guide = resized(style.guide, size, Filter.LINEAR).flatten(1) > 0.5
        for region, share in enumerate(style.shares):
            inside = pixels if guide is None or not guide[region].any() else pixels[:, guide[region]]
            if share:
                found[region].append((share, inside))
    return [_pooled(parts) for parts in found]


def _cube() -> Tensor:
    """Colours evenly from all there are around the middle grey, [3, n]."""
    values = torch.linspace(0.5 - NOISE, 0.5 + NOISE, 16)
    return torch.cartesian_prod(values, values, values).mT


def _pooled(parts: Sequence[tuple[float, Tensor]]) -> Tensor:
    """Columns of [3, n] tensors, so many of each that they are there in proportion to their shares."""
    if len(parts) == 1:
        return parts[0][1]
    count = min(colours.shape[1] / share for share, colours in parts)
    taken = []
    for share, colours in parts:
        wanted = max(1, int(share * count))
        taken.append(colours[:, torch.arange(wanted) * colours.shape[1] // wanted])
    return torch.cat(taken, 1)
