"""Blossoms in soft pastel on gray-brown paper: chalk caught by the tooth, hatched and broken, accents last."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.canvas import Brush, Canvas, Scene
from painting.fields import Array, clouds, colors, mixed, noise, ramp, smooth

PETALS = (
    ("7a2f52", "b84f78", "e08aa0", "f5c4c4", "fdeee0"),
    ("9a3a20", "d8623a", "f09a62", "f9cf9c", "fff0d8"),
    ("4a3a7a", "7a68b4", "a89ad6", "d4cdec", "f4f0fa"),
    ("a87818", "dca832", "f2cf62", "fae6a2", "fff8dc"),
    ("8a8ea8", "b8bccc", "dcdde0", "f2efe6", "ffffff"),
)


def pastel(random: Generator, height: int, width: int) -> Array:
    """Draw it."""
    canvas = Canvas(random, height, width, colors("8d7a68")[0], tooth=1.0)
    canvas.grain[:] = 1.15 * noise(random, canvas.height, canvas.width, 2.6 * canvas.unit)
    canvas.grain += 0.75 * noise(random, canvas.height, canvas.width, 5.5 * canvas.unit)
    scene, petals = garden(random, canvas.height // 2, canvas.width // 2)
    # Chalk has no body and no wetness; what the paper's tooth does not catch stays paper.
    chalk = {"body": 0.0, "wet": 0.10, "hair": 0.35, "split": 0.04}
    canvas.wash(scene, 0.25)
    canvas.lay(scene, Brush(42, 150, 1.1, wander=0.15, tone=0.05, tint=0.05, dry=0.95, loose=0.3, **chalk))
    canvas.lay(scene, Brush(24, 110, 1.1, wander=0.12, tone=0.06, tint=0.06, dry=0.9, loose=0.24, **chalk))
    canvas.lay(
        scene,
        Brush(12, 85, 0.9, wander=0.1, tone=0.08, tint=0.07, dry=0.8, loose=0.22, **chalk),
        0.45 + 0.5 * petals,
    )
    canvas.lay(
        scene,
        Brush(6, 60, 0.8, wander=0.1, tone=0.10, tint=0.09, dry=0.7, loose=0.22, **chalk),
        0.3 + 0.6 * petals,
    )
    canvas.lay(
        scene, Brush(4, 30, 0.5, wander=0.2, tone=0.12, tint=0.08, dry=0.5, loose=0.25, missing=0.07, **chalk)
    )
    return canvas.lit(depth=0.05, gloss=0.0, weave=0.8)


def garden(random: Generator, height: int, width: int) -> tuple[Scene, Array]:
    """Blossoms before a dim ground of leaves, and where the petals are."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    tone = 0.45 + 0.22 * clouds(random, height, width, height * 0.3) - 0.25 * (y - 0.5)
    cold = ramp(colors("16263a", "24506a", "3f8490", "86b8b0", "cfe0c8"), tone)
    warm = ramp(colors("1c2a1c", "35502c", "6a8440", "a8b268", "dedca0"), tone)
    color = mixed(cold, warm, smooth(-0.5, 0.6, noise(random, height, width, height * 0.28)))
    angle = -0.85 + 0.5 * noise(random, height, width, height * 0.3)
    for _ in range(60):
        down, right, turn = random.uniform(0, 1), random.uniform(0, width / height), random.normal(-0.8, 0.7)
        long, wide = random.uniform(0.05, 0.12), random.uniform(0.014, 0.03)
        along = (x - right) * np.cos(turn) + (y - down) * np.sin(turn)
        across = (y - down) * np.cos(turn) - (x - right) * np.sin(turn)
        inside = smooth(0, 0.15, 1 - (along / long) ** 2 - (across / (wide * (1 - 0.5 * along / long))) ** 2)
        leaf = ramp(
            colors("1a3324", "3a6a3c", "7aa04a", "bccf7a"),
            0.5 + 0.35 * np.sign(across) * 0.6 + random.normal(0, 0.22),
        )
        color, angle = mixed(color, leaf, inside), np.where(inside > 0.5, turn + 0.4 * np.sign(across), angle)
    petals = np.zeros_like(y)
    spots: list[tuple[float, float, float]] = []
    while len(spots) < 19:
        down, right, size = random.uniform(0, 1), random.uniform(0, width / height), random.uniform(0.055, 0.15)
        if all(np.hypot(down - a, right - b) > 0.72 * (size + c) for a, b, c in spots):
            spots.append((down, right, size))
    for down, right, size in spots:
        color, angle, petals = blossom(random, (down, right, size), y, x, (color, angle, petals))
    return Scene(color.astype(np.float32), angle.astype(np.float32)), petals


def blossom(
    random: Generator, spot: tuple[float, float, float], y: Array, x: Array, under: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """One blossom over what is there: rings of petals, light from the upper left, a dark heart."""
    down, right, size = spot
    color, angle, petals = under
    flat = random.uniform(0.7, 1)
    turn = random.uniform(0, np.pi)
    dy, dx = y - down, x - right
    dy, dx = dy * np.cos(turn) - dx * np.sin(turn), (dy * np.sin(turn) + dx * np.cos(turn)) * flat
    away, around = np.hypot(dy, dx) / size, np.arctan2(dy, dx)
    palette = colors(*PETALS[random.choice(5, p=(0.32, 0.24, 0.18, 0.12, 0.14))])
    count = int(random.integers(6, 10))
    for ring in range(3):
        reach = 1 - 0.3 * ring
        wave = np.cos(around * count + ring * 1.7 + random.uniform(0, 6))
        inside = smooth(0.0, 0.06, reach * (0.83 + 0.17 * np.abs(wave) ** 0.5 * np.sign(wave)) - away)
        light = (
            0.5
            - 0.28 * np.sin(np.arctan2(y - down, x - right) + 0.8) * away
            + 0.16 * wave
            + 0.5 * (away - 0.5 * reach)
        )
        light = light + 0.07 * ring - 0.35 * np.exp(-(((away - reach * 0.98) / 0.07) ** 2)) * (ring > 0)
        color = mixed(color, ramp(palette, np.clip(light, 0, 1)), inside)
        petals = np.maximum(petals, inside)
        angle = np.where(inside > 0.5, np.arctan2(y - down, x - right) + 0.35 * wave, angle)
    heart = smooth(0.17, 0.13, away)
    color = mixed(color, ramp(colors("3a1a14", "8a4a1c", "e0a83a"), 0.5 - 3 * (dy + dx) / size), heart)
    return color, angle, petals
