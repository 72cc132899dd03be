"""CUDA graphs: many launches in one, for work that is repeated with other numbers.

A launch takes the host about ten microseconds, whatever the device does with it. Small pictures, and the
distances of moments, are hundreds of launches that a device is done with sooner than the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TypeVar

import torch
from torch import Tensor

from tilestyle.devices.device_memory import empty_caches
from tilestyle.devices.failures import is_out_of_memory

# Set to anything, this variable turns graphs off, for comparisons and in case of trouble.
OFF_VARIABLE = "TILESTYLE_NO_GRAPHS"
# Calls before one is captured: what is done only once or twice is not worth it.
CALLS_BEFORE = 2
# Branches of a graph in addition to its main one.
BRANCHES = 2

Function = Callable[..., Sequence[Tensor]]
R = TypeVar("R")


class CapturedFunction:
    """A function of tensors on one device, as a CUDA graph from its third call on.

    The function may launch work on the device, but neither wait for it nor depend on anything but its
    arguments. Where it cannot be captured, it is called as it is.
    """

    def __init__(self, function: Function) -> None:
        """Take the function, whose results are tensors."""
        self._function = function
        self._calls = 0
        self._failed = not graphs_enabled()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: Sequence[Tensor] = ()

    @property
    def captured(self) -> bool:
        """Whether it is a graph now."""
        return self._graph is not None

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        """Return the function's results, which are valid until the next call."""
        if self._failed or inputs[0].device.type != "cuda":
            return self._function(*inputs)
        if self._graph is not None and not _alike(inputs, self._inputs):
            return self._function(*inputs)
        self._calls += 1
        if self._graph is None and self._calls > CALLS_BEFORE:
            self._capture(inputs)
        if self._graph is None:
            return self._function(*inputs)
        torch._foreach_copy_(self._inputs, list(inputs))
        self._graph.replay()
        return self._outputs

    def _capture(self, inputs: Sequence[Tensor]) -> None:
        """Capture a call, if that is possible."""
        device = inputs[0].device
        static = [torch.empty_like(each).copy_(each) for each in inputs]
        call = partial(self._function, *static)
        with capturing_stream(device):
            call()  # libraries allocate what they need
        captured = capture(call, device)
        if captured is None:
            self._failed = True
            return
        self._inputs, (self._graph, self._outputs) = static, captured


def capture(
    function: Callable[[], R], device: torch.device, after: torch.cuda.CUDAGraph | None = None
) -> tuple[torch.cuda.CUDAGraph, R] | None:
    """Capture the work that a function launches.

    Args:
        function: The function.
        device: Where it launches work.
        after: A graph that is always replayed before this one, whose free memory this one may use.

    Returns:
        The graph and what the function returned; None if it cannot be captured.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with capturing_stream(device):
            graph.capture_begin(pool=None if after is None else after.pool(), capture_error_mode="thread_local")
            try:
                result = function()
            finally:
                graph.capture_end()
    except Exception as error:  # whatever a library raises that cannot be captured: nothing has been computed
        if is_out_of_memory(error):
            empty_caches()
        return None
    return graph, result


def run_in_branches(functions: Sequence[Callable[[], R]], device: torch.device) -> list[R]:
    """Run functions that do not depend on each other: side by side within a graph, else one after the other.

    Work of a small matrix occupies a few of a device's multiprocessors. The last functions share a branch.
    """
    if device.type != "cuda" or not torch.cuda.is_current_stream_capturing():
        return [function() for function in functions]
    current, results = torch.cuda.current_stream(device), []
    branches = _branch_streams(device)[: max(0, len(functions) - 1)]
    for function, stream in zip(functions, branches, strict=False):
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            results.append(function())
    results += [function() for function in functions[len(branches) :]]
    for stream in branches:
        current.wait_stream(stream)
    return results


@cache
def _branch_streams(device: torch.device) -> list[torch.cuda.Stream]:
    """Return the streams of branches of graphs, each of which costs a workspace (`_capturing_stream`)."""
    return [torch.cuda.Stream(device) for _ in range(BRANCHES)]  # type: ignore[no-untyped-call]


@contextmanager
def capturing_stream(device: torch.device) -> Iterator[None]:
    """Launch work in the stream of captures, between the work before and that after."""
    current, stream = torch.cuda.current_stream(device), _capturing_stream(device)
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        with suppress(RuntimeError):
            current.wait_stream(stream)


@cache
def _capturing_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream of captures: libraries keep a workspace of 32 MiB for every stream they saw."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def graphs_enabled() -> bool:
    """Return whether graphs are not turned off."""
    return not os.environ.get(OFF_VARIABLE)


def _alike(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Return whether tensors have the same shapes and dtypes, one by one."""
    return len(tensors) == len(others) and all(
        one.shape == other.shape and one.dtype == other.dtype
        for one, other in zip(tensors, others, strict=True)
    )
