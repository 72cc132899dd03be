"""Groups in processes of their own: a crash, a hang, or memory that runs out costs one of them.

They are forked from a server that has loaded the libraries and started neither CUDA nor threads. A group writes
its results into a file, check by check, so that they are kept if it dies.
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

from benchmarks.gpu.core import Group, Place, Row, run_check

# Seconds that a group that is late has to write its results, and that the end of a process takes.
GRACE = 3.0
# How many times its usual time a group may take.
SLACK = 2.5

GOOD, FAILED, DIED, LATE, SKIPPED = "good", "failed", "died", "timed out", "skipped"
BAD = (FAILED, DIED, LATE)

RowObserver = Callable[[Row], None]


def process_context() -> Any:
    """What starts processes: a server where the system has one, else each loads the libraries itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.gpu.groups"])
    return context


def campaign(groups: Sequence[Group], place: Place, deadline: float, on_row: RowObserver) -> list[Row]:
    """Run the groups within so many seconds; `on_row` gets the row of every group as it ends."""
    end = time.monotonic() + deadline
    rows: list[Row] = []
    for group in groups:
        remaining = end - time.monotonic()
        if group.cuda and not place.cuda:
            row: Row = {"group": group.name, "verdict": SKIPPED, "why": "needs CUDA", "checks": []}
        elif remaining < group.seconds:
            why = f"deadline: it needs {group.seconds:.3g} s, {max(remaining, 0):.3g} s are left"
            row = {"group": group.name, "verdict": SKIPPED, "why": why, "checks": []}
        else:
            row = run_group(group, place, min(SLACK * place.patience * group.seconds, remaining))
        rows.append(row)
        on_row(row)
    return rows


def run_group(group: Group, place: Place, seconds: float) -> Row:
    """Run a group in a process of its own, for at most so many seconds; return its row."""
    results, log = place.folder / f"{group.name}.jsonl", place.folder / f"{group.name}.log"
    began = time.monotonic()
    work = partial(_work, group, place, max(seconds - GRACE, seconds / 2), results, log)
    process = process_context().Process(target=work, name=group.name)
    process.start()
    late = True
    try:
        process.join(seconds)
        late = process.is_alive()
    finally:  # Ctrl-C, too
        if late:
            _end(process)
    row: Row = {"group": group.name, "verdict": GOOD, "seconds": time.monotonic() - began}
    checks = _read(results)
    if late:
        row.update({"verdict": LATE, "why": f"ended after {seconds:.3g} s"})
    elif process.exitcode:
        row.update({"verdict": DIED, "why": f"{_exit_text(process.exitcode)}: {_last(log)}"})
    elif any(check["ok"] is False for check in checks):
        row["verdict"] = FAILED
    elif checks and all("skipped" in check for check in checks):
        row.update({"verdict": SKIPPED, "why": checks[0]["skipped"]})
    return {**row, "checks": checks}


def _work(group: Group, place: Place, seconds: float, results: Path, log: Path) -> None:
    """Run the checks of a group, in its process."""
    end = time.monotonic() + seconds
    if hasattr(os, "setsid"):  # the processes that it starts are killed with it
        os.setsid()
    with log.open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    with results.open("w") as file:
        for check in group.checks(place):
            _write(file, {"check": check.name, "ok": False, "error": "the process ended amid it"})
            _write(file, run_check(place, check, end - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # without the cleanup of libraries, which may wait


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


def _exit_text(code: int) -> str:
    """What an exit code means."""
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _last(log: Path) -> str:
    """The last line that a process has printed."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "without a word")
