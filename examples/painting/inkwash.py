"""Peaks in mist, pines and a boat: ink in water on soft paper, from palest gray to black, and one red seal."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.fields import Array, clouds, noise, resized, smooth
from painting.water import Paper

INK, PALE = "4a4c50", "8a8e92"


def inkwash(random: Generator, height: int, width: int) -> Array:
    """Paint it. No brush runs dry: renders turn the holes into strings of beads."""
    paper = Paper(random, height, width, "efe9db")
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    paper.wash(
        0.30 - y + 0.1 * clouds(random, height, width, height * 0.4),
        PALE,
        0.3,
        soft=0.2,
        granular=0.15,
        flow=0.6,
    )
    paper.wash(0.07 - np.hypot(y - 0.17, x - 0.36), "d8734f", 0.9, rim=0.5, granular=0.2, flow=0.3, rough=0.35)
    for middle, top, spread, foot, strength in (
        (1.02, 0.20, 0.20, 0.62, 0.35),
        (0.62, 0.30, 0.22, 0.62, 0.40),
        (0.22, 0.34, 0.18, 0.66, 0.45),
        (1.24, 0.30, 0.16, 0.70, 0.65),
        (0.86, 0.40, 0.15, 0.72, 0.80),
        (0.05, 0.46, 0.17, 0.80, 0.95),
    ):
        peak(random, paper, (middle, top, spread, foot, strength), y, x)
    water(random, paper, y, x)
    pines(random, paper, y, x)
    boat(paper, y, x)
    seal(random, paper, y, x)
    paper.spatter("5a5a5a", 12, 1.8, 0.9)
    return paper.seen(relief=0.025)


def peak(
    random: Generator, paper: Paper, shape: tuple[float, float, float, float, float], y: Array, x: Array
) -> None:
    """A peak: a wash that fades into mist, a contour that breaks, strokes down its sides."""
    middle, top, spread, foot, strength = shape
    height, width = y.shape
    jag = (
        0.032 * noise(random, 8, width, height * 0.075)[0] + 0.014 * noise(random, 8, width, height * 0.025)[0]
    )
    away = np.abs(x[0] - middle) / spread
    ridge = top + (foot - top) * (1.25 * away**1.15 / (1 + 0.45 * away)) + jag * (0.4 + away)
    below = y - ridge
    mist = smooth(foot, top + 0.06, y + 0.035 * clouds(random, height, width, height * 0.16))
    paper.wash(below, PALE, strength * mist * 0.9, rim=0.45, granular=0.2, flow=0.5)
    # Strokes that follow the fall of the rock, dark on the side away from the moon.
    lean = np.sign(x - middle) * 0.9
    flow = resized(noise(random, max(8, height // 7), width, height * 0.010), height, width)
    rock = np.clip(x - lean * 0.5 * below, 0, width / height - 1e-3)
    texture = flow[np.arange(height)[:, None], (rock * height).astype(int).clip(0, width - 1)]
    side = smooth(-0.25, 0.6, (x - middle) / spread + 0.6 * clouds(random, height, width, height * 0.09))
    strokes = 0.006 * (texture + 1.5 * side - 1.15 - 2.4 * smooth(0.0, 0.30, below))
    paper.wash(np.minimum(strokes, below), INK, strength * mist, rim=0.4, granular=0.2, flow=0.5)
    broad = 0.05 * (
        clouds(random, height, width, height * 0.06) + 1.2 * side - 0.9 - 3 * smooth(0, 0.22, below)
    )
    paper.wash(
        np.minimum(broad, below - 0.004), PALE, 0.9 * strength * mist, soft=0.012, granular=0.25, flow=0.5
    )
    line = 0.0030 * (1.1 + 0.8 * noise(random, 8, width, height * 0.05)[0]) - np.abs(below)
    paper.wash(line, "2c2d30", 1.1 * strength * mist, rim=0.2, granular=0.2, rough=0.4)


def water(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """Still water: bare paper and a few long strokes, darker towards the viewer."""
    height, width = y.shape
    paper.wash(
        y - 0.93 + 0.05 * clouds(random, height, width, height * 0.3), PALE, 0.55, soft=0.08, granular=0.2
    )
    for level in (0.735, 0.77, 0.80, 0.845, 0.87, 0.91, 0.95):
        long = resized(noise(random, height, max(8, width // 10), height * 0.022), height, width)
        bent = level + 0.003 * np.sin(8 * x + 30 * level)
        reach = smooth(0.1, 0.9, noise(random, 8, width, height * 0.3)[0])
        band = 0.0045 * (0.5 + long) * reach - np.abs(y - bent) - 0.002 * (1 - reach)
        paper.wash(band, PALE, 0.5 + 0.9 * (level - 0.7), rim=0.4)


def pines(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """A near bank with rocks, and two old pines: trunk, bent boughs, fans of needles."""
    height, width = y.shape
    edge = 0.93 - 0.20 * smooth(0.75, 1.33, x) + 0.014 * noise(random, 8, width, height * 0.05)[0]
    paper.wash(y - edge, PALE, 1.0, rim=0.7, flow=0.6, granular=0.3)
    rough = clouds(random, height, width, height * 0.05)
    paper.wash(np.minimum(y - edge - 0.006, 0.02 * (rough - 0.2)), INK, 1.0, rim=0.5, flow=0.5)
    paper.wash(
        0.004 * (1.2 + noise(random, 8, width, height * 0.04)[0]) - np.abs(y - edge),
        "26272a",
        1.3,
        rim=0.2,
    )
    for foot, right, tall, bend in ((0.80, 1.17, 0.50, -0.12), (0.83, 1.03, 0.30, -0.09)):
        along = np.clip((foot - y) / tall, 0, 1)
        middle = right + bend * along**1.5 + 0.018 * np.sin(7 * along + 9 * right)
        bark = 0.3 * noise(random, height, width, height * 0.012)
        trunk = (0.016 - 0.011 * along) * tall / 0.42 * (1 + 0.25 * bark) - np.abs(x - middle)
        paper.wash(
            np.minimum(trunk, np.minimum(foot + 0.02 - y, y - foot + tall)),
            INK,
            1.5,
            rim=0.7,
            flow=0.6,
            rough=0.5,
        )
        fans, boughs = np.full(y.shape, -1, np.float32), np.full(y.shape, -1, np.float32)
        for up in np.linspace(0.36, 1.0, 9):
            start = right + bend * up**1.5 + 0.018 * np.sin(7 * up + 9 * right)
            side = 1 if round(up * 20) % 2 else -1
            reach = side * tall * random.uniform(0.28, 0.52) * (1.25 - 0.75 * up)
            out = np.linspace(0, 1, 260)
            rows = foot - up * tall - 0.05 * tall * np.sin(2.6 * out) + 0.02 * tall * np.sin(9 * out + up * 7)
            columns = start + reach * out
            _draw(boughs, rows, columns, 0.0045 * tall / 0.42 * (1.2 - out))
            for place in np.linspace(0.25, 1, 6):
                spot = int(place * 259)
                fan = random.uniform(0.035, 0.055) * tall / 0.42
                for turn in np.linspace(-2.85, -0.3, 23) + random.normal(0, 0.06, 23):
                    ray = np.linspace(0, 1, 60) * random.uniform(0.7, 1.05)
                    _draw(
                        fans,
                        rows[spot] + fan * 0.62 * ray * np.sin(turn),
                        columns[spot] + fan * ray * np.cos(turn),
                        0.0011 * (1.2 - ray),
                    )
        paper.wash(boughs, "303134", 1.2, rim=0.3, rough=0.3)
        cloud = softly(fans, height)
        paper.wash(0.12 * (cloud - 0.4), PALE, 0.7, soft=0.02, granular=0.2)
        paper.wash(fans, "26272a", 1.0, rim=0.0, granular=0.2, rough=0.15)


def softly(lines: Array, height: int) -> Array:
    """How many lines are near, 0 to about 1."""
    small = resized((lines > 0).astype(np.float32), max(8, height // 24), max(8, lines.shape[1] // 24))
    return np.clip(resized(small, *lines.shape) * 2.5, 0, 1)


def _draw(plane: Array, rows: Array, columns: Array, half: Array) -> None:
    """Mark a line in a plane of places inside, all in picture heights."""
    height = plane.shape[0]
    for offset in np.linspace(-1, 1, max(2, int(2.6 * half.max() * height))):
        tangent = np.gradient(rows), np.gradient(columns)
        length = np.hypot(*tangent) + 1e-9
        row = ((rows + offset * half * tangent[1] / length) * height).astype(int)
        column = ((columns - offset * half * tangent[0] / length) * height).astype(int)
        keep = (row >= 0) & (row < height) & (column >= 0) & (column < plane.shape[1])
        plane[row[keep], column[keep]] = 0.004


def boat(paper: Paper, y: Array, x: Array) -> None:
    """A boat with its fisherman, a few strokes."""
    right, down = 0.50, 0.815
    along = (x - right) / 0.06
    hull = np.minimum(0.0075 * (1 - along**2) - np.abs(y - down + 0.010 * along**2), 0.9 - np.abs(along))
    paper.wash(hull, "2a2b2e", 1.3, rim=0.4, rough=0.12)
    body = 0.008 - np.hypot((x - right - 0.012), (y - down + 0.018) * 0.55)
    paper.wash(body, INK, 1.4, rim=0.4, rough=0.12)
    hat = np.minimum(0.55 * (y - down + 0.043) - np.abs(x - right - 0.012) * 0.55 + 0.004, down - 0.031 - y)
    paper.wash(hat, "26272a", 1.3, rim=0.3, rough=0.12)
    pole = 0.0011 - np.abs(y - down + 0.02 + 0.75 * (x - right - 0.015))
    paper.wash(np.where((x > right - 0.02) & (x < right + 0.075), pole, -1), INK, 1.0, rim=0, rough=0.08)
    shade = 0.003 - np.abs(y - down - 0.016 - 0.002 * np.sin(90 * x))
    paper.wash(np.where(np.abs(along) < 1.1, shade, -1), PALE, 0.9, rim=0.2, rough=0.2)


def seal(random: Generator, paper: Paper, y: Array, x: Array) -> None:
    """A red seal cut with strokes that are no writing."""
    height, width = y.shape
    down, right, half = 0.84, 0.10, 0.026
    block = (
        half
        - np.maximum(np.abs(y - down), np.abs(x - right))
        + 0.0012 * noise(random, height, width, height * 0.006)
    )
    cuts = np.minimum.reduce(
        [
            np.abs(np.abs(x - right) - 0.0085) - 0.0018,
            np.maximum(np.abs(np.abs(y - down) - 0.012) - 0.0018, np.abs(x - right + 0.012) - 0.009),
            np.maximum(np.abs(y - down) - 0.0018, np.abs(x - right - 0.012) - 0.009),
        ]
    )
    cuts = np.where(half - np.maximum(np.abs(y - down), np.abs(x - right)) < 0.004, 1, cuts)
    paper.wash(np.minimum(block, cuts), "c23a26", 1.0, rim=0.2, granular=0.25, flow=0.15, rough=0.12)
