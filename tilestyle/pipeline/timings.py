"""What renders took on this machine, kept in the user's cache folder: the samples of the time model.

There is a file for each machine and kind of render: `timings/<digest>.json` with samples by stage. Nothing
depends on these files. Where they cannot be read, written or understood, the samples of this process are used
alone, and the next command measures again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

import platformdirs
import torch

from tilestyle.devices.processor import processor_name
from tilestyle.files.atomic import atomic_write
from tilestyle.planning.time_model import Sample
from tilestyle.version import __version__

MAX_SAMPLES = 48  # of a stage; the oldest are dropped
MAX_FILES = 200  # in the folder; the least recently written are removed
MAX_FILE_BYTES = 10**6

Kind = Mapping[str, Any]
Samples = dict[str, list[Sample]]

# Samples of this process: it need not measure twice where nothing can be written.
_recent: dict[str, Samples] = {}


def cache_folder() -> Path:
    """Return the folder of the files: in XDG_CACHE_HOME, or where the system keeps such files."""
    return Path(platformdirs.user_cache_dir("tilestyle", appauthor=False)) / "timings"


def this_machine(device: torch.device) -> dict[str, Any]:
    """Return what a device's speed depends on, as JSON."""
    is_cuda = device.type == "cuda"
    return {
        "tilestyle": __version__,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(device) if is_cuda else f"{device.type} {processor_name()}",
        "threads": torch.get_num_threads(),
    }


def recall(kind: Kind) -> Samples:
    """Return the samples of a kind of work, by stage, from the oldest to the newest."""
    name = _digest(kind)
    if name not in _recent:
        _recent[name] = _read(cache_folder() / f"{name}.json")
    return {stage: list(samples) for stage, samples in _recent[name].items()}


def remember(kind: Kind, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Add samples of a kind of work."""
    if not any(samples.values()):
        return
    name = _digest(kind)
    file = cache_folder() / f"{name}.json"
    total = _read(file) or recall(kind)  # another process may have added to the file
    for stage, stage_samples in samples.items():
        total[stage] = [*total.get(stage, ()), *stage_samples][-MAX_SAMPLES:]
    _recent[name] = total
    with suppress(OSError, ValueError):
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_room(file.parent)
        stages = {
            stage: [[list(each.amounts), each.seconds, each.probed, each.processor_share] for each in group]
            for stage, group in total.items()
        }
        with atomic_write(file) as handle:
            handle.write((json.dumps({"about": dict(kind), "stages": stages}) + "\n").encode())


def forget() -> None:
    """Forget the samples that this process has in memory."""
    _recent.clear()


def _digest(kind: Kind) -> str:
    return sha256(json.dumps(kind, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _read(file: Path) -> Samples:
    """Return the samples of a file; none if it is missing, damaged or not ours."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return {}
        stages = json.loads(file.read_bytes())["stages"]
        return {
            str(stage): [
                Sample(tuple(float(amount) for amount in amounts), float(seconds), bool(probed), float(share))
                for amounts, seconds, probed, share in rows
                if all(isfinite(each) and each >= 0 for each in (*amounts, seconds, share))
            ]
            for stage, rows in stages.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _make_room(folder: Path) -> None:
    """Remove the least recently written files where there are too many."""
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
    for file in files[: max(0, len(files) - MAX_FILES)]:
        file.unlink(missing_ok=True)
