"""A lake under hills in washes on rough paper: granulating blues, ochres that run, blooms, trees in touches."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.fields import Array, clouds, noise, resized, smooth
from painting.water import Paper

SHORE = 0.60  # picture heights from the top


def watercolor(random: Generator, height: int, width: int) -> Array:
    """Paint it."""
    paper = Paper(random, height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    # The sky, wet in wet.
    cloud = clouds(random, height, width, height * 0.34, 5)
    paper.wash(0.50 - y, "b4d0e2", smooth(-0.5, 1.0, cloud) * (1 - 0.9 * y), soft=0.10, granular=0.3, flow=0.5)
    paper.wash(0.24 - y + 0.1 * cloud, "8fb0d4", 0.6, soft=0.10, other="b4b0d2", granular=0.5, flow=0.6)
    paper.wash(0.10 - np.abs(y - 0.40), "f8dcae", 0.8, soft=0.09, other="f2c6b0", granular=0.1)
    paper.bloom(np.array([(0.10, 0.62), (0.2, 1.05), (0.27, 0.5)]), 0.13)
    # Hills, one behind another, each wash dry before the next.
    far = (
        (0.35, 0.060, "bcc6de", "d8c6d2", 0.9),
        (0.43, 0.050, "93aecb", "b9a9c4", 0.9),
        (0.50, 0.030, "6f9aad", "9bae98", 0.85),
        (0.565, 0.016, "5f8a78", "b3a85c", 0.9),
    )
    for level, rise, pigment, other, strength in far:
        ridge = level + rise * (
            noise(random, 8, width, height * 0.35)[0] + 0.35 * noise(random, 8, width, height * 0.09)[0]
        )
        below = y - ridge
        fading = strength * (1.0 - 0.9 * smooth(0.0, 0.11, below))
        paper.wash(np.minimum(below, SHORE + 0.004 - y), pigment, fading, other=other, granular=0.5, rim=0.8)
        fold = clouds(random, height, width, height * 0.11)
        inside = (
            np.minimum(below - 0.012, SHORE - y)
            - 0.03 * smooth(-0.2, 0.9, fold)
            - 0.02 * smooth(0.02, 0.1, below)
        )
        paper.wash(inside, pigment, 0.35, rim=0.7, granular=0.6)
    paper.bloom(np.array([(0.46, 0.85), (0.43, 0.45)]), 0.05)
    lake(random, paper, y, x)
    bank(random, paper, y, x)
    trees(random, paper, y, x)
    paper.spatter("8a6a3c", 60, 2.2, 0.8)
    paper.spatter("3f6a86", 50, 2.6, 0.7)
    return paper.seen()


def lake(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """Water that mirrors hills and sky, with a band of bare paper where the light is."""
    height, width = y.shape
    depth = np.clip((y - SHORE) / (1 - SHORE), 0, 1)
    paper.wash(y - SHORE - 0.004, "bcd8e2", 0.25 + 0.7 * depth, rim=0.7, granular=0.4, flow=0.5, other="e6dcc4")
    ripple = resized(noise(random, height, max(8, width // 9), height * 0.014), height, width)
    mirror = 0.09 + 0.045 * noise(random, 8, width, height * 0.3)[0] - (y - SHORE)
    inside = np.minimum(mirror + 0.012 * ripple, y - SHORE - 0.006)
    paper.wash(inside, "7faaa8", 0.8, other="a0b48c", granular=0.5, rim=0.7, flow=0.5)
    paper.wash(
        np.minimum(mirror - 0.05 + 0.014 * ripple, y - SHORE - 0.006), "5f8a88", 0.55, other="a8a060", rim=0.6
    )
    for level in (0.70, 0.745, 0.79, 0.85, 0.92):
        long = resized(noise(random, height, max(8, width // 6), height * 0.05), height, width)
        band = 0.004 + 0.006 * (level - 0.6) * 6 * long - np.abs(y - level - 0.004 * np.sin(6 * x + 20 * level))
        paper.wash(band, "7fa6c6", 0.7, rim=0.7, dry=0.35, other="8fa0c0")
    paper.bloom(np.array([(0.80, 0.62), (0.76, 1.05)]), 0.07, 0.7)


def bank(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """The near bank: ochre and green running into each other, dry grass over it."""
    height, width = y.shape
    edge = (
        0.93
        - 0.16 * smooth(0.55, 0.0, x)
        - 0.09 * smooth(0.85, 1.35, x)
        + 0.010 * noise(random, 8, width, height * 0.06)[0]
    )
    paper.wash(y - edge, "dcbf6c", 0.9, other="9fb06c", rim=0.9, granular=0.35, flow=0.6)
    paper.wash(
        y - edge - 0.03 - 0.02 * clouds(random, height, width, height * 0.1),
        "93a05a",
        0.7,
        other="b98a50",
        rim=0.6,
        flow=0.6,
    )
    paper.wash(y - edge - 0.09, "76835a", 0.8, soft=0.03, other="98704c", granular=0.5)
    paper.bloom(np.array([(0.94, 0.2), (0.97, 1.15), (0.9, 0.08)]), 0.06, 0.8)
    blades = np.full(y.shape, -1.0, np.float32)
    for _ in range(170):
        right = random.uniform(0, width / height)
        if 0.55 < right < 0.85 and random.random() < 0.6:
            continue
        foot = edge[0, int(min(right * height, width - 1))] + random.uniform(0.0, 0.08)
        tall, lean = random.uniform(0.02, 0.075), random.normal(0.1, 0.25)
        along = np.linspace(0, 1, 220)
        rows = ((foot - tall * along) * height).astype(int)
        for offset in range(-2, 3):
            columns = (
                (right + lean * tall * along**2) * height + offset * (1 - along) * 0.8 * paper.unit
            ).astype(int)
            keep = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            blades[rows[keep], columns[keep]] = 0.003
    paper.wash(blades, "6f6c3e", 0.9, rim=0.0, dry=0.2, other="9a6a3c", rough=0.2)


def trees(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """Two trees on the left and a group far off: foliage in touches with paper between, trunks after."""
    height, width = y.shape
    for level, tall, right, pigment, other in (
        (SHORE + 0.002, 0.075, 0.93, "6f9078", "c8b45c"),
        (SHORE + 0.002, 0.10, 1.01, "5a7f6a", "d0a050"),
        (SHORE + 0.002, 0.07, 1.10, "7a9874", "d8b464"),
    ):
        crown = 1 - np.hypot((x - right) / (0.42 * tall), (y - level + 0.55 * tall) / (0.55 * tall))
        paper.wash(
            tall * 0.4 * (crown + 0.28 * clouds(random, height, width, tall * 0.4 * height)),
            pigment,
            1.0,
            other=other,
            rim=0.7,
        )
    for right, foot, tall in ((0.13, 0.84, 0.62), (0.29, 0.88, 0.44)):
        lean = 0.05
        along = np.clip((foot - y) / tall, 0, 1)
        middle = right + lean * tall * along**2 + 0.006 * np.sin(9 * along + right * 20)
        crown = 1 - np.hypot(
            (x - right - lean * tall) / (0.30 * tall), (y - foot + 0.68 * tall) / (0.34 * tall)
        )
        crown = np.where(crown < 0, 2.5 * crown, crown)
        for cell, level, pigment, other, strength in (
            (0.07, 0.25, "dcd586", "f0cf7c", 0.75),
            (0.045, 0.55, "a9b870", "e2a866", 0.6),
            (0.028, 0.95, "7b9464", "bf8452", 0.55),
            (0.017, 1.35, "5d7556", "8a6550", 0.6),
        ):
            leaves = clouds(random, height, width, cell * height, 3)
            inside = 0.6 * cell * (0.8 * np.minimum(crown, 0.45) + 0.75 * leaves - 0.75 * level)
            paper.wash(inside, pigment, strength, other=other, rim=0.8, granular=0.3, flow=0.6)
        trunk = 0.010 * (1.15 - along) - np.abs(x - middle)
        paper.wash(
            np.minimum(trunk, np.minimum(foot - y, y - foot + 0.8 * tall)),
            "7a655a",
            1.0,
            other="a58a74",
            rim=0.7,
            rough=0.5,
        )
        for _ in range(11):
            up, side, reach = (
                random.uniform(0.35, 0.8),
                random.choice([-1, 1]),
                random.uniform(0.1, 0.26) * tall,
            )
            start = right + lean * tall * up**2
            out = np.clip(side * (x - start) / reach, 0, 1)
            branch = 0.0036 * (1.2 - out) - np.abs(y - (foot - up * tall - 0.8 * reach * out**0.8)) / 1.25
            paper.wash(np.where((out > 0) & (out < 1), branch, -1), "6f5c52", 0.8, rim=0.3, dry=0.1, rough=0.3)
