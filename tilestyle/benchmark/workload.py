"""Jobs of any size for benchmarks, from the bundled pictures: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from tilestyle.canvas.reflection import reflect_indices
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.images import Picture, read_picture
from tilestyle.pictures import picture_path
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.device_choice import choose_precision, find_device
from tilestyle.planning.job import Job

CONTENT, STYLE = "coffee", "swirls"


@dataclass(frozen=True)
class Workload:
    """The settings that all benchmarks share.

    Attributes:
        network: The network.
        weights: Its weights file; "random" for a VGG of which only time and memory matter.
        precision: Precision of the network.
        device: The device.
    """

    network: NetworkName = NetworkName.COMPACT
    weights: str | None = None
    precision: Precision = Precision.AUTO
    device: str = "auto"

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Workload:
        """Make one from the result of `to_json`."""
        return cls(
            NetworkName(plain["network"]), plain["weights"], Precision(plain["precision"]), plain["device"]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {
            "network": str(self.network),
            "weights": self.weights,
            "precision": str(self.precision),
            "device": self.device,
        }

    def report_fields(self) -> dict[str, Any]:
        """Return the settings for a report: what "auto" means here, and a weights file without its folder."""
        device = find_device(self.device)
        return {
            "network": str(self.network),
            "weights": None if self.weights is None else Path(self.weights).name,
            "precision": str(choose_precision(self.precision, device)),
            "device": str(device),
        }

    def job(
        self,
        height: int,
        width: int,
        sweeps: int,
        checkpoints: WorkDirCheckpointer | None = None,
        **settings: Any,
    ) -> Job:
        """Prepare a job of one level without a margin.

        Args:
            height: Height of the canvas in pixels, rounded up to the network's unit.
            width: Width of the canvas, likewise.
            sweeps: Number of sweeps.
            checkpoints: Checkpoints of a render by several ranks.
            settings: Other settings of the render.
        """
        config = RenderConfig(
            size=(width, height),
            network=self.network,
            weights=self.weights,
            precision=self.precision,
            device=self.device,
            **{"sweeps": sweeps, "coarsest": max(height, width), "margin": 0} | settings,
        )
        return prepare(picture_path(STYLE), config, content_picture(height, width), checkpoints)


def content_picture(height: int, width: int) -> Picture:
    """Make a photograph of any size, with equally fine detail: the bundled one, repeated by reflection."""
    pixels = read_picture(picture_path(CONTENT)).pixels
    rows, columns = (
        reflect_indices(side, 0, max(size - side, 0))[:size].numpy()
        for side, size in zip(pixels.shape[:2], (height, width), strict=True)
    )
    return Picture(np.ascontiguousarray(pixels[rows][:, columns]))


def square_side(megapixels: float, unit: int = 32) -> int:
    """Return the side of a square canvas of about so many megapixels, a multiple of `unit`."""
    return max(unit, round(sqrt(megapixels * 1e6) / unit) * unit)
