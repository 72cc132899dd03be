"""What a result needs to be believed: the machine, the versions, the commit, the command."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import tilestyle
from tilestyle.errors import OutputError
from tilestyle.files.atomic import replacing

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What a benchmark found: a title, a table, and figures drawn from the table."""

    title: str
    rows: Sequence[Row]
    figures: Row

    def keep(self, file: Path, command: Sequence[str]) -> None:
        """Write it as JSON, with the circumstances."""
        plain = {**circumstances(command), "title": self.title, "figures": self.figures, "rows": self.rows}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as whole:
                whole.write((json.dumps(plain, indent=1) + "\n").encode())
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror}", hint="give another --keep") from error


def circumstances(command: Sequence[str]) -> dict[str, Any]:
    """Where and with what a benchmark ran; of files in the command only the names."""
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "machine": f"{machine}, {torch.get_num_threads()} threads",
        "versions": {
            "tilestyle": tilestyle.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "command": " ".join(Path(word).name if "/" in word else word for word in command),
    }


def script_command() -> list[str]:
    """How the script at work was called."""
    file = Path(sys.argv[0])
    name = file.parent.name if file.stem == "__main__" else file.stem
    return ["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def _commit() -> str:
    """The commit of the checkout that the package lies in, with a + where files differ from it; or nothing."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()
