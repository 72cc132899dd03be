"""A studio in a process of its own, and the browser to look at it with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def find_chromium() -> str | None:
    """Return the program of the system's Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def running_studio(folder: Path) -> Iterator[str]:
    """Run a studio.

    Args:
        folder: For its files and its log.

    Yields:
        Its address.

    Raises:
        RuntimeError: It has ended by itself.
    """
    log = folder / "log"
    command = [sys.executable, "-m", "tilestyle", "studio", "--no-browser", "--port", "0"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--root", str(folder / "root")],
            stdout=out,
            stderr=out,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        while not (address := re.search(r"^studio: (http\S+)", log.read_text(), re.MULTILINE)):
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield address[1]
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
