"""The initial canvas of a level: the coarser one enlarged; at first the content, a style or noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.resize import resize
from tilestyle.config.enums import Init
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.planes import LevelPlanes, level_planes
from tilestyle.losses.style_statistics import style_size
from tilestyle.optim.state import RenderState
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

# Largest distance of noise from the middle gray where there is no style to take colors from.
COLOR_NOISE = 0.1

# Width of the noise of a gray start, in units of the full range of brightness; as in fast.ai's course.
# (neural-style has less.)
GRAY_NOISE = 0.05 / 255


def begin_level(job: Job, level: Level, render_state: RenderState) -> LevelPlanes:
    """Begin a level with its canvas; return its planes.

    Args:
        job: The render.
        level: The level that begins.
        render_state: Its canvas is the one of the level before, which is enlarged with its Adam state; None at
            the first level, which begins with the picture of `--init` or with noise.
    """
    release_cached_memory()
    if render_state.canvas:
        render_state.canvas = enlarged(job, level, render_state.canvas)
    # The planes come second: by now the smaller canvas, which takes as much memory as they, is released.
    planes = level_planes(job, level)
    canvas = render_state.canvas or initial_canvas(job, level, planes.regions)
    restore_unstyled_pixels(job, planes, canvas)
    render_state.begin_level(level.index, canvas)
    return planes


def enlarged(job: Job, level: Level, canvas: Canvas) -> Canvas:
    """Return the canvas of the level before, resampled to a level with its Adam state."""
    if canvas.extent == level.extent:  # a retry: a failed attempt had enlarged it already
        return canvas
    return canvas.upsampled(level.extent, job.store)


def restore_unstyled_pixels(job: Job, planes: LevelPlanes, canvas: Canvas) -> None:
    """Set the pixels outside all regions to the content."""
    if planes.regions and planes.regions.has_unstyled:
        assert planes.content is not None, "only a job with a content has pixels outside all regions"
        job.comm.on_rank_zero(partial(planes.regions.restore_unstyled, canvas.pixels, planes.content))


def initial_canvas(job: Job, level: Level, regions: RegionWeights | None) -> Canvas:
    """Return the initial canvas of the first level, with the pixels of `initial_pixels`."""
    return Canvas(level.extent, initial_pixels(job, level, regions), store=job.store)


def initial_pixels(job: Job, level: Level, regions: RegionWeights | None) -> Tensor:
    """Return the initial pixels of the first level, [3, H, W]: the picture of `--init`, resized, or noise.

    Args:
        job: The render.
        level: Its first level.
        regions: Weights of the regions, in whose colors noise is; None: the canvas is one region.
    """
    init = job.init
    if init is Init.CONTENT:
        init = job.content if job.content is not None else Init.NOISE
    elif init is Init.STYLE:
        init = job.styles[0].picture if job.styles else Init.NOISE
    if not isinstance(init, Tensor):
        return _initial_noise(job, level, init, regions)
    return with_margin(init, level.extent, job.store, clamped=True, name="pixels")


def _initial_noise(job: Job, level: Level, init: Init, regions: RegionWeights | None) -> Tensor:
    """Return noise [3, H, W]: uniform, or in the colors of each region's styles."""
    rng = SweepRng(job.config.seed, level.index, 0)
    if init in (Init.UNIFORM, Init.GRAY):
        fill = partial(_fill_with_noise, rng=rng, spread=1.0 if init is Init.UNIFORM else GRAY_NOISE)
    else:
        fill = partial(_fill_with_colors, rng=rng, region_colors=_region_colors(job, level), regions=regions)
    plane = job.store.zeros(3, level.extent.height, level.extent.width, "pixels")
    job.comm.on_rank_zero(partial(fill, plane))
    return plane


def _fill_with_noise(plane: Tensor, rng: SweepRng, spread: float) -> None:
    """Fill a plane [3, H, W] with uniform noise around the middle gray.

    Gray alone has no gradient in some networks, so a gray start has noise too faint to see.

    Args:
        plane: Filled in place.
        rng: Random numbers.
        spread: Width of the noise, in units of the full range of brightness.
    """
    channels, height, width = plane.shape
    for channel in range(channels):
        for top, integers in rng.integer_rows(height, width, (2 << 32) + channel):
            noise = torch.from_numpy(integers >> 11) * 2.0**-53 - 0.5  # from -0.5 to 0.5
            plane[channel, top : top + len(integers)] = 0.5 + spread * noise
        note_mapped_access(plane[channel : channel + 1])


def _fill_with_colors(
    plane: Tensor, rng: SweepRng, region_colors: Sequence[Tensor], regions: RegionWeights | None
) -> None:
    """Fill a plane [3, H, W] with random colors of the region in which each pixel lies.

    Args:
        plane: Filled in place.
        rng: Random numbers.
        region_colors: For each region, its colors [3, n].
        regions: Weights of the regions; None: the whole plane is one.
    """
    _, height, width = plane.shape
    for top, integers in rng.integer_rows(height, width, stream=1 << 32):
        box = Box(top, 0, len(integers), width)
        labels = (
            torch.zeros(integers.shape, dtype=torch.int64) if regions is None else regions.dominant_region(box)
        )
        rows = plane[:, top : top + len(integers)]
        for region, colors in enumerate(region_colors):
            index = torch.from_numpy((integers % colors.shape[1]).astype("int64"))  # [h, W]
            noise = colors[:, index.flatten()].reshape(3, *index.shape)  # [3, h, W]
            rows.copy_(torch.where(labels.to(rows.device) == region, noise.to(rows.device), rows))
        note_mapped_access(rows)


def _region_colors(job: Job, level: Level) -> list[Tensor]:
    """Return the colors of each region, [3, n]: pixels of its styles in proportion to their shares.

    Without a style (network inversion), they are an even cube of colors around gray: the picture should show
    nothing but the activations.
    """
    if not job.styles:
        return [_color_cube()]
    parts: list[list[tuple[float, Tensor]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        size = style_size(job, style, level)
        pixels = resize(style.picture, size).clamp(0, 1).flatten(1)  # [3, n]
        guide = None
        if style.guide is not None:
            guide = resize(style.guide, size, Filter.LINEAR).flatten(1) > 0.5  # [regions, n]
        for region, share in enumerate(style.shares):
            inside = pixels if guide is None or not guide[region].any() else pixels[:, guide[region]]
            if share:
                parts[region].append((share, inside))
    return [_sample_in_proportion(part) for part in parts]


def _color_cube() -> Tensor:
    """Return an even grid of colors around the middle gray, [3, 16^3]."""
    values = torch.linspace(0.5 - COLOR_NOISE, 0.5 + COLOR_NOISE, 16)
    return torch.cartesian_prod(values, values, values).mT


def _sample_in_proportion(parts: Sequence[tuple[float, Tensor]]) -> Tensor:
    """Sample columns of several tensors in proportion to their shares.

    Args:
        parts: Pairs of a share and colors, [3, n] with a different n each.

    Returns:
        The sampled colors, [3, m].
    """
    if len(parts) == 1:
        return parts[0][1]
    count = min(colors.shape[1] / share for share, colors in parts)
    samples = []
    for share, colors in parts:
        number = max(1, int(share * count))
        samples.append(colors[:, torch.arange(number) * colors.shape[1] // number])
    return torch.cat(samples, 1)
