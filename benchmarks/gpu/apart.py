"""Groups in processes of their own: a crash, a hang, or memory that runs out costs one of them.

They come from a server that has loaded the libraries and begun nothing: neither CUDA nor threads. What a group
finds is in a file, check by check, so that what is known when it dies is kept.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.gpu.core import Group, Place, Row, ran

# Seconds that a group, over its time, has to write what it knows; and that the end of a process takes.
GRACE = 3.0
# How much longer than it usually takes a group may be at work.
SLACK = 2.5

GOOD, FAILED, DIED, LATE, SKIPPED = "good", "failed", "died", "timed out", "skipped"
BAD = (FAILED, DIED, LATE)

Told = Callable[[Row], None]


def company() -> Any:
    """What starts processes: a server where the system has one, else each loads the libraries itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["benchmarks.gpu.groups"])
    return found


def campaign(groups: Sequence[Group], place: Place, deadline: float, told: Told) -> list[Row]:
    """Run the groups within so many seconds; `told` hears every group's row as it comes."""
    end = time.monotonic() + deadline
    rows: list[Row] = []
    for group in groups:
        left = end - time.monotonic()
        if group.cuda and not place.cuda:
            row: Row = {"group": group.name, "verdict": SKIPPED, "why": "needs CUDA", "checks": []}
        elif left < group.seconds:
            why = f"deadline: it needs {group.seconds:.3g} s, {max(left, 0):.3g} s are left"
            row = {"group": group.name, "verdict": SKIPPED, "why": why, "checks": []}
        else:
            row = tried(group, place, min(SLACK * place.patience * group.seconds, left))
        rows.append(row)
        told(row)
    return rows


def tried(group: Group, place: Place, seconds: float) -> Row:
    """The row of a group that has so many seconds."""
    found, log = place.folder / f"{group.name}.jsonl", place.folder / f"{group.name}.log"
    began = time.monotonic()
    work = partial(_work, group, place, max(seconds - GRACE, seconds / 2), found, log)
    process = company().Process(target=work, name=group.name)
    process.start()
    late = True
    try:
        process.join(seconds)
        late = process.is_alive()
    finally:  # Ctrl-C, too
        if late:
            _end(process)
    row: Row = {"group": group.name, "verdict": GOOD, "seconds": time.monotonic() - began}
    checks = _read(found)
    if late:
        row |= {"verdict": LATE, "why": f"ended after {seconds:.3g} s"}
    elif process.exitcode:
        row |= {"verdict": DIED, "why": f"{_said(process.exitcode)}: {_last(log)}"}
    elif any(check["ok"] is False for check in checks):
        row["verdict"] = FAILED
    elif checks and all("skipped" in check for check in checks):
        row |= {"verdict": SKIPPED, "why": checks[0]["skipped"]}
    return {**row, "checks": checks}


def _work(group: Group, place: Place, seconds: float, found: Path, log: Path) -> None:
    """Run the checks of a group, in its process."""
    end = time.monotonic() + seconds
    if hasattr(os, "setsid"):  # what it starts goes with it
        os.setsid()
    with log.open("wb") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    with found.open("w") as file:
        for check in group.checks(place):
            _write(file, {"check": check.name, "ok": False, "error": "the process ended amid it"})
            _write(file, ran(place, check, end - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # what libraries would do at the end, or wait for, is no matter


def _write(file: Any, row: Row) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


def _read(file: Path) -> list[Row]:
    """What is in a group's file: of every check the last line, which another process may have cut short."""
    rows: dict[str, Row] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        with suppress(ValueError):
            row = json.loads(line)
            rows[row["check"]] = row
    return list(rows.values())


def _end(process: BaseProcess) -> None:
    """End a process and all that it has started."""
    with suppress(OSError, AttributeError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    process.join()


def _said(code: int) -> str:
    """What an exit code means."""
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _last(log: Path) -> str:
    """The last line that a process has said."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "without a word")
