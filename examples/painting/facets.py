"""Angular planes, each shaded from one side and brushed its own way, their edges lost and found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from painting.canvas import Brush, Canvas, Scene
from painting.fields import Array, clouds, colors, mixed, noise, ramp, smooth

WARM = colors("1d1512", "46291a", "7d4a22", "b37a35", "d3a761", "e6cf9c", "f3e9cf")
COOL = colors("10171c", "1f3038", "385560", "62848a", "98aea6", "cbd0bd", "eeeadb")
ROSE = colors("23120f", "582418", "94442a", "c0714a", "d9a081", "ecd2b6", "f6ebda")


@dataclass(frozen=True)
class Planes:
    """A plane cut into cells by lines."""

    label: Array  # [H, W]: the number of the cell
    count: int
    lines: list[Array]  # [S, 2] each: (y, x) along the cuts


def facets(random: Generator, height: int, width: int) -> Array:
    """Paint it."""
    canvas = Canvas(random, height, width, colors("5a4630")[0])
    planes = cut(random, canvas.height // 2, canvas.width // 2)
    scene = shaded(random, planes)
    canvas.wash(scene, 0.7)
    canvas.lay(scene, Brush(70, 190, 1.5, wander=0.2, tone=0.05, split=0.05, body=0.4, dry=0.6, loose=0.4))
    drawn(canvas, planes, 8, 0.5)
    sharp = partial(Brush, wander=0.1, tone=0.045, tint=0.03, split=0.05, loose=0.3)
    canvas.lay(scene, sharp(44, 150, 1.4, body=0.7, dry=0.6, sharp=0.8))
    canvas.lay(scene, sharp(24, 95, 1.0, body=0.9, dry=0.6, sharp=0.85, missing=0.03))
    drawn(canvas, planes, 5, 0.4)
    canvas.lay(scene, sharp(13, 55, 0.9, body=1.1, dry=0.55, sharp=0.9, missing=0.05))
    canvas.lay(scene, sharp(7, 30, 0.7, body=1.3, sharp=0.9, missing=0.075))
    canvas.lay(scene, Brush(6, 34, 0.12, wander=0.25, tone=0.12, tint=0.06, body=1.5, dry=0.7, loose=0.2))
    drawn(canvas, planes, 3, 0.45)
    return canvas.lit()


def cut(random: Generator, height: int, width: int) -> Planes:
    """Cut the plane in two again and again, more often in the middle."""
    label = np.zeros((height, width), np.int32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waiting, lines, found = [np.arange(height * width)], [], 0
    while waiting:
        inside = waiting.pop()
        down, right = y.ravel()[inside], x.ravel()[inside]
        middle = down.mean(), right.mean()
        apart = np.hypot(0.8 * (middle[0] / height - 0.48), middle[1] / height - 0.62)
        share = len(inside) / height**2
        if share < random.uniform(0.45, 1.7) * (0.0022 + 0.021 * apart):
            label.ravel()[inside] = found
            found += 1
            continue
        down, right = down - middle[0], right - middle[1]
        # Across the long axis, more or less; the first cuts aslant, whatever the picture's axes are.
        turn = 0.5 * np.arctan2(2 * (down * right).mean(), (right**2 - down**2).mean()) + random.normal(0, 0.55)
        if share > 0.12:
            turn = random.uniform(0.3, 1.2) + random.integers(2) * np.pi / 2
        along = down * np.sin(turn) + right * np.cos(turn)
        across = down * np.cos(turn) - right * np.sin(turn)
        reach = along.std()
        bent = random.normal(0, 0.16) * (random.random() < 0.35) / reach
        side = along - random.normal(0, 0.4) * reach - bent * across**2
        near = np.abs(side) < 1
        if near.sum() > 12:
            order = np.argsort(across[near])
            nodes = np.stack([y.ravel()[inside][near], x.ravel()[inside][near]], 1)[order]
            # The hand overshoots: lines run on past the planes that they part.
            past = (nodes[-1] - nodes[0]) * random.uniform(0, 0.12, (2, 1))
            lines.append(
                np.stack([nodes[0] - past[0], *nodes[:: max(1, len(nodes) // 12)], nodes[-1] + past[1]])
            )
        waiting += [inside[side < 0], inside[side >= 0]]
    return Planes(label, found, lines)


def shaded(random: Generator, planes: Planes) -> Scene:
    """Light from the upper left over planes that lean every way: each goes from light to dark on its own."""
    height, width = planes.label.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    size = np.maximum(np.bincount(planes.label.ravel(), minlength=planes.count), 1)

    def mean(values: Array) -> Array:
        sums: Array = np.bincount(planes.label.ravel(), values.ravel(), minlength=planes.count) / size
        return sums.astype(np.float32)

    middle_y, middle_x = mean(y), mean(x)
    # A lit mass in the middle of a dim room.
    mass = np.exp(-(((middle_x - 0.66) / 0.34) ** 2) - ((middle_y - 0.46) / 0.42) ** 2)
    tone = (
        0.16
        + 0.5 * mass
        + random.normal(0, 0.15, planes.count)
        + 0.07 * mean(noise(random, height, width, height / 4))
    )
    turn = random.uniform(0, 2 * np.pi, planes.count)
    reach = np.sqrt(size) / height
    lean = random.uniform(0.18, 0.5, planes.count) * random.choice([-1, 1], planes.count)
    label = planes.label
    along = ((y - middle_y[label]) * np.sin(turn)[label] + (x - middle_x[label]) * np.cos(turn)[label]) / reach[
        label
    ]
    place = tone[label] + lean[label] * np.tanh(1.4 * along) + 0.02 * clouds(random, height, width, height / 12)
    place = np.clip(place, 0.03, 0.97)
    kind = random.random(planes.count) + 0.3 * mean(noise(random, height, width, height / 3))
    cool = smooth(0.55, 0.75, kind)[label] * 0.9 + 0.1
    rose = (smooth(0.1, 0.0, kind) * (random.random(planes.count) < 0.8))[label]
    color = mixed(
        mixed(ramp(WARM, place), ramp(COOL, place), np.clip(cool - 0.25 * along * lean[label], 0, 1)),
        ramp(ROSE, place),
        rose,
    )
    angle = (turn + np.pi / 2 + random.normal(0, 0.35, planes.count))[label]
    return Scene(color.astype(np.float32), angle.astype(np.float32), planes.label)


def drawn(canvas: Canvas, planes: Planes, width: float, share: float) -> None:
    """Draw a share of the cuts with a thin dark brush that comes and goes."""
    random = canvas.random
    black = Brush(width, 0, body=0.5, dry=0.5, wet=0.2)
    for nodes in planes.lines:
        line = nodes * 2 + random.normal(0, 0.8 * canvas.unit, nodes.shape)
        first, last = np.sort(random.uniform(-0.35, 1.35, 2)).clip(0, 1) * (len(line) - 1)
        part = line[round(first) : round(last) + 1]
        if random.random() > share or len(part) < 3:
            continue
        paint = colors("17110f", "2b211d") if random.random() < 0.75 else colors("20282c", "3a3430")
        canvas.stroke(part, width * canvas.unit * random.uniform(0.6, 1.4), paint, black)
