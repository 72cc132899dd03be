"""The numbers of the host, part by part: features and their gradient, moments, cotangents."""

from __future__ import annotations

from functools import partial
from math import inf

import torch
from torch import Tensor

from benchmarks.gpu.core import Check, Group, Place, Row, best, relative_error
from benchmarks.gpu.jobs import exact, waves
from benchmarks.maps import covariance
from tilestyle.config.enums import BUILT_IN, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.devices.graphs import CALLS_BEFORE, CapturedFunction
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.registry import RANDOM, load_network
from tilestyle.stats.distances import VaryingWassersteinTarget, WassersteinTarget
from tilestyle.stats.moments import Moments, MomentSum

# Most that results may be off by, relative to their size.
FEATURES = {torch.float32: 1e-3, torch.bfloat16: 0.1}
MOMENTS = 5e-3  # of covariances, over their mean variance
COTANGENTS = 1e-4
# How exact products of float32 may be where features have this dtype: TF32 holds all of a bfloat16.
PRECISIONS = {torch.float32: "highest", torch.bfloat16: "high"}
SHAPES = ((1024, 64), (2048, 64), (512, 128), (256, 179), (128, 512))  # side and channels of features
CHANNELS = (64, 128, 256, 512)


def _checks(place: Place) -> list[Check]:
    networks = (*BUILT_IN, NetworkName.VGG19)
    return [
        *(
            Check(f"features and their gradient, {network}", partial(_features, network), 20)
            for network in networks
        ),
        Check("moments", _moments, 40),
        Check("cotangents", _cotangents, 20),
        Check("cotangents to targets that change", _varying, 30),
    ]


def features_and_gradient(network: FeatureNetwork, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Features of all layers that are used, and the gradient of the sum of their squares, at the pixels."""
    names = dict.fromkeys([*network.style_layers, *network.content_layers])
    layers = list(dict.fromkeys(network.scale_groups(names)[1].values()))
    shown = pixels.to(network.device, network.dtype).requires_grad_()
    features = network.features(shown, layers)
    (gradient,) = torch.autograd.grad([f.float().square().mean() for f in features.values()], [shown])
    return {name: each.detach() for name, each in features.items()}, gradient


def _features(name: NetworkName, place: Place, row: Row) -> bool:
    """In float32 as it is and in bfloat16, against float32 on the host."""
    weights = None if name in BUILT_IN else RANDOM
    host = load_network(RenderConfig(network=name, weights=weights))
    side = 64 if place.tiny else 256
    pixels = torch.from_numpy(waves(side, side)).permute(2, 0, 1)[None].contiguous()
    expected, slope = features_and_gradient(host, pixels)
    good = True
    for dtype, limit in FEATURES.items():
        with exact():
            actual, gradient = features_and_gradient(host.to(place.device, dtype), pixels)
        worst = max(relative_error(actual[layer], expected[layer]) for layer in expected)
        away = relative_error(gradient, slope)
        row[str(dtype)] = {"features off": worst, "gradient off": away}
        # A sign that turns at a rectifier turns a gradient: it is rougher than the features.
        good = good and worst < limit and away < 4 * limit
    return good


def _moments(place: Place, row: Row) -> bool:
    """Sums over many cells, whose means are as large as a rectifier leaves them, against float64."""
    worst = 0.0
    for side, channels in ((64, 64), (128, 67)) if place.tiny else SHAPES:
        generator = torch.Generator(device=place.device).manual_seed(0)
        shape = (1, side, side, channels)
        cells = torch.randn(shape, generator=generator, device=place.device).relu_().add_(1).bfloat16()
        flat = cells.reshape(-1, channels).double()
        mean = flat.mean(0)
        expected = (flat.mT @ flat) / len(flat) - torch.outer(mean, mean)
        del flat
        for dtype, precision in PRECISIONS.items():
            features = cells.to(dtype).permute(0, 3, 1, 2)
            total = MomentSum()
            with exact():
                torch.set_float32_matmul_precision(precision)
                total.add(features)
                seconds = best(partial(MomentSum().add, features), place.device)
            moments = total.moments()
            mean = moments.mean.double()
            actual = moments.second.double() - torch.outer(mean, mean)
            away = float((actual - expected).abs().max() / expected.diagonal().mean())
            row[f"{side} x {side} x {channels}, {dtype}"] = {
                "covariance off": away,
                "ms": 1e3 * seconds,
                "GB/s of features": features.nbytes / seconds / 1e9,
            }
            worst = max(worst, away)
    row["says"] = f"covariances off by {worst:.1g}"
    return worst < MOMENTS


def _cotangents(place: Place, row: Row) -> bool:
    """A Wasserstein distance and the matrix and offset of its gradient."""
    worst = 0.0
    for channels in (16, 32) if place.tiny else CHANNELS:
        one, other = (_gaussian(channels, seed) for seed in (1, 2))
        expected = WassersteinTarget(other).cotangent(one)
        device_moments = [_moved(moments, place.device) for moments in (one, other)]
        target = WassersteinTarget(device_moments[1])
        actual = target.cotangent(device_moments[0])
        away = max(
            relative_error(actual.matrix, expected.matrix),
            relative_error(actual.offset, expected.offset),
            abs(actual.value / expected.value - 1),
        )
        milliseconds = 1e3 * best(partial(target.cotangent, device_moments[0]), place.device)
        row[f"{channels} channels"] = {"off": away, "ms": milliseconds}
        worst = max(worst, away)
    row["says"] = f"cotangents off by {worst:.1g}"
    return worst < COTANGENTS


def _varying(place: Place, row: Row) -> bool:
    """The same where the target is another one each time, as with locality: launched, and as a graph."""
    worst, captured = 0.0, True
    for channels in (16, 32) if place.tiny else CHANNELS:
        one, other = (_gaussian(channels, seed) for seed in (1, 2))
        host = WassersteinTarget(other)
        expected = host.cotangent(one)
        launch = VaryingWassersteinTarget(channels, host.energy).launch
        graph = CapturedFunction(launch)
        inputs = [
            part.double()
            for moments in (_moved(each, place.device) for each in (one, other))
            for part in (moments.mean, moments.second)
        ]
        milliseconds = [
            1e3 * best(partial(way, *inputs), place.device, 2 * CALLS_BEFORE) for way in (launch, graph)
        ]
        numbers, matrix, offset = graph(*inputs)
        value, failed, norm = numbers.tolist()
        away = max(
            relative_error(matrix, expected.matrix),
            relative_error(offset, expected.offset),
            abs(value / expected.value - 1),
            inf if failed or norm > 1 else 0.0,
        )
        row[f"{channels} channels"] = {
            "off": away,
            "launched, ms": milliseconds[0],
            "graph, ms": milliseconds[1],
            "captured": graph.captured,
        }
        worst, captured = max(worst, away), captured and graph.captured
    row["says"] = f"with changing targets {worst:.1g}{', not captured' if captured != place.cuda else ''}"
    return worst < COTANGENTS and captured == place.cuda


def _gaussian(channels: int, seed: int) -> Moments:
    """Moments that rectified features might have."""
    mean = torch.rand(channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5
    return Moments(1e6, mean.float(), (covariance(channels, seed) + torch.outer(mean, mean)).float())


def _moved(moments: Moments, device: torch.device) -> Moments:
    return Moments(moments.count, moments.mean.to(device), moments.second.to(device))


GROUP = Group("numbers", "features, moments and cotangents against those of the host", 20, _checks)
