"""Whatever the program around has set in torch and NumPy: the same bytes, and everything as it was."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import FEW, waves
from tilestyle.config.render import RenderConfig
from tilestyle.devices import malloc
from tilestyle.devices.torch_state import required_torch_state
from tilestyle.images import Picture, as_source
from tilestyle.motion.drift import SeriesCallbacks, drift
from tilestyle.motion.zoom import zoom
from tilestyle.motion.zoom_path import ZoomPath
from tilestyle.pipeline import api
from tilestyle.planning.inputs import Style
from tilestyle.recipes.comparison import Comparison, render_cells
from tilestyle.recipes.preview import PreviewRequest, preview
from tilestyle.recipes.printing import prepare_inputs
from tilestyle.recipes.upscale import upscale

PLAIN: dict[str, Any] = {"sweeps": 1, "margin": 0, "coarsest": 64, "patch": 64, "precision": "fp32", **FEW}
CONFIG = RenderConfig(**PLAIN)


@contextmanager
def put(get: Callable[[], Any], set_: Callable[[Any], Any], value: Any) -> Iterator[None]:
    before = get()
    set_(value)
    try:
        yield
    finally:
        set_(before)


def default_dtype(dtype: torch.dtype) -> AbstractContextManager[None]:
    return put(torch.get_default_dtype, torch.set_default_dtype, dtype)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


def attribute(holder: Any, name: str, value: Any) -> AbstractContextManager[None]:
    return put(lambda: getattr(holder, name), lambda found: setattr(holder, name, found), value)


@contextmanager
def _all() -> Iterator[None]:
    with torch.inference_mode(), default_dtype(torch.float16), default_device("meta"), torch.autocast("cpu"):
        yield


STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "set_grad_enabled": lambda: put(torch.is_grad_enabled, torch._C._set_grad_enabled, False),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "with meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: put(
        torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, "error"
    ),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "matmul": lambda: put(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "cudnn": lambda: attribute(torch.backends.cudnn, "benchmark", True),
    "no cudnn": lambda: attribute(torch.backends.cudnn, "enabled", False),
    "numpy raises": lambda: np.errstate(all="raise"),
    "warnings": warnings.catch_warnings,
    "all at once": _all,
}


def state() -> dict[str, Any]:
    """All that a program may have set, and that a library has no business with."""
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda", "mps")],
        "deterministic": torch.get_deterministic_debug_mode(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": [
            getattr(torch.backends.cudnn, name)
            for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
        ],
        "threads": torch.get_num_threads(),
        "numpy": np.geterr(),
        "torch random": torch.random.get_rng_state().sum(dtype=torch.int64).item()
        if torch.get_default_device().type == "cpu"
        else None,
        "numpy random": np.random.get_state()[1].tolist(),  # type: ignore[index]
        "python random": random.getstate(),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "filters": list(warnings.filters),
        "allocator": malloc._returns_large_blocks,
        "threads alive": threading.active_count(),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in files, as small as layers in use allow."""
    found = tmp_path_factory.mktemp("pictures")
    for name, seed in (("content", 0), ("style", 1)):
        Image.fromarray(pixels(32, seed)).save(found / f"{name}.png")
    return found


def pixels(side: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    found = (waves(side, side, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return np.ascontiguousarray(found)


def pictured(done: Any) -> list[np.ndarray[Any, Any]]:
    """What an entry has made."""
    if isinstance(done, Picture):
        return [done.pixels]
    if isinstance(done, list):
        return [each.pixels for each in done]
    if hasattr(done, "picture_paths"):
        return [np.asarray(Image.open(file)) for file in done.picture_paths]
    if hasattr(done, "small"):
        return [done.small.pixels, *(crop.picture.pixels for crop in done.crops)]
    found: list[np.ndarray[Any, Any]] = [done.picture.pixels]
    return found


Stop = Callable[[], bool]
Entry = Callable[[Path, Path, Stop], Any]
SOURCES = (
    as_source(Picture(np.float32(1 / 255) * pixels(64, 0))),
    [Style(as_source(Picture(np.float32(1 / 255) * pixels(64, 1))))],
)
ENTRIES: dict[str, Entry] = {
    "render": lambda at, to, stop: api.render(at / "content.png", at / "style.png", CONFIG, stop=stop),
    "arrays": lambda at, to, stop: api.render(pixels(32, 0), pixels(32, 1), CONFIG, stop=stop),
    "tensors": lambda at, to, stop: api.render(
        torch.tensor(pixels(32, 0), device="cpu").permute(2, 0, 1) * 1,
        torch.tensor(pixels(32, 1), device="cpu").permute(2, 0, 1) * 1,
        RenderConfig(**PLAIN, tv_weight=0.1, tv_exponent=1.5, color="luminance"),
        stop=stop,
    ),
    "kept": lambda at, to, stop: api.render(
        at / "content.png", at / "style.png", CONFIG, stop=stop, work=to / "w"
    ),
    "texture": lambda at, to, stop: api.texture(
        at / "style.png",
        RenderConfig(**{**PLAIN, "size": 32, "optimizer": "lbfgs"}),
        stop=stop,
    ),
    "invert": lambda at, to, stop: api.invert(
        at / "content.png",
        RenderConfig(**{**PLAIN, "style_layers": {}, "network": "vgg16", "weights": "random"} | VGG),
        stop=stop,
    ),
    "upscale": lambda at, to, stop: upscale(at / "content.png", at / "style.png", 2, CONFIG, stop=stop),
    "drift": lambda at, to, stop: drift(
        at / "content.png", [at / "style.png"], to / "d", CONFIG, 1, SeriesCallbacks(stop=stop)
    ),
    "zoom": lambda at, to, stop: zoom(
        at / "style.png",
        to / "z",
        CONFIG,
        ZoomPath(2, 1.5),
        at / "content.png",
        SeriesCallbacks(stop=stop),
    ),
    "preview": lambda at, to, stop: preview(
        prepare_inputs(RenderConfig(**PLAIN), SOURCES[1], SOURCES[0]),
        PreviewRequest(64, 32, ((0.5, 0.5),)),
        stop=stop,
    ),
    "sheet": lambda at, to, stop: render_cells(
        Comparison(at / "content.png", at / "style.png", CONFIG), to / "s", stop=stop
    ),
}
VGG: dict[str, Any] = {"content_layers": {"relu1_1": 1.0}}


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[np.ndarray[Any, Any]]]:
    """What every entry makes in a program that has set nothing."""
    places = {name: tmp_path_factory.mktemp(name) for name in ENTRIES}
    return {name: pictured(entry(folder, places[name], lambda: False)) for name, entry in ENTRIES.items()}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_makes_the_same_and_leaves_all_as_it_was(
    name: str, folder: Path, plain: dict[str, list[np.ndarray[Any, Any]]], tmp_path: Path
) -> None:
    # All states with the entry that costs least, those that are most common with the others.
    states = STATES if name in ("arrays", "tensors") else ("inference_mode", "all at once", "deterministic")
    for number, around in enumerate(states):
        place = tmp_path / str(number)
        place.mkdir()
        with STATES[around]():
            before = state()
            found = pictured(ENTRIES[name](folder, place, lambda: False))
            assert state() == before, around
        for one, other in zip(found, plain[name], strict=True):
            assert np.array_equal(one, other), around


class Broken(Exception):
    """What a callback may raise."""


@pytest.mark.parametrize("name", ["arrays", "drift", "preview", "upscale"])
@pytest.mark.parametrize("around", ["inference_mode", "float64", "all at once", "numpy raises", "cudnn"])
def test_all_is_as_it_was_when_an_exception_passes(
    name: str, around: str, folder: Path, tmp_path: Path
) -> None:
    def stop() -> bool:
        raise Broken

    with STATES[around]():
        before = state()
        with pytest.raises(Broken):
            ENTRIES[name](folder, tmp_path, stop)
        assert state() == before


def test_of_calls_at_once_the_last_restores() -> None:
    """What a process has one of is held until nobody needs it any more."""
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with required_torch_state():
            inside.set()
            leave.wait()

    with default_dtype(torch.float64):
        with required_torch_state():
            thread = threading.Thread(target=other)
            thread.start()
            inside.wait()
        assert torch.get_default_dtype() is torch.float32
        leave.set()
        thread.join()
        assert torch.get_default_dtype() is torch.float64


def test_thresholds_of_the_c_library_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """glibc does not tell them: what it is told is enough."""
    told: list[tuple[int, int]] = []

    def mallopt(name: int, value: int) -> int:
        told.append((name, value))
        return 1

    found: Any = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(mallopt)
    monkeypatch.setattr(malloc, "_libc", lambda name: found if name == "mallopt" else None)
    with required_torch_state(), nullcontext():
        malloc.return_large_blocks(2**20)
    assert told == [(malloc.MMAP_THRESHOLD, 2**14), (malloc.MMAP_THRESHOLD, malloc.DEFAULT_MMAP_THRESHOLD)]
    with required_torch_state():
        pass
    assert len(told) == 2


def summed() -> float:
    """The result of something that torch divides among its threads."""
    with required_torch_state():
        return float(torch.ones(2**20).square().sum())


def answered(queue: Any) -> None:
    queue.put((summed(), torch.get_num_threads()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_after_a_call_does_not_wait_for_threads_that_it_has_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilestyle.notices._logged", set())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = summed()
        child = context.Process(target=answered, args=(queue,))
        child.start()
        try:
            assert queue.get(timeout=60) == (expected, 1)
        finally:
            child.kill()
            child.join()
        assert torch.get_num_threads() == 2
        assert not caplog.records  # the child has a notice, this process has not
    finally:
        torch.set_num_threads(threads)
