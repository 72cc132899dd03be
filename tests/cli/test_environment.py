"""What libraries read from the environment is set before torch, and with it they, are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
        *((KERNELS, {KERNELS: wrong}, "8") for wrong in ("", "many", "-1", "1e3", "99999999999")),
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


PROGRAM = "import os, sys\n{}\nfrom tilestyle.__main__ import program\nprogram()\n"


def started(folder: Path, before: str, words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(before), *words.split()]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("words", ["info", "render coffee swirls", "render coffee swirls -o /x.png --dry-run"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder of a process")
def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path, words: str) -> None:
    """Of itself, a library of torch would end the process."""
    gone = tmp_path / "gone"
    gone.mkdir()
    # The package is found first: what is imported from a relative path could not be found any more.
    done = started(gone, "import tilestyle.__main__, tilestyle.cli.app; os.rmdir('../gone')", words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("tilestyle: the working directory cannot be found"), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("size", ["many", "-1"])
def test_a_number_of_processes_that_is_none_is_one_line(tmp_path: Path, size: str) -> None:
    done = started(tmp_path, "", "info", WORLD_SIZE=size)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"tilestyle: the environment variable WORLD_SIZE is '{size}'"), done.stderr
    assert done.stderr.count("\n") == 1
