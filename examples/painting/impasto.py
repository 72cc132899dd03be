"""A river at evening, laid on thick: slabs of warm light against cool shadows, a bank of flowers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from painting.canvas import Brush, Canvas, Scene
from painting.fields import Array, clouds, colors, mixed, noise, ramp, resized, smooth

SKYLINE = 0.47  # of the far bank, picture heights from the top
SUN = (0.30, 0.47)  # center (y, x), picture heights


def impasto(random: Generator, height: int, width: int) -> Array:
    """Paint it."""
    canvas = Canvas(random, height, width, colors("8a4f33")[0], tooth=0.3)
    scene, meadow, water = evening(random, canvas.height // 2, canvas.width // 2)
    canvas.wash(scene, 0.45)
    # Slabs of one color with edges, and few bristles: these become ripples in renders.
    slab = Brush(110, 220, 1.8, wander=0.3, split=0.06, body=0.7, dry=0.22, wet=0.1, loose=0.4, hair=0.12)
    slab = replace(slab, tone=0.06, tint=0.05)
    canvas.lay(scene, slab)
    canvas.lay(scene, replace(slab, width=70, length=140, share=1.4, split=0.07, body=0.9, loose=0.25))
    slab = replace(slab, tone=0.07, tint=0.06, loose=0.25)
    canvas.lay(scene, replace(slab, width=44, length=90, share=1.2, split=0.07, body=1.0))
    canvas.lay(scene, replace(slab, width=28, length=62, share=0.8, body=1.2, missing=0.05))
    fine = 0.25 + 0.5 * water + 0.3 * meadow
    canvas.lay(scene, replace(slab, width=17, length=44, share=0.9, split=0.05, body=1.3, missing=0.08), fine)
    slab = replace(slab, tone=0.06, tint=0.05, loose=0.2)
    canvas.lay(scene, replace(slab, width=12, length=34, share=0.8, split=0.05, body=1.4, missing=0.14))
    flowers(canvas, meadow)
    return canvas.lit(depth=0.12)


def ridge(random: Generator, x: Array, level: float, rise: float, cell: float) -> Array:
    """An uneven line across the picture, [1, W], picture heights from the top."""
    row = (
        noise(random, 8, x.shape[1], cell * len(x))[:1]
        + 0.4 * noise(random, 8, x.shape[1], cell * len(x) / 4)[:1]
    )
    return level + rise * row


def evening(random: Generator, height: int, width: int) -> tuple[Scene, Array, Array]:
    """The scene, and how much of each place is meadow and water."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    away = np.hypot((y - SUN[0]) * 1.25, x - SUN[1])
    puff = clouds(random, height, width, height * 0.28, 5)
    sky = ramp(
        colors("3b6a93", "5f8fae", "94b1b4", "d8c79f", "efbd77", "ea9552"), np.clip(y / SKYLINE, 0, 1) ** 1.2
    )
    lightness = puff + 1.3 * np.exp(-((away / 0.55) ** 2)) - 0.5
    cloud = ramp(colors("665f86", "8a7394", "c58a86", "eeb184", "f8dcae", "fdf3d8"), 0.28 + 0.25 * lightness)
    color = mixed(sky, cloud, smooth(-0.15, 0.75, puff + 0.3 * np.sin(9 * y + 2 * x)))
    color = mixed(color, colors("fbe39a")[0], np.exp(-((away / 0.17) ** 2)) * 0.85)
    color = mixed(color, colors("fff6d4")[0], smooth(0.062, 0.05, away))
    angle = 0.25 * np.sin(3 * x + 2) - 0.25 + 0.5 * noise(random, height, width, height * 0.25)
    near = smooth(0.3, 0.09, away)
    angle = angle * (1 - near) + near * (np.arctan2((y - SUN[0]) * 1.25, x - SUN[1]) + np.pi / 2)

    for level, rise, tones in (
        (SKYLINE - 0.105, 0.030, ("7f7ba0", "9b8aa4", "c79a94")),
        (SKYLINE - 0.055, 0.024, ("56648a", "6f7690", "a98a82")),
        (SKYLINE - 0.012, 0.012, ("33524f", "4c6a55", "8f8a4e")),
    ):
        edge = ridge(random, x, level, rise, 0.45)
        shade = clouds(random, height, width, height * 0.07)
        hill = smooth(-0.004, 0.004, y - edge)
        color = mixed(
            color, ramp(colors(*tones), 0.5 - 4 * (y - edge) + 0.22 * shade + 0.4 * np.exp(-away / 0.3)), hill
        )
        angle = np.where(hill > 0.5, 0.25 + 0.6 * noise(random, height, width, height * 0.2), angle)
    color, angle = trees(random, color, angle)

    shore = SKYLINE + 0.02
    depth = (y - shore) / (1 - shore)
    mirrored = np.clip(
        (2 * shore - y - 0.02 * noise(random, height, width, height * 0.04)) * height, 0, height - 1
    )
    ripple = noise(random, height, width // 6, height * 0.012)
    sway = (resized(ripple, height, width) * height * 0.012 * (0.4 + 2 * np.clip(depth, 0, 1))).astype(int)
    columns = np.clip(np.arange(width) + sway, 0, width - 1)
    reflected = color[mirrored.astype(int), columns]
    reflected = mixed(reflected * 0.9, colors("2d5a72")[0], np.clip(0.16 + 0.4 * depth, 0, 0.6))
    lines = np.sin(
        2 * np.pi * np.log1p(9 * np.clip(depth, 0, 1)) * 9 + 2.5 * noise(random, height, width, height * 0.1)
    )
    glint = np.exp(-(((x - SUN[1]) / (0.05 + 0.13 * np.clip(depth, 0, 1))) ** 2)) * smooth(-0.1, 0.5, lines)
    reflected = mixed(reflected, colors("fbd98c")[0], glint * 0.9)
    reflected = mixed(reflected, colors("f0c0a0")[0], 0.25 * smooth(0.4, 1, lines))
    water = smooth(-0.004, 0.004, y - shore)
    color = mixed(color, reflected, water)
    angle = np.where(water > 0.5, 0.04 * noise(random, height, width, height * 0.1), angle)

    edge = (
        0.86
        - 0.26 * smooth(0.45, 1.35, x)
        + 0.05 * np.sin(7 * x) * smooth(0.2, 0.9, x)
        + 0.12 * smooth(0.35, 0.0, -x + 0.35)
    )
    edge = edge + 0.008 * noise(random, height, width, height * 0.05)
    meadow = smooth(-0.006, 0.006, y - edge)
    grass = (
        0.42
        + 0.24 * clouds(random, height, width, height * 0.1)
        - 0.55 * (y - edge)
        + 0.25 * np.exp(-(y - edge) / 0.03)
    )
    color = mixed(
        color, ramp(colors("17301f", "2c5430", "5a7d35", "96a145", "d3c05e", "f2dd92"), grass), meadow
    )
    angle = np.where(meadow > 0.5, -1.35 + 0.35 * noise(random, height, width, height * 0.12), angle)
    return Scene(color.astype(np.float32), angle.astype(np.float32)), meadow, water * (1 - meadow)


def trees(random: Generator, color: Array, angle: Array) -> tuple[Array, Array]:
    """Poplars and rounder trees along the far bank, lit from the sun's side."""
    height, width = angle.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    ragged = clouds(random, height, width, height * 0.04, 3)
    tall = [(0.06, 0.23), (0.105, 0.27), (0.15, 0.21), (0.99, 0.30), (1.045, 0.36), (1.10, 0.31), (1.15, 0.24)]
    spots = [(right, tip, 0.026) for right, tip in tall]
    spots += [
        (random.uniform(0, 1.33), random.uniform(0.05, 0.10), random.uniform(0.05, 0.09)) for _ in range(9)
    ]
    for right, tip, half in spots:
        bottom, up = SKYLINE + 0.02, (SKYLINE + 0.02 - y) / tip
        shape = np.sqrt(np.clip(up * (1 - up), 0, 1)) * 2
        inside = half * shape * (1 + 0.3 * ragged) - np.abs(x - right)
        tree = smooth(-0.002, 0.002, inside) * (up > 0) * (up < 1) * (y < bottom)
        lit = (
            0.34
            + 0.5 * (SUN[1] - x) / abs(SUN[1] - right + 1e-3) * 0
            + 0.32 * np.clip((x - right) / half, -1, 1) * np.sign(SUN[1] - right)
        )
        tone = np.clip(lit + 0.2 * ragged + 0.12 * up, 0, 1)
        leaves = ramp(colors("16282b", "23443a", "3e6338", "7f8a3a", "c7a94c", "efd07a"), tone)
        color = mixed(color, leaves, tree)
        angle = np.where(tree > 0.5, -1.25 + 0.5 * ragged, angle)
    return color, angle


def flowers(canvas: Canvas, meadow: Array) -> None:
    """Dabs of poppy, cornflower and daisy, larger below, in drifts."""
    random = canvas.random
    rows, columns = meadow.shape
    drift = noise(random, rows, columns, rows * 0.12)
    kinds = (
        ("c8301e", "e8623a"),
        ("d8482a", "f08a54"),
        ("4a5fae", "8aa0d8"),
        ("e6d2a4", "f6e6c2"),
        ("e8a83a", "f8dc7a"),
    )
    for _ in range(800):
        place = random.uniform((0.55, 0), (1, canvas.width / canvas.height)) * canvas.height
        row, column = (place / canvas.height * len(meadow)).astype(int).clip(0, np.array(meadow.shape) - 1)
        if meadow[row, column] < 0.5 or drift[row, column] + random.normal(0, 0.5) < 0.15:
            continue
        size = canvas.unit * (4 + 24 * (place[0] / canvas.height - 0.55)) * random.uniform(0.6, 1.3)
        kind = (
            int(np.clip(2.2 + 1.4 * drift[row, column] + random.normal(0, 1.2), 0, 4))
            if random.random() < 0.5
            else 0
        )
        turn = random.uniform(0, np.pi)
        nodes = place + np.linspace(-0.7, 0.7, 5)[:, None] * size * np.array([np.sin(turn), np.cos(turn)])
        canvas.stroke(
            nodes, size, colors(*kinds[kind]), Brush(size, size, body=2.0, dry=0.2, wet=0.05, hair=0.5)
        )
