"""Several ranks, as far as one card shows them: NCCL with one, two on one card by gloo, and the command.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m benchmarks.gpu.together '{"folder": ...}'

is a rank of two. NCCL refuses two on one card: their sums go by gloo.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.gpu.cases import CONTENT, SMALL, STYLE
from benchmarks.gpu.core import Check, Group, Place, Row, best
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.distributed import _init_process_group, process_group
from tilestyle.images import read_picture
from tilestyle.pictures import picture_path
from tilestyle.pipeline.api import render
from tilestyle.pipeline.workdir import Work

MOMENTS = 600_000  # numbers that the sums of VGG-19's layers have
NEAR = 2e-3  # mean distance of a picture by two ranks from that by one
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
PATIENCE = 80.0  # seconds


def _checks(place: Place) -> list[Check]:
    return [
        Check("one rank, NCCL", _one, 30),
        Check("two ranks on one device, gloo", _two, PATIENCE),
        Check("the command, by torchrun", _command, PATIENCE),
    ]


def _one(place: Place, row: Row) -> bool:
    """All kinds of sums, where they are; and what the largest message of a sweep and a meeting take."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = str(listening.getsockname()[1])
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": "0", "WORLD_SIZE": "1"}
    with mock.patch.dict(os.environ, {**here, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}):
        ranks = _init_process_group()
    try:
        row["backend"] = str(dist.get_backend())
        good = True
        for dtype in (torch.float32, torch.float64, torch.int64):
            for device in {place.device, torch.device("cpu")}:
                tensor = torch.arange(1000, device=device).to(dtype)
                ranks.all_reduce(tensor)
                row[f"{dtype}, {device.type}"] = right = torch.equal(tensor.cpu(), torch.arange(1000).to(dtype))
                good = good and right
        flat = torch.zeros(MOMENTS, device=place.device)
        row["sum of moments, ms"] = 1e3 * best(partial(ranks.all_reduce, flat), place.device)
        row["meeting, ms"] = 1e3 * best(ranks.barrier, place.device)
        row["says"] = f"sums {row['sum of moments, ms']:.2g} ms"
        return good and ranks.all_max(2) == 2 and ranks.broadcast({"a": 1}) == {"a": 1}
    finally:
        dist.destroy_process_group()


def _two(place: Place, row: Row) -> bool:
    """A small picture by two ranks, against that by one."""
    folder = place.folder / "two"
    folder.mkdir(exist_ok=True)
    arguments = json.dumps({"folder": str(folder), "device": str(place.device)})
    done = _started(place, [*TORCHRUN, "2", "-m", "benchmarks.gpu.together", arguments])
    row["exit code"] = done.returncode
    if done.returncode:
        row["said"] = _error_lines(done.stderr)
        return False
    expected = render(CONTENT, STYLE, _config(str(place.device))).pixels
    off = np.abs(np.load(folder / "picture.npy") - expected)
    row.update({"mean": float(off.mean()), "largest": float(off.max())})
    return float(off.mean()) < NEAR


def _command(place: Place, row: Row) -> bool:
    """`torchrun -m tilestyle render`, as docs/scaling.md has it, with as many ranks as there are cards: one."""
    out = place.folder / "torchrun.png"
    words = ["render", str(picture_path("coffee")), "--style", str(picture_path("swirls")), "--out", str(out)]
    words += ["--size", "96" if place.tiny else "512", "--sweeps", "2", "--device", str(place.device)]
    done = _started(place, [*TORCHRUN, "1", "-m", "tilestyle", *words])
    row["exit code"] = done.returncode
    if done.returncode:
        row["said"] = _error_lines(done.stderr)
        return False
    row["picture"] = list(read_picture(out).pixels.shape)
    return True


def _started(place: Place, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it to its end; threads are divided as torchrun would, unless the environment says."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=place.patience * PATIENCE, check=False
    )


def _error_lines(output: str) -> str:
    """The lines that name an error; the end, if none does."""
    errors = [line.strip() for line in output.splitlines() if "rror" in line and "error_file" not in line]
    return "\n".join(errors)[:900] or output[-600:]


def _config(device: str) -> RenderConfig:
    device = device.partition(":")[0]  # a numbered GPU is refused where several ranks share a machine
    settings: dict[str, Any] = {**SMALL, "size": 128, "coarsest": 128, "precision": Precision.FP32}
    return RenderConfig(**settings, device=device)


def main() -> None:
    """Run as one of the ranks."""
    arguments = json.loads(sys.argv[1])
    folder = Path(arguments["folder"])
    begin = dist.init_process_group

    def by_gloo(backend: str, **named: Any) -> None:
        begin(backend.replace("nccl", "gloo"), **named)

    # As if each were alone on a machine with this card.
    alone = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    with (
        mock.patch.dict(os.environ, alone),
        mock.patch.object(dist, "init_process_group", by_gloo),
        process_group() as ranks,
    ):
        work = Work(folder / "work", every=float("inf"), ranks=ranks)
        picture = render(CONTENT, STYLE, _config(arguments["device"]), work=work)
        if ranks.is_rank_zero:
            np.save(folder / "picture.npy", picture.pixels)


GROUP = Group(
    "ranks", "NCCL with one rank, two ranks on one card by gloo, the command by torchrun", 45, _checks
)

if __name__ == "__main__":
    main()
