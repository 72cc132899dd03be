"""A render on a device that is not the host (fake_device.py): the same picture, wherever the canvas lives."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import FEW, waves
from tests.support.device_cost import on_device, with_float64
from tilestyle import Color, Init, NetworkName, Precision, RenderConfig, Sampler, StyleLoss, Tileable, Work
from tilestyle.benchmark.breakdown import time_parts
from tilestyle.benchmark.speed import network_seconds
from tilestyle.config.enums import Optimizer
from tilestyle.devices.graphs import CapturedFunction
from tilestyle.devices.transfer import float64_device
from tilestyle.images import FloatArray
from tilestyle.losses import patch_distances, style_targets
from tilestyle.losses.planes import region_weights
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.networks.registry import load_network
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import sweep_patches
from tilestyle.pipeline.api import invert, render, texture
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning import device_choice, resolve
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.stats.color_histograms import MAX_CACHED_BINS
from tilestyle.stats.gaussian_transport import newton_schulz_steps

HOMES = ("device", "host")
CONTENT, STYLE = waves(60, 80), waves(30, 32, 1)
# Without a strength, whose comparisons are much of so small a render: one of the cases has it.
SMALL = RenderConfig(
    size=64,
    sweeps=(1, 2),
    margin=8,
    coarsest=48,
    patch=64,
    precision=Precision.FP32,
    content_weight=0.1,
    **FEW,
)
HALF = np.zeros((60, 80, 3), np.uint8)
HALF[:, 40:] = 255
# The coarse layer is seen from afar.
LAYERS: dict[str, Any] = {"style_layers": {"first_1": 1, "first_4": 1}}
CASES: dict[str, dict[str, Any]] = {
    "coarse layers": LAYERS,
    "luminance": {"color": Color.LUMINANCE},
    "mask": {"mask": HALF, "init": Init.NOISE, "content_weight": None},
    "strength": {"strength": 0.3, "content_weight": None},
    "windows": {"sampler": Sampler.WINDOWS},
    "overlap": {"overlap": 8},
    "scales": {"scale_odds": (0.5, 0.5)},
    "locality": {"locality": 0.7, "sweeps": 1, "size": 48, "coarsest": 40},
    "anchor": {"anchor": waves(12, 16)},
    "statistics": {"style_loss": StyleLoss.STATISTICS},
    "gram": {"style_loss": StyleLoss.GRAM, "tv_weight": 0.1},
    "fixed point": {"deterministic": True},
    "kept content": {"keep_content": True, "content_layers": {"contour_1": 1}},
    "one patch": {"patch": 512},
    "L-BFGS": {"optimizer": Optimizer.LBFGS, "sweeps": 2, "patch": 192, "size": 150, "coarsest": 150},
    "vgg": {
        "network": NetworkName.VGG19,
        "weights": "random",
        "style_layers": {"relu1_1": 1, "relu2_1": 1},
        "content_layers": {"relu2_2": 1},
    },
}
# Where the canvas is on the host, fewer things differ.
PLACED = [(case, "device") for case in CASES]
PLACED += [
    (case, "host")
    for case in (
        *("coarse layers", "mask", "strength", "scales", "kept content", "luminance", "windows", "overlap"),
        *("anchor", "gram", "vgg", "one patch", "locality", "L-BFGS"),
    )
]


@pytest.mark.parametrize(("asked", "found"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0")])
def test_a_gpu_has_its_number(asked: str, found: str) -> None:
    with (
        mock.patch("torch.cuda.is_available", lambda: True),
        mock.patch("torch.cuda.device_count", lambda: 2),
        mock.patch("torch.cuda.current_device", lambda: 1),
        mock.patch("tilestyle.planning.device_choice.unusable_reason", lambda device: ""),
    ):
        assert device_choice.find_device(asked) == torch.device(found)


@pytest.fixture(autouse=True)
def _narrow_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG-19 has random weights, and few channels: as many kernels, of less work."""

    def narrow(config: RenderConfig) -> FeatureNetwork:
        if config.network is NetworkName.VGG19:
            return random_vgg(config.network, width_divisor=16)
        return load_network(config)

    monkeypatch.setattr(resolve, "load_network", narrow)


@cache
def pixels_of_the_host(case: str) -> FloatArray:
    """What a render on the host makes of a case, with sums over directions in the order of a device."""
    with mock.patch("tilestyle.stats.sliced_wasserstein.CELLS_AT_ONCE", MAX_CACHED_BINS):
        return render(CONTENT, STYLE, replace(SMALL, **CASES[case])).pixels


@pytest.mark.parametrize(("case", "home"), PLACED)
def test_a_device_makes_the_picture_of_the_host(case: str, home: str) -> None:
    config = replace(SMALL, **CASES[case])
    expected = pixels_of_the_host(case)
    with on_device(home) as device:
        found = render(CONTENT, STYLE, config).pixels
    assert device.computed > 100
    if "mask" in CASES[case]:  # a device adds cells of no weight, too
        assert np.quantile(np.abs(found - expected), 0.99) < 1e-3
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("case", ["coarse layers", "mask", "windows", "locality", "gram", "statistics", "vgg"])
def test_distances_on_a_device_are_those_of_the_host(case: str) -> None:
    config = replace(SMALL, **CASES[case])
    expected = pixels_of_the_host(case)
    by_products = newton_schulz_steps
    with (
        on_device("device"),
        with_float64(),
        mock.patch("tilestyle.stats.gaussian_transport.newton_schulz_steps", wraps=by_products) as counted,
    ):
        found = render(CONTENT, STYLE, config).pixels
    assert counted.called == (config.style_loss is StyleLoss.W2)
    assert np.quantile(np.abs(found - expected), 0.99) < 1e-3


class Replayed(CapturedFunction):
    """A captured function as a GPU has it: each call writes its results where those of the last one were."""

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        results = self._function(*inputs)
        if not self._outputs:
            self._outputs = [torch.empty_like(result) for result in results]
        for output, result in zip(self._outputs, results, strict=True):
            output.copy_(result)
        return self._outputs


@pytest.mark.parametrize("case", ["coarse layers", "windows", "locality", "one patch"])
def test_nothing_is_kept_where_a_graph_writes_its_next_results(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, **{**CASES[case], "sweeps": 3})
    monkeypatch.setattr(resolve, "should_capture", lambda *facts: True)
    with on_device("device"), with_float64():
        expected = render(CONTENT, STYLE, config).pixels
        for module in (patch_distances, style_targets):
            monkeypatch.setattr(module, "CapturedFunction", Replayed)
        found = render(CONTENT, STYLE, config).pixels
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("capability", "place"), [((9, 0), "cuda:0"), ((8, 0), "cuda:0"), ((8, 6), "cpu"), ((12, 0), "cpu")]
)
def test_distances_are_computed_where_float64_is_fast(capability: tuple[int, int], place: str) -> None:
    with mock.patch("torch.cuda.get_device_capability", lambda device: capability):
        assert float64_device(torch.device("cuda:0")) == torch.device(place)
        assert float64_device(torch.device("mps")) == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA_VISIBLE_DEVICES is not set, or there is none")
@pytest.mark.parametrize(("case", "home"), PLACED)
def test_cuda_makes_nearly_the_picture_of_the_host(case: str, home: str) -> None:
    config = replace(SMALL, **CASES[case])
    expected = render(CONTENT, STYLE, replace(config, device="cpu")).pixels
    place = torch.device("cuda:0" if home == "device" else "cpu")
    with mock.patch.object(MemoryBudget, "choose_canvas_device", lambda *facts: place):
        found = render(CONTENT, STYLE, replace(config, device="cuda")).pixels
    # Products are rounded to TF32; two steps are of 0.02 each, whichever way.
    assert np.abs(found - expected).mean() < 5e-3


@pytest.mark.parametrize("home", HOMES)
def test_textures_and_activations_on_a_device(home: str) -> None:
    tiled, alone = replace(SMALL, tileable=Tileable.BOTH), replace(SMALL, style_layers={})
    expected = texture(STYLE, tiled).pixels, invert(CONTENT, alone).pixels
    with on_device(home):
        found = texture(STYLE, tiled).pixels, invert(CONTENT, alone).pixels
    # What is led on by a step is added in another dtype there: a pixel may differ by a last digit.
    assert all(np.abs(one - other).max() < 1e-6 for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(("settings", "patches"), [({"sweeps": (1, 4)}, 6), ({"locality": 0.7}, 3)])
def test_distances_kept_of_a_device_go_on_on_it(settings: dict[str, Any], patches: int, tmp_path: Path) -> None:
    config = replace(SMALL, **{**LAYERS, **settings})
    work = Work(tmp_path / "work", every=0.0)
    asked = chain(repeat(False, patches), repeat(True))
    with on_device("device"), with_float64():
        expected = render(CONTENT, STYLE, config).pixels
        render(CONTENT, STYLE, config, work=work, stop=lambda: next(asked))
        assert work.path.exists()
        found = render(CONTENT, STYLE, config, work=work).pixels
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("home", HOMES)
def test_what_was_kept_of_a_device_goes_on_on_it(home: str, tmp_path: Path) -> None:
    config = replace(SMALL, **LAYERS)
    expected = pixels_of_the_host("coarse layers")
    work = Work(tmp_path / "work", every=0.0)
    seen: list[tuple[int, ...]] = []

    def watch(event: Event) -> None:
        if isinstance(event, SweepDone):
            seen.append(event.picture().pixels.shape)

    asked = chain(repeat(False, 3), repeat(True))  # stopped within a sweep, when rims wait
    with on_device(home):
        render(CONTENT, STYLE, config, work=work, stop=lambda: next(asked), observer=watch)
        assert work.path.exists()
        found = render(CONTENT, STYLE, config, work=work, observer=watch).pixels
    assert np.array_equal(found, expected)
    assert seen[-1] == found.shape
    assert not work.path.exists()


@pytest.mark.parametrize("home", HOMES)
def test_the_parts_of_a_sweep_are_timed_on_a_device(home: str) -> None:
    with on_device(home):
        job = prepare(STYLE, SMALL, CONTENT)
        level = job.levels[-1]
        canvas, patches = (
            initial_canvas(job, level, region_weights(job, level)),
            sweep_patches(job, level, 0),
        )
        assert min(time_parts(job, canvas, patches).values()) > 0
        assert min(network_seconds(job, canvas, patches)) > 0
