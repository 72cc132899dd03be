"""Memory: as written, as planned, as measured, and when it runs out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import job, waves
from tilestyle import RenderConfig, render
from tilestyle.config.byte_size import format_gib, parse_bytes
from tilestyle.config.enums import NetworkName, Sampler
from tilestyle.errors import MemoryLimit, SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.losses.planes import region_weights
from tilestyle.losses.scale_objective import ScaleObjective
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.optim import loop
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline import out_of_memory
from tilestyle.pipeline.events import Event, PatchHalved, Started
from tilestyle.pipeline.outline import measurement_count
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.planning.memory_limits import MemoryLimits
from tilestyle.planning.memory_model import (
    GRAPH_BYTES,
    LOCALITY_GRAPH_BYTES,
    MemoryEstimate,
    MemoryInputs,
    PictureSizes,
    estimate_memory,
    forward_bytes,
)
from tilestyle.planning.schedule import Pyramid, plan_levels

CPU = torch.device("cpu")
CONTENT = waves(60, 80)
QUICK: dict[str, Any] = {"sweeps": 2, "margin": 8, "coarsest": 128, "size": 128}


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (1500000, 1500000),
        ("1500000", 1500000),
        ("2GiB", 2**31),
        ("2 gib", 2**31),
        ("2G", 2**31),
        ("512MB", 512 * 10**6),
        (".5 KiB", 512),
        ("1.5TiB", 3 * 2**39),
        ("7b", 7),
    ],
)
def test_amounts_are_read_as_people_write_them(written: int | str, count: int) -> None:
    assert parse_bytes(written) == count


@pytest.mark.parametrize("written", ["", "GiB", "2 GiBs", "-1GiB", "two", "1,5GiB", "0", 0, -5, "0.1", "1e9"])
def test_what_is_no_amount_gets_one_line(written: int | str) -> None:
    with pytest.raises(SettingError, match=r"^memory cannot be .*; give bytes") as caught:
        RenderConfig(memory=written)
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingError):
        RenderConfig(host_memory=written)


def test_amounts_are_shown_in_gib() -> None:
    assert format_gib(2**29) == "0.50"


def needed_by(side: int, size: int = 1000, **work: Any) -> MemoryEstimate:
    network = random_vgg(NetworkName.VGG19, width_divisor=8)
    known: dict[str, Any] = {"overlapping": False, "content_layers": network.content_layers} | work
    steps = plan_levels(size, size, RenderConfig(), Pyramid(128, side, 16))
    task = MemoryInputs(network, network.style_layers, **known)
    return estimate_memory(task, steps, side, PictureSizes((size, size), ((300, 400),), (size, size)), size)


def test_a_footprint_is_arithmetic() -> None:
    small, large, poster = needed_by(128), needed_by(512), needed_by(512, 4000)
    assert small.patch < large.patch == poster.patch
    assert large.resident < small.resident < 1.05 * large.resident  # borders
    area = 1072**2  # 1000 pixels with the margin, in units of 16
    without = 12 * (300 * 400 + 1000**2) + (40 + 12) * area
    assert large.resident == without + round(12 * 4 * 5 / 512 * area)
    assert needed_by(512, overlapping=True).resident > without + 16 * area
    # The device's share does not know how large the canvas is; the host's grows with it.
    assert poster.device_total == large.device_total
    assert poster.resident == pytest.approx(16 * large.resident, rel=0.15)
    assert poster.host_total > 10 * large.host_total
    assert large.unified_total >= max(large.device_total, large.host_total)


@pytest.mark.parametrize("work", [{"regions": 5}, {"has_locality": True}])
def test_regions_and_locality_cost_the_device_the_same_on_any_canvas(work: dict[str, Any]) -> None:
    small, large = needed_by(512, 1000, **work), needed_by(512, 4000, **work)
    assert small.device_total == large.device_total > needed_by(512).device_total
    assert large.resident <= 16 * small.resident


@pytest.mark.parametrize("locality", [0.0, 0.5])
def test_graphs_take_what_a_patch_of_the_canvas_takes(locality: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.planning.resolve.should_capture", lambda *facts: True)
    task = job(waves(60, 80), network=NetworkName.COMPACT, size=320, patch=256, locality=locality)
    side, network, layers = task.patch_side_at(task.levels[-1]), task.network, task.weights.layer_names
    assert (side < 256) == (locality > 0)
    graphs = GRAPH_BYTES + (LOCALITY_GRAPH_BYTES if locality else 0)
    passes = side**2 * network.bytes_per_pixel(layers, network.dtype)
    assert task.memory_estimate.captured == graphs + round(passes)


def test_what_says_where_regions_are_is_counted() -> None:
    network = random_vgg(NetworkName.VGG19, width_divisor=8)
    steps = plan_levels(1000, 1000, RenderConfig(), Pyramid(128, 512, 16))
    task = MemoryInputs(network, network.style_layers, network.content_layers, overlapping=False, regions=3)
    without, guided = (
        estimate_memory(
            task,
            steps,
            512,
            PictureSizes((1000, 1000), ((300, 400),), (1000, 1000), guide_numbers=guides),
            1000,
        ).resident
        for guides in (0, 3 * 10**6)
    )
    assert guided == without + 4 * 3 * 10**6 + 4 * 3 * steps[-1].extent.area


def test_forward_takes_what_is_answered_and_the_widest_layer() -> None:
    network = random_vgg(NetworkName.VGG19)
    held = 64 + 128 / 4 + 256 / 16 + 512 / 64 + 512 / 256
    assert forward_bytes(network, network.style_layers) == 4 * (held + 64)
    half = network.to(CPU, torch.bfloat16)
    assert forward_bytes(half, network.style_layers) == 2 * held + 6 * 64


FREE = 2**40


def linear(side: int) -> MemoryEstimate:
    """A footprint of 1000 bytes a patch pixel, 100 MB of canvas and 10 MB of network."""
    return MemoryEstimate(10**7, 1000 * side**2, 0, 10**8, 0, 0, 0)


@pytest.mark.parametrize(
    ("limits", "side"),
    [
        (MemoryLimits(memory=10**9), 512),
        (MemoryLimits(memory=3 * 10**8), 384),
        (MemoryLimits(memory=10**7 + 10**8 + 1000 * 96**2), 96),
        (MemoryLimits(memory=10**9, host=10**8), 512),
    ],
)
def test_the_largest_patch_that_fits_is_taken(limits: MemoryLimits, side: int) -> None:
    assert MemoryBudget(CPU, limits, FREE, FREE).choose_patch_side(linear, 64, None) == side


@pytest.mark.parametrize(
    ("limits", "given", "message"),
    [
        (
            MemoryLimits(memory=10**8),
            None,
            r"patches of 64 pixels need \S+ MiB, --memory is 95.4 MiB; raise the limit",
        ),
        (MemoryLimits(memory=2 * 10**8), 512, r"patches of 512 pixels need \S+ MiB"),
        (
            MemoryLimits(host=10**7),
            None,
            r"canvas and pictures need \S+ MiB, --host-memory is 9.54 MiB; raise the limit",
        ),
    ],
)
def test_too_small_a_budget_says_what_is_needed(limits: MemoryLimits, given: int | None, message: str) -> None:
    with pytest.raises(MemoryLimit, match=message) as caught:
        MemoryBudget(CPU, limits, FREE, FREE).choose_patch_side(linear, 64, given)
    assert "\n" not in str(caught.value)


def test_a_picture_that_takes_more_in_files_stays_in_memory() -> None:
    small = MemoryEstimate(10**7, 10**7, 0, 10**8, 0, 0, 0)
    budget = MemoryBudget(CPU, MemoryLimits(memory=10**8), FREE, FREE)
    assert budget.should_memory_map(small, replace(small, resident=10**7))
    assert not budget.should_memory_map(small, replace(small, resident=10**9))


def test_pictures_too_large_to_read_are_not_read(tmp_path: Any) -> None:
    from PIL import Image

    Image.new("RGB", (3000, 2000)).save(tmp_path / "large.png")
    with pytest.raises(MemoryLimit, match=r"pictures of 6\.0 MP need 97\.4 MiB to be read"):
        render(tmp_path / "large.png", CONTENT, RenderConfig(memory="90MB", device="cpu"))


def test_a_render_says_what_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    # Measured, although it is small: what is known of earlier renders depends on the tests before this one.
    monkeypatch.setattr("tilestyle.pipeline.estimate.WORTH_MEASURING", 0)
    events: list[Event] = []
    render(CONTENT, waves(70, 90, 1), RenderConfig(memory="1GiB", **QUICK), observer=events.append)
    started = events[0]
    assert isinstance(started, Started)
    assert started.side == 512
    assert 2**20 < started.held < started.need < started.limit == 2**30  # type: ignore[operator]
    seconds = started.seconds()
    assert seconds is not None and seconds > 0


MEASURED = """
import json
import sys
import numpy as np
import torch
from tilestyle.planning import resolve
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.run import render_job
from tilestyle.config.render import RenderConfig
from tilestyle.pictures import picture_path
narrow = sys.argv[1] == "narrow"
peak = PeakMemory(torch.device("cpu"))
settings = dict(size=400, sweeps=(1, 2), coarsest=283, device="cpu", memory=int(sys.argv[2]), precision="fp32")
ramp = np.linspace(0, 1, 300, dtype=np.float32)
if narrow:
    resolve.load_network = lambda config: random_vgg(config.network, width_divisor=4)
more = {
    "plain": {},
    "wavelet": dict(network="wavelet"),
    "narrow": dict(network="vgg19", size=700, coarsest=495),
    "regions": {"blend_map": ramp[None, :, None].repeat(200, 0).repeat(3, 2)},
    "local": {"locality": 0.5, "locality_window": 1.0},
}[sys.argv[1]]
styles = [picture_path("swirls"), picture_path("facets")]
if not sys.argv[1] in ("regions", "local"):
    styles = styles[0]
job = prepare(styles, RenderConfig(**settings | more), picture_path("coffee"))
render_job(job)
print(json.dumps({"peak": peak.bytes(), "need": job.memory_estimate.unified_total, "side": job.patch_side}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted otherwise")
@pytest.mark.parametrize(
    ("kind", "limit"), [("plain", 256), ("wavelet", 256), ("regions", 256), ("local", 400), ("narrow", 200)]
)
def test_the_measured_peak_stays_within_the_budget(kind: str, limit: int) -> None:
    command = [sys.executable, "-c", MEASURED, kind, str(limit * 2**20)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["peak"] <= found["need"] <= limit * 2**20
    assert found["side"] < 512 or kind == "local"  # whose patches are smaller by themselves


class Refusal:
    """A network's memory: steps fail at chosen calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: dict[int, Exception]) -> None:
        self.calls = 0
        take = CanvasUpdater.apply

        def refuse(step: CanvasUpdater, patch: Patch, gradient: Tensor) -> None:
            self.calls += 1
            if self.calls in failing:
                raise failing[self.calls]
            take(step, patch, gradient)

        monkeypatch.setattr(CanvasUpdater, "apply", refuse)


CUDA_SAYS = torch.OutOfMemoryError("CUDA out of memory.")
CPU_SAYS = RuntimeError(
    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


@pytest.mark.parametrize("error", [CUDA_SAYS, CPU_SAYS, MemoryError()])
@pytest.mark.parametrize("call", [1, 3, 6])
def test_when_memory_runs_out_every_pixel_steps_once_a_sweep(
    error: Exception, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Refusal(monkeypatch, {call: error})
    task = job(CONTENT, patch=128, **{**QUICK, "size": 180, "coarsest": 180})
    assert task.levels[0].extent.area > 128**2
    told: list[Event] = []
    canvas, complete = out_of_memory.optimize_with_oom_retry(task, *quiet(), told.append)
    assert complete
    assert told == [PatchHalved(64)]
    assert torch.equal(canvas.steps, torch.full_like(canvas.steps, 2))


def test_a_second_shortage_in_the_same_sweep_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusal(monkeypatch, {2: CUDA_SAYS, 3: CPU_SAYS, 5: CPU_SAYS})
    task = job(
        CONTENT,
        patch=256,
        network=NetworkName.WAVELET,
        style_layers={"first_1": 1},
        content_weight=0,
        **{**QUICK, "size": 400},
    )
    task = replace(task, levels=task.levels[-1:], patch_side=256)
    task = replace(task, levels=(replace(task.levels[0], index=0),))
    told: list[Event] = []
    canvas, _ = out_of_memory.optimize_with_oom_retry(task, *quiet(), told.append)
    assert told == [PatchHalved(side) for side in (128, 64, 32)]
    assert torch.equal(canvas.steps, torch.full_like(canvas.steps, 2))


@pytest.mark.parametrize(
    "settings", [{"overlap": 32, "patch": 160}, {"sampler": Sampler.WINDOWS, "patch": 128}]
)
def test_overlapping_sweeps_are_drawn_again(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Refusal(monkeypatch, {2: CPU_SAYS})
    task = job(CONTENT, **{**QUICK, "size": 180, "coarsest": 180}, **settings)
    canvas, complete = out_of_memory.optimize_with_oom_retry(task, *quiet())
    assert complete
    assert canvas.steps.max() == 2


def test_the_least_patch_cannot_be_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusal(monkeypatch, dict.fromkeys(range(1, 99), CPU_SAYS))
    task = job(CONTENT, patch=128, **QUICK)
    with pytest.raises(MemoryLimit, match="too little memory for the smallest patch, 32 pixels"):
        out_of_memory.optimize_with_oom_retry(task, *quiet())


def test_other_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusal(monkeypatch, {1: RuntimeError("shapes cannot be multiplied")})
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        out_of_memory.optimize_with_oom_retry(job(CONTENT, patch=128, **QUICK), *quiet())


def test_a_shortage_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusal(monkeypatch, {1: CPU_SAYS})
    events: list[Event] = []
    config = RenderConfig(patch=128, **QUICK)
    assert render(CONTENT, waves(70, 90, 1), config, observer=events.append).pixels.shape == (96, 128, 3)
    assert [event.side for event in events if isinstance(event, PatchHalved)] == [64]


def test_cut_patches_own_what_the_patch_owned() -> None:
    box = Box(-5, 7, 96, 160)
    seen: Counter[tuple[int, int]] = Counter()
    for piece in out_of_memory.split_patch(Patch(box, box, 1), 64, 32):
        own = piece.owned
        assert own.height <= 64 >= own.width
        rows, columns = range(own.top, own.top + own.height), range(own.left, own.left + own.width)
        seen.update((row, column) for row in rows for column in columns)
    assert set(seen.values()) == {1}
    assert len(seen) == box.area
    assert (min(seen), max(seen)) == ((-5, 7), (90, 166))


def quiet() -> tuple[Any, Any, Any]:
    """Observers that do nothing."""
    return lambda level: None, lambda *sweep: None, lambda: False


def test_a_canvas_enlarged_is_one_of_its_planes_enlarged() -> None:
    task = job(CONTENT, patch=128, **{**QUICK, "coarsest": 64, "size": 90})
    first, second = task.levels
    canvas = initial_canvas(task, first, region_weights(task, first))
    canvas.second += 0.5
    larger = canvas.upsampled(second.extent)
    assert larger.pixels.shape[1:] == larger.steps.shape[1:] == (second.extent.height, second.extent.width)
    torch.testing.assert_close(larger.second, torch.full_like(larger.second, 0.5))
    assert loop.optimize(task, *quiet())[1]


@pytest.mark.parametrize("loss", ["w2", "gram"])
def test_the_estimate_counts_the_passes_that_are_made(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    measure = ScaleObjective.measure_exact_moments

    def counted(view: ScaleObjective, *arguments: Any, **options: Any) -> None:
        made.append(1)
        measure(view, *arguments, **options)

    monkeypatch.setattr(ScaleObjective, "measure_exact_moments", counted)
    layers = {"color_1": 1.0, "first_2": 1.0}  # none that is seen from afar
    task = job(
        network=NetworkName.WAVELET,
        style_layers=layers,
        style_loss=loss,
        patch=64,
        size=128,
        margin=8,
        coarsest=128,
        sweeps=20,
    )
    loop.optimize(task, lambda level: None, lambda *sweep: None, lambda: False)
    assert len(made) == measurement_count(task, task.levels[-1]) > 1
