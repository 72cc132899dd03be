"""What other ways of doing the same would gain. Nothing here can fail: a way that does not work is noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.core import Check, Group, LateError, Place, Row, best
from benchmarks.gpu.environment import peak_of
from benchmarks.gpu.jobs import COMPACT, FITTING, VGG19, Sized, swept
from tilestyle.config.enums import BUILT_IN, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.registry import RANDOM, load_network
from tilestyle.stats.moments import MomentSum

PATCH = 1024
SIDES = (512, 1024)
MOMENTS = ((1024, 64), (512, 128), (128, 512))


def _checks(place: Place) -> list[Check]:
    networks = (COMPACT,) if place.tiny else (VGG19, COMPACT)
    return [
        *(Check(f"the bare network, {each}", partial(_network_passes, each), 30) for each in networks),
        Check("moments by one product", _products, 20),
        *(Check(f"cuDNN's {name}", partial(_cudnn, name), 30) for name in ("benchmark", "deterministic")),
        *(Check(f"compiled, {each}", partial(_compiled, each), 90) for each in networks),
    ]


@contextmanager
def attempted(row: Row, name: str) -> Iterator[None]:
    """Note why a way does not work."""
    try:
        yield
    except (Exception, LateError) as error:
        row[name] = f"{type(error).__name__}: {str(error)[:160]}"


def step_of(
    place: Place, name: NetworkName, side: int
) -> tuple[FeatureNetwork, Callable[[], Tensor], list[str]]:
    """A network on the device, its forward and backward passes on one picture, and the layers in use."""
    weights = None if name in BUILT_IN else RANDOM
    dtype = torch.bfloat16 if place.cuda else torch.float32
    network = load_network(RenderConfig(network=name, weights=weights)).to(place.device, dtype)
    names = dict.fromkeys([*network.style_layers, *network.content_layers])
    layers = list(dict.fromkeys(network.scale_groups(names)[1].values()))
    pixels = torch.rand(1, 3, side, side, device=place.device).to(dtype).requires_grad_()

    def step() -> Tensor:
        features = list(network.features(pixels, layers).values())
        return torch.autograd.grad(features, pixels, [torch.ones_like(each) for each in features])[0]

    return network, step, layers


def _network_passes(name: NetworkName, place: Place, row: Row) -> None:
    """Forward and backward: launched from Python, with features by channels, and replayed as a CUDA graph."""
    for side in (64,) if place.tiny else SIDES:
        network, step, layers = step_of(place, name, side)
        ways = {"launched": 1e3 * best(step, place.device, 5)}
        with attempted(row, f"{side}: graph"):
            if place.cuda:
                ways["graph"] = 1e3 * best(captured(step).replay, place.device, 5)
        operations = 4 * network.multiply_adds_per_pixel(layers) * side**2
        peak = peak_of(place, network.dtype)
        shares = {way: operations / milliseconds / 1e9 / peak for way, milliseconds in ways.items()}
        row.update({f"{side}, ms": ways, f"{side}, share of matrix peak": shares})
        row["says"] = f"{name} {side}: " + ", ".join(f"{way} {share:.0%}" for way, share in shares.items())


def captured(step: Callable[[], Any]) -> torch.cuda.CUDAGraph:
    """A CUDA graph of a step."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def _compiled(name: NetworkName, place: Place, row: Row) -> None:
    """By torch.compile: how long that takes, and what a step takes then. A dry run only traces."""
    side = 64 if place.tiny else PATCH
    network, step, layers = step_of(place, name, side)
    row["launched, ms"] = 1e3 * best(step, place.device)
    pixels = torch.rand(1, 3, side, side, device=place.device).to(network.dtype).requires_grad_()
    with attempted(row, "compiled"):
        backend = "eager" if place.tiny else "inductor"
        forward = torch.compile(lambda shown: list(network.features(shown, layers).values()), backend=backend)

        def run() -> Tensor:
            features = forward(pixels)
            return torch.autograd.grad(features, pixels, [torch.ones_like(each) for each in features])[0]

        first = best(run, place.device, 1)
        row["compiled, ms"] = 1e3 * min(first, best(run, place.device))
        row["says"] = f"{name}: {row['launched, ms']:.3g} ms launched, {row['compiled, ms']:.3g} compiled"


def _products(place: Place, row: Row) -> None:
    """Sums of products of bfloat16 features in float32 at once, without a float32 copy of them."""
    for side, channels in ((64, 64),) if place.tiny else MOMENTS:
        cells = torch.randn(1, side, side, channels, device=place.device).relu_().bfloat16()
        features, flat = cells.permute(0, 3, 1, 2), cells.reshape(-1, channels)
        times = {"as it is": 1e3 * best(partial(MomentSum().add, features), place.device)}
        with attempted(row, f"{side} x {side} x {channels}: at once"):
            product = partial(torch.mm, flat.mT, flat, out_dtype=torch.float32)
            times["at once"] = 1e3 * best(product, place.device)
        row[f"{side} x {side} x {channels}, ms"] = times


def _cudnn(name: str, place: Place, row: Row) -> None:
    """Sweeps with a switch of cuDNN on, and with it off."""
    side, patch, network = (96, 64, COMPACT) if place.tiny else (FITTING[PATCH], PATCH, VGG19)
    for on in (False, True):
        previous = getattr(torch.backends.cudnn, name)
        setattr(torch.backends.cudnn, name, on)
        try:
            sweeps = swept(Sized(side, side, network, sweeps=3 if place.tiny else 5, patch=patch).job(place))
        finally:
            setattr(torch.backends.cudnn, name, previous)
        row["on, MP/s" if on else "off, MP/s"] = sweeps.megapixels / sweeps.seconds
    row["says"] = f"{name} {row['on, MP/s'] / row['off, MP/s']:.2f} times as fast"


GROUP = Group("whatif", "CUDA graphs, torch.compile, cuDNN's switches, moments by one product", 60, _checks)
