"""How threads wait for each other is set before torch, and with it libgomp, is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOADED = """
import os, sys
from tilestyle.cli.app import main
sys.argv = ["tilestyle", "--version"]
try:
    main()
except SystemExit:
    pass
print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_somebody_has_set_how(given: dict[str, str], expected: str) -> None:
    usual = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=usual | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{expected} False"
