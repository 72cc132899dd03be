"""What the program around may have set in torch and NumPy, and what computations here need.

Web interfaces run everything without gradients or in inference mode; others have another default dtype or
device. A call of the library sets what it needs, and restores what it found, also when an exception passes.

Some of it belongs to a thread: the modes of autograd, autocast, a default device, NumPy's error state. The rest
belongs to the process, so that another thread sees it while a call runs: of several calls at once the first
remembers what was there, and the last restores it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from tilestyle import allocator

P = ParamSpec("P")
R = TypeVar("R")
# Attributes of torch.backends.cudnn, all of them torch's defaults.
CUDNN = {"enabled": True, "benchmark": False, "deterministic": False, "allow_tf32": True}
OWN_CHOICE = -1  # of threads, by OpenCV
DEVICES = ("cpu", "cuda", "mps")  # that autocast may be on for


def isolated(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of the library that computes: it runs in `needed`."""

    @wraps(call)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with needed():
            return call(*args, **kwargs)

    return run


@contextmanager
def needed() -> Iterator[None]:
    """The state that computations need, whatever the program around has set; afterwards that is back."""
    with ExitStack() as stack:
        stack.enter_context(_process.held())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(_without_autocast())
        if torch.empty(0).device.type != "cpu":  # a default device; without one, a mode would cost time
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def _without_autocast() -> Iterator[None]:
    found = {device: torch.is_autocast_enabled(device) for device in DEVICES}
    try:
        for device in DEVICES:
            torch.set_autocast_enabled(device, False)
        yield
    finally:
        for device, enabled in found.items():
            torch.set_autocast_enabled(device, enabled)


class _Process:
    """State of the process, held while any call runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._restore: list[Callable[[], Any]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Set it by the first call of several at once, restore it by the last."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._restore = _set()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    for undo in reversed(self._restore):
                        undo()
                    self._restore = []


_process = _Process()


def _set() -> list[Callable[[], Any]]:
    """Set what a process has one of; answers what restores it."""
    undo: list[Callable[[], Any]] = []

    def hold(get: Callable[[], Any], put: Callable[[Any], Any], wanted: Any) -> None:
        try:
            before = get()
        except RuntimeError:  # torch has two ways to say how exact products are, and refuses to mix them
            return
        if before != wanted:
            put(wanted)
        undo.append(lambda: None if get() == before else put(before))

    hold(torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    hold(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")
    # With these on, operations raise that have no deterministic form, and tensors that are about to be
    # filled are filled twice. What `RenderConfig.deterministic` promises does not rest on them.
    hold(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0)
    hold(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda found: torch.set_anomaly_enabled(*found),
        (False, True),
    )
    hold(torch.get_num_threads, torch.set_num_threads, torch.get_num_threads())
    for flag, wanted in CUDNN.items():
        hold(partial(getattr, torch.backends.cudnn, flag), partial(setattr, torch.backends.cudnn, flag), wanted)
    undo += [_video_threads(), _cuda_device(), allocator.keep_as_usual]
    return undo


def _cuda_started() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _cuda_device() -> Callable[[], None]:
    """What restores the current CUDA device, without starting CUDA."""
    before = torch.cuda.current_device() if _cuda_started() else 0

    def restore() -> None:
        if _cuda_started() and torch.cuda.current_device() != before:
            torch.cuda.set_device(before)

    return restore


def _video_threads() -> Callable[[], None]:
    """What restores the number of threads of OpenCV, which optical flow sets (flow.py)."""
    before = sys.modules["cv2"].getNumThreads() if "cv2" in sys.modules else OWN_CHOICE

    def restore() -> None:
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(before)

    return restore
