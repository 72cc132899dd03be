"""Run everything on one GPU within ten minutes, and keep one JSON.

    python -m benchmarks.gpu --keep gpu.json                  on a GPU
    python -m benchmarks.gpu --group transfers --group speed  some groups
    python -m benchmarks.gpu --device cpu --tiny              a dry run of all the code, on any machine

Every group is a process of its own, so that one that dies, hangs or runs out of memory costs no other. The
JSON is written after each. The exit code is 1 if a check failed. Nothing is downloaded: VGG's weights are
random ones, or those in the folder that TILESTYLE_ASSETS names.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.gpu.apart import BAD, campaign
from benchmarks.gpu.core import Place, Row
from benchmarks.gpu.groups import GROUPS
from benchmarks.gpu.record import Record, circumstances, line, table
from tilestyle.benchmark.environment import script_command


def parser() -> argparse.ArgumentParser:
    """The parser of the arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument(
        "--group", action="append", choices=list(GROUPS), help="this one; repeatable (default: all)"
    )
    arguments.add_argument(
        "--deadline", type=float, default=600.0, help="seconds for all; what no longer fits is skipped"
    )
    arguments.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    arguments.add_argument("--tiny", action="store_true", help="a dry run, of sizes that mean nothing")
    arguments.add_argument("--list", action="store_true", help="say what the groups do, and end")
    arguments.add_argument("--keep", type=Path, help="JSON file for the result")
    return arguments


def main() -> int:
    """Run the groups; return the exit code."""
    options = parser().parse_args()
    if options.list:
        for group in GROUPS.values():
            print(f"{group.name:13} {group.about}")
        return 0
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU that this torch can use; --device cpu --tiny is a dry run")
    if device.type == "cpu" and not options.tiny:
        sys.exit("on a CPU this would take days: give --tiny, too")
    if options.tiny:  # as other work may go on beside a dry run
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if device.type == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif device.index is None:
        device = torch.device("cuda", 0)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # groups end with this
    rows: list[Row] = []
    record = Record(
        circumstances(script_command()), f"a GPU{', dry run' if options.tiny else ''}", options.keep
    )
    record.keep(rows)  # fails now if the file cannot be written

    def keep(row: Row) -> None:
        rows.append(row)
        record.keep(rows)
        print(line(row), flush=True)

    with tempfile.TemporaryDirectory(prefix="gpu-", ignore_cleanup_errors=True) as folder:
        place = Place(device, options.tiny, Path(folder))
        campaign([GROUPS[name] for name in options.group or GROUPS], place, options.deadline, keep)
    print(f"\n{record.about['machine']}\n{table(rows)}")
    return 1 if any(row["verdict"] in BAD for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
