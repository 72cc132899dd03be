"""Measure the exact loss against network passes: what tiles, overlap, windows and precision cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor

from tilestyle.benchmark.environment import OnRow, Progress, ProgressCounter, Result, no_progress
from tilestyle.benchmark.exact_loss import placed_loss
from tilestyle.benchmark.workload import CONTENT, STYLE, Workload
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.enums import Precision, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.devices.device_memory import free_bytes
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import MemoryLimit
from tilestyle.geometry.boxes import round_up
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.forward_pass import ForwardPass
from tilestyle.optim.loop import optimize
from tilestyle.pictures import picture_path
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.planning.schedule import Level


def schemes(size: int, patch: int) -> dict[str, dict[str, Any]]:
    """Return the settings to compare, by name; the first is the baseline.

    Args:
        size: Long side of the picture, in pixels.
        patch: Side of a patch, in pixels.
    """
    return {
        "untiled": {"patch": round_up(size + 128, 64)},
        "tiled": {"patch": patch},
        "overlap 32": {"patch": patch + 64, "overlap": 32},
        "overlap 64": {"patch": patch + 128, "overlap": 64},
        "windows": {"patch": patch, "sampler": Sampler.WINDOWS},
        "bf16": {"patch": patch, "precision": Precision.BF16},
    }


@with_torch_state
def measure_quality(
    workload: Workload,
    size: int,
    patch: int,
    sweeps: int | None,
    on_row: OnRow,
    on_progress: Progress = no_progress,
) -> Result:
    """Render the same pictures with every scheme, from coarse to fine, and measure losses at the last level.

    Args:
        workload: Network, weights and device.
        size: Long side of the picture, in pixels.
        patch: Side of a patch, in pixels.
        sweeps: Sweeps of each level; None: the default.
        on_row: Called with the last row of every scheme when it is ready, and the result so far.
        on_progress: Called with the fraction that is done, after every sweep.

    Raises:
        MemoryLimit: The untiled picture does not fit into the free memory.
    """
    configs = {
        name: RenderConfig(
            size=size,
            sweeps=sweeps,
            network=workload.network,
            weights=workload.weights,
            device=workload.device,
            **{"precision": Precision.FP32} | settings,
        )
        for name, settings in schemes(size, patch).items()
    }
    _check_untiled_fits(configs["untiled"])
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = workload.report_fields()
    result = Result(f"exact loss against network passes, {size} pixels", rows, figures)
    untiled = 0.0
    counter = ProgressCounter(len(configs), on_progress)
    for name, config in configs.items():
        points = loss_curve(config, counter)
        counter.end_part(1)
        rows += [{"scheme": name, **row} for row in points]
        untiled = untiled or points[-1]["loss"]
        figures[f"{name}: loss over untiled"] = points[-1]["loss"] / untiled
        on_row(rows[-1], replace(result, unfinished=True))
    return result


def _check_untiled_fits(config: RenderConfig) -> None:
    """Refuse a picture that is too large for one patch, before anything is computed."""
    job = outline(picture_path(STYLE), config, picture_path(CONTENT)).job
    need, free = job.device_bytes, free_bytes(job.network.device)
    if need > free:
        raise MemoryLimit(
            f"the picture is also rendered untiled, which needs {format_bytes(need)} of memory, "
            f"but only {format_bytes(free)} is free",
            hint="give a smaller --size",
        )


def loss_curve(config: RenderConfig, counter: ProgressCounter) -> list[dict[str, Any]]:
    """Measure the exact loss of a render after 1, 2, 4, ... and all sweeps of the last level.

    Args:
        config: Its settings.
        counter: Counts the sweeps; the render is 1.

    Returns:
        Rows with the sweeps, the passes of the network over the canvas so far, and the exact losses.
    """
    job = prepare(picture_path(STYLE), config, picture_path(CONTENT))
    exact = prepare(
        picture_path(STYLE), replace(config, precision=Precision.FP32, device="cpu"), picture_path(CONTENT)
    )
    counting_network = PixelCountingNetwork(job.network)
    # It has the whole protocol through __getattr__, which the type checker cannot see.
    weights = replace(job.weights, target_distance=None)  # the same loss for all schemes
    job = replace(job, network=cast(FeatureNetwork, counting_network), weights=weights)
    last, rows = job.levels[-1], []
    total = sum(level.extent.area * level.sweeps for level in job.levels)

    def begin(level: Level) -> None:
        counting_network.pixels = 0.0

    def observe(level: Level, sweep: int, terms: object, canvas: Canvas) -> None:
        counter.add(level.extent.area / total)
        count = sweep + 1
        if level is last and (count & sweep == 0 or count == level.sweeps):
            style, content = placed_loss(exact, canvas.pixels)
            passes = counting_network.pixels / level.extent.area
            loss = style + content
            rows.append({"sweeps": count, "passes": passes, "loss": loss, "style": style, "content": content})

    optimize(job, begin, observe, lambda: False)
    return rows


@dataclass
class PixelCountingNetwork:
    """A network that counts the pixels of its passes.

    Attributes:
        network: The network.
        pixels: Pixels so far; those of a forward pass without a backward pass count half.
    """

    network: FeatureNetwork
    pixels: float = field(default=0.0)

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Compute features by the network, and count the pixels."""
        self.pixels += pixels.shape[-1] * pixels.shape[-2] * (1.0 if pixels.requires_grad else 0.5)
        return self.network.features(pixels, layers)

    def forward_pass(self, pixels: Tensor, layers: Collection[str], *, captures: bool = False) -> ForwardPass:
        """Run a forward pass by the network, and count its pixels with those of the backward pass."""
        self.pixels += pixels.shape[-1] * pixels.shape[-2]
        return self.network.forward_pass(pixels, layers, captures=captures)

    def __getattr__(self, name: str) -> Any:
        """Forward everything else to the network."""
        return getattr(self.network, name)
