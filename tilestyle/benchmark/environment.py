"""Results of benchmarks, with what is needed to reproduce them: machine, versions, commit and command."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import tilestyle
from tilestyle.devices.processor import processor_name
from tilestyle.errors import OutputError
from tilestyle.files.atomic import atomic_write

Row = Mapping[str, Any]
OnRow = Callable[[Row, "Result"], None]  # called with every row when it is ready, and the result so far
REFUSED = "refused: "
"""What the last line of a process that measures begins with, if a TilestyleError ended it."""
Progress = Callable[[float], None]  # called with the fraction of a benchmark that is done


def no_progress(done: float) -> None:
    """A `Progress` that nobody watches."""


class ProgressCounter:
    """Adds up the work of a benchmark, in any unit, and tells which fraction of it is done."""

    def __init__(self, total: float, tell: Progress) -> None:
        self._total, self._tell = total, tell
        self._done = self._part = 0.0

    def add(self, work: float) -> None:
        """Some work of the current part is done."""
        self._part += work
        self._tell(min(1.0, (self._done + self._part) / self._total))

    def end_part(self, work: float) -> None:
        """The current part is done, which is so much work whether or not all of it was added."""
        self._done, self._part = self._done + work, 0.0
        self.add(0.0)


@dataclass(frozen=True)
class Result:
    """The result of a benchmark.

    Attributes:
        title: Title for the report.
        rows: Table of measurements.
        figures: Numbers derived from the table, and settings, by name.
        unfinished: Whether more rows were to come.
    """

    title: str
    rows: Sequence[Row]
    figures: Row
    unfinished: bool = False

    def save(self, file: Path, command: Sequence[str]) -> None:
        """Write the result as JSON, with the environment.

        Args:
            file: File to write; its folder is made if it does not exist.
            command: Command that ran the benchmark.

        Raises:
            OutputError: The file cannot be written.
        """
        state = {"unfinished": True} if self.unfinished else {}
        table = {"title": self.title, **state, "figures": self.figures, "rows": self.rows}
        report = {**run_environment(command), **table}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(file) as handle:
                handle.write((json.dumps(report, indent=1) + "\n").encode())
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror}", hint="use another --keep") from error


def run_environment(command: Sequence[str]) -> dict[str, Any]:
    """Return the machine, versions, commit and command; paths in the command are cut to file names."""
    card = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return {
        "machine": f"{card}{processor_name()}, {torch.get_num_threads()} threads",
        "versions": {
            "tilestyle": tilestyle.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "command": " ".join(Path(word).name if "/" in word else word for word in command),
    }


def script_command() -> list[str]:
    """Return the command of the running script."""
    file = Path(sys.argv[0])
    name = file.parent.name if file.stem == "__main__" else file.stem
    return ["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]


def _commit() -> str:
    """The package's commit, with a + if files differ from it; empty outside a checkout."""
    package = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        process = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip()
