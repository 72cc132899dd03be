"""Small renders of every kind against the host's: gradients of a first sweep, pictures, exact iterations."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.core import Check, Group, Place, Row, relative_error
from benchmarks.gpu.jobs import DEVICE, HOST, VGG19, Sized, at_home, loading_once, swept, waves
from tilestyle.config.enums import Optimizer, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import level_planes
from tilestyle.networks.vgg import Vgg
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import sweep_patches
from tilestyle.pipeline.api import render
from tilestyle.pipeline.prepare import prepare

CONTENT, STYLE = waves(60, 80), waves(90, 100, 1)
FEW: dict[str, Any] = {
    "network": "wavelet",
    "style_layers": {"color_2": 1.0, "first_1": 1.0},
    "content_layers": {"contour_2": 1.0},
}
SMALL: dict[str, Any] = {"size": 80, "sweeps": 2, "margin": 8, "coarsest": 64, "patch": 64, **FEW}
FULL: dict[str, Any] = {"size": 96, "sweeps": 2, "margin": 8, "coarsest": 96, "patch": 64}
VGG: dict[str, Any] = {"network": "vgg19", "weights": "random"}
VGG_FEW: dict[str, Any] = {
    **VGG,
    "style_layers": {"relu1_1": 1, "relu2_1": 1},
    "content_layers": {"relu2_2": 1},
}
LBFGS: dict[str, Any] = {"optimizer": "lbfgs", "precision": "fp32"}
HALF = np.zeros((60, 80, 3), np.uint8)
HALF[:, 40:] = 255
CASES: dict[str, dict[str, Any]] = {
    "wavelet": {**FULL, "network": "wavelet"},
    "vgg19": {**FULL, **VGG},
    "compact": {**FULL, "network": "compact"},
    "L-BFGS": {**SMALL, **LBFGS, "patch": 192, "size": 150, "coarsest": 150},
    "mask": {**SMALL, "mask": HALF},
    "locality": {**SMALL, "locality": 0.7, "sweeps": 1},
    "windows": {**SMALL, "sampler": "windows"},
    "vgg19, average pooling": {**SMALL, **VGG_FEW, "pooling": "average"},
    "coarse layers": {**SMALL, "style_layers": {"first_1": 1, "first_4": 1}},
    "luminance": {**SMALL, "color": "luminance"},
    "the content's colors": {**SMALL, "color": "content"},
    "overlap": {**SMALL, "patch": 128, "overlap": 8, "size": 120},
    "scales": {**SMALL, "scale_odds": (0.5, 0.5)},
    "vgg19, locality": {**SMALL, **VGG_FEW, "locality": 1.0, "sweeps": 1},
    "anchor": {**SMALL, "anchor": waves(15, 20)},
    "statistics": {**SMALL, "style_loss": "gram-stats"},
    "gram and total variation": {**SMALL, "style_loss": "gram", "tv_weight": 0.1},
    "self-similarity": {**SMALL, "content_loss": "self-similarity"},
    "arrangement": {**SMALL, "style_layers": {"first_1": 1, "first_2": 1}, "arrangement_weight": 0.5},
    "fixed point": {**SMALL, "deterministic": True},
    "kept content": {**SMALL, "keep_content": True, "content_layers": {"contour_1": 1}},
    "vgg19, kept content": {**FULL, **VGG, "keep_content": True},
    "one patch": {**SMALL, "patch": 512},
    "tileable": {**SMALL, "tileable": "both"},
    "vgg19, L-BFGS": {**FULL, **VGG_FEW, **LBFGS, "patch": 96},
}
# Of these, with the canvas on the host, too.
HOSTED = ("wavelet", "vgg19", "coarse layers", "mask", "scales", "windows", "vgg19, kept content", "overlap")
PICTURES = (
    "vgg19",
    "compact",
    "wavelet",
    "mask",
    "windows",
    "locality",
    "scales",
    "luminance",
    "fixed point",
    "L-BFGS",
)
# Most that a sweep's gradients may be off by, relative to their size. (In bfloat16 on a host it is 0.34 with
# vgg19, where rectifiers and maxima turn.)
GRADIENT = {"fp32": 5e-3, "bf16": 0.5}
# In float32 they may also be off by so many times as much as the host's are when its pictures are multiplied by
# one and noise of this size: distances of moments take roots of small numbers, which enlarge rounding.
SHAKEN, SHAKE = 10, 1e-5
# And a pixel of a picture, in the mean: Adam's steps turn on signs, so that where a gradient is nearly nothing
# a pixel may go either way.
PICTURE = {"fp32": 5e-3, "bf16": 2.5e-2}
# Products of numbers that TF32 rounds to 1, and float32 does not.
TRIFLE = 1 + 2.0**-12


def _gradients(place: Place) -> list[Check]:
    cases = ("wavelet", "compact", "mask", "L-BFGS") if place.tiny else tuple(CASES)
    return [Check(f"gradient: {case}", partial(_gradient, case), 25) for case in cases]


def _pictures(place: Place) -> list[Check]:
    cases = ("mask", "windows") if place.tiny else PICTURES
    return [Check(f"picture: {case}", partial(_picture, case), 25) for case in cases]


def _precisions(place: Place) -> list[Check]:
    return [
        Check("fp32 is float32", partial(_arithmetic, {"precision": "fp32"}), 15),
        Check("L-BFGS never sees TF32", partial(_arithmetic, LBFGS), 15),
        Check("L-BFGS goes down", _downhill, 40),
    ]


def settings_of(case: str, device: torch.device, precision: str) -> RenderConfig:
    """A case in an arithmetic; that of L-BFGS is always float32."""
    named = CASES[case]
    return RenderConfig(**{"precision": precision, **named}, device=str(device))


def gradients(
    case: str, place: Place, device: torch.device, home: str, precision: str, shake: float = 0.0
) -> Tensor:
    """The gradients of all patches of a first sweep, [n] on the host."""
    config = settings_of(case, device, precision)
    with at_home(place, home if device.type != "cpu" else None), loading_once():
        job = prepare(shaken(STYLE, shake), config, shaken(CONTENT, shake))
    level = job.levels[-1]
    planes = level_planes(job, level)
    canvas = initial_canvas(job, level, planes.regions)
    if config.optimizer is Optimizer.LBFGS:
        return ExactObjective(job, level, planes)(canvas)[1].cpu().flatten()
    objective, patches = LevelObjective(job, level, planes), sweep_patches(job, level, 0)
    objective.begin_sweep(canvas, patches, 0)
    # Copied: what comes from a device is valid until the next patch only.
    return torch.cat(
        [g.detach().float().flatten().to("cpu", copy=True) for _, g in objective.gradients(canvas, patches)]
    )


def shaken(picture: NDArray[np.float32], shake: float) -> NDArray[np.float32]:
    """The picture times one and noise."""
    noise = np.random.default_rng(0).standard_normal(picture.shape)
    return np.asarray(picture * (1 + shake * noise), np.float32) if shake else picture


def _gradient(case: str, place: Place, row: Row) -> bool:
    """In both arithmetics, wherever the canvas is, against the host's in float32."""
    host = torch.device("cpu")
    expected = gradients(case, place, host, HOST, "fp32")
    row["the host's, shaken"] = relative_error(gradients(case, place, host, HOST, "fp32", SHAKE), expected)
    limits = {**GRADIENT, "fp32": max(GRADIENT["fp32"], SHAKEN * row["the host's, shaken"])}
    good = True
    ways = ("fp32",) if "L-BFGS" in case else ("fp32", "bf16")
    for precision in ways:
        for home in (DEVICE, HOST) if case in HOSTED else (DEVICE,):
            away = relative_error(gradients(case, place, place.device, home, precision), expected)
            row[f"{precision}, canvas on the {home}"] = away
            good = good and away < limits[precision]
    return good


def _picture(case: str, place: Place, row: Row) -> bool:
    """A whole render in both arithmetics against the host's in float32."""
    expected = render(CONTENT, STYLE, settings_of(case, torch.device("cpu"), "fp32")).pixels
    good = True
    for precision in ("fp32",) if "L-BFGS" in case else ("fp32", "bf16"):
        with loading_once():
            actual = render(CONTENT, STYLE, settings_of(case, place.device, precision)).pixels
        away = np.abs(actual - expected)
        row[precision] = {"mean": float(away.mean()), "largest": float(away.max())}
        good = good and bool(np.isfinite(actual).all()) and float(away.mean()) < PICTURE[precision]
    return good


def _arithmetic(settings: dict[str, Any], place: Place, row: Row) -> bool:
    """What a product and a convolution of float32 come to within a render, whatever the switches say."""
    errors: list[tuple[float, float]] = []
    original = Vgg.features

    def measuring(self: Vgg, pixels: Tensor, layers: Any) -> dict[str, Tensor]:
        if len(errors) < 20:
            errors.append(rounding(pixels.device))
        return original(self, pixels, layers)

    config = RenderConfig(**{**FULL, **VGG_FEW, "patch": 96, "sweeps": 1, **settings}, device=str(place.device))
    with mock.patch.object(Vgg, "features", measuring):
        render(CONTENT, STYLE, config)
    row["looks"] = len(errors)
    row["largest error of a product, of a convolution"] = [max(each) for each in zip(*errors, strict=True)]
    return bool(errors) and max(map(max, errors)) < 1e-6


def rounding(device: torch.device) -> tuple[float, float]:
    """Relative errors of a product and of convolutions of float32 numbers; TF32 leaves 5e-4."""
    numbers = torch.full((256, 256), TRIFLE, device=device)
    product = float((numbers @ numbers)[0, 0]) / (256 * TRIFLE**2) - 1
    picture, filters = (torch.full(shape, TRIFLE, device=device) for shape in ((1, 64, 32, 32), (64, 64, 1, 1)))
    ways = [F.conv2d(picture, filters), F.conv_transpose2d(picture, filters)]
    if device.type == "cuda":
        bias = torch.zeros(64, device=device)
        ways.append(torch.cudnn_convolution_relu(picture, filters, bias, (1, 1), (0, 0), (1, 1), 1))
    convolved = max(abs(float(way[0, 0, 0, 0]) / (64 * TRIFLE**2) - 1) for way in ways)
    return abs(product), convolved


def _downhill(place: Place, row: Row) -> bool:
    """The loss after every iteration, from noise; and what an iteration takes."""
    side = 96 if place.tiny else 768
    settings = {"optimizer": "lbfgs", "init": "noise", "content_weight": 0.015}
    sweeps = swept(
        Sized(side, side, VGG19, Precision.FP32, 3 if place.tiny else 8, None, None, settings).job(place)
    )
    weights = sweeps.job.weights
    losses = [weights.style * terms.style + weights.content * terms.content for terms in sweeps.terms]
    row.update({"losses": losses, "an iteration, s": sweeps.seconds, "patch": sweeps.job.patch_side})
    row["says"] = f"L-BFGS {sweeps.seconds:.2g} s an iteration of {sweeps.megapixels:.2g} MP"
    return all(later <= 1.001 * earlier for earlier, later in pairwise(losses))


GRADIENTS = Group(
    "gradients", "a sweep's gradients, every kind of render, both homes of canvases", 45, _gradients
)
PICTURE_GROUP = Group("pictures", "small renders against those of the host", 30, _pictures)
PRECISIONS = Group("precision", "fp32 is float32, L-BFGS never sees TF32 and goes down", 20, _precisions)
