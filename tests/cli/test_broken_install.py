"""An installation in which a package is missing or does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ImportError("libcudart.so.12: cannot open shared object file", name="torch._C")
sys.meta_path.insert(0, Broken())
"""
MISSING = "import sys\nsys.modules[{!r}] = None\n"
PROGRAM = "sys.argv = ['tilestyle', 'info', *{!r}]\nfrom tilestyle.__main__ import program\nprogram()\n"


def start(damage: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", damage + PROGRAM.format(words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("package", ["torch", "typer"])
def test_a_missing_package_is_one_line(package: str) -> None:
    done = start(MISSING.format(package))
    assert done.returncode == 2
    assert done.stdout == ""
    line = f"tilestyle: the package {package} is not installed; install tilestyle again"
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_package_that_does_not_load_says_why() -> None:
    done = start(BROKEN)
    assert done.returncode == 2
    assert done.stderr.startswith("tilestyle: the package torch does not load (libcudart.so.12: cannot open")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback() -> None:
    done = start(MISSING.format("torch"), "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
