"""Flat strands of straw over two and under two, dyed in bands: split, faded and frayed as straw is."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.fields import Array, clouds, colors, mixed, noise, ramp, resized, smooth

FINE = 3 / 2  # computed so many times larger than the picture, for smooth edges
STRANDS = 27  # from the top of the picture to the bottom
STRAW = colors("3c2410", "7a4a1e", "b07f3c", "d6ad63", "edd498", "f7e9c4")
INDIGO = colors("0d1226", "1b2850", "2f4f80", "5d86a4", "a9c0c4", "dfe2d2")
MADDER = colors("2b0c0c", "651a18", "9c3324", "c2573a", "dc9272", "efcfb4")
GREEN = colors("12190d", "2f3d1c", "58682f", "8a9250", "bcbb84", "e2dcb4")


def weave(random: Generator, height: int, width: int) -> Array:
    """Weave it."""
    height, width = round(height * FINE), round(width * FINE)
    strand = height / STRANDS
    y, x = np.mgrid[:height, :width].astype(np.float32) / strand
    loose = 0.13 * noise(random, height, width, 7 * strand)
    y = y + loose + 0.05 * noise(random, height, width, 2.2 * strand)
    x = x - 0.13 * noise(random, height, width, 7 * strand) + 0.05 * noise(random, height, width, 2.2 * strand)
    cloth = np.zeros((height, width, 3), np.float32)
    over = (np.floor(y) + np.floor(x)) % 4 < 2  # whether the strand along the row lies on top here
    for number, (across, along, offset, top) in enumerate(((y, x, 0, over), (x, y, -2, ~over))):
        row = np.floor(across).astype(int)
        count = row.max() - row.min() + 1
        index = row - row.min()
        place = (along + row + offset) % 4
        run = np.floor((along + row + offset) / 4).astype(int)
        body, cover = straw(random, across - row, place, index, run, number, strand, count)
        # Neither strand fills its room: the dark of the other side shows between.
        shadow = np.exp(-np.clip(np.minimum(place, 2 - place), 0, 1) / 0.13) * 0.55
        lit = body * (1 - shadow[..., None] * np.array([0.75, 0.85, 0.95], np.float32))
        cloth = np.where(
            top[..., None],
            mixed(np.full_like(lit, 0.10) * np.array([1.4, 1, 0.7], np.float32), lit, cover),
            cloth,
        )
    return cloth * (1 + 0.05 * clouds(random, height, width, 5 * strand))[..., None]


def straw(
    random: Generator,
    across: Array,
    place: Array,
    index: Array,
    run: Array,
    number: int,
    strand: float,
    count: int,
) -> tuple[Array, Array]:
    """Colors of strands, and where they cover: `across` each from 0 to 1, `place` from 0 to 2 where on top."""
    height, width = across.shape
    edge = np.abs(random.normal(0, 0.03, (2, count))) + 0.004
    wear = 0.018 * noise(random, height, width, strand * 0.9) + 0.006 * noise(
        random, height, width, strand * 0.25
    )
    left, right = across - edge[0][index] - wear, 1 - across - edge[1][index] - wear
    cover = smooth(0, 1.6 / strand, np.minimum(left, right))
    # Fibres run along the strand: noise that is long one way and fine the other.
    long, fine = strand * 0.9, strand * 0.045
    shape = (
        (height, max(8, round(width * fine / long)))
        if number == 0
        else (max(8, round(height * fine / long)), width)
    )
    fibre = resized(noise(random, *shape, fine), height, width)
    split = resized(noise(random, *shape, fine * 3), height, width)
    tint = random.normal(0, 0.075, (count, 97))[index, run % 97] + random.normal(0, 0.06, count)[index]
    round_off = np.sqrt(np.clip(1 - (2 * across - 1) ** 2 * 0.9, 0, 1))
    hump = np.sqrt(np.clip(1 - ((place - 1) / 1.25) ** 2, 0, 1))
    sheen = np.exp(-(((across - 0.36) / 0.16) ** 2)) * np.exp(-(((place - 0.85) / 0.5) ** 2))
    tone = (
        0.42 + tint + 0.055 * fibre + 0.05 * split - 0.16 * (across - 0.4) + 0.16 * sheen * (1 + 0.35 * fibre)
    )
    tone = tone * (0.35 + 0.7 * round_off * (0.5 + 0.5 * hump))
    crack = smooth(1.75, 2.3, np.abs(split)) * smooth(0.15, 0.3, np.minimum(across, 1 - across))
    tone = tone * (1 - 0.45 * crack)
    pattern = (index + 3 * number) % 13
    color = ramp(STRAW, np.clip(tone + 0.12, 0, 1))
    faded = np.clip(0.12 + 0.08 * noise(random, height, width, 2 * strand) + 0.05 * fibre, 0, 0.4)
    for dye, which in ((INDIGO, (1, 2, 8)), (MADDER, (5,)), (GREEN, (10,))):
        dyed = mixed(ramp(dye, np.clip(tone, 0, 1)), color, faded)
        color = np.where(np.isin(pattern, which)[..., None], dyed, color)
    warm = 0.02 * noise(random, height, width, 1.3 * strand)[..., None] * np.array([1, 0.2, -1], np.float32)
    return (color + warm).astype(np.float32), cover
