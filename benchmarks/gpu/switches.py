"""A call of the library leaves no switch of the process changed, whatever it was and however the call ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.cases import CONTENT, LBFGS, SMALL, STYLE
from benchmarks.gpu.core import Check, Group, Place, Row
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.pipeline.api import invert, render, texture
from tilestyle.pipeline.events import Event

CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")
Get = Callable[[], Any]
Put = Callable[[Any], Any]


class HaltError(Exception):
    """What ends a render from outside."""


def _attribute(owner: Any, name: str) -> tuple[Get, Put]:
    return partial(getattr, owner, name), partial(setattr, owner, name)


# What a process has one of, how it is read and set, and a value that is not torch's default.
SWITCHES: dict[str, tuple[Get, Put, Any]] = {
    **{
        f"cudnn.{name}": (*_attribute(torch.backends.cudnn, name), value)
        for name, value in zip(CUDNN, (True, True, True, False), strict=True)
    },
    "float32 products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "threads": (torch.get_num_threads, torch.set_num_threads, 1),
    "gradients": (torch.is_grad_enabled, torch.set_grad_enabled, False),
    "deterministic": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 1),
}


def _checks(place: Place) -> list[Check]:
    return [
        Check("as torch has them", partial(_kept, False), 40),
        Check("as another program might", partial(_kept, True), 40),
    ]


def state() -> dict[str, Any]:
    """The values of all switches, and the current device; without those that torch refuses to read."""
    values: dict[str, Any] = {}
    for name, (get, _, _) in SWITCHES.items():
        with suppress(RuntimeError):  # it has two ways to say how exact products are, and does not mix them
            values[name] = str(get())
    if torch.cuda.is_available():
        values["current device"] = torch.cuda.current_device()
    return values


def _kept(changed: bool, place: Place, row: Row) -> bool:
    """Around renders, a texture, an inversion, and a render that an exception ends."""
    with ExitStack() as stack:
        for get, put, value in SWITCHES.values() if changed else ():
            stack.callback(put, get())
            put(value)
        before = state()
        for name, call in calls(place).items():
            with suppress(HaltError):
                call()
            after = state()
            row[name] = {
                key: f"{before[key]} -> {after.get(key)}" for key in before if before[key] != after.get(key)
            }
    return not any(row[name] for name in calls(place))


def calls(place: Place) -> dict[str, Callable[[], Any]]:
    """What may change something."""
    config = partial(RenderConfig, device=str(place.device))
    small: dict[str, Any] = {**SMALL, "sweeps": 1}
    plain = config(**small)

    def halt() -> bool:
        raise HaltError

    def ignore(event: Event) -> None:
        return

    return {
        "render": lambda: render(CONTENT, STYLE, plain, observer=ignore),
        "render in fp32": lambda: render(CONTENT, STYLE, config(**small, precision=Precision.FP32)),
        "L-BFGS": lambda: render(CONTENT, STYLE, config(**{**small, **LBFGS, "patch": 192})),
        "texture": lambda: texture(STYLE, plain),
        "invert": lambda: invert(CONTENT, config(**{**small, "style_layers": {}})),
        "an exception": lambda: render(CONTENT, STYLE, plain, stop=halt),
    }


GROUP = Group("switches", "no switch of the process is left changed", 20, _checks)
