"""Planes of numbers that pictures are made of: noise, ramps of color, places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]


def colors(*codes: str) -> Array:
    """Colors RRGGBB as [N, 3] in [0, 1]."""
    values = [[int(code[place : place + 2], 16) for place in (0, 2, 4)] for code in codes]
    return np.array(values, np.float32) / 255


def resized(values: Array, height: int, width: int) -> Array:
    """A plane [H, W], or planes [H, W, C], at another size."""
    if values.ndim == 3:
        return np.stack([resized(values[..., each], height, width) for each in range(values.shape[2])], -1)
    plane = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC))


def shrunk(values: Array, factor: float) -> Array:
    """Area means of planes [H, W, C], `factor` times smaller."""
    height, width = (max(1, round(side / factor)) for side in values.shape[:2])
    planes = [
        Image.fromarray(np.ascontiguousarray(values[..., each], np.float32)) for each in range(values.shape[2])
    ]
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BOX)) for plane in planes], -1)


def noise(random: Generator, height: int, width: int, cell: float) -> Array:
    """Smooth noise [H, W] with bumps about `cell` pixels wide, standard deviation about 1."""
    cell = max(cell, 1.0)
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    grid = random.normal(size=(rows, columns)).astype(np.float32)
    whole = resized(grid, round(rows * cell) + 1, round(columns * cell) + 1)
    down, right = (int(side) for side in random.integers(0, max(1, int(cell)), 2))
    return whole[down : down + height, right : right + width] * 1.4


def clouds(random: Generator, height: int, width: int, cell: float, octaves: int = 4) -> Array:
    """Noise of several sizes, each half as wide and about half as strong; standard deviation about 1."""
    total = np.zeros((height, width), np.float32)
    strength, power = 1.0, 0.0
    for _ in range(octaves):
        total += strength * noise(random, height, width, cell)
        power += strength**2
        strength, cell = strength * 0.55, cell / 2
    return total / np.float32(np.sqrt(power))


def ramp(palette: Array, place: Array) -> Array:
    """Colors at places in [0, 1] along a palette, [..., 3]."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(place, stops, palette[:, axis]) for axis in range(3)], -1).astype(np.float32)


def softened(values: Array, times: int = 1) -> Array:
    """A plane blurred by the binomial filter (1, 2, 1)/4 both ways, so many times."""
    for _ in range(2 * times):
        framed = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        values = (framed[:-1] + framed[1:]) / 2
        values = ((values[:-1] + values[1:]) / 2).T
    return values


def smooth(low: float, high: float, values: Array) -> Array:
    """From 0 below `low` to 1 above `high` without corners; the other way round if `low` is the larger."""
    along = np.clip((values - low) / (high - low), 0, 1)
    return (along * along * (3 - 2 * along)).astype(np.float32)


def mixed(one: Array, other: Array, share: Array) -> Array:
    """Colors [..., 3] with a share [...] of `other`."""
    both: Array = one + share[..., None] * (other - one)
    return both
