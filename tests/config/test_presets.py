"""Presets compute what their originals do: their formulas written out, in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.conftest import waves
from tests.networks.test_vgg import noise
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import NetworkName, Optimizer
from tilestyle.config.presets import preset_names
from tilestyle.config.render import RenderConfig
from tilestyle.config.toml import load_preset, merge_settings
from tilestyle.errors import SettingError
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.objective import LossTerms
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_moments
from tilestyle.networks.random_vgg import WIDTHS, random_vgg
from tilestyle.networks.vgg import convolution_keys
from tilestyle.networks.vgg_weights import MEAN, STD
from tilestyle.optim.loop import optimize
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning import resolve
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.stats.moments import Moments

SIDE = 256
NARROW = 8  # times narrower than VGG
OF_VGG = ["crowsonkb", "fastai", "fastai-deep", "gatys", "johnson", "narayanan", "spst", "surma"]
# What the originals' features are of: pixels from 0 to 255, where torchvision's are over their deviations.
CAFFE = 255 * 0.226


def weights_of(network: NetworkName, folder: Path) -> Path:
    """A file of random weights, an eighth as wide."""
    generator = torch.Generator().manual_seed(5)
    state, channels = {}, 3
    for layer, key in convolution_keys(network).items():
        width = WIDTHS[network][int(layer[4]) - 1] // NARROW
        state[f"{key}.weight"] = (
            torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
        )
        state[f"{key}.bias"] = torch.randn(width, generator=generator) / 10
        channels = width
    file = folder / f"{network}.safetensors"
    save_file(state, file)
    return file


def made(name: str, folder: Path) -> tuple[Job, Level]:
    """A job of the preset at 256 pixels without a margin, its network in float64."""
    asked = load_preset(name).settings
    file = weights_of(NetworkName(asked["network"]), folder)
    more = {
        "weights": file,
        "size": (SIDE, SIDE),
        "margin": 0,
        "precision": "fp32",
        "coarsest": SIDE,
        "history": None,
    }
    task = prepare(waves(SIDE, SIDE, 2), merge_settings(asked, more), waves(SIDE, SIDE, 1))
    task = Job(**{**vars(task), "network": task.network.to(torch.device("cpu"), torch.float64)})
    return task, task.levels[-1]


def features(task: Job, folder: Path, pixels: Tensor) -> dict[str, Tensor]:
    """What torchvision's operations answer, at the layers in use, [C, N]: independent of networks/vgg.py."""
    from safetensors.torch import load_file

    name = NetworkName(task.config.network)
    stored = load_file(folder / f"{name}.safetensors")
    mean, deviation = torch.tensor([MEAN, STD], dtype=torch.float64)[:, :, None, None]
    values, found, block = ((pixels - mean) / deviation)[None], {}, "1"
    average = "fastai" in str(task.config.style_layers) or task.config.pooling == "average"
    for layer, key in convolution_keys(name).items():
        if layer[4] != block:
            pool = torch.nn.functional.avg_pool2d if average else torch.nn.functional.max_pool2d
            values, block = pool(values, 2), layer[4]
        padding = "replicate" if layer == "conv1_1" else "constant"
        values = torch.nn.functional.pad(values, [1] * 4, mode=padding)
        weight, bias = stored[f"{key}.weight"].double(), stored[f"{key}.bias"].double()
        values = torch.nn.functional.conv2d(values, weight, bias).relu()
        found[layer.replace("conv", "relu")] = values[0].flatten(1)
    return found


def mse(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().mean()


def sse(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().sum()


def power_tv(pixels: Tensor) -> Tensor:
    """Keras's example: sums of (dx^2 + dy^2)^1.25 of 0 to 255."""
    x = 255 * pixels
    down, across = (x[:, :-1, :-1] - x[:, 1:, :-1]).square(), (x[:, :-1, :-1] - x[:, :-1, 1:]).square()
    return (down + across).pow(1.25).sum()


def absolute_tv(pixels: Tensor) -> Tensor:
    x = 255 * pixels
    return (x[:, 1:] - x[:, :-1]).abs().sum() + (x[:, :, 1:] - x[:, :, :-1]).abs().sum()


def nine_point_tv(pixels: Tensor) -> Tensor:
    """Means of squares as in style-transfer-pytorch, but that pixels beyond the edge are none."""
    pairs = [
        (pixels[:, :, 1:], pixels[:, :, :-1], 3),
        (pixels[:, 1:], pixels[:, :-1], 3),
        (pixels[:, 1:, 1:], pixels[:, :-1, :-1], 12),
        (pixels[:, 1:, :-1], pixels[:, :-1, 1:], 12),
    ]
    return 2 * torch.stack([sse(one, other) / part for one, other, part in pairs]).sum() / pixels.numel()


STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
KERAS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
FASTAI = {"relu1_2": 0.05, "relu2_2": 0.2, "relu3_2": 0.2, "relu4_2": 0.25, "relu5_2": 0.3}
Original = Callable[[Tensor, dict[str, Tensor], dict[str, Tensor], dict[str, Moments]], Tensor]


def gram(f: Tensor) -> Tensor:
    return f @ f.mT / f.shape[1]


def gatys(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
    style = [1e3 / len(f[k]) ** 2 * mse(gram(f[k]), g[k].second) for k in STYLE]
    return torch.stack(style).sum() + mse(f["relu4_2"], c["relu4_2"])


def spst(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
    loss = gatys(x, f, c, g)
    for k in STYLE:
        deviation = (g[k].second.diagonal() - g[k].mean.square()).sqrt()
        loss = loss + 1e4 * mse(f[k].mean(1), g[k].mean) + 1e4 * mse(f[k].std(1, correction=0), deviation)
    return loss


def johnson(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
    style = [100 * mse(gram(f[k]) / len(f[k]), g[k].second / len(f[k])) for k in STYLE]
    larger = (512 / SIDE) ** 2  # a sum over pixels, at the size where the balance is theirs
    return torch.stack(style).sum() + 5 * mse(f["relu4_2"], c["relu4_2"]) + 1e-3 * larger * absolute_tv(x)


def fastai(layer: str, weight: float) -> Original:
    def loss(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
        style = [w * mse(gram(f[k]) / len(f[k]), g[k].second / len(f[k])) for k, w in FASTAI.items()]
        return torch.stack(style).sum() + weight * mse(f[layer], c[layer])

    return loss


def keras(content: float, style: float, tv: float, size: int) -> Original:
    def loss(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
        # The weights are those of full width: Gram matrices have its square more entries, each as much larger.
        wide = NARROW**4
        pixels = SIDE * SIDE
        styles = [
            style / 5 * sse(f[k] @ f[k].mT, f[k].shape[1] * g[k].second) / (4 * 3**2 * pixels**2) for k in KERAS
        ]
        larger = size**2 / pixels
        contents = content * NARROW * larger * sse(f["relu2_2"], c["relu2_2"])
        return wide * torch.stack(styles).sum() + contents + tv * larger * power_tv(x)

    return loss


def crowsonkb(x: Tensor, f: dict[str, Tensor], c: dict[str, Tensor], g: dict[str, Moments]) -> Tensor:
    loss = 0.015 * mse(f["relu4_2"], c["relu4_2"]) + 2 * nine_point_tv(x)
    for k, weight in zip(STYLE, (256, 64, 16, 4, 1), strict=True):
        mean, ridge = f[k].mean(1), 1e-4 * torch.eye(len(f[k]), dtype=torch.float64)
        found = gram(f[k]) - torch.outer(mean, mean) + ridge
        wanted = g[k].second - torch.outer(g[k].mean, g[k].mean) + ridge
        values, vectors = torch.linalg.eigh(wanted)
        root = (vectors * values.sqrt()) @ vectors.mT
        crossed = torch.linalg.eigvalsh(root @ found @ root).clamp(min=1e-12).sqrt()
        bures = (found + wanted).trace() - 2 * crossed.sum()
        loss = loss + weight / 341 * (mse(mean, g[k].mean) + bures / len(f[k]))
    return loss


ORIGINALS: dict[str, Original] = {
    "crowsonkb": crowsonkb,
    "fastai": fastai("relu3_2", 0.1),
    "fastai-deep": fastai("relu4_2", 1.0),
    "gatys": gatys,
    "johnson": johnson,
    "narayanan": keras(0.025, 5.0, 1.0, 512),
    "spst": spst,
    "surma": keras(0.02, 4.5, 0.995, 500),
}


@pytest.mark.parametrize("name", OF_VGG)
def test_a_preset_has_the_loss_of_its_original(name: str, tmp_path: Path) -> None:
    task, level = made(name, tmp_path)
    canvas = Canvas(level.extent, (0.6 * waves(SIDE, SIDE, 1) + 0.4 * noise(SIDE)[0]).float())
    terms, found = (measure := ExactObjective(task, level, level_planes(task, level)))(canvas)
    pixels = canvas.pixels.double().requires_grad_()
    scale = 1.0 if name == "crowsonkb" else CAFFE
    seen, content = (
        {layer: scale * cells for layer, cells in features(task, tmp_path, picture).items()}
        for picture in (pixels, waves(SIDE, SIDE, 1).double())
    )
    # Targets as the job has them, by our own names of layers.
    target = {task.network.resolve_layer_name(k): m.double() for k, m in style_moments(task, level)[0].items()}
    loss = ORIGINALS[name](pixels, seen, content, target)
    (expected,) = torch.autograd.grad(loss, pixels)
    assert measure.loss(terms) / level.extent.area == pytest.approx(loss.item(), rel=1e-4)
    assert (found.double() / level.extent.area - expected).norm() < 1e-4 * expected.norm()
    assert terms.style > 0 < terms.content


@pytest.mark.parametrize("name", OF_VGG)
def test_a_preset_descends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_vgg(NetworkName(load_preset(name).settings["network"]), width_divisor=16)
    assert set(map(network.resolve_layer_name, load_preset(name).settings["style_layers"])) <= set(
        network.layers
    )
    narrow = {"size": 64, "sweeps": 4, "margin": 8, "weights": "random", "precision": "fp32"}
    monkeypatch.setattr(resolve, "load_network", lambda config: network)
    task = prepare(waves(70, 80, 2), merge_settings(load_preset(name).settings, narrow), waves(64, 64, 1))
    seen: list[LossTerms] = []
    optimize(task, lambda level: None, lambda level, sweep, terms, canvas: seen.append(terms), lambda: False)
    weights = task.weights
    losses = [weights.style * t.style + weights.content * t.content + weights.tv * t.tv for t in seen]
    assert losses[-1] < losses[0]


def test_every_preset_is_said_and_understood() -> None:
    assert set(OF_VGG) < set(preset_names())
    assert {"poster", "texture", "draft"} < set(preset_names())
    for name in preset_names():
        stored = load_preset(name)
        assert stored.about
        assert stored.source
        assert isinstance(merge_settings(stored.settings), RenderConfig)
    assert merge_settings(load_preset("surma").settings).optimizer is Optimizer.LBFGS
    with pytest.raises(SettingError, match=r"did you mean 'gatys'[?] the presets are"):
        load_preset("gaty")
    with pytest.raises(SettingError, match="no preset 'x'; the presets are"):
        load_preset("x")
