"""What the program around may have set in torch and NumPy, and what computations here need.

Web interfaces run everything without gradients or in inference mode; others have another default dtype or
device. A call of the library sets what it needs, and restores what it found, also when an exception passes.

Some of it belongs to a thread: the modes of autograd, autocast, a default device, the current CUDA device,
NumPy's error state. The rest belongs to the process, so that another thread sees it while a call runs: of
several calls at once the first remembers what was there, and the last restores it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from tilestyle.devices import malloc
from tilestyle.devices.device_memory import current_card, make_current
from tilestyle.devices.float32_precision import float32_exactly

P = ParamSpec("P")
R = TypeVar("R")
# Attributes of torch.backends.cudnn. With kernels that add in an order of their own, or are chosen by a race, a
# render could not be made again.
CUDNN = {"enabled": True, "benchmark": False, "deterministic": True}
# What cuBLAS reads of the environment when it is to be deterministic, and the values of which torch approves.
WORKSPACE, FIXED = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")
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
        stack.enter_context(_cuda_device())
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


@contextmanager
def on(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """What computing on a device needs besides: CUDA's current device, and kernels as they were asked for.

    Args:
        device: Where the network computes.
        deterministic: Whether torch is to take deterministic kernels on a GPU wherever it has them. It warns of
            those that it has not. On a CPU kernels are deterministic as they are, for a number of threads.
    """
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        if deterministic and device.type != "cpu":
            stack.enter_context(_kernels.held())
        yield


class _Process:
    """State of the process, held while any call runs."""

    def __init__(self, begin: Callable[[], list[Callable[[], Any]]]) -> None:
        """`begin` sets the state, and answers what restores it."""
        self._begin = begin
        self._lock = threading.Lock()
        self._calls = 0
        self._restore: list[Callable[[], Any]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Set it by the first call of several at once, restore it by the last."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._restore = self._begin()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    for undo in reversed(self._restore):
                        undo()
                    self._restore = []


def _set() -> list[Callable[[], Any]]:
    """Set what a process has one of; answers what restores it."""
    undo: list[Callable[[], Any]] = []

    def hold(get: Callable[[], Any], put: Callable[[Any], Any], wanted: Any) -> None:
        before = get()
        if before != wanted:
            put(wanted)
        undo.append(lambda: None if get() == before else put(before))

    hold(torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    undo.append(float32_exactly())
    products = torch.backends.cuda.matmul
    hold(
        lambda: products.allow_bf16_reduced_precision_reduction,
        lambda found: setattr(products, "allow_bf16_reduced_precision_reduction", found),
        False,
    )
    # With these on, operations raise that have no deterministic form, and tensors that are about to be
    # filled are filled twice. What `RenderConfig.deterministic` needs of them is in `_fix_kernels`.
    hold(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0)
    hold(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda found: torch.set_anomaly_enabled(*found),
        (False, True),
    )
    hold(torch.get_num_threads, torch.set_num_threads, torch.get_num_threads())
    for flag, wanted in CUDNN.items():
        hold(partial(getattr, torch.backends.cudnn, flag), partial(setattr, torch.backends.cudnn, flag), wanted)
    undo += [_video_threads(), malloc.keep_as_usual]
    return undo


@contextmanager
def _cuda_device() -> Iterator[None]:
    """Leave the current CUDA device as it was."""
    before = current_card()
    try:
        yield
    finally:
        make_current(before)


def _fix_kernels() -> list[Callable[[], Any]]:
    """Let torch take deterministic kernels, and warn where it has none; answers what restores the rest."""
    deterministic: Any = torch.utils.deterministic  # whose module makes properties of its settings
    mode, filling = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory
    workspace = os.environ.get(WORKSPACE)

    def restore() -> None:
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = filling
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
        else:
            os.environ[WORKSPACE] = workspace

    if workspace not in FIXED:
        os.environ[WORKSPACE] = FIXED[0]
    deterministic.fill_uninitialized_memory = False
    torch.set_deterministic_debug_mode("warn")  # torch.use_deterministic_algorithms would import a compiler
    return [restore]


def _video_threads() -> Callable[[], None]:
    """What restores the number of threads of OpenCV, which optical flow sets (optical_flow.py)."""
    before = sys.modules["cv2"].getNumThreads() if "cv2" in sys.modules else OWN_CHOICE

    def restore() -> None:
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(before)

    return restore


_process, _kernels = _Process(_set), _Process(_fix_kernels)
