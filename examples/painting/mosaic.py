"""Small cut stones and gold glass set in rows that follow forms: a sun, two suns more, waves and leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from painting.fields import Array, clouds, colors, mixed, noise, ramp, smooth, softened

FINE = 3 / 2  # computed so many times larger than the picture, for smooth edges
STONE = 0.0175  # of a picture's height: from one row of stones to the next

# Discs: center (y, x) and radius in picture heights, and the palette of the rings from the middle outwards.
GOLD = ("fdf0b8", "f3cf62", "d99a2b", "b8651f", "8c2f1c", "e3b65a", "f0dfae", "2f6f7a")
ROSE = ("f6e3c0", "e9a878", "cf5a3e", "8f2a2a", "e8c9a0", "4c2a3a", "d98a5e", "f2e2c4")
TEAL = ("f4eecb", "a9d0bf", "4f9a97", "1f5f74", "eadca6", "16385a", "7db7b0", "e9e4c6")
DISCS = (
    (0.34, 0.46, 0.27, GOLD),
    (0.70, 1.02, 0.21, ROSE),
    (0.17, 1.16, 0.12, TEAL),
    (0.84, 0.25, 0.13, TEAL),
    (0.08, 0.02, 0.11, ROSE),
)


class Stones(NamedTuple):
    """Which stone lies at each place, and where in it."""

    row: Array  # whole numbers [H, W]
    number: Array  # whole numbers [H, W]: along the row
    edge: Array  # [H, W]: distance to the nearest joint, stone widths
    lean: Array  # [H, W, 2]: place in the stone across and along the row, -0.5 to 0.5
    color: Array  # [H, W, 3]: of the design, at the stone's row


def mosaic(random: Generator, height: int, width: int) -> Array:
    """Set it."""
    height, width = round(height * FINE), round(width * FINE)
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    y = (
        y
        + 0.0012 * noise(random, height, width, height * 0.012)
        + 0.006 * noise(random, height, width, height * 0.15)
    )
    x = (
        x
        + 0.0012 * noise(random, height, width, height * 0.012)
        + 0.006 * noise(random, height, width, height * 0.15)
    )
    stones = ground(random, y, x)
    which = np.zeros((height, width), int)
    for number, (down, right, radius, palette) in enumerate(DISCS):
        away = np.hypot(y - down, x - right)
        turn = np.arctan2(y - down, x - right)
        petal = 1 + 0.055 * np.cos(turn * (8 + 2 * number)) * smooth(0.3, 1, away / radius)
        disc = rosette(random, away / petal, turn, radius, palette)
        inside = np.round(away / petal / STONE) * STONE < radius
        stones = Stones(
            *(
                np.where(inside if a.ndim == 2 else inside[..., None], a, b)
                for a, b in zip(disc, stones, strict=True)
            )
        )
        which = np.where(inside, number + 1, which)
    seam = np.zeros((height, width), bool)
    seam[1:] |= which[1:] != which[:-1]
    seam[:, 1:] |= which[:, 1:] != which[:, :-1]
    gap = softened(seam.astype(np.float32), max(1, round(height / 900)))
    return grouted(random, stones._replace(edge=stones.edge - 0.5 * np.clip(gap * 2, 0, 0.5)))


def laid(random: Generator, across: Array, along: Array, ratio: float) -> tuple[Array, Array, Array, Array]:
    """Stones in rows: `across` rows and `along` them, both in stone widths."""
    row = np.floor(across).astype(int)
    shift = random.uniform(0, 1, 4096)[row % 4096]
    stretch = random.uniform(0.85, 1.2, 4096)[(row + 7) % 4096]
    place = along / ratio * stretch + shift
    # Joints a little out of place, so that no two stones are alike.
    jog = random.uniform(-0.22, 0.22, 8192)
    number = np.floor(place).astype(int)
    number = number - (place < number + jog[(number * 31 + row * 17) % 8192]).astype(int)
    first = number + jog[(number * 31 + row * 17) % 8192]
    last = number + 1 + jog[((number + 1) * 31 + row * 17) % 8192]
    u, v = across - row, (place - first) / (last - first)
    size = (last - first) * ratio / stretch
    # Cut with a hammer: joints askew, corners off.
    skew = random.normal(0, 0.09, 8192)[(number * 13 + row * 29) % 8192]
    side_u = np.minimum(u, 1 - u) + skew * (v - 0.5)
    side_v = np.minimum(v, 1 - v) * size + skew * (u - 0.5)
    edge = np.minimum(side_u, side_v)
    corner = 0.16 - np.hypot(np.clip(0.22 - side_u, 0, 1), np.clip(0.22 - side_v, 0, 1)) + 0.06
    return row, number, np.minimum(edge, corner), np.stack([u - 0.5, v - 0.5], -1)


def rosette(random: Generator, away: Array, turn: Array, radius: float, palette: tuple[str, ...]) -> Stones:
    """Rings of stones around a middle."""
    row = np.floor(away / STONE)
    along = turn / (2 * np.pi) * np.maximum(np.round(2 * np.pi * (row + 0.5)), 3)
    _, number, edge, lean = laid(random, away / STONE, along, 1.0)
    ring = np.clip((row + 0.5) * STONE / radius, 0, 1)
    rays = 0.5 + 0.5 * np.cos(turn * 16 + 3 * ring)
    share = np.clip(ring + 0.07 * rays * (ring > 0.2), 0, 0.999) * len(palette)
    flat = colors(*palette)
    color = mixed(flat[share.astype(int)], ramp(flat, ring), np.full_like(ring, 0.35))
    return Stones(row.astype(int), number, edge, lean, color)


def ground(random: Generator, y: Array, x: Array) -> Stones:
    """Waves of stones around the discs, from deep blue to gold."""
    bulge = sum(
        0.55
        * radius
        * np.tanh((y - down) / radius)
        * np.exp(-(((x - right) / (1.5 * radius)) ** 2) - ((y - down) / (1.6 * radius)) ** 2)
        for down, right, radius, _ in DISCS
    )
    stream = y - bulge + 0.05 * np.sin(4.2 * x + 1) + 0.022 * np.sin(9 * x + 5 * y)
    line, number, edge, lean = laid(random, stream / STONE, (x + 0.3 * (stream - y)) / STONE, 1.1)
    place = line * STONE
    swell = 0.5 + 0.5 * np.sin(place * 21 + 1.6 * np.sin(5 * x))
    night = ramp(
        colors("122a4c", "1c4a70", "2a7186", "5fa19c", "b9cda8", "efe3b4"),
        np.clip(0.08 + 0.8 * swell * (0.5 + 0.5 * np.sin(3 * x + 9 * place)), 0, 1),
    )
    earth = ramp(colors("3a1f1a", "7c3a22", "b9692c", "dca545", "f2d88a"), np.clip(0.15 + 0.75 * swell, 0, 1))
    leaf = ramp(colors("1d2f1e", "3d5c30", "7b8f45", "bdbd70"), swell)
    color = mixed(night, earth, smooth(0.3, 0.75, np.sin(place * 7.5 + 2.2 * np.sin(2.1 * x + 1))))
    color = mixed(color, leaf, smooth(0.55, 0.8, np.sin(place * 10 - 3.0 * x + 2)))
    return Stones(line, number, edge, lean, color)


def grouted(random: Generator, stones: Stones) -> Array:
    """Stones of uneven tone and tilt in gray mortar, some of gold leaf; light from the upper left."""
    height, width = stones.edge.shape
    key = (stones.row * 7919 + stones.number * 104729 + (stones.color.sum(-1) > 1.5)) % 65536
    # One color a stone, whatever the design does inside it.
    total = np.maximum(np.bincount(key.ravel(), minlength=65536), 1)
    design = np.stack(
        [np.bincount(key.ravel(), stones.color[..., each].ravel(), 65536) / total for each in range(3)], -1
    )
    color = 0.75 * design[key] + 0.25 * stones.color
    tone, warm = random.normal(0, 0.085, 65536)[key], random.normal(0, 0.035, 65536)[key]
    color = color * (1 + tone[..., None]) + warm[..., None] * np.array([1, 0.1, -1], np.float32)
    other = random.random(65536)[key]
    gold = (other < 0.05) & (color[..., 0] > color[..., 2])
    glint = ramp(
        colors("7a4d14", "c98f2a", "f4cf6a", "fff3c0"),
        0.5 + 0.5 * np.sin(9 * tone * 10 + 2 * stones.lean[..., 0]),
    )
    color = np.where(gold[..., None], glint, color)
    tilt = random.normal(0, 0.22, (2, 65536))
    shine = tilt[0][key] * stones.lean[..., 0] + tilt[1][key] * stones.lean[..., 1]
    vein = 0.035 * clouds(random, height, width, height * 0.008) + 0.02 * noise(
        random, height, width, height * 0.002
    )
    color = color * (1 + shine + vein)[..., None]
    joint = (
        0.055
        + 0.02 * noise(random, height, width, height * 0.02)
        + 0.02 * random.normal(0, 1, 65536)[key].clip(-1.5, 1.5)
    )
    stone = smooth(-0.02, 0.06, stones.edge - joint)
    relief = smooth(0.0, 0.13, stones.edge - joint)
    down, right = np.gradient(softened(relief.astype(np.float32), 1))
    bevel = (down + 0.7 * right) * height / 1500
    color = (
        color * (1 + np.clip(0.9 * bevel, -0.35, 0.35))[..., None]
        + 0.10 * np.clip(bevel - 0.12, 0, 1)[..., None]
    )
    mortar = colors("6f665a")[0] * (1 + 0.11 * clouds(random, height, width, height * 0.004))[..., None]
    mortar = mortar * (0.72 + 0.28 * smooth(-0.25, 0.0, stones.edge - joint))[..., None]
    return mixed(mortar, color, stone).astype(np.float32)
