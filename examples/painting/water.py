"""Pigment in water on paper: washes that dry darker at their edges, granulate, bloom and run into one another.

Color is kept as density, -ln of what each pigment lets through, so that washes over washes multiply.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.fields import Array, clouds, colors, noise, smooth, softened


class Paper:
    """A sheet with a grain, and the density of what was painted on it."""

    def __init__(self, random: Generator, height: int, width: int, tint: str = "f6f1e4") -> None:
        """A sheet of this size in pixels; `tint` is the color of the bare paper."""
        self.random = random
        self.height, self.width = height, width
        self.unit = height / 1000
        unit = self.unit
        grain = noise(random, height, width, 4.2 * unit) + 0.7 * noise(random, height, width, 2.2 * unit)
        self.grain = (grain + 0.5 * noise(random, height, width, 9 * unit)) / 1.3  # hills are positive
        self.density = np.broadcast_to(-np.log(colors(tint)[0]), (height, width, 3)).astype(np.float32)
        self.fibre = 0.006 * clouds(random, height, width, 14 * unit)

    def wash(
        self,
        inside: Array,
        pigment: str,
        strength: Array | float = 1.0,
        *,
        soft: float = 0.0,
        rim: float = 0.5,
        granular: float = 0.3,
        flow: float = 0.3,
        other: str | None = None,
        dry: float = 0.0,
        rough: float = 1.0,
    ) -> None:
        """Lay one wash.

        Args:
            inside: [H, W], picture heights: how far inside the shape a place is, negative outside.
            pigment: Color RRGGBB that the wash has on white paper at strength 1.
            strength: How much pigment there is.
            soft: How far pigment runs out over wet paper, picture heights; 0 for an edge on dry paper.
            rim: How much pigment gathers at the edge where it dries.
            granular: How much settles in the valleys of the paper.
            flow: How unevenly it flowed.
            other: A second pigment that runs into the first in parts.
            dry: How much of the paper's hills a brush that is almost dry leaves out.
            rough: How ragged the edge is.
        """
        random, unit = self.random, self.unit
        ragged = 0.0022 * noise(random, self.height, self.width, 14 * unit)
        ragged += 0.005 * noise(random, self.height, self.width, 55 * unit)
        place = inside + rough * ragged
        if soft:
            place = place + soft * 0.6 * clouds(random, self.height, self.width, 700 * soft * unit, 5)
            cover = smooth(-soft, soft, place)
        else:
            cover = smooth(-0.7 * unit / 1000, 0.7 * unit / 1000 + 0.0005, place)
        pool = np.exp(flow * clouds(random, self.height, self.width, 150 * unit, 5) - 0.5 * flow**2)
        amount = cover * pool * strength
        if rim and not soft:
            sharp = np.exp(-np.clip(place, 0, 1) / 0.0016) + 0.45 * np.exp(-np.clip(place, 0, 1) / 0.007)
            weight = np.clip(1 + 0.7 * noise(random, self.height, self.width, 70 * unit), 0, 2)
            amount = amount * (1 - 0.16 * rim + 0.85 * rim * sharp * weight)
        amount = amount * np.exp(-0.6 * granular * self.grain)
        if dry:
            load = dry * (0.9 + 0.5 * noise(random, self.height, self.width, 40 * unit))
            amount = amount * smooth(1.1, 0.7, load + 0.55 * self.grain)
        tone = -np.log(np.clip(colors(pigment)[0], 0.01, 1))
        if other is not None:
            share = smooth(-0.4, 0.7, clouds(random, self.height, self.width, 190 * unit, 4))[..., None]
            tone = tone + share * (-np.log(np.clip(colors(other)[0], 0.01, 1)) - tone)
        self.density = self.density + amount[..., None] * tone

    def bloom(self, places: Array, radius: float, strength: float = 0.6) -> None:
        """Drops of clean water let into washes that are half dry: paler inside, a feathered dark edge."""
        random, unit = self.random, self.unit
        y, x = np.mgrid[: self.height, : self.width].astype(np.float32) / self.height
        feather = 0.20 * clouds(random, self.height, self.width, 70 * unit, 5)
        for down, right in places:
            size = radius * random.uniform(0.5, 1.4)
            away = np.hypot(y - down, (x - right) * random.uniform(0.8, 1.2)) / size * (1 + feather)
            ebb = strength * smooth(1.0, 0.1, away)
            crest = strength * np.exp(-np.abs(away - 1) / np.where(away < 1, 0.035, 0.13))
            self.density = self.density * (1 - 0.5 * ebb + 0.3 * crest)[..., None]

    def lift(self, amount: Array) -> None:
        """Take a share [H, W] of the pigment off again."""
        self.density = self.density * (1 - amount[..., None])

    def spatter(self, pigment: str, count: int, size: float, strength: float = 1.0) -> None:
        """Drops flicked off a brush."""
        random = self.random
        for _ in range(count):
            down, right = random.uniform(0, self.height), random.uniform(0, self.width)
            radius = size * self.unit * random.lognormal(-0.3, 0.6)
            reach = int(radius + 3)
            rows = slice(max(0, int(down) - reach), int(down) + reach)
            columns = slice(max(0, int(right) - reach), int(right) + reach)
            y, x = np.mgrid[rows, columns]
            y, x = y[: max(0, self.height - rows.start)], x[: max(0, self.height - rows.start)]
            y, x = y[:, : self.width - columns.start], x[:, : self.width - columns.start]
            inside = radius - np.hypot(y - down, x - right)
            drop = np.clip(inside, 0, 1) * (0.7 + 0.6 * np.exp(-np.clip(inside, 0, 99) / (1.2 * self.unit)))
            tone = -np.log(colors(pigment)[0])
            self.density[rows, columns] += (strength * random.uniform(0.3, 1) * drop)[..., None] * tone

    def seen(self, relief: float = 0.035) -> Array:
        """The sheet [H, W, 3] under light from the upper left."""
        down, right = np.gradient(softened(self.grain))
        shade = 1 + relief * np.clip((down + 0.7 * right) * self.unit, -1.5, 1.5) + self.fibre
        sheet: Array = np.exp(-self.density) * shade[..., None]
        return sheet
