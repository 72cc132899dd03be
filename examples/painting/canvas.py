"""Paint laid on canvas stroke by stroke: what a brush leaves, and how light falls on it.

The order of a painter: broad strokes first, then ever finer ones where the picture is not there yet
(Hertzmann 1998, "Painterly rendering with curved brush strokes of multiple sizes").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from painting.fields import Array, noise, resized, shrunk, softened

STEP = 0.75  # canvas pixels between the samples of a stroke: less than one leaves no holes
FINE = 4 / 3  # strokes are laid on a canvas so many times larger than the picture, for smooth edges


class Scene(NamedTuple):
    """What is to be painted, at the canvas' size or smaller."""

    color: Array  # [H, W, 3] in [0, 1]
    angle: Array  # [H, W]: which way strokes go, radians from the x axis towards y
    part: Array | None = None  # [H, W], whole numbers: what strokes with sharp edges do not leave


@dataclass(frozen=True)
class Brush:
    """A brush and how it is used. Lengths in thousandths of the picture's height."""

    width: float
    length: float
    share: float = 1.0  # how often the canvas is covered
    wander: float = 0.1  # how much strokes turn from the scene's angle, radians
    tone: float = 0.03  # lights and darks beside the scene's, standard deviation
    tint: float = 0.03  # warm and cool beside the scene's, standard deviation
    split: float = 0.05  # how far the two paints on the brush are apart
    body: float = 1.0  # thickness of the paint
    dry: float = 0.5  # how soon the brush runs dry: 0 never, 1 within half a stroke
    wet: float = 0.15  # share of the paint underneath that is picked up
    loose: float = 0.16  # difference of colors over which no stroke goes on
    missing: float = 0.0  # difference between canvas and scene that calls for a stroke
    hair: float = 1.0  # how much single bristles show
    sharp: float = 0.0  # share of strokes that end where the scene's part ends


class Canvas:
    """Wet paint: a color and a thickness at every place."""

    def __init__(self, random: Generator, height: int, width: int, ground: Array, tooth: float = 1.0) -> None:
        """Linen of `tooth` depth, painted all over in the color `ground`, for a picture of this size."""
        self.random = random
        self.height, self.width = round(height * FINE), round(width * FINE)
        self.unit = self.height / 1000
        self.paint = np.zeros((self.height, self.width, 4), np.float32)
        self.paint[..., :3] = ground
        self.grain = linen(random, self.height, self.width, self.unit) * tooth
        self._flat = self.paint.reshape(-1, 4)
        self._flat_grain = self.grain.reshape(-1)

    def wash(self, scene: Scene, share: float = 0.5) -> None:
        """Rub thin paint over the ground, the scene out of focus, so that no hole in the strokes is bare."""
        thin = shrunk(scene.color, len(scene.color) / 40)
        self.paint[..., :3] += share * (resized(thin, self.height, self.width) - self.paint[..., :3])

    def lay(self, scene: Scene, brush: Brush, where: Array | None = None) -> None:
        """Cover the canvas with strokes of one brush; `where` [H, W] is how likely a stroke begins there."""
        random, unit = self.random, self.unit
        width, length = brush.width * unit, brush.length * unit
        spacing = np.sqrt(width * length * 0.7 / brush.share)
        rows, columns = int(self.height / spacing) + 2, int(self.width / spacing) + 2
        starts = np.mgrid[:rows, :columns].reshape(2, -1).T + random.uniform(-0.5, 0.5, (rows * columns, 2))
        starts = random.permutation(starts * spacing).astype(np.float32)
        inside = (starts >= 0).all(1) & (starts < (self.height, self.width)).all(1)
        starts = starts[inside]
        if where is not None:
            starts = starts[random.random(len(starts)) < self._seen(where, starts)]
        if not len(starts):
            return
        blurred = shrunk(scene.color, max(1.0, width / 3 * len(scene.color) / self.height))
        wanted = self._seen(blurred, starts)
        if brush.missing:
            there = self._seen(shrunk(self.paint[..., :3], max(1.0, width / 2)), starts)
            gone = np.abs(there - wanted).mean(1) > brush.missing * random.uniform(0.5, 1.3, len(starts))
            starts, wanted = starts[gone], wanted[gone]
        if not len(starts):
            return
        paths, ends = self._paths(starts, wanted, scene, blurred, brush)
        paints = self._paints(wanted, brush)
        parts = None if scene.part is None else resized_labels(scene.part, self.height, self.width).ravel()
        own = np.full(len(starts), -1) if scene.part is None else self._seen(scene.part, starts)
        own[random.random(len(starts)) > brush.sharp] = -1
        for path, (first, last), paint, part in zip(paths, ends, paints, own, strict=True):
            within = None if part < 0 or parts is None else (parts, part)
            self.stroke(path[first:last], width * random.uniform(0.7, 1.2), paint, brush, within)

    def _seen(self, values: Array, places: Array) -> Array:
        """Values [H, W, ...] of a plane of any size at places [N, 2] of the canvas."""
        factor = values.shape[0] / self.height, values.shape[1] / self.width
        row = np.clip(places[:, 0] * factor[0], 0, values.shape[0] - 1).astype(int)
        column = np.clip(places[:, 1] * factor[1], 0, values.shape[1] - 1).astype(int)
        seen: Array = values[row, column]
        return seen

    def _paths(
        self, starts: Array, wanted: Array, scene: Scene, blurred: Array, brush: Brush
    ) -> tuple[Array, Array]:
        """Lines [N, S, 2] along the scene's angles, and from where to where [N, 2] each is painted."""
        random, width, length = self.random, brush.width * self.unit, brush.length * self.unit
        step = max(1.0, min(width / 3, length / 8))
        half = max(2, round(length / step / 2))
        turn = random.normal(0, brush.wander, len(starts))
        lines, reach = [], []
        for sign in (-step, step):
            place, line = starts, []
            on, count = np.ones(len(starts), bool), np.zeros(len(starts), int)
            for _ in range(half):
                angle = self._seen(scene.angle, place) + turn
                place = place + sign * np.stack([np.sin(angle), np.cos(angle)], 1)
                line.append(place)
                on &= np.abs(self._seen(blurred, place) - wanted).max(1) < brush.loose
                count += on
            lines.append(np.stack(line, 1))
            reach.append(np.minimum(count, np.ceil(half * random.uniform(0.45, 1, len(starts))).astype(int)))
        path = np.concatenate([lines[0][:, ::-1], starts[:, None], lines[1]], 1)
        return path, np.stack([half - np.maximum(reach[0], 1), half + 1 + np.maximum(reach[1], 1)], 1)

    def _paints(self, wanted: Array, brush: Brush) -> Array:
        """Two paints [N, 2, 3] on the brush for colors [N, 3]: broken, none of them quite what is wanted."""
        random, count = self.random, len(wanted)
        temper = np.array([0.8, 0.1, -0.9], np.float32)
        lights = random.normal(0, brush.tone, (count, 1, 1)) + random.normal(0, brush.split, (count, 2, 1))
        tints = random.normal(0, brush.tint, (count, 1, 1)) + random.normal(0, brush.split / 2, (count, 2, 1))
        chroma = random.normal(0, brush.tint / 2, (count, 1, 3))
        # Towards black and white paint loses color unless its lights and darks keep the proportions.
        scale = np.clip(0.45 + wanted.mean(1), 0.3, 1.2)[:, None, None]
        paints: Array = np.clip(
            wanted[:, None] * (1 + lights) + scale * (lights * 0.4 + tints * temper + chroma), 0, 1
        )
        return paints.astype(np.float32)

    def stroke(
        self, nodes: Array, width: float, paint: Array, brush: Brush, within: tuple[Array, int] | None = None
    ) -> None:
        """One stroke along `nodes` [S, 2], canvas pixels, with two paints [2, 3] on the brush.

        Only where the first of `within`, flat, is the second.
        """
        random = self.random
        path = resampled(nodes)
        count, across = len(path), np.linspace(-1, 1, max(3, round(width / STEP)), dtype=np.float32)
        along = np.linspace(0, 1, count, dtype=np.float32)[:, None]
        row, column = spread(path, width, across)
        keep = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        if within is not None:
            keep[keep] = within[0][(row * self.width + column)[keep]] == within[1]
        place = (row * self.width + column)[keep]
        if not len(place):
            return
        under = self._flat[place]

        fine, broad = bristles(random, width, self.unit, count, across)
        fine = fine * brush.hair
        # Round where it is set down, ragged where it leaves, each bristle at its own place.
        tip = width * 0.5 / (count * STEP) * (1 - np.sqrt(np.clip(1 - across**2, 0, 1)))
        rag = np.abs(random.normal(0, 1, across.size)).astype(np.float32)
        begin = tip + 0.03 * rag
        end = 1 - 0.7 * tip - (0.05 + 0.3 * brush.dry * random.random()) * rag[::-1]
        fade = max(0.02, 2 * STEP / (count * STEP))
        load = np.clip((along - begin) / fade, 0, 1) * np.clip((end - along) / (fade + 0.1 * brush.dry), 0, 1)
        thin = 1.25 - brush.dry * (0.25 + 0.9 * along**2) + 0.3 * fine * (0.4 + along) * (0.3 + brush.dry)
        side = np.clip((1 - np.abs(across)) * width * 0.4 + 0.3, 0, 1)
        cover = (load * side)[keep] * np.clip(
            0.5 + 2.2 * (thin[keep] - 0.5 - 0.22 * self._flat_grain[place]), 0, 1
        )

        mix = np.clip(0.5 + 0.45 * broad + 0.2 * fine, 0, 1)[keep][:, None]
        color = (paint[0] + mix * (paint[1] - paint[0])) * (1 + 0.05 * fine[keep][:, None])
        pick = brush.wet * np.clip(0.4 + 0.9 * along + 0.3 * fine, 0, 1.6)[keep][:, None]
        color += pick * (under[:, :3] - color)
        # Paint is pushed up along the sides, and piles up where the stroke ends.
        ridge = np.exp(-(((np.abs(across) - 0.82) / 0.14) ** 2))
        pile = 0.75 + 0.35 * along + 0.1 * np.exp(-(((end - along) * count * STEP / (0.25 * width + 1)) ** 2))
        body = brush.body * np.sqrt(width / self.unit) * (0.5 + 0.3 * fine + 0.4 * ridge) * pile
        cover = cover[:, None]
        under[:, :3] += cover * (color - under[:, :3])
        under[:, 3:] += cover * (body[keep][:, None] - 0.7 * under[:, 3:])
        self._flat[place] = under

    def lit(self, depth: float = 0.13, gloss: float = 0.10, weave: float = 0.5) -> Array:
        """The painting [H, W, 3] under light from the upper left, at the canvas' size."""
        relief: Array = self.paint[..., 3]
        relief = relief + weave * self.grain * np.exp(-np.clip(relief, 0, 9) / 4)
        slope = np.zeros_like(relief)
        for times, strength in ((1, 1.0), (6, 1.4)):
            down, right = np.gradient(softened(relief, times))
            slope += strength * (0.8 * down + 0.6 * right)
        slope *= depth * self.unit
        shade = 1 + 0.32 * np.tanh(slope / 0.32)
        shine = gloss * np.clip(slope - 0.22, 0, 1) ** 1.2
        # What turns from the light turns cooler as well.
        cool = np.clip(1 - shade, 0, 1)[..., None] * np.array([-0.06, 0, 0.08], np.float32)
        lit: Array = self.paint[..., :3] * shade[..., None] + shine[..., None] + cool
        return lit


def linen(random: Generator, height: int, width: int, unit: float) -> Array:
    """Height of the threads of a canvas, about -1 to 1; coarser than a pixel whatever the size."""
    pitch = max(3.4 * unit, 3.0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y += 0.5 * pitch * noise(random, height, width, 30 * pitch)
    x += 0.5 * pitch * noise(random, height, width, 30 * pitch)
    weft = np.sin(2 * np.pi * y / pitch) * (1 + 0.35 * noise(random, height, width, 3 * pitch))
    warp = np.sin(2 * np.pi * x / pitch) * (1 + 0.35 * noise(random, height, width, 3 * pitch))
    woven: Array = 0.45 * (weft + warp) + 0.35 * noise(random, height, width, pitch)
    return woven.astype(np.float32)


def resized_labels(part: Array, height: int, width: int) -> Array:
    """Whole numbers [H, W] at another size, each place as the nearest one."""
    rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), part.shape, strict=True))
    nearest: Array = part[rows][:, columns]
    return nearest


def resampled(nodes: Array) -> Array:
    """A line [S, 2] with samples STEP apart."""
    leg = np.hypot(*np.diff(nodes, axis=0).T)
    place = np.concatenate([[0], np.cumsum(leg)])
    along = np.linspace(0, place[-1], max(4, round(place[-1] / STEP)))
    return np.stack([np.interp(along, place, nodes[:, axis]) for axis in range(2)], 1).astype(np.float32)


def spread(path: Array, width: float, across: Array) -> tuple[Array, Array]:
    """Rows and columns [S, T] that a stroke touches."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
    reach = across * (width / 2)
    row = path[:, :1] + tangent[:, 1:] * reach
    column = path[:, 1:] - tangent[:, :1] * reach
    return (row + 0.5).astype(np.int32), (column + 0.5).astype(np.int32)


def bristles(random: Generator, width: float, unit: float, count: int, across: Array) -> tuple[Array, Array]:
    """Streaks [S, T] of single bristles, and of whole parts of the brush that took more of one paint."""
    nodes = min(6, 2 + count // 40)
    hairs: Array = random.normal(size=(nodes, across.size)).astype(np.float32)
    hairs[1:] = 0.8 * hairs[:1] + 0.6 * hairs[1:]  # much the same all along the stroke
    for _ in range(max(1, round(unit * 1.2))):
        hairs = (np.roll(hairs, 1, 1) + 2 * hairs + np.roll(hairs, -1, 1)) / 4
    hairs /= hairs.std() + 1e-6
    place = np.linspace(0, nodes - 1, count, dtype=np.float32)[:, None]
    weight = np.clip(1 - np.abs(place - np.arange(nodes, dtype=np.float32)), 0, 1)
    coarse = np.interp(across, np.linspace(-1, 1, 5), random.normal(size=5)).astype(np.float32)
    return weight @ hairs, coarse + 0.8 * (place / (nodes - 1) - 0.5)
