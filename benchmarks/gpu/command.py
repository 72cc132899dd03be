"""Whole renders through the command line, from its first line to the written file."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.gpu.core import Check, Group, Place, Row
from benchmarks.record import assets
from tilestyle.config.enums import NetworkName
from tilestyle.images import read_picture
from tilestyle.networks.vgg_files import downloaded_file
from tilestyle.pictures import picture_path

LONG = 1225  # side of the photograph that makes it a megapixel
GOAL = 15.0  # seconds with the default network, libraries and all
PATIENCE = 90.0

WAYS: dict[str, tuple[str, ...]] = {
    "the default network": (),
    "vgg19": ("--network", "vgg19", "--weights"),
}


def _checks(place: Place) -> list[Check]:
    ways = dict(list(WAYS.items())[:1]) if place.tiny else WAYS
    return [Check(f"a megapixel, {name}", partial(_rendered, name), PATIENCE + 10) for name in ways]


def vgg_weights() -> Path | None:
    """A file of VGG-19's weights: in the optional material, or where it has been downloaded before."""
    folder = assets()
    file = folder and folder / "weights" / "vgg19.safetensors"
    return file if file and file.exists() else downloaded_file(NetworkName.VGG19)


def _rendered(name: str, place: Place, row: Row) -> bool | None:
    out = place.folder / f"{name}.png"
    words = ["render", str(picture_path("coffee")), "--style", str(picture_path("swirls")), "--out", str(out)]
    words += ["--device", str(place.device), "--size", "96" if place.tiny else str(LONG), *WAYS[name]]
    words += ["--sweeps", "2"] if place.tiny else []
    if WAYS[name]:
        weights = vgg_weights()
        if weights is None:
            row["skipped"] = "needs weights of VGG-19 in the folder that TILESTYLE_ASSETS names"
            return None
        words.append(str(weights))
    began = time.monotonic()
    command = [sys.executable, "-m", "tilestyle", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=place.patience * PATIENCE, check=False
    )
    seconds = time.monotonic() - began
    row.update({"seconds of the command": seconds, "exit code": done.returncode})
    if done.returncode:
        row["said"] = done.stderr[-600:]
        return False
    height, width, _ = read_picture(out).pixels.shape
    row["picture"] = [height, width]
    row["says"] = f"{name} {height * width / 1e6:.2g} MP in {seconds:.1f} s"
    return seconds < GOAL if place.cuda and not place.tiny and not WAYS[name] else None


GROUP = Group("render", "a megapixel at normal quality through the command line, timed", 40, _checks)
