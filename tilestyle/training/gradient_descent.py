"""Train the student by gradient descent on the features of its teacher."""

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
from tilestyle.training.crops import CropStream
from tilestyle.training.student import COMPONENTS, TAPS, scale_channels, student_network

INTERMEDIATE = 0.1  # weight of the layers that no loss of a render uses
BETAS = (0.9, 0.98)
WARM_UP = 30  # steps over which the learning rate rises
LOUDNESS_FLOOR = 0.05  # of the mean variance: channels below count less than in proportion to their deviation

Weights = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class DescentSettings:
    """Settings of the gradient descent.

    Attributes:
        steps: Number of steps.
        batch: Crops per step.
        fresh: New crops per step that the teacher evaluates; the batch is drawn from all that are kept.
        kept: Number of crops that are kept with the teacher's features.
        learning_rate: Learning rate, times the root mean square of a tensor.
        seed: Seed of all random choices.
        autocast: Whether the student runs in bfloat16.
    """

    steps: int = 8000
    batch: int = 8
    fresh: int = 2
    kept: int = 800
    learning_rate: float = 4e-3
    seed: int = 0
    autocast: bool = False


@dataclass
class ReplayBuffer:
    """A replay buffer of crops and their targets; the oldest is replaced first.

    Attributes:
        size: Greatest number of crops.
        entries: The crops and targets, by name.
        next_index: Index of the entry that is replaced next.
    """

    size: int
    entries: list[dict[str, Tensor]] = field(default_factory=list)
    next_index: int = 0

    def add(self, row: dict[str, Tensor]) -> None:
        """Add the crop and the targets of one entry."""
        if len(self.entries) < self.size:
            self.entries.append(row)
        else:
            self.entries[self.next_index] = row
            self.next_index = (self.next_index + 1) % self.size

    def sample(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw entries with replacement, stacked: a tensor [count, ...] for each name."""
        indices = torch.randint(len(self.entries), (count,), generator=generator).tolist()
        return {key: torch.stack([self.entries[index][key] for index in indices]) for key in self.entries[0]}


class TeacherTargets:
    """Computes the student's targets from the teacher: chosen channels in unit deviation, and components.

    Attributes:
        layers: Rectified layers with targets.
        deviation: Standard deviations [C] of the chosen channels of each convolution.
        channel_weights: Weights [C] of the chosen channels of each layer; they add up to 1.
        total_variance: Variance of all of the teacher's channels together, for each layer.
    """

    def __init__(self, teacher: Vgg, channels: Mapping[str, Channels], device: torch.device) -> None:
        """Compute the scales and weights of the channels.

        Args:
            teacher: The network to imitate.
            channels: Chosen channels and statistics of each convolution.
            device: Where the student is trained.
        """
        self._teacher = teacher
        self._channels = channels
        self.layers = [name.replace("conv", "relu") for name in channels][1:]  # the first is not trained
        self.deviation: dict[str, Tensor] = {}
        self.channel_weights: dict[str, Tensor] = {}
        self.total_variance: dict[str, float] = {}
        for name, part in channels.items():
            variance = part.variance[part.chosen]
            self.deviation[name] = variance.clamp(min=1e-3 * float(variance.mean())).sqrt()
            share = variance * (variance + LOUDNESS_FLOOR * variance.mean()) ** -0.5
            layer = name.replace("conv", "relu")
            self.channel_weights[layer] = (share / share.sum()).to(device)
            self.total_variance[layer] = float(part.variance.sum())

    def compute(self, crops: Tensor) -> list[dict[str, Tensor]]:
        """Compute the targets of crops [B, 3, h, w].

        Returns:
            For each crop a dictionary in half precision: the crop [3, h, w], and for each layer the chosen
            channels [C, h', w'] and, where the student learns them, components [m, h', w'].
        """
        with torch.no_grad():
            features = self._teacher.features(crops.to(self._teacher.device, self._teacher.dtype), self.layers)
        rows: list[dict[str, Tensor]] = [{"crop": crop.half()} for crop in crops]
        for name, part in list(self._channels.items())[1:]:
            layer = name.replace("conv", "relu")
            values = features[layer].float()
            device = values.device
            direct = values[:, part.chosen.to(device)] / self.deviation[name].to(device)[:, None, None]
            for row, maps in zip(rows, direct.half(), strict=True):
                row[layer] = maps
            if part.components is not None:
                centered = values - part.mean.to(device)[:, None, None]
                scale = 1 / math.sqrt(self.total_variance[layer])
                projected = torch.einsum("bchw,cm->bmhw", centered, part.components.to(device)) * scale
                for row, maps in zip(rows, projected.half(), strict=True):
                    row[f"{layer} components"] = maps
        return rows


class StudentTrainer:
    """Trains the student with Adam, on weights scaled so that every channel has unit deviation.

    On unscaled weights, Adam's first steps would ruin the fit, since channels differ by orders of magnitude.

    Attributes:
        targets: Computes the targets.
        settings: Settings of the descent.
        device: Where the student is trained.
        parameters: Scaled weight and bias of each convolution.
        maps: Linear maps [c + 1, m] from the student's features to the components, for each layer.
        step: Number of finished steps.
        seconds: Time that they took.
        generator: Draws the batches.
    """

    def __init__(
        self, targets: TeacherTargets, weights: Weights, settings: DescentSettings, device: torch.device
    ) -> None:
        """Scale the weights.

        Args:
            targets: Computes the targets.
            weights: Weight [C, c, 3, 3] and bias [C] of each convolution, to start from.
            settings: Settings of the descent.
            device: Where the student is trained.
        """
        self.targets, self.settings, self.device = targets, settings, device
        scaled_weights = scale_channels(weights, {name: 1 / value for name, value in targets.deviation.items()})
        self.parameters = {
            name: (
                weight.to(device).contiguous(memory_format=torch.channels_last).requires_grad_(index > 0),
                bias.to(device).contiguous().requires_grad_(index > 0),
            )
            for index, (name, (weight, bias)) in enumerate(scaled_weights.items())
        }
        self.maps: dict[str, Tensor] = {}
        self.step = 0
        self.seconds = 0.0
        self.generator = torch.Generator().manual_seed(settings.seed + 1)

    def fit_maps(self, buffer: ReplayBuffer, count: int = 160) -> None:
        """Fit the maps from the student's features to the components, by ridge regression.

        Args:
            buffer: Crops and targets.
            count: Number of crops to use.
        """
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for start in range(0, min(count, len(buffer.entries)), 8):
            rows = buffer.entries[start : start + 8]
            crops = torch.stack([row["crop"] for row in rows]).float().to(self.device)
            with torch.no_grad():
                features = student_network(self.parameters).features(crops, TAPS)
            for layer in TAPS:
                inputs = features[layer].permute(0, 2, 3, 1).flatten(0, 2)  # [n, c]
                inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)
                outputs = torch.stack([row[f"{layer} components"] for row in rows]).float().to(self.device)
                outputs = outputs.permute(0, 2, 3, 1).flatten(0, 2)  # [n, m]
                gram, cross = sums.get(layer, (torch.zeros((), device=self.device),) * 2)
                sums[layer] = gram + inputs.T @ inputs, cross + inputs.T @ outputs
        for layer, (gram, cross) in sums.items():
            ridge = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram), device=self.device)
            self.maps[layer] = torch.linalg.solve(gram + ridge, cross).requires_grad_()

    def make_optimizer(self) -> None:
        """Create the optimizer; the maps must have been fitted or loaded."""
        tensors = [part for pair in self.parameters.values() for part in pair if part.requires_grad]
        groups = [
            {"params": [part], "lr": self.settings.learning_rate * (_rms(part) if part.ndim == 4 else 0.05)}
            for part in tensors
        ]
        groups += [
            {"params": [part], "lr": self.settings.learning_rate * _rms(part)} for part in self.maps.values()
        ]
        self.optimizer = torch.optim.Adam(groups, betas=BETAS)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Compute the student's error, as shares of the teacher's variance.

        Args:
            batch: Crops and targets, stacked.

        Returns:
            The weighted sum of all errors, and the error of each layer.
        """
        crops = batch["crop"].float().to(self.device)
        targets = self.targets
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.autocast):
            features = student_network(self.parameters).features(crops, targets.layers)
        total, log = torch.zeros((), device=self.device), {}
        for layer in targets.layers:
            values = features[layer].float()
            expected = batch[layer].float().to(self.device)
            error = ((values - expected).square().mean((0, 2, 3)) * targets.channel_weights[layer]).sum()
            total = total + error * (1.0 if layer in TAPS else INTERMEDIATE)
            log[layer] = float(error.detach())
            if layer in COMPONENTS:
                mapped = torch.einsum("bchw,cm->bhwm", values, self.maps[layer][:-1]) + self.maps[layer][-1]
                expected = batch[f"{layer} components"].float().to(self.device).permute(0, 2, 3, 1)
                error = (mapped - expected).square().mean((0, 1, 2)).sum()
                total = total + error
                log[f"{layer} components"] = float(error.detach())
        return total, log

    def train(
        self, crops: CropStream, buffer: ReplayBuffer, report: Callable[[int, float, dict[str, float]], None]
    ) -> None:
        """Train to the last step, with a learning rate that falls to 1 % along a cosine.

        Args:
            crops: Training crops.
            buffer: Replay buffer; new crops are added to it.
            report: Called after every step with its number, the seconds so far and the errors of the layers.
        """
        settings = self.settings
        for weight, bias in self.parameters.values():
            assert weight.is_leaf and bias.is_leaf
        while self.step < settings.steps:
            start = time.perf_counter()
            for row in self.targets.compute(crops.batch(settings.fresh)) if settings.fresh else ():
                buffer.add(row)
            progress = self.step / settings.steps
            factor = min(1.0, (self.step + 1) / WARM_UP) * (0.505 + 0.495 * math.cos(math.pi * progress))
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            total, log = self.loss(buffer.sample(settings.batch, self.generator))
            self.optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.step += 1
            self.seconds += time.perf_counter() - start
            report(self.step, self.seconds, log)

    def weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the student's weights, without the scaling of the training."""
        unscaled = {
            name: (weight.detach().cpu().contiguous(), bias.detach().cpu())
            for name, (weight, bias) in self.parameters.items()
        }
        return scale_channels(unscaled, self.targets.deviation)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for resuming the training."""
        return {
            "parameters": {
                name: tuple(part.detach() for part in pair) for name, pair in self.parameters.items()
            },
            "maps": {layer: value.detach() for layer, value in self.maps.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state."""
        with torch.no_grad():
            for name, pair in self.parameters.items():
                for part, value in zip(pair, state["parameters"][name], strict=True):
                    part.copy_(value)
            self.maps = {
                layer: value.to(self.device).requires_grad_() for layer, value in state["maps"].items()
            }
        self.make_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def _rms(part: Tensor) -> float:
    """Root mean square of a tensor."""
    return float(part.detach().square().mean().sqrt())
