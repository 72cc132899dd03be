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
            raise {}
sys.meta_path.insert(0, Broken())
"""
NO_LIBRARY = 'ImportError("libcudart.so.12: cannot open shared object file", name="torch._C")'
# A package whose own code fails while it is imported.
FAILING = """
import sys, tempfile, pathlib
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "torch").mkdir()
(folder / "torch" / "__init__.py").write_text("def check():\\n    raise {}\\ncheck()\\n")
sys.path.insert(0, str(folder))
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
    done = start(BROKEN.format(NO_LIBRARY))
    assert done.returncode == 2
    assert done.stderr.startswith("tilestyle: the package torch does not load (libcudart.so.12: cannot open")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback() -> None:
    done = start(MISSING.format("torch"), "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        ("ValueError('invalid TORCH_LOGS')", "does not load (invalid TORCH_LOGS)", "environment variables"),
        ("KeyError('TORCH_HOME')", "does not load ('TORCH_HOME')", "environment variables"),
        (
            "OSError('x.so: undefined symbol')",
            "does not load (x.so: undefined symbol)",
            "install tilestyle again",
        ),
        ("ImportError('x.so: failed to map segment', name='_C')", "not enough memory to load", "ulimit -v"),
        ("OSError(12, 'Cannot allocate memory')", "not enough memory to load", "ulimit -v"),
        ("MemoryError()", "not enough memory to load", "ulimit -v"),
    ],
)
def test_whatever_a_package_raises_while_it_is_loaded_is_one_line(error: str, reason: str, hint: str) -> None:
    done = start(FAILING.format(error))
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr and "package torch" in done.stderr and hint in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
