"""Small tasks side by side, each on one thread: for matrices too small to be shared by threads.

LAPACK gains little from several threads for a matrix of a few hundred rows, and loses much where other programs
make them wait for each other. Each task is computed by one thread however many there are, so that its result
does not depend on their number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

ResultT = TypeVar("ResultT")


def run_side_by_side(tasks: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
    """Run tasks in parallel and return their results; the first error is raised after all have ended."""
    threads = torch.get_num_threads()
    if threads == 1:
        return [task() for task in tasks]
    return _thread_pools.run(tasks, threads)


class _ThreadPools:
    """Thread pools by number of threads, kept because starting one takes as long as a small matrix."""

    def __init__(self) -> None:
        """Begin without threads."""
        self._lock = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def run(self, tasks: Sequence[Callable[[], ResultT]], threads: int) -> list[ResultT]:
        """Run tasks on so many threads, each of which computes single-threaded."""
        with self._lock:
            if threads not in self._pools:
                self._pools[threads] = _started_pool(threads)
            futures = [self._pools[threads].submit(task) for task in tasks]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]


def _started_pool(threads: int) -> ThreadPoolExecutor:
    """Start a pool of so many threads that compute single-threaded.

    `torch.set_num_threads` applies to the calling thread and to threads that have not started yet: called in a
    worker, it would also apply to the rest of these. So the calling thread sets its own number again
    afterwards.
    """
    started = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # on its first call, a thread takes the latest number that was set
        torch.set_num_threads(1)

    pool = ThreadPoolExecutor(threads, "tilestyle", initializer=begin)
    for _ in range(threads):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)
    return pool


def _reset_after_fork() -> None:
    """Discard the pools in a forked process, which has only the thread that forked."""
    global _thread_pools
    _thread_pools = _ThreadPools()


_thread_pools = _ThreadPools()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
