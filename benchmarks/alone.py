"""A script's measurement in a process of its own, which has done nothing before: `--one SETTINGS`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any


def add_one(parser: argparse.ArgumentParser) -> None:
    """The argument by which a script is told to make one measurement."""
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)


def answered(options: argparse.Namespace, measure: Callable[[dict[str, Any]], Mapping[str, int]]) -> bool:
    """Whether one measurement was asked for; then it is made, and printed as JSON."""
    if options.one:
        print(json.dumps(measure(options.one)))
    return bool(options.one)


def measured(script: str, settings: Mapping[str, Any]) -> dict[str, int]:
    """What `python -m benchmarks.SCRIPT --one SETTINGS` finds."""
    command = [sys.executable, "-m", f"benchmarks.{script}", "--one", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    found: dict[str, int] = json.loads(done.stdout)
    return found
