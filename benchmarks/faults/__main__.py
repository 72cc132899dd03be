"""Is anything lost, wrong, or told as a traceback when things go wrong around a render?

A campaign of faults against the command line: kills, full disks, damaged work folders, strange inputs and
races. Every trial has one of a few outcomes, which are counted. Anything but `same` and `refused` is a failure:
it is printed, and makes the exit code 1. All trials are drawn at random from `--seed`.

    python -m benchmarks.faults --minutes 10
    python -m benchmarks.faults --only inputs --minutes 5 --seed 7 --pictures ~/Pictures
    python -m benchmarks.faults --only kills --trial 17      (one of them again)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

# One thread a command, and before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

from benchmarks.faults import command
from benchmarks.faults.campaign import GROUPS, Row, campaign, failures, one, table
from benchmarks.faults.outcome import SERIOUS, Outcome
from benchmarks.faults.scene import Scene


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all groups together")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, with commas between them")
    parser.add_argument("--trial", type=int, help="do one trial of one group again, and say all of it")
    parser.add_argument("--pictures", type=Path, help="folder of more pictures, for inputs")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="trials at once")
    parser.add_argument("--work", type=Path, help="folder for the trials; by default a temporary one")
    parser.add_argument("--failed", type=Path, help="folder to keep the inputs in that failed")
    parser.add_argument("--out", "--keep", type=Path, help="JSON file for the result")
    parser.add_argument("--list", action="store_true", help="say what the groups do, and end")
    return parser


def main() -> int:
    """Run the campaign; answers the exit code."""
    options = parser().parse_args()
    if options.list:
        for name, trial in GROUPS.items():
            print(f"{name}: {(sys.modules[trial.__module__].__doc__ or '').strip()}\n")
        return 0
    groups = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        raise SystemExit(f"there is no group {unknown[0]}; there are {', '.join(GROUPS)}")
    command.load()
    # Not a TemporaryDirectory, which every forked copy would remove at its end.
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.work))
    try:
        scene = Scene(folder, options.seed, resolved(options.pictures), resolved(options.failed))
        if options.trial is not None:
            return _again(scene, options.seed, groups[0], options.trial)
        rows, whole = campaign(scene, options.seed, groups, 60 * options.minutes, options.workers, _tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _report(rows, options)
    if not whole:
        print("a worker failed: the campaign is not complete", file=sys.stderr)
        return 3
    return 1 if failures(rows) else 0


def resolved(folder: Path | None) -> Path | None:
    """A folder by its whole path, if there is one."""
    return None if folder is None else folder.resolve()


def _again(scene: Scene, seed: int, group: str, number: int) -> int:
    finding = one(scene, seed, group, number).finding
    print(f"{group} {number}: {finding.kind}\n{finding.outcome}: {finding.detail}")
    print("\n".join(finding.commands))
    return 1 if finding.outcome in SERIOUS else 0


def _tell(row: Row) -> None:
    """Say what failed when it does."""
    finding = row.finding
    if finding.outcome in SERIOUS:
        print(f"{row.group} {row.number}: {finding.outcome}: {finding.kind}: {finding.detail}", flush=True)


def _report(rows: list[Row], options: argparse.Namespace) -> None:
    from benchmarks.record import report

    serious = failures(rows)
    figures = {"seed": options.seed, "trials": len(rows)}
    figures |= {str(o): sum(row.finding.outcome is o for row in rows) for o in Outcome}
    title = f"faults: {len(rows)} trials in {options.minutes:g} minutes"
    report(table(rows), title, options.out, figures)
    file = options.out and options.out.with_name(f"{options.out.stem}-failures.json")
    if file:
        file.unlink(missing_ok=True)  # of an earlier run
    if file and serious:
        notes = [{"group": row.group, "trial": row.number, **vars(row.finding)} for row in serious]
        file.write_text(json.dumps(notes, indent=1) + "\n")
    if serious:
        print(
            f"\n{len(serious)} must not be; do one again with --seed {options.seed} --only GROUP --trial NUMBER"
        )


if __name__ == "__main__":
    sys.exit(main())
