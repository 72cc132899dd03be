"""What a check is, what a group of them is, and how one is run.

A check fills a row with its results, and returns whether they are as they should be; None where there is only
something to look at. An error in a check is written into its row, and the next one runs.
"""

from __future__ import annotations

import json
import math
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tilestyle.benchmark.timing import time_call
from tilestyle.config.enums import Precision
from tilestyle.devices.timer import synchronized_time

GIB, MIB = 2**30, 2**20
LEAST = 2.0  # seconds below which no check is begun

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where checks run, whether they are tiny, and facts that groups note for later ones."""

    device: torch.device
    tiny: bool  # whether this is a dry run, which means nothing
    folder: Path  # of this run

    @property
    def cuda(self) -> bool:
        """Whether this is a GPU at all."""
        return self.device.type == "cuda"

    @property
    def patience(self) -> float:
        """Factor of the limits of time: a dry run may share the machine with other work."""
        return 4.0 if self.tiny else 1.0

    @property
    def precision(self) -> Precision:
        """What a GPU computes in by default; on the host what every processor has."""
        return Precision.BF16 if self.cuda else Precision.FP32

    def note(self, **facts: Any) -> None:
        """Note facts for later groups."""
        self._notes.write_text(json.dumps({**self._noted, **plain(facts)}))

    def noted(self, name: str) -> Any:
        """A fact that an earlier group has noted; None if it has not run."""
        return self._noted.get(name)

    @property
    def _notes(self) -> Path:
        return self.folder / "notes.json"

    @property
    def _noted(self) -> dict[str, Any]:
        return dict(json.loads(self._notes.read_text())) if self._notes.exists() else {}


@dataclass(frozen=True)
class Check:
    """One thing to find out."""

    name: str
    run: Callable[[Place, Row], bool | None]
    seconds: float = 30.0  # the most it may take
    cuda: bool = False  # whether there is nothing to find out without a GPU


@dataclass(frozen=True)
class Group:
    """Checks that run one after the other in a process of their own."""

    name: str
    about: str
    seconds: float  # it is skipped if fewer remain
    checks: Callable[[Place], list[Check]]
    cuda: bool = False


class LateError(BaseException):
    """A check took longer than it may. Not an Exception, which the code at work might catch."""


def run_check(place: Place, check: Check, remaining: float = inf) -> Row:
    """Run one check within the remaining seconds; return its row."""
    row: Row = {"check": check.name, "ok": None}
    if check.cuda and not place.cuda:
        return {**row, "skipped": "needs CUDA"}
    if remaining < LEAST:
        return {**row, "skipped": "no time is left"}
    began = time.monotonic()
    facts: Row = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with at_most(min(place.patience * check.seconds, remaining)):
                row["ok"] = check.run(place, facts)
                synchronized_time(place.device)
        except Exception as error:
            row.update(
                {"ok": False, "error": f"{type(error).__name__}: {str(error)[:400]}", "at": _frames(error)}
            )
        except LateError as error:
            row.update({"ok": False, "error": str(error), "at": _frames(error)})
    row.update(facts)
    messages = sorted(
        {str(warning.message).splitlines()[0][:160] for warning in caught if str(warning.message)}
    )
    if messages:
        row["warnings"] = messages[:4]
    row["seconds"] = time.monotonic() - began
    if place.cuda:
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
    return dict(plain(row))


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise LateError after so many seconds, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise LateError(f"it took more than {seconds:.3g} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _frames(error: BaseException) -> list[str]:
    """Where it happened."""
    return [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-5:]]


def plain(value: Any) -> Any:
    """The same as JSON has it, numbers to five digits."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return str(value)


def best(run: Callable[[], Any], device: torch.device, repeats: int = 3) -> float:
    """Least seconds of several runs, after one that is not counted."""
    run()
    return min(time_call(run, device) for _ in range(repeats))


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference of two tensors over that of the second; infinite where one is not finite."""
    if actual.shape != expected.shape:
        return inf
    first, second = actual.detach().cpu().double(), expected.detach().cpu().double()
    distance = float((first - second).norm() / second.norm().clamp(min=1e-30))
    return distance if math.isfinite(distance) else inf
