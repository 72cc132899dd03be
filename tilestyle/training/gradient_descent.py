"""The student's weights by gradient descent on what its teacher sees."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.channel_selection import Channels
from tilestyle.training.crops import Crops
from tilestyle.training.student import COMPONENTS, TAPS, network, scaled

INTERMEDIATE = 0.1  # weight of layers that pictures are not compared at
BETAS = (0.9, 0.98)
WARM_UP = 30  # steps
LOUD = 0.05  # of the mean variance: channels below count less than their deviation says

Weights = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Settings:
    """How to descend."""

    steps: int = 8000
    batch: int = 8
    fresh: int = 2  # crops a step that are shown to the teacher; the others have been shown before
    kept: int = 800  # crops that are kept with what the teacher says of them
    learning_rate: float = 4e-3  # times the root mean square of a tensor
    seed: int = 0
    autocast: bool = False  # bfloat16 in the student


@dataclass
class Memory:
    """Crops and what the teacher sees in them, the oldest replaced first."""

    size: int
    rows: list[dict[str, Tensor]] = field(default_factory=list)
    place: int = 0

    def add(self, row: dict[str, Tensor]) -> None:
        """Keep one crop."""
        if len(self.rows) < self.size:
            self.rows.append(row)
        else:
            self.rows[self.place] = row
            self.place = (self.place + 1) % self.size

    def batch(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw some, stacked."""
        drawn = torch.randint(len(self.rows), (count,), generator=generator).tolist()
        return {key: torch.stack([self.rows[index][key] for index in drawn]) for key in self.rows[0]}


class Goals:
    """What the teacher's features are turned into: chosen channels in unit deviation, and components."""

    def __init__(self, teacher: Vgg, channels: Mapping[str, Channels], device: torch.device) -> None:
        self._teacher = teacher
        self._channels = channels
        self.layers = [name.replace("conv", "relu") for name in channels][1:]  # the first is the teacher's own
        self.deviation: dict[str, Tensor] = {}
        self.share: dict[str, Tensor] = {}
        self.total: dict[str, float] = {}
        for name, part in channels.items():
            variance = part.variance[part.chosen]
            self.deviation[name] = variance.clamp(min=1e-3 * float(variance.mean())).sqrt()
            share = variance * (variance + LOUD * variance.mean()) ** -0.5
            layer = name.replace("conv", "relu")
            self.share[layer] = (share / share.sum()).to(device)
            self.total[layer] = float(part.variance.sum())

    def of(self, crops: Tensor) -> list[dict[str, Tensor]]:
        """Goals of each crop of [B, 3, h, w], in half precision."""
        with torch.no_grad():
            seen = self._teacher.features(crops.to(self._teacher.device, self._teacher.dtype), self.layers)
        rows: list[dict[str, Tensor]] = [{"crop": crop.half()} for crop in crops]
        for name, part in list(self._channels.items())[1:]:
            layer = name.replace("conv", "relu")
            values = seen[layer].float()
            device = values.device
            direct = values[:, part.chosen.to(device)] / self.deviation[name].to(device)[:, None, None]
            for row, each in zip(rows, direct.half(), strict=True):
                row[layer] = each
            if part.components is not None:
                centred = values - part.mean.to(device)[:, None, None]
                scale = 1 / math.sqrt(self.total[layer])
                projected = torch.einsum("bchw,cm->bmhw", centred, part.components.to(device)) * scale
                for row, each in zip(rows, projected.half(), strict=True):
                    row[f"{layer} components"] = each
        return rows


class Descent:
    """The state of the descent: parameters in a frame where every channel has unit deviation, and Adam's.

    On raw weights Adam ruins the start, since channels differ by orders of magnitude.
    """

    def __init__(self, goals: Goals, weights: Weights, settings: Settings, device: torch.device) -> None:
        self.goals, self.settings, self.device = goals, settings, device
        framed = scaled(weights, {name: 1 / value for name, value in goals.deviation.items()})
        self.parameters = {
            name: (
                weight.to(device).contiguous(memory_format=torch.channels_last).requires_grad_(index > 0),
                bias.to(device).contiguous().requires_grad_(index > 0),
            )
            for index, (name, (weight, bias)) in enumerate(framed.items())
        }
        self.maps: dict[str, Tensor] = {}
        self.step = 0
        self.seconds = 0.0
        self.generator = torch.Generator().manual_seed(settings.seed + 1)

    def fit_maps(self, memory: Memory, count: int = 160) -> None:
        """Begin the maps to components with least squares."""
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for start in range(0, min(count, len(memory.rows)), 8):
            rows = memory.rows[start : start + 8]
            crops = torch.stack([row["crop"] for row in rows]).float().to(self.device)
            with torch.no_grad():
                seen = network(self.parameters).features(crops, TAPS)
            for layer in TAPS:
                inputs = seen[layer].permute(0, 2, 3, 1).flatten(0, 2)
                inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)
                outputs = torch.stack([row[f"{layer} components"] for row in rows]).float().to(self.device)
                outputs = outputs.permute(0, 2, 3, 1).flatten(0, 2)
                gram, cross = sums.get(layer, (torch.zeros((), device=self.device),) * 2)
                sums[layer] = gram + inputs.T @ inputs, cross + inputs.T @ outputs
        for layer, (gram, cross) in sums.items():
            ridge = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram), device=self.device)
            self.maps[layer] = torch.linalg.solve(gram + ridge, cross).requires_grad_()

    def begin(self) -> None:
        """Make the optimiser, once the maps are there."""
        tensors = [part for pair in self.parameters.values() for part in pair if part.requires_grad]
        groups = [
            {"params": [part], "lr": self.settings.learning_rate * (_rms(part) if part.ndim == 4 else 0.05)}
            for part in tensors
        ]
        groups += [
            {"params": [part], "lr": self.settings.learning_rate * _rms(part)} for part in self.maps.values()
        ]
        self.optimiser = torch.optim.Adam(groups, betas=BETAS)
        self._rates = [group["lr"] for group in self.optimiser.param_groups]

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """What the student misses, as shares of the teacher's variance; in all, and by layer."""
        crops = batch["crop"].float().to(self.device)
        goals = self.goals
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.autocast):
            seen = network(self.parameters).features(crops, goals.layers)
        total, log = torch.zeros((), device=self.device), {}
        for layer in goals.layers:
            values = seen[layer].float()
            wanted = batch[layer].float().to(self.device)
            error = ((values - wanted).square().mean((0, 2, 3)) * goals.share[layer]).sum()
            total = total + error * (1.0 if layer in TAPS else INTERMEDIATE)
            log[layer] = float(error.detach())
            if layer in COMPONENTS:
                mapped = torch.einsum("bchw,cm->bhwm", values, self.maps[layer][:-1]) + self.maps[layer][-1]
                wanted = batch[f"{layer} components"].float().to(self.device).permute(0, 2, 3, 1)
                error = (mapped - wanted).square().mean((0, 1, 2)).sum()
                total = total + error
                log[f"{layer} components"] = float(error.detach())
        return total, log

    def descend(
        self, crops: Crops, memory: Memory, report: Callable[[int, float, dict[str, float]], None]
    ) -> None:
        """Step to the end, with a learning rate that falls to nothing by a cosine."""
        settings = self.settings
        for weight, bias in self.parameters.values():
            assert weight.is_leaf and bias.is_leaf
        while self.step < settings.steps:
            began = time.perf_counter()
            for row in self.goals.of(crops.batch(settings.fresh)) if settings.fresh else ():
                memory.add(row)
            done = self.step / settings.steps
            factor = min(1.0, (self.step + 1) / WARM_UP) * (0.505 + 0.495 * math.cos(math.pi * done))
            for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            total, log = self.loss(memory.batch(settings.batch, self.generator))
            self.optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.step += 1
            self.seconds += time.perf_counter() - began
            report(self.step, self.seconds, log)

    def weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        """The student's weights, out of the frame."""
        plain = {
            name: (weight.detach().cpu().contiguous(), bias.detach().cpu())
            for name, (weight, bias) in self.parameters.items()
        }
        return scaled(plain, self.goals.deviation)

    def state(self) -> dict[str, Any]:
        """What is needed to go on from here."""
        return {
            "parameters": {
                name: tuple(part.detach() for part in pair) for name, pair in self.parameters.items()
            },
            "maps": {layer: value.detach() for layer, value in self.maps.items()},
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        with torch.no_grad():
            for name, pair in self.parameters.items():
                for part, value in zip(pair, state["parameters"][name], strict=True):
                    part.copy_(value)
            self.maps = {
                layer: value.to(self.device).requires_grad_() for layer, value in state["maps"].items()
            }
        self.begin()
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


def _rms(part: Tensor) -> float:
    return float(part.detach().square().mean().sqrt())
