"""How near a sweep comes to what the machine can do: to the bare network, to the untiled step, to matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import truediv
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tilestyle.benchmark.breakdown import parts
from tilestyle.benchmark.environment import Result, Row
from tilestyle.benchmark.timing import Laps, seconds_of
from tilestyle.benchmark.workload import Scene, square
from tilestyle.canvas.canvas import Canvas
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.timer import now
from tilestyle.devices.torch_state import isolated
from tilestyle.devices.transfer import sent
from tilestyle.geometry.boxes import Patch, rounded_up
from tilestyle.optim.loop import optimise, sampled
from tilestyle.planning.job import Job

# Side of the square matrices that measure the machine: large enough to be at its best, done in a second.
MATRIX = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@isolated
def speed(
    scenes: Sequence[Scene], patches: Sequence[int], megapixels: float, sweeps: int, told: Callable[[Row], None]
) -> Result:
    """Every scene with every patch side on one canvas; `told` hears every row as it comes."""
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        side = square(megapixels)
        untiled = _untiled_sweep(scene, side, sweeps)
        for patch in patches:
            rows.append(_row(scene, Timed(scene.job(side, side, sweeps, patch=patch)), untiled))
            told(rows[-1])
    return Result(f"speed on {megapixels:g} MP", rows, {})


@dataclass
class Timed:
    """A job's sweeps, each beside the bare network on the same patches: what disturbs one disturbs both."""

    job: Job
    sweeps: list[float] = field(default_factory=list)
    forwards: list[float] = field(default_factory=list)
    backwards: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Run the job."""
        self._last = now(self.job.network.device)
        self.canvas, _ = optimise(self.job, lambda level: None, self._observe, lambda: False)
        # The first sweep also pays for what libraries do once.
        del self.sweeps[0], self.forwards[0], self.backwards[0]

    @property
    def sweep(self) -> float:
        """Median seconds of a sweep."""
        return median(self.sweeps)

    def patches(self, sweep: int = 0) -> list[Patch]:
        """The patches of a sweep."""
        return sampled(self.job, self.job.levels[-1], sweep)

    def _observe(self, level: object, sweep: int, terms: object, canvas: Canvas) -> None:
        self.sweeps.append(now(self.job.network.device) - self._last)
        forward, backward = bare(self.job, canvas, self.patches(sweep))
        self.forwards.append(forward)
        self.backwards.append(backward)
        self._last = now(self.job.network.device)


def bare(job: Job, canvas: Canvas, patches: list[Patch]) -> tuple[float, float]:
    """Seconds of the network's forward and of its backward passes alone over these patches.

    The device is waited for once, at the end, as in a sweep: what reading the patches takes is not counted.
    """
    network, layers = job.network, job.weights.names
    laps = Laps(network.device)
    for patch in patches:
        window = canvas.read(patch.read, patch.scale)[None]
        pixels = sent(window, network.device, network.dtype).clone().requires_grad_()
        laps.mark()
        features = list(network.features(pixels, layers).values())
        laps.mark()
        torch.autograd.backward(features, [torch.ones_like(cells) for cells in features], inputs=[pixels])
        laps.mark()
    taken = laps.seconds()  # forward, backward, and what lies between two patches
    return sum(taken[0::3]), sum(taken[1::3])


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of the best of five products of large matrices."""
    side = MATRIX[device.type]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def product() -> Tensor:
        return one @ other

    product()
    return 2 * side**3 / min(seconds_of(product, device) for _ in range(5))


def _untiled_sweep(scene: Scene, side: int, sweeps: int) -> float | None:
    """Median seconds of a sweep with one patch as large as the canvas; None where memory does not hold it."""
    try:
        return Timed(scene.job(side, side, sweeps, patch=rounded_up(side, 64))).sweep
    except (RuntimeError, MemoryError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
        return None


def _row(scene: Scene, timed: Timed, untiled: float | None) -> dict[str, Any]:
    job, extent = timed.job, timed.job.levels[-1].extent
    network, layers = job.network, job.weights.names
    megapixels = extent.area / 1e6
    bare_sweeps = [sum(passes) for passes in zip(timed.forwards, timed.backwards, strict=True)]
    # Forward, and backward to the pixels: there is no gradient of weights. A multiply-add is two operations.
    operations = 2 * 2 * network.multiply_adds_per_pixel(layers) * extent.area
    peak = matrix_peak(network.device, network.dtype)
    items = {"network forward": median(timed.forwards), "network backward": median(timed.backwards)}
    items |= parts(job, timed.canvas, timed.patches())
    items["the rest"] = timed.sweep - sum(items.values())
    return {
        "network": str(scene.network),
        "precision": str(network.dtype).removeprefix("torch."),
        "patch": job.side,
        "megapixels per second": megapixels / timed.sweep,
        "share of matrix peak": operations / timed.sweep / peak,
        "matrix Gflop/s": peak / 1e9,
        # Some sweeps begin with a measurement of the moments, or with content features to be kept.
        "over bare network": sum(timed.sweeps) / sum(bare_sweeps),
        "median sweep over bare network": median(map(truediv, timed.sweeps, bare_sweeps)),
        "over untiled": None if untiled is None else timed.sweep / untiled,
        "seconds per megapixel": {name: seconds / megapixels for name, seconds in items.items()},
    }
