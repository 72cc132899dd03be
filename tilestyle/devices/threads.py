"""Small pieces of work side by side, each on one thread: for matrices that are too small to share.

LAPACK gains little by several threads for a matrix of a few hundred rows, and loses much where other programs
have them wait for each other. Each piece is computed by one thread however many there are, so that what it
answers does not depend on their number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Answer = TypeVar("Answer")


def abreast(pieces: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """What the pieces answer, begun in their order; the first error passes once all have ended."""
    threads = torch.get_num_threads()
    if threads == 1:
        return [piece() for piece in pieces]
    return _workers.run(pieces, threads)


class _Workers:
    """Threads that compute on one thread each: kept, since they are made in the time of a small matrix."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def run(self, pieces: Sequence[Callable[[], Answer]], threads: int) -> list[Answer]:
        """The same by so many workers."""
        with self._lock:
            if threads not in self._pools:
                self._pools[threads] = _made(threads)
            waiting = [self._pools[threads].submit(piece) for piece in pieces]
        errors = [error for error in (each.exception() for each in waiting) if error]
        if errors:
            raise errors[0]
        return [each.result() for each in waiting]


def _made(threads: int) -> ThreadPoolExecutor:
    """So many workers, started.

    `torch.set_num_threads` is for the calling thread and for those that are yet to begin: set in a worker it
    would pass to all of these, so the calling thread says again what it has.
    """
    started = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread that has not asked yet takes the latest number when it does
        torch.set_num_threads(1)

    pool = ThreadPoolExecutor(threads, "tilestyle", initializer=begin)
    for _ in range(threads):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)
    return pool


def _anew() -> None:
    """In a forked process, which has no threads but the one that forked."""
    global _workers
    _workers = _Workers()


_workers = _Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
