"""The whole command, from loading to writing, stays within `--memory`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tilestyle.devices.malloc import KERNEL_CACHE_VARIABLE, limit_kernel_cache
from tilestyle.pictures import picture_path


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted otherwise")
def test_a_command_stays_within_its_memory(tmp_path: Path) -> None:
    """Levels in bfloat16, whose kernels were kept; what it says at the end is measured above the libraries."""
    words = ["render", str(picture_path("coffee")), "--style", str(picture_path("swirls")), "-o", "out.png"]
    words += [
        "--size",
        "300",
        "--sweeps",
        "1",
        "--precision",
        "bf16",
        "--memory",
        "256MiB",
        "--device",
        "cpu",
        "-v",
    ]
    command = [sys.executable, "-m", "tilestyle", *words, "--verbose"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    estimated = re.search(r"^patch \d+, ([\d.]+) MiB of 256 MiB", done.stderr, re.MULTILINE)
    peak = re.search(r"^wrote out\.png.* peak ([\d.]+) MiB", done.stderr, re.MULTILINE)
    assert estimated and peak
    assert float(peak[1]) <= float(estimated[1]) <= 256


@pytest.mark.parametrize("given", [None, "5"])
def test_the_environment_is_left_as_it_was(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KERNEL_CACHE_VARIABLE, raising=False)
    if given:
        monkeypatch.setenv(KERNEL_CACHE_VARIABLE, given)
    limit_kernel_cache.cache_clear()
    limit_kernel_cache()
    assert os.environ.get(KERNEL_CACHE_VARIABLE) == given
