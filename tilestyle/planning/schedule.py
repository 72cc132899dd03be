"""The schedule of a render, decided before anything is allocated: levels, sizes and sweeps. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, log, pi

from tilestyle.config.enums import NetworkName, Quality
from tilestyle.config.render import SCHEDULES, RenderConfig
from tilestyle.geometry.boxes import CanvasExtent, canvas_extent, round_up

# Default for renders with a content and a trained network.
LEARNING_RATE_FALLOFF = 0.75
# Smallest learning rate of a level, relative to the coarsest: fine levels of a poster have few sweeps.
MIN_RATE = 0.35
# Cotangents are those of the canvas one sweep ago. With a factor of 1 they are extrapolated linearly to the
# present: A_t + (A_t - A_(t-1)), as in the optimiztic gradient method (Popov 1980; Daskalakis et al. 2018). Its
# effect is measured by benchmarks.ablations.
EXTRAPOLATION = 1.0
# If content features are cached: sweeps with a common grid of patch corners, so that the features are computed
# once in this many sweeps; and the number of places of a patch that covers the whole canvas during these
# sweeps.
GRID_PERIOD, CYCLED_PLACES = 32, 4


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid.

    Attributes:
        index: Number of the level, from 0, the coarsest.
        extent: Size of its canvas, and where the picture lies in it.
        sweeps: Number of sweeps.
        size_ratio: Long side of its picture relative to the finished one.
        scale_odds: Odds of patches at scales 1, 2, 4, ...
        patch_side: Largest patch side, pixels.
        learning_rate_factor: Factor of the learning rate.
    """

    index: int
    extent: CanvasExtent
    sweeps: int
    size_ratio: float
    scale_odds: tuple[float, ...]
    patch_side: int
    learning_rate_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Where the levels start, and the patches that they are rendered in.

    Attributes:
        coarsest_side: Long side of the first picture, pixels.
        patch_side: Largest patch side, pixels.
        unit: Deepest stride in use, pixels.
        falloff: Power of its size by which the learning rate of a level falls.
    """

    coarsest_side: float
    patch_side: int
    unit: int
    falloff: float = 0.0

    @property
    def min_patch_side(self) -> int:
        """Smallest useful patch side: with fewer cells there is nothing to compare."""
        return 2 * self.unit


def plan_levels(height: int, width: int, config: RenderConfig, pyramid: Pyramid) -> tuple[Level, ...]:
    """Plan the levels, from coarse to fine, in equal ratios close to `level_ratio`; the last has the full size.

    Args:
        height: Height of the finished picture, pixels.
        width: Width of the finished picture, pixels.
        config: The settings.
        pyramid: Where the levels start, and the patches.
    """
    long_side = max(height, width)
    steps = max(0, ceil(log(long_side / pyramid.coarsest_side, config.level_ratio) - 1e-9))
    result = []
    for index in range(steps + 1):
        share = (pyramid.coarsest_side / long_side) ** (1 - index / steps) if steps else 1.0
        size = max(1, round(height * share)), max(1, round(width * share))
        side = _local_side(config, max(size), pyramid)
        odds = _useful_scale_odds(config.scale_odds, max(size) + 2 * config.margin, side)
        level_extent = canvas_extent(*size, config.margin, pyramid.unit * 2 ** (len(odds) - 1), config.repeats)
        rate = max(MIN_RATE, min(1.0, pyramid.coarsest_side / (share * long_side)) ** pyramid.falloff)
        result.append(Level(index, level_extent, _sweeps(config, index), share, odds, side, rate))
    return tuple(result)


def _local_side(config: RenderConfig, long_side: int, pyramid: Pyramid) -> int:
    """Return the largest patch side of a level: with locality, a share of its picture.

    It is at least four of the deepest strides. A patch of 2 x 2 cells has no useful covariance, and patches of
    a quarter of the area take four times as long in total, since each has distances of its own.
    """
    if not config.locality:
        return pyramid.patch_side
    proportional = round(config.locality_window * long_side / pyramid.unit) * pyramid.unit
    minimum = 2 * pyramid.min_patch_side + 2 * round_up(config.overlap, pyramid.unit)
    return min(pyramid.patch_side, max(proportional, minimum))


def _sweeps(config: RenderConfig, index: int) -> int:
    """Return the number of sweeps of a level; the last number set applies to all finer levels."""
    if isinstance(config.sweeps, tuple):
        return config.sweeps[min(index, len(config.sweeps) - 1)]
    return config.sweeps or SCHEDULES[config.quality or Quality.NORMAL].sweeps(index)


def learning_rate_falloff(config: RenderConfig, *, with_content: bool) -> float:
    """Return the power of its size by which a level's learning rate falls; the coarsest has the full rate.

    Coarse levels find forms, which takes large steps. Fine levels draw details on them, where large steps leave
    grain. Textures and the network `wavelet` are better with large steps throughout (docs/algorithm.md).
    """
    if config.learning_rate_falloff is not None:
        return config.learning_rate_falloff
    return LEARNING_RATE_FALLOFF if with_content and config.network is not NetworkName.WAVELET else 0.0


def step_size(config: RenderConfig, level: Level, sweep: int) -> float:
    """Return the step size of a sweep: constant for half a level, then falling to a tenth on a half cosine."""
    return config.learning_rate * level.learning_rate_factor * step_decay(level, sweep)


def step_decay(level: Level, sweep: int) -> float:
    """Return the step size of a sweep, relative to that at the start of the level."""
    return 0.1 + 0.9 * _cosine_decay(level, sweep)


def is_finishing(config: RenderConfig, level: Level, sweep: int) -> bool:
    """Return whether a sweep is in the last quarter of the finest level."""
    return config.finish and level.size_ratio == 1 and 4 * sweep >= 3 * level.sweeps


def extrapolation(level: Level, sweep: int) -> float:
    """Return the extrapolation factor of a sweep's cotangents, over their change since the sweep before.

    It falls from LEAD to 0 with the step size: the smaller the steps, the more of the change is noise from the
    random patch corners.
    """
    return EXTRAPOLATION * _cosine_decay(level, sweep)


def _cosine_decay(level: Level, sweep: int) -> float:
    """Return 1 for half a level, then a half cosine that falls to 0."""
    return 0.5 + 0.5 * cos(pi * max(0.0, 2 * sweep / level.sweeps - 1))


def patch_count(canvas: CanvasExtent, side: int) -> int:
    """Return the number of patches in a sweep at scale 1."""
    return ceil(canvas.height / side) * ceil(canvas.width / side)


def _useful_scale_odds(odds: tuple[float, ...], long_side: int, side: int) -> tuple[float, ...]:
    """Return the odds of the scales at which a patch covers more of the canvas than at the scale before."""
    useful = [share for scale, share in enumerate(odds) if scale == 0 or long_side > side * 2 ** (scale - 1)]
    return tuple(useful)
