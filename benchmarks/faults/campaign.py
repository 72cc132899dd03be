"""Trials of all groups, several at once, until the time is over.

A trial is a function of the seed, its group and its number alone: `--only GROUP --trial NUMBER` does one again.
"""

from __future__ import annotations

import json
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults import damage, disks, inputs, kills, races
from benchmarks.faults.outcome import SERIOUS, Finding, Outcome
from benchmarks.faults.scene import Scene

Trial = Callable[[Scene, random.Random], Finding]
GROUPS: Mapping[str, Trial] = {
    "kills": kills.trial,
    "disks": disks.trial,
    "damage": damage.trial,
    "inputs": inputs.trial,
    "races": races.trial,
}
# Of the time, where all of them run: inputs are many and fast.
SHARES = {"kills": 0.22, "disks": 0.17, "damage": 0.2, "inputs": 0.27, "races": 0.14}


@dataclass(frozen=True)
class Row:
    """A finding with its place in the campaign."""

    group: str
    number: int
    finding: Finding


def one(scene: Scene, seed: int, group: str, number: int) -> Row:
    """Do one trial."""
    draw = random.Random(f"{seed} {group} {number}")
    return Row(group, number, GROUPS[group](scene, draw))


def campaign(
    scene: Scene, seed: int, groups: Sequence[str], seconds: float, workers: int, tell: Callable[[Row], None]
) -> tuple[list[Row], bool]:
    """Do trials of these groups, one group after the other, each for its share of the time.

    Returns:
        What they found, and whether all workers ended well. One that does not has met a fault of this script,
        or a command that fails undisturbed.
    """
    whole = sum(SHARES[group] for group in groups)
    rows: list[Row] = []
    failed = False
    for group in groups:
        until = time.monotonic() + seconds * SHARES[group] / whole
        logs = [scene.folder / f"{group}-{worker}.jsonl" for worker in range(workers)]
        started = [
            _worker(scene, seed, group, range(i, 10**9, workers), until, logs[i]) for i in range(workers)
        ]
        alive, seen = set(started), [0] * workers
        while alive:
            time.sleep(0.5)
            for process in list(alive):
                ended, status = os.waitpid(process, os.WNOHANG)
                if ended:
                    alive.remove(process)
                    failed = failed or status != 0
            for index, log in enumerate(logs):
                new = _read(log, seen[index])
                seen[index] += len(new)
                for row in new:
                    tell(row)
                rows += new
    return rows, not failed


def _worker(scene: Scene, seed: int, group: str, numbers: Iterable[int], until: float, log: Path) -> int:
    """Start a process that does these trials until a time; answers its number."""
    process = os.fork()
    if process:
        return process
    try:
        with log.open("a") as file:
            for number in numbers:
                if time.monotonic() > until:
                    break
                row = one(scene, seed, group, number)
                finding = row.finding
                note = [group, number, finding.kind, finding.outcome, finding.detail, finding.commands]
                file.write(json.dumps(note) + "\n")
                file.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _read(log: Path, after: int) -> list[Row]:
    """Whole lines of a log, after those that have been read."""
    if not log.exists():
        return []
    lines = log.read_text().split("\n")[:-1][after:]
    found = [json.loads(line) for line in lines]
    return [Row(group, n, Finding(kind, Outcome(o), d, c)) for group, n, kind, o, d, c in found]


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Counts of every outcome, by kind of fault; kinds in the order of their groups."""
    found: list[dict[str, Any]] = []
    groups = dict.fromkeys(row.group for row in rows)
    for group in groups:
        mine = [row for row in rows if row.group == group]
        for kind in sorted({row.finding.kind for row in mine}):
            found.append({"group": group, "fault": kind, **_counts(r for r in mine if r.finding.kind == kind)})
        found.append({"group": group, "fault": "all", **_counts(mine)})
    return found


def _counts(rows: Iterable[Row]) -> dict[str, int | None]:
    counted = Counter(row.finding.outcome for row in rows)
    return {"trials": counted.total(), **{str(o): counted[o] or None for o in Outcome}}


def failures(rows: Sequence[Row]) -> list[Row]:
    """What must not have happened."""
    return [row for row in rows if row.finding.outcome in SERIOUS]
