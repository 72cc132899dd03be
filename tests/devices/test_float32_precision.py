"""float32 is float32 while a render runs, and kernels are as asked for; afterwards all is as it was found."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.conftest import waves
from tests.pipeline.test_device import SMALL
from tests.support.device_cost import on_device
from tilestyle import render
from tilestyle.canvas.resample import resample_strips
from tilestyle.config.enums import Optimizer, Precision
from tilestyle.devices import float32_precision, torch_state
from tilestyle.devices.float32_precision import _precision_settings, disable_reduced_precision
from tilestyle.devices.torch_state import device_state, required_torch_state

CONTENT, STYLE = waves(40, 48), waves(40, 48, 1)
CONFIG = replace(SMALL, size=64, coarsest=48, sweeps=1, device="cpu")
BACKENDS: Any = torch.backends


def _placed(place: Callable[[], Any], precision: str) -> Callable[[], None]:
    return lambda: (
        setattr(place(), "fp32_precision", precision) if hasattr(BACKENDS, "fp32_precision") else None
    )


# Ways in which a program may have let float32 be rounded, or forbidden it.
WAYS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "products": lambda: torch.set_float32_matmul_precision("high"),
    "products in bf16": lambda: torch.set_float32_matmul_precision("medium"),
    "no convolutions": lambda: setattr(BACKENDS.cudnn, "allow_tf32", False),
    "all, newer": _placed(lambda: BACKENDS, "tf32"),
    "CUDA, newer": _placed(lambda: BACKENDS.cudnn, "tf32"),
    "products, newer": _placed(lambda: BACKENDS.cuda.matmul, "tf32"),
    "no convolutions, newer": _placed(lambda: BACKENDS.cudnn.conv, "ieee"),
    "of a CPU, newer": _placed(lambda: BACKENDS.mkldnn.matmul, "bf16"),
}


def asked(tell: Callable[[], Any]) -> Any:
    """What torch says, or that it refuses to say it, as where both of its ways have been used."""
    try:
        return tell()
    except RuntimeError:
        return "refused"


def state() -> list[Any]:
    """All that decides how exact float32 is, and which kernels are taken."""
    cudnn = BACKENDS.cudnn
    return [
        [place.fp32_precision for place in _precision_settings()],
        asked(torch.get_float32_matmul_precision),
        asked(lambda: cudnn.allow_tf32),
        asked(lambda: BACKENDS.cuda.matmul.allow_tf32),
        BACKENDS.cuda.matmul.allow_bf16_reduced_precision_reduction,
        (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        torch.get_deterministic_debug_mode(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        os.environ.get(torch_state.CUBLAS_WORKSPACE_VARIABLE),
    ]


def is_exact() -> bool:
    newer = all(place.fp32_precision == "ieee" for place in _precision_settings())
    older = (torch.get_float32_matmul_precision(), BACKENDS.cudnn.allow_tf32, BACKENDS.cuda.matmul.allow_tf32)
    return newer and older == ("highest", False, False)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = state()
    yield
    for place in _precision_settings():
        place.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True
    for place, precision in zip(_precision_settings(), before[0], strict=True):
        place.fp32_precision = precision
    assert state() == before


@pytest.mark.parametrize(("first", "second"), [*itertools.product(WAYS, WAYS)])
def test_whatever_was_set_comes_back(first: str, second: str) -> None:
    WAYS[first]()
    WAYS[second]()
    before = state()
    restore = disable_reduced_precision()
    assert is_exact()
    restore()
    assert state() == before


@pytest.mark.parametrize("way", ["nothing", "products", "products in bf16", "no convolutions"])
def test_a_torch_without_the_newer_way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WAYS[way]()
    before = torch.get_float32_matmul_precision(), BACKENDS.cudnn.allow_tf32
    monkeypatch.setattr(float32_precision, "_precision_settings", list)
    restore = disable_reduced_precision()
    assert (torch.get_float32_matmul_precision(), BACKENDS.cudnn.allow_tf32) == ("highest", False)
    restore()
    assert (torch.get_float32_matmul_precision(), BACKENDS.cudnn.allow_tf32) == before


class Broken(Exception):
    """What a callback may raise."""


SETTINGS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": Precision.BF16},
    "lbfgs": {"optimizer": Optimizer.LBFGS, "patch": None, "size": 48, "coarsest": 48},
    "deterministic": {"deterministic": True},
}


@pytest.mark.parametrize(("settings", "broken"), [*itertools.product(SETTINGS, (False, True))])
@pytest.mark.parametrize("way", ["nothing", "products in bf16", "all, newer"])
def test_a_render_is_exact_and_leaves_no_trace(settings: str, broken: bool, way: str) -> None:
    WAYS[way]()
    before = state()
    within: list[tuple[bool, int]] = []

    def stop() -> bool:
        within.append((is_exact(), torch.get_deterministic_debug_mode()))
        if broken:
            raise Broken
        return False

    config = replace(CONFIG, **SETTINGS[settings])
    if broken:
        with pytest.raises(Broken):
            render(CONTENT, STYLE, config, stop=stop)
    else:
        render(CONTENT, STYLE, config, stop=stop)
    assert set(within) == {(True, 0)}  # on a CPU kernels are deterministic as they are
    assert state() == before


def test_a_canvas_on_a_device_is_enlarged_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_float32_matmul_precision("high")
    seen: list[bool] = []

    def noted(*arguments: Any, **named: Any) -> Any:
        seen.append(is_exact())
        return resample_strips(*arguments, **named)

    monkeypatch.setattr("tilestyle.canvas.resample.resample_strips", noted)
    with on_device("device"):
        render(CONTENT, STYLE, replace(CONFIG, coarsest=32))
    assert len(seen) > 4
    assert all(seen)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("workspace", [None, ":16:8", ":4096:2"])
def test_deterministic_reaches_the_kernels_of_a_device(
    workspace: str | None, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(torch_state.CUBLAS_WORKSPACE_VARIABLE, raising=False)
    if workspace is not None:
        monkeypatch.setenv(torch_state.CUBLAS_WORKSPACE_VARIABLE, workspace)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    before = state()
    within: list[Any] = []

    def stop() -> bool:
        filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        cudnn = BACKENDS.cudnn
        within.append(
            (
                torch.get_deterministic_debug_mode(),
                filling,
                cudnn.deterministic,
                cudnn.benchmark,
                os.environ[torch_state.CUBLAS_WORKSPACE_VARIABLE],
            )
        )
        if broken:
            raise Broken
        return False

    with on_device("device"):
        try:
            render(CONTENT, STYLE, replace(CONFIG, deterministic=True), stop=stop)
        except Broken:
            assert broken
        else:
            assert not broken
    kept = workspace if workspace in torch_state.DETERMINISTIC_WORKSPACES else ":4096:8"
    assert set(within) == {(1, False, True, False, kept)}
    assert state() == before


def test_a_render_that_is_not_deterministic_does_not_ask_for_it() -> None:
    within: set[int] = set()

    def stop() -> bool:
        within.add(torch.get_deterministic_debug_mode())
        return False

    with on_device("device"):
        render(CONTENT, STYLE, CONFIG, stop=stop)
    assert within == {0}


def test_the_current_card_belongs_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    here = threading.local()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: getattr(here, "card", 0))
    for name in ("set_device", "_maybe_exchange_device"):
        monkeypatch.setattr(torch.cuda, name, lambda card: setattr(here, "card", card))
    inside, leave, found = threading.Event(), threading.Event(), []

    def other() -> None:
        torch.cuda.set_device(3)
        with required_torch_state():
            torch.cuda.set_device(2)
            inside.set()
            leave.wait()
        found.append(torch.cuda.current_device())

    torch.cuda.set_device(1)
    with required_torch_state():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait()
        torch.cuda.set_device(0)
    assert torch.cuda.current_device() == 1
    leave.set()
    thread.join()
    assert found == [3]


def test_a_render_computes_on_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []

    class Card:
        def __init__(self, device: torch.device) -> None:
            self.name = str(device)

        def __enter__(self) -> None:
            entered.append(self.name)

        def __exit__(self, *error: object) -> None:
            entered.append(f"not {self.name}")

    monkeypatch.setattr(torch.cuda, "device", Card)
    with pytest.raises(Broken), device_state(torch.device("cuda:1")):
        raise Broken
    assert entered == ["cuda:1", "not cuda:1"]


def test_warnings_of_torch_about_these_settings_are_not_shown() -> None:
    with float32_precision._quiet():
        warnings.warn_explicit("a newer way", UserWarning, "a file", 1, module=float32_precision.__name__)
