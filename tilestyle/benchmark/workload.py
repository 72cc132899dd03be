"""Jobs of any size, from the pictures that come along: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.geometry.boxes import mirrored
from tilestyle.images import Picture, read_picture
from tilestyle.pictures import path_of
from tilestyle.pipeline.checkpoint import Checkpoints
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job

CONTENT, STYLE = "coffee", "swirls"


@dataclass(frozen=True)
class Scene:
    """What is rendered with: the part of the settings that all benchmarks share."""

    network: NetworkName = NetworkName.COMPACT
    weights: str | None = None  # a file; "random" for a VGG whose time and memory alone matter
    precision: Precision = Precision.AUTO
    device: str = "auto"

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Scene:
        """From what `plain` wrote."""
        return cls(
            NetworkName(plain["network"]), plain["weights"], Precision(plain["precision"]), plain["device"]
        )

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "network": str(self.network),
            "weights": self.weights,
            "precision": str(self.precision),
            "device": self.device,
        }

    def described(self) -> dict[str, Any]:
        """For a result: a weights file without its folder."""
        weights = None if self.weights is None else Path(self.weights).name
        return self.plain() | {"weights": weights}

    def job(
        self,
        height: int,
        width: int,
        sweeps: int,
        checkpoints: Checkpoints | None = None,
        **settings: Any,
    ) -> Job:
        """One level of this size, without margin: the canvas is what is asked for, to the next unit."""
        config = RenderConfig(
            size=(height, width),
            network=self.network,
            weights=self.weights,
            precision=self.precision,
            device=self.device,
            **{"sweeps": sweeps, "coarsest": max(height, width), "margin": 0} | settings,
        )
        return prepare(path_of(STYLE), config, content(height, width), checkpoints)


def content(height: int, width: int) -> Picture:
    """The photograph, continued by reflection to any size: as detailed as it is, however large."""
    pixels = read_picture(path_of(CONTENT)).pixels
    rows, columns = (
        mirrored(have, 0, max(want - have, 0))[:want]
        for have, want in zip(pixels.shape[:2], (height, width), strict=True)
    )
    return Picture(np.ascontiguousarray(pixels[rows][:, columns]))


def square(megapixels: float, unit: int = 32) -> int:
    """Side of a square canvas of about this many megapixels, a multiple of `unit`."""
    return max(unit, round(sqrt(megapixels * 1e6) / unit) * unit)
