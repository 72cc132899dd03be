"""Showing a finished result in the viewer of the system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer


def show(path: Path) -> None:
    """Open a file or folder in the system's viewer; a failure is one warning."""
    from tilestyle.cli.terminal import warn

    # xdg-open would fall back to a browser in the terminal, or print several lines.
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        warn(f"{path} cannot be shown: there is no display")
        return
    try:
        code = typer.launch(str(path.absolute()))
    except Exception as error:  # the result is written, whatever a viewer does
        warn(f"{path} cannot be shown ({error})")
        return
    if code:
        warn(f"{path} cannot be shown: no viewer could be started")
