"""Groups of checks for the benchmark of a GPU that end well or badly: loaded by the processes that run them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from benchmarks.gpu.core import Check, Group, Place, Row


def good(place: Place, row: Row) -> bool:
    row |= {"number": 1 / 3, "says": "all is well"}
    return True


def wrong(place: Place, row: Row) -> bool:
    row["number"] = 2
    return False


def looked_at(place: Place, row: Row) -> None:
    row["number"] = float("inf")


def raising(place: Place, row: Row) -> bool:
    row["before"] = 1
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def hanging(place: Place, row: Row) -> bool:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(600)
    return True


def slow(place: Place, row: Row) -> bool:
    time.sleep(600)
    return True


def dying(place: Place, row: Row) -> bool:
    sys.stderr.write("the last word\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def group_of(name: str, *runs: Callable[[Place, Row], bool | None], seconds: float = 100.0) -> Group:
    """A group of checks, each named after its function."""
    return Group(name, "", seconds, CheckList(tuple(Check(run.__name__, run) for run in runs)))


class CheckList:
    """Returns checks, and can be sent to another process."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self.checks = checks

    def __call__(self, place: Place) -> list[Check]:
        return list(self.checks)
