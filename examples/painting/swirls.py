"""Thick strokes around many eddies: night blues and sea greens, lights of ochre and lemon, a little rose."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.canvas import Brush, Canvas, Scene
from painting.fields import Array, clouds, colors, mixed, noise, ramp

# Center (y, x) and radius in picture heights, which way round, and how bright.
EDDIES = (
    (0.34, 0.40, 0.19, 1, 1.0),
    (0.66, 0.84, 0.17, -1, 0.9),
    (0.20, 1.10, 0.12, 1, 1.0),
    (0.82, 0.27, 0.12, -1, 0.55),
    (0.13, 0.76, 0.07, -1, 0.9),
    (0.88, 1.19, 0.10, 1, 0.7),
    (0.10, 0.08, 0.09, -1, 0.6),
    (0.50, 1.27, 0.06, 1, 0.9),
    (0.58, 0.08, 0.06, 1, 0.8),
)


def swirls(random: Generator, height: int, width: int) -> Array:
    """Paint it."""
    canvas = Canvas(random, height, width, colors("6b5a3c")[0])
    scene, glow = night(random, canvas.height // 2, canvas.width // 2)
    canvas.wash(scene, 0.6)
    canvas.lay(scene, Brush(60, 240, 2.2, tone=0.05, tint=0.03, split=0.06, body=0.5, dry=0.45, loose=0.5))
    canvas.lay(scene, Brush(34, 190, 1.2, tone=0.07, tint=0.035, split=0.08, body=0.8, dry=0.6, loose=0.32))
    canvas.lay(scene, Brush(19, 130, 1.1, tone=0.08, tint=0.045, split=0.09, dry=0.5, loose=0.28))
    canvas.lay(scene, Brush(11, 75, 0.6, tone=0.10, tint=0.05, split=0.09, body=1.4, dry=0.45, loose=0.26))
    canvas.lay(scene, Brush(6, 48, 0.5, tone=0.10, tint=0.06, body=1.8, dry=0.4, wet=0.05), 0.05 + 0.7 * glow)
    return canvas.lit()


def night(random: Generator, height: int, width: int) -> tuple[Scene, Array]:
    """The sky, and where its lights are."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    drift = 0.11 * noise(random, height, width, height * 0.38) + 0.02 * noise(
        random, height, width, height * 0.17
    )
    drift += 0.32 * y + 0.05 * np.sin(5 * x)
    stream, calm, glow, halo = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
    for down, right, radius, spin, bright in EDDIES:
        away = np.hypot(y - down, (x - right) * 0.92) / radius
        away = away * (1 + 0.05 * noise(random, height, width, height * 0.1))
        stream += spin * 1.3 * radius * np.exp(-(away**2) / 1.2)
        glow += bright * np.exp(-((away / 0.42) ** 2))
        halo += bright * (
            0.55 * np.exp(-(((away - 0.72) / 0.13) ** 2)) + 0.35 * np.exp(-(((away - 1.12) / 0.1) ** 2))
        )
        calm = np.maximum(calm, np.exp(-(away**2)))
    stream += drift * (1 - 0.7 * calm)
    down, right = np.gradient(stream)
    angle = np.arctan2(-right, down) + 0.1 * noise(random, height, width, height * 0.05)
    bands = 0.5 + 0.42 * np.sin(stream * 62) + 0.2 * clouds(random, height, width, height * 0.12)
    deep = 0.5 + 0.5 * np.tanh(0.8 * noise(random, height, width, height * 0.4))
    blue = ramp(
        colors("101a2e", "16305a", "1f4f86", "3f7fa6", "8db4b6", "dcdcc2"),
        0.05 + 0.8 * bands * (0.55 + 0.45 * deep),
    )
    green = ramp(colors("0d2430", "14474f", "2a7471", "6ba393", "b3cba6", "e6e4c0"), 0.05 + 0.85 * bands)
    color = mixed(blue, green, np.clip(0.35 + 0.5 * noise(random, height, width, height * 0.3), 0, 0.85))
    rose = np.clip(noise(random, height, width, height * 0.09) - 1.35, 0, 0.7) * bands
    color = mixed(color, colors("c98a86")[0], rose)
    light = colors("6f4a1c", "b8701c", "dd9a26", "f0c148", "f6e08c", "fbf3cf")
    lit = np.clip(glow + halo * (0.55 + 0.35 * bands), 0, 1)
    color = mixed(color, ramp(light, 0.15 + 0.85 * lit), np.clip(1.9 * lit - 0.28, 0, 1))
    return Scene(color.astype(np.float32), angle.astype(np.float32)), np.clip(lit, 0, 1)
