"""Does the test suite pass on machines other than this one?

Runs it once for each machine that this one can imitate, and prints what failed:

    python -m benchmarks.machines                         # all machines, the whole suite: hours
    python -m benchmarks.machines --only portable user    # some machines
    python -m benchmarks.machines --quick                 # the most sensitive test files, in minutes
    python -m benchmarks.machines --list

A machine that cannot be imitated here (no second user, no German locale, no tmpfs) is skipped, and the table
says why. The exit status is 1 if anything failed.
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
# Tests of arithmetic, memory and settings that depend on the machine.
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
    """A machine to imitate.

    Attributes:
        about: Description for the table.
        environment: Environment variables.
        options: Options of pytest.
        folder: Folder for temporary files; it must exist.
        locale: Locale that must be installed.
        user: User to run as, which only root can do.
    """

    about: str
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    folder: Path | None = None
    locale: str | None = None
    user: int | None = None


# A processor without AVX2 runs other kernels of torch and oneDNN, which sum in another order.
PORTABLE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
NO_BF16, BF16 = {"TILESTYLE_FAST_BF16": "0"}, {"TILESTYLE_FAST_BF16": "1"}
ONE = {"OMP_NUM_THREADS": "1"}


def shuffled(seed: int) -> Machine:
    """Make a machine that runs the tests in random order."""
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
    """Run the suite on the selected machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MACHINES, metavar="MACHINE", help="only these machines")
    parser.add_argument(
        "--quick", action="store_true", help=f"the most sensitive test files, on {' and '.join(QUICK)}"
    )
    parser.add_argument("--list", action="store_true", help="list the machines")
    parser.add_argument("--tests", nargs="+", default=[], help="files or folders to test, instead of all")
    parser.add_argument("--minutes", type=float, default=60.0, help="time limit of a machine")
    parser.add_argument("--workers", default="auto", help="number of parallel test processes")
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
        rows.append(machine_row(name, tests, options.workers, options.minutes))
        print(rows[-1], flush=True)
    report(rows, "the test suite on other machines", options.keep)
    if any(row["result"] == "FAILED" for row in rows):
        raise SystemExit(1)


def machine_row(name: str, tests: list[str], workers: str, minutes: float) -> dict[str, Any]:
    """Run the suite on one machine.

    Args:
        name: Name of the machine.
        tests: Files or folders to test; empty: all.
        workers: Number of parallel test processes.
        minutes: Time limit.

    Returns:
        The machine's row in the table.
    """
    machine = MACHINES[name]
    row: dict[str, Any] = {"machine": name, "result": "skipped", "passed": 0, "failed": 0, "minutes": 0.0}
    reason = impossible(machine)
    if reason:
        return row | {"what": reason}
    with tempfile.TemporaryDirectory(dir=machine.folder, ignore_cleanup_errors=True) as temporary:
        start = time.monotonic()
        with checkout(machine, Path(temporary)) as root:
            scratch = Path(temporary, "scratch")
            scratch.mkdir()
            if machine.user is not None:
                give_folder(Path(temporary), machine.user)
            output = run(machine, root, scratch, [*tests, "--numprocesses", workers], 60 * minutes)
    counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (passed|failed|errors?)", output)}
    failed_tests = sorted(set(re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)))
    failures = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    passed = counts.get("passed", 0) > 0 and not failures and not failed_tests and "TIMED OUT" not in output
    if not passed:
        print(output, flush=True)
    return row | {
        "result": "passed" if passed else "FAILED",
        "passed": counts.get("passed", 0),
        "failed": failures,
        "minutes": (time.monotonic() - start) / 60,
        "what": " ".join(failed_tests) or machine.about,
    }


def run(machine: Machine, root: Path, scratch: Path, words: list[str], seconds: float) -> str:
    """Run pytest on a machine, and return what it prints.

    Args:
        machine: The machine.
        root: Checkout to test.
        scratch: Folder for temporary files.
        words: Arguments of pytest.
        seconds: Time limit.
    """
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
    """Return the reason why a machine cannot be imitated here; None if it can."""
    if machine.folder == ROOT / "out":
        machine.folder.mkdir(exist_ok=True)
    if machine.folder is not None and not (machine.folder.is_dir() and os.access(machine.folder, os.W_OK)):
        return f"there is no {machine.folder}"
    if machine.locale is not None:
        locales = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
        if machine.locale not in locales:
            return f"there is no locale {machine.locale}"
    if machine.user is not None:
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            return "only root can run as another user: run this script as an ordinary user instead"
        try:
            subprocess.run([sys.executable, "-c", "import torch"], user=machine.user, cwd="/", check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"an ordinary user cannot run {sys.executable}"
    return None


@contextmanager
def checkout(machine: Machine, temporary: Path) -> Iterator[Path]:
    """Provide the checkout to test; for another user, a copy of it."""
    if machine.user is None:
        yield ROOT
        return
    copy = temporary / "checkout"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache", "out")
    )
    yield copy


def give_folder(folder: Path, user: int) -> None:
    """Give a folder, with everything in it, to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)


if __name__ == "__main__":
    main()
