"""What libraries read from the environment is set before torch, and with it they, are loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOADED = """
import os, sys
from tilestyle.cli.app import main
name = sys.argv[1]
sys.argv = ["tilestyle", "--version"]
try:
    main()
except SystemExit:
    pass
print(os.environ.get(name), "torch" in sys.modules)
"""
KERNELS, TURNS, POLICY = "LRU_CACHE_CAPACITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (KERNELS, {}, "8"),
        (KERNELS, {KERNELS: "5"}, "5"),
        (TURNS, {}, "10000"),
        (TURNS, {TURNS: "5"}, "5"),
        (TURNS, {POLICY: "active"}, "None"),
    ],
)
def test_it_is_set_unless_somebody_has_set_it(name: str, given: dict[str, str], expected: str) -> None:
    """Kernels that torch keeps, and turns that threads wait before they sleep."""
    usual = {each: value for each, value in os.environ.items() if each not in (KERNELS, TURNS, POLICY)}
    command = [sys.executable, "-c", LOADED, name]
    done = subprocess.run(command, env=usual | given, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{expected} False"
