"""What does it cost that the threads of a render wait for each other, alone and beside other programs?

    python -m benchmarks.waiting [--sizes 128,512] [--beside 0,1] [--turns own,0] [--repeats 3] [--keep FILE]

Every operation of a render is shared by the threads of libgomp. A thread that is done first waits for the
others: it asks again and again for so many turns (GOMP_SPINCOUNT), then sleeps. While it asks, no other program
has its core. Renders with several numbers of turns are timed one after the other, each in a process of its own,
beside so many other programs that never pause. "own" is what libgomp does by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import report
from tilestyle.cli.app import SPINS_VARIABLE

OWN = "own"  # libgomp decides
SWEEPS = {128: 30, 256: 10, 512: 4}  # some seconds each
TIMED = """
import json, sys, time
from tilestyle import RenderConfig, render
from tilestyle.pictures import picture_path
def work(sweeps):
    config = RenderConfig(size=int(sys.argv[1]), coarsest=int(sys.argv[1]), sweeps=sweeps, device="cpu")
    render(picture_path("coffee"), picture_path("swirls"), config)
work(2)
wall, processor = time.perf_counter(), time.process_time()
work(int(sys.argv[2]))
print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=_numbers, default=[128, 512], help="long sides, pixels")
    parser.add_argument("--beside", type=_numbers, default=[0, 1], help="numbers of other programs")
    parser.add_argument("--turns", default="own,0,100,1000,10000", help="numbers of turns; own: of libgomp")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        for beside in options.beside:
            rows += _measured(size, beside, options.turns.split(","), options.repeats)
    report(rows, "What waiting threads cost", options.keep)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _measured(size: int, beside: int, numbers: list[str], repeats: int) -> list[dict[str, Any]]:
    """Time renders of a size beside so many programs, with every number of turns: one row each."""
    taken: dict[str, list[list[float]]] = {turns: [] for turns in numbers}
    with busy_programs(beside):
        for _ in range(repeats):
            for turns in numbers:
                taken[turns].append(timed_render(size, turns))
    return [
        {
            "pixels": size,
            "programs beside": beside,
            "turns": turns,
            "seconds": median(wall for wall, _ in runs),
            "processor seconds": median(processor for _, processor in runs),
        }
        for turns, runs in taken.items()
    ]


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Run so many programs that never pause."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def timed_render(size: int, turns: str) -> list[float]:
    """Return the seconds and the processor seconds of a render in a new process."""
    environment = {name: value for name, value in os.environ.items() if name != SPINS_VARIABLE}
    if turns != OWN:
        environment[SPINS_VARIABLE] = turns
    command = [sys.executable, "-c", TIMED, str(size), str(SWEEPS.get(size, 10))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
