"""Observers that change global settings of torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.conftest import FEW, waves
from tilestyle.config.render import RenderConfig
from tilestyle.devices.torch_state import required_torch_state, unchanged_torch_state
from tilestyle.images import Picture
from tilestyle.pipeline import api
from tilestyle.pipeline.events import Event

CONFIG = RenderConfig(
    size=64,
    sweeps=2,
    margin=0,
    coarsest=64,
    patch=64,
    precision="fp32",
    device="cpu",
    **FEW,
)
CHANGES: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "grad": lambda: torch.set_grad_enabled(False),
    "device": lambda: torch.set_default_device("meta"),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "deterministic": lambda: torch.set_deterministic_debug_mode("error"),
    "anomaly": lambda: torch.set_anomaly_enabled(True),
    "cudnn": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "numpy": lambda: np.seterr(all="raise"),
}


def rendered(change: Callable[[], object], *, by_stop: bool = False) -> np.ndarray:
    content, style = (Picture(waves(64, 64, seed).permute(1, 2, 0).numpy()) for seed in (0, 1))

    def observe(event: Event) -> None:
        change()

    def stop() -> bool:
        change()
        return False

    if by_stop:
        return api.render(content, style, CONFIG, stop=stop).pixels
    return api.render(content, style, CONFIG, observer=observe).pixels


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return rendered(CHANGES["nothing"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["dtype", "threads", "grad", "device", "autocast"])
@pytest.mark.parametrize("by_stop", [False, True])
def test_a_render_goes_on_with_its_own_settings(name: str, by_stop: bool, plain: np.ndarray) -> None:
    threads = torch.get_num_threads()
    assert (rendered(CHANGES[name], by_stop=by_stop) == plain).all()
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    assert torch.empty(0).device.type == "cpu"


def test_a_render_within_an_observer_goes_on_with_its_own_settings(plain: np.ndarray) -> None:
    pictures: list[np.ndarray] = []

    def render_once() -> None:
        if not pictures:
            pictures.append(np.zeros(0))
            pictures.append(rendered(CHANGES["dtype"]))
            torch.set_default_dtype(torch.float64)

    assert (rendered(render_once) == plain).all()
    assert (pictures[1] == plain).all()


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("fails", [False, True])
def test_every_setting_is_as_it_was(name: str, fails: bool) -> None:
    def settings() -> list[object]:
        cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
        modes = torch.get_deterministic_debug_mode(), torch.is_anomaly_enabled(), np.geterr()
        number = torch.get_default_dtype(), torch.get_num_threads(), torch.get_default_device()
        return [cudnn, modes, number, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")]

    with required_torch_state():
        before = settings()
        try:
            with unchanged_torch_state():
                CHANGES[name]()
                assert (settings() == before) == (name == "nothing")
                if fails:
                    raise ValueError
        except ValueError:
            assert fails
        assert settings() == before
