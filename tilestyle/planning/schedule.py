"""What a render will do, decided before anything is allocated: levels, sizes, sweeps. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, log, pi

from tilestyle.config.enums import NetworkName
from tilestyle.config.render import SCHEDULES, RenderConfig
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Extent, extent, rounded_up

# Unless it is given, of trained networks and pictures with a content.
FALLOFF = 0.75
# Least share of the learning rate that a level has: fine levels of a poster have few sweeps.
LEAST_RATE = 0.35
# Cotangents are of the canvas one sweep ago; 1 is where they would be now if they went on as they came. What it
# is worth: benchmarks.ablations.
LEAD = 1.0
# Where content features are kept: sweeps that have a grid of corners in common, so that features are computed
# once in as many; and, where one patch sees all of the canvas, how many places it has in turn meanwhile.
PERIOD, PLACES = 32, 4


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid."""

    index: int
    extent: Extent
    sweeps: int
    share: float  # long side of its picture over that of the finished one
    scale_odds: tuple[float, ...]  # of patches at scales 1, 2, 4, ...
    side: int  # largest patch side
    rate: float = 1.0  # share of the learning rate


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Where levels begin and how patches see them."""

    coarsest: float  # long side of the first picture, pixels
    side: int  # largest patch side
    unit: int  # deepest stride in use
    falloff: float = 0.0  # power of its size by which a level's learning rate falls

    @property
    def least(self) -> int:
        """Smallest patch side worth having: there is something to be compared in it."""
        return 2 * self.unit


def picture_size(size: int | tuple[int, int] | None, content: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the finished picture; a single `size` is its long side."""
    if isinstance(size, tuple):
        height, width = size
    elif content is None:
        height = width = size or 512
    else:
        factor = size / max(content) if size else 1
        height, width = (max(1, round(side * factor)) for side in content)
    if min(height, width) < 1:
        raise SettingError(f"size {width}x{height} is no picture", hint="give a long side or WIDTHxHEIGHT")
    return height, width


def levels(height: int, width: int, config: RenderConfig, pyramid: Pyramid) -> tuple[Level, ...]:
    """Coarse to fine, in equal ratios near `level_ratio`, the last of the full size."""
    long_side = max(height, width)
    steps = max(0, ceil(log(long_side / pyramid.coarsest, config.level_ratio) - 1e-9))
    result = []
    for index in range(steps + 1):
        share = (pyramid.coarsest / long_side) ** (1 - index / steps) if steps else 1.0
        size = max(1, round(height * share)), max(1, round(width * share))
        side = _local_side(config, max(size), pyramid)
        odds = _odds(config.scale_odds, max(size) + 2 * config.margin, side)
        around = extent(*size, config.margin, pyramid.unit * 2 ** (len(odds) - 1), config.repeats)
        rate = max(LEAST_RATE, min(1.0, pyramid.coarsest / (share * long_side)) ** pyramid.falloff)
        result.append(Level(index, around, _sweeps(config, index), share, odds, side, rate))
    return tuple(result)


def _local_side(config: RenderConfig, long_side: int, pyramid: Pyramid) -> int:
    """Largest patch side of a level: with locality, a share of its picture.

    No less than four of the deepest strides: 2 x 2 cells have no covariance to speak of, and patches of a
    quarter of the area take four times as long in all, since each has distances of its own.
    """
    if not config.locality:
        return pyramid.side
    share = round(config.locality_window * long_side / pyramid.unit) * pyramid.unit
    least = 2 * pyramid.least + 2 * rounded_up(config.overlap, pyramid.unit)
    return min(pyramid.side, max(share, least))


def _sweeps(config: RenderConfig, index: int) -> int:
    """Sweeps of a level; where some are given, the last of them goes for all finer levels."""
    if isinstance(config.sweeps, tuple):
        return config.sweeps[min(index, len(config.sweeps) - 1)]
    return config.sweeps or SCHEDULES[config.quality].sweeps(index)


def falloff(config: RenderConfig, *, with_content: bool) -> float:
    """The power of its size by which a level's learning rate falls; the coarsest has all of it.

    Coarse levels find forms, which takes large steps; fine ones draw on them, and large steps leave grain.
    Textures and `wavelet` are the better for large steps throughout (docs/algorithm.md).
    """
    if config.learning_rate_falloff is not None:
        return config.learning_rate_falloff
    return FALLOFF if with_content and config.network is not NetworkName.WAVELET else 0.0


def step_size(config: RenderConfig, level: Level, sweep: int) -> float:
    """Step size of a sweep: constant for half a level, then falling to a tenth on a half cosine."""
    return config.learning_rate * level.rate * pace(level, sweep)


def pace(level: Level, sweep: int) -> float:
    """Step size of a sweep, of that at the level's beginning."""
    return 0.1 + 0.9 * _fall(level, sweep)


def is_finishing(config: RenderConfig, level: Level, sweep: int) -> bool:
    """Whether a sweep is one of the last: of the last quarter of the finest level."""
    return config.finish and level.share == 1 and 4 * sweep >= 3 * level.sweeps


def lead(level: Level, sweep: int) -> float:
    """How far a sweep's cotangents are taken on, over their way since the sweep before: LEAD, in the end 0.

    It falls with the steps: the smaller they are, the more of that way is chance, the corners of patches.
    """
    return LEAD * _fall(level, sweep)


def _fall(level: Level, sweep: int) -> float:
    """1 for half a level, then falling to 0 on a half cosine."""
    return 0.5 + 0.5 * cos(pi * max(0.0, 2 * sweep / level.sweeps - 1))


def patches_of(canvas: Extent, side: int) -> int:
    """Patches in one sweep of a canvas at scale 1."""
    return ceil(canvas.height / side) * ceil(canvas.width / side)


def _odds(odds: tuple[float, ...], long_side: int, side: int) -> tuple[float, ...]:
    """Odds of the scales that show a canvas's patch more than a finer scale does."""
    useful = [share for scale, share in enumerate(odds) if scale == 0 or long_side > side * 2 ** (scale - 1)]
    return tuple(useful)
