"""Does the test suite pass on other machines than this one?

Runs it once for each of them, as far as this machine can act as another, and prints what failed:

    python -m benchmarks.machines                         # all of them, the whole suite: hours
    python -m benchmarks.machines --only portable user    # some of them
    python -m benchmarks.machines --quick                 # the files whose numbers matter most, in minutes
    python -m benchmarks.machines --list

A machine that this one cannot act as (no second user, no German locale, no tmpfs) is skipped, and the table
says why. Ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import report

ROOT = Path(__file__).parents[1]
PRETEND = Path(__file__).parent / "pretend"
# Where arithmetic, memory and settings that the machine decides are tested.
SENSITIVE = (
    "pipeline/test_api",
    "devices/test_host_memory",
    "pipeline/test_machine",
    "pipeline/test_styles",
    "stats/test_gaussian_transport",
)
NOBODY = 65534  # the user and group of nobody, on nearly every Unix


@dataclass(frozen=True)
class Machine:
    """A machine to act as."""

    about: str
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()  # of pytest
    folder: Path | None = None  # for temporary files; it has to be there
    locale: str | None = None  # it has to be there
    user: int | None = None  # only root can act as another user


# What a processor without AVX2 does: other kernels of torch and of oneDNN, so sums in another order.
PORTABLE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
NO_BF16, BF16 = {"TILESTYLE_FAST_BF16": "0"}, {"TILESTYLE_FAST_BF16": "1"}
ONE = {"OMP_NUM_THREADS": "1"}


def shuffled(seed: int) -> Machine:
    """Tests in a random order."""
    return Machine(f"random order {seed}", {"TILESTYLE_PRETEND_SEED": str(seed)}, ("-p", "shuffled"))


MACHINES: dict[str, Machine] = {
    "here": Machine("this machine"),
    "portable": Machine("portable kernels, no bfloat16, one thread", PORTABLE | NO_BF16 | ONE),
    "avx2": Machine("AVX2, no bfloat16", AVX2 | NO_BF16),
    "bf16": Machine("bfloat16 is fast", BF16),
    "no-bf16": Machine("bfloat16 is slow", NO_BF16),
    "one-thread": Machine("one thread", ONE),
    "two-threads": Machine("two threads", {"OMP_NUM_THREADS": "2"}),
    "tmpfs": Machine("temporary files in memory", folder=Path("/dev/shm")),
    "disk": Machine("temporary files on the disk of this folder", folder=ROOT / "out"),
    "user": Machine("an ordinary user", user=NOBODY),
    "c-locale": Machine(
        "the C locale", {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ),
    "german": Machine("German locale", {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}, locale="de_DE.utf8"),
    "far-east": Machine("a time zone where it is tomorrow", {"TZ": "Pacific/Kiritimati"}),
    "little-memory": Machine("1 GiB of RAM is free", {"TILESTYLE_PRETEND_MEMORY": str(2**30)}),
    "much-memory": Machine("1 TiB of RAM is free", {"TILESTYLE_PRETEND_MEMORY": str(2**40)}),
    "order-1": shuffled(1),
    "order-2": shuffled(2),
    "order-3": shuffled(3),
}
QUICK = ("portable", "bf16")


def main() -> None:
    """Run the suite on every machine that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MACHINES, metavar="MACHINE", help="these machines alone")
    parser.add_argument("--quick", action="store_true", help=f"the sensitive files, on {' and '.join(QUICK)}")
    parser.add_argument("--list", action="store_true", help="name the machines")
    parser.add_argument("--tests", nargs="+", default=[], help="files or folders to test, instead of all")
    parser.add_argument("--minutes", type=float, default=60.0, help="most that a machine may take")
    parser.add_argument("--workers", default="auto", help="processes that test side by side")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    if options.list:
        for name, machine in MACHINES.items():
            print(f"{name:14} {machine.about}")
        return
    tests = options.tests
    if options.quick and not tests:
        tests = [str(file) for name in SENSITIVE if (file := ROOT / "tests" / f"{name}.py").exists()]
    rows = []
    for name in options.only or (QUICK if options.quick else MACHINES):
        rows.append(tried(name, tests, options.workers, options.minutes))
        print(rows[-1], flush=True)
    report(rows, "the test suite on other machines", options.keep)
    if any(row["result"] == "FAILED" for row in rows):
        raise SystemExit(1)


def tried(name: str, tests: list[str], workers: str, minutes: float) -> dict[str, Any]:
    """The row of a machine in the table."""
    machine = MACHINES[name]
    row: dict[str, Any] = {"machine": name, "result": "skipped", "passed": 0, "failed": 0, "minutes": 0.0}
    reason = impossible(machine)
    if reason:
        return row | {"what": reason}
    with tempfile.TemporaryDirectory(dir=machine.folder, ignore_cleanup_errors=True) as temporary:
        began = time.monotonic()
        with checkout(machine, Path(temporary)) as root:
            scratch = Path(temporary, "scratch")
            scratch.mkdir()
            if machine.user is not None:
                given(Path(temporary), machine.user)
            said = run(machine, root, scratch, [*tests, "--numprocesses", workers], 60 * minutes)
    counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (passed|failed|errors?)", said)}
    bad = sorted(set(re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)))
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    good = counts.get("passed", 0) > 0 and not failed and not bad and "TIMED OUT" not in said
    if not good:
        print(said, flush=True)
    return row | {
        "result": "passed" if good else "FAILED",
        "passed": counts.get("passed", 0),
        "failed": failed,
        "minutes": (time.monotonic() - began) / 60,
        "what": " ".join(bad) or machine.about,
    }


def run(machine: Machine, root: Path, scratch: Path, words: list[str], seconds: float) -> str:
    """What pytest says on a machine."""
    options = {} if machine.user is None else {"user": machine.user, "group": machine.user, "extra_groups": []}
    environment = {**os.environ, **machine.environment, "TMPDIR": str(scratch)}
    if machine.user is not None:
        environment["HOME"] = str(scratch)
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (root / PRETEND.relative_to(ROOT), root)))
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *machine.options, *words]
    with subprocess.Popen(  # type: ignore[call-overload]
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    ) as process:
        try:
            return str(process.communicate(timeout=seconds)[0])
        except subprocess.TimeoutExpired:
            process.terminate()
            return str(process.communicate()[0]) + "\nTIMED OUT"


def impossible(machine: Machine) -> str | None:
    """Why this machine cannot act as another; None if it can."""
    if machine.folder == ROOT / "out":
        machine.folder.mkdir(exist_ok=True)
    if machine.folder is not None and not (machine.folder.is_dir() and os.access(machine.folder, os.W_OK)):
        return f"there is no {machine.folder}"
    if machine.locale is not None:
        known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
        if machine.locale not in known:
            return f"there is no locale {machine.locale}"
    if machine.user is not None:
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            return "only root can act as another user: run this script as an ordinary one"
        try:
            subprocess.run([sys.executable, "-c", "import torch"], user=machine.user, cwd="/", check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"an ordinary user cannot run {sys.executable}"
    return None


@contextmanager
def checkout(machine: Machine, temporary: Path) -> Iterator[Path]:
    """The folder to test in: for another user, a copy."""
    if machine.user is None:
        yield ROOT
        return
    copy = temporary / "checkout"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache", "out")
    )
    yield copy


def given(folder: Path, user: int) -> None:
    """Give a folder, with all that is in it, to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)


if __name__ == "__main__":
    main()
