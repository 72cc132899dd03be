"""Exact loss of the whole canvas against network passes: what tiles, halos, windows and precisions cost."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor

from tilestyle.benchmark.environment import Result, Row
from tilestyle.benchmark.exact_loss import placed_loss
from tilestyle.benchmark.workload import CONTENT, STYLE, Scene
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Precision, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.geometry.boxes import rounded_up
from tilestyle.networks.base import FeatureNetwork
from tilestyle.optim.loop import optimise
from tilestyle.pictures import path_of
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.schedule import Level


def schemes(size: int, patch: int) -> dict[str, dict[str, Any]]:
    """Settings to compare, by name; the first is what the others are compared with."""
    return {
        "untiled": {"patch": rounded_up(size + 128, 64)},
        "tiled": {"patch": patch},
        "overlap 32": {"patch": patch + 64, "overlap": 32},
        "overlap 64": {"patch": patch + 128, "overlap": 64},
        "windows": {"patch": patch, "sampler": Sampler.WINDOWS},
        "bf16": {"patch": patch, "precision": Precision.BF16},
    }


@isolated
def quality(scene: Scene, size: int, patch: int, sweeps: int | None, told: Callable[[Row], None]) -> Result:
    """Every scheme on the same pictures, the whole way from coarse to fine; losses along the last level."""
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = scene.described()
    untiled = 0.0
    for name, settings in schemes(size, patch).items():
        config = RenderConfig(
            size=size,
            sweeps=sweeps,
            network=scene.network,
            weights=scene.weights,
            device=scene.device,
            **{"precision": Precision.FP32} | settings,
        )
        found = curve(config)
        rows += [{"scheme": name, **row} for row in found]
        told(rows[-1])
        untiled = untiled or found[-1]["loss"]
        figures[f"{name}: loss over untiled"] = found[-1]["loss"] / untiled
    return Result(f"exact loss against network passes, {size} pixels", rows, figures)


def curve(config: RenderConfig) -> list[dict[str, Any]]:
    """Passes over the last level's canvas so far and exact losses there, after 1, 2, 4, ... and all sweeps."""
    job = prepare(path_of(STYLE), config, path_of(CONTENT))
    exact = prepare(path_of(STYLE), replace(config, precision=Precision.FP32, device="cpu"), path_of(CONTENT))
    counted = Counted(job.network)
    # The protocol is what __getattr__ answers, which types cannot see.
    fixed = replace(job.weights, aim=None)  # one loss for all
    job = replace(job, network=cast(FeatureNetwork, counted), weights=fixed)
    last, rows = job.levels[-1], []

    def begin(level: Level) -> None:
        counted.pixels = 0.0

    def observe(level: Level, sweep: int, terms: object, canvas: Canvas) -> None:
        done = sweep + 1
        if level is last and (done & sweep == 0 or done == level.sweeps):
            style, content = placed_loss(exact, canvas.pixels)
            passes = counted.pixels / level.extent.area
            loss = style + content
            rows.append({"sweeps": done, "passes": passes, "loss": loss, "style": style, "content": content})

    optimise(job, begin, observe, lambda: False)
    return rows


@dataclass
class Counted:
    """A network that counts pixels: one for those seen forward and backward, a half for those only seen."""

    network: FeatureNetwork
    pixels: float = field(default=0.0)

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """The network's."""
        self.pixels += pixels.shape[-1] * pixels.shape[-2] * (1.0 if pixels.requires_grad else 0.5)
        return self.network.features(pixels, layers)

    def __getattr__(self, name: str) -> Any:
        """All else is the network's."""
        return getattr(self.network, name)
