"""Global settings of torch and NumPy that computations here need.

The calling program may have changed them: web interfaces run everything without gradients or in inference mode,
others set another default dtype or device. A call of the library sets what it needs and restores the previous
settings afterwards, also when an exception is raised.

Some settings belong to a thread: the modes of autograd, autocast, a default device, the current CUDA device and
NumPy's error state. The others belong to the process, so other threads see them during a call. Of several
concurrent calls the first saves these settings, and the last restores them.
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
from tilestyle.devices.device_memory import current_cuda_device, restore_cuda_device
from tilestyle.devices.float32_precision import disable_reduced_precision
from tilestyle.notices import notice

P = ParamSpec("P")
R = TypeVar("R")
# Attributes of torch.backends.cudnn. Renders would not be reproducible if kernels summed in a random order or
# were chosen by benchmarks.
CUDNN_FLAGS = {"enabled": True, "benchmark": False, "deterministic": True}
# Environment variable that makes cuBLAS deterministic, and the values that torch accepts.
CUBLAS_WORKSPACE_VARIABLE, DETERMINISTIC_WORKSPACES = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")
DEFAULT_THREADS = -1  # OpenCV chooses its number of threads
AUTOCAST_DEVICES = ("cpu", "cuda", "mps")  # devices for which autocast may be enabled


def with_torch_state(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of the library that computes: it runs in `required_torch_state`."""

    @wraps(call)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with required_torch_state():
            return call(*args, **kwargs)

    return run


@contextmanager
def required_torch_state() -> Iterator[None]:
    """Set the state that computations need inside the block, and restore the previous state afterwards."""
    _forks.note_call()
    with ExitStack() as stack:
        stack.enter_context(_unguarded())
        stack.enter_context(_torch_state.applied())
        stack.enter_context(_keeping_cuda_device())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(_without_autocast())
        if (
            torch.empty(0).device.type != "cpu"
        ):  # a default device is set; otherwise the mode would only cost time
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def unchanged_torch_state() -> Iterator[None]:
    """Undo what the block changes of these settings: it runs code of the calling program during a render.

    The render would fail in another default dtype or without gradients, and give other pixels with another
    number of threads.
    """
    if _guarded.by_outer_block:
        yield
        return
    before = [(get, put, get()) for get, put in _changeable_settings()]
    with _keeping_cuda_device(), np.errstate():
        try:
            _guarded.by_outer_block = True
            yield
        finally:
            _guarded.by_outer_block = False
            for get, put, value in before:
                if get() != value:
                    put(value)


def _changeable_settings() -> list[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How to get and set what an observer can change for good; inside `required_torch_state`."""
    return [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        # Without a default device it is the CPU.
        (torch.get_default_device, lambda device: torch.set_default_device(None)),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        (_anomaly_mode, lambda mode: torch.set_anomaly_enabled(*mode)),
        *(
            (partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device))
            for device in AUTOCAST_DEVICES
        ),
        *(
            (partial(getattr, torch.backends.cudnn, flag), partial(setattr, torch.backends.cudnn, flag))
            for flag in CUDNN_FLAGS
        ),
    ]


def _anomaly_mode() -> tuple[bool, bool]:
    """Whether autograd looks for anomalies, and for NaN."""
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


class _Guarded(threading.local):
    """Whether a thread is inside `unchanged_torch_state`, where another one would only cost time."""

    by_outer_block = False


@contextmanager
def _unguarded() -> Iterator[None]:
    """A call of the library, perhaps by an observer of another call, guards its own settings."""
    previous, _guarded.by_outer_block = _guarded.by_outer_block, False
    try:
        yield
    finally:
        _guarded.by_outer_block = previous


@contextmanager
def _without_autocast() -> Iterator[None]:
    """Disable autocast inside the block."""
    previous = {device: torch.is_autocast_enabled(device) for device in AUTOCAST_DEVICES}
    try:
        for device in AUTOCAST_DEVICES:
            torch.set_autocast_enabled(device, False)
        yield
    finally:
        for device, enabled in previous.items():
            torch.set_autocast_enabled(device, enabled)


@contextmanager
def device_state(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """Set what computing on a device needs in addition: CUDA's current device, and deterministic kernels.

    Args:
        device: Where the network computes.
        deterministic: Whether torch has to use deterministic kernels on a GPU wherever it has them. It warns
            where it does not. On a CPU kernels are deterministic anyway, for a given number of threads.
    """
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        if deterministic and device.type != "cpu":
            stack.enter_context(_deterministic_kernels.applied())
        yield


class _Forks:
    """Whether this process was forked from one that had computed.

    Such a process has one thread, and libgomp waits forever for the others. With one thread it does not ask for
    them.
    """

    def __init__(self) -> None:
        """Begin in a process that has not computed."""
        self._has_computed = False
        self._is_forked = False

    def note_call(self) -> None:
        """Note that the process computes; a notice says if it has to do so with one thread."""
        self._has_computed = True
        if self._is_forked:
            notice(
                "this process was forked from one that has rendered, so it computes with one thread; start "
                'processes with multiprocessing.get_context("spawn") to use all cores'
            )

    def after_in_child(self) -> None:
        """Compute with one thread from now on, if the parent has computed."""
        if self._has_computed:
            self._is_forked = True
            torch.set_num_threads(1)


class _ProcessState:
    """Settings of the process that apply while any call runs."""

    def __init__(self, apply: Callable[[], list[Callable[[], Any]]]) -> None:
        """Take a function that applies the settings and returns functions that restore the previous ones."""
        self._apply = apply
        self._lock = threading.Lock()
        self._calls = 0
        self._restore: list[Callable[[], Any]] = []

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the settings inside the block: the first of concurrent calls sets them, the last restores."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._restore = self._apply()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    for undo in reversed(self._restore):
                        undo()
                    self._restore = []


def _apply_process_state() -> list[Callable[[], Any]]:
    """Apply the settings of a process, and return the functions that restore the previous ones."""
    undo: list[Callable[[], Any]] = []

    def hold(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> None:
        previous = get()
        if previous != value:
            put(value)
        undo.append(lambda: None if get() == previous else put(previous))

    hold(torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    undo.append(disable_reduced_precision())
    products = torch.backends.cuda.matmul
    hold(
        lambda: products.allow_bf16_reduced_precision_reduction,
        lambda value: setattr(products, "allow_bf16_reduced_precision_reduction", value),
        False,
    )
    # In this mode, operations without a deterministic kernel raise, and new tensors are filled twice. What
    # `RenderConfig.deterministic` needs of it is set by `_apply_deterministic_kernels`.
    hold(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0)
    hold(
        _anomaly_mode,
        lambda value: torch.set_anomaly_enabled(*value),
        (False, True),
    )
    hold(torch.get_num_threads, torch.set_num_threads, torch.get_num_threads())
    for flag, value in CUDNN_FLAGS.items():
        hold(partial(getattr, torch.backends.cudnn, flag), partial(setattr, torch.backends.cudnn, flag), value)
    undo += [_opencv_threads_restorer(), malloc.restore_mmap_threshold]
    return undo


@contextmanager
def _keeping_cuda_device() -> Iterator[None]:
    """Restore the current CUDA device after the block."""
    previous = current_cuda_device()
    try:
        yield
    finally:
        restore_cuda_device(previous)


def _apply_deterministic_kernels() -> list[Callable[[], Any]]:
    """Make torch use deterministic kernels, with a warning where it has none; return what restores the rest."""
    deterministic: Any = torch.utils.deterministic  # its module turns settings into properties
    mode, filling = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory
    workspace = os.environ.get(CUBLAS_WORKSPACE_VARIABLE)

    def restore() -> None:
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = filling
        if workspace is None:
            os.environ.pop(CUBLAS_WORKSPACE_VARIABLE, None)
        else:
            os.environ[CUBLAS_WORKSPACE_VARIABLE] = workspace

    if workspace not in DETERMINISTIC_WORKSPACES:
        os.environ[CUBLAS_WORKSPACE_VARIABLE] = DETERMINISTIC_WORKSPACES[0]
    deterministic.fill_uninitialized_memory = False
    torch.set_deterministic_debug_mode("warn")  # torch.use_deterministic_algorithms would import a compiler
    return [restore]


def _opencv_threads_restorer() -> Callable[[], None]:
    """Return a function that restores OpenCV's number of threads, which optical flow sets (optical_flow.py)."""
    previous = sys.modules["cv2"].getNumThreads() if "cv2" in sys.modules else DEFAULT_THREADS

    def restore() -> None:
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(previous)

    return restore


_torch_state, _deterministic_kernels = (
    _ProcessState(_apply_process_state),
    _ProcessState(_apply_deterministic_kernels),
)
_forks = _Forks()
_guarded = _Guarded()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forks.after_in_child)
