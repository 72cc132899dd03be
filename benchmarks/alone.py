"""Run a script's measurement in a new process of its own: `--one SETTINGS`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any


def add_one(parser: argparse.ArgumentParser) -> None:
    """Add the argument that makes a script run a single measurement."""
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)


def answered(options: argparse.Namespace, measure: Callable[[dict[str, Any]], Mapping[str, int]]) -> bool:
    """Run a single measurement and print it as JSON, if the arguments ask for one.

    Args:
        options: Arguments of the script.
        measure: Measures with the settings of `--one`.

    Returns:
        Whether it was asked for.
    """
    if options.one:
        print(json.dumps(measure(options.one)))
    return bool(options.one)


def measured(script: str, settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the result of `python -m benchmarks.SCRIPT --one SETTINGS`; exit if it fails."""
    command = [sys.executable, "-m", f"benchmarks.{script}", "--one", json.dumps(settings)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(process.stderr.strip())
    result: dict[str, int] = json.loads(process.stdout)
    return result
