"""A render that is killed and resumed, compared with one that is not disturbed.

    python -m benchmarks.gpu.resuming '{"folder": ..., "network": "vgg19", "device": "cuda:0", "tiny": false}'

is the process that is killed: it renders, and kills itself amid a sweep.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.core import Check, Group, Place, Row
from benchmarks.gpu.jobs import waves
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.networks.registry import RANDOM
from tilestyle.pipeline.api import render
from tilestyle.pipeline.events import Event, Resumed
from tilestyle.pipeline.workdir import Work

NETWORKS = (NetworkName.COMPACT, NetworkName.VGG19)
CONTENT, STYLE = waves(300, 400), waves(400, 400, 1)
PATCHES = 25  # after which the victim dies; of a dry run fewer
PATIENCE = 60.0  # seconds that it has


def _checks(place: Place) -> list[Check]:
    networks = NETWORKS[:1] if place.tiny else NETWORKS
    resumed = [Check(f"killed and gone on with, {each}", partial(_resumed, each), 60) for each in networks]
    return [*resumed, Check("replicated padding", _padding, 10)]


def config_of(network: NetworkName, device: str, tiny: bool) -> RenderConfig:
    """Two levels, the finer of many patches."""
    side = 96 if tiny else 640
    return RenderConfig(
        size=side,
        coarsest=side // 2,
        level_ratio=2,
        sweeps=2 if tiny else 3,
        margin=8,
        patch=64 if tiny else 256,
        device=device,
        precision=Precision.FP32 if device == "cpu" else Precision.BF16,
        network=network,
        weights=RANDOM if network is NetworkName.VGG19 else None,
    )


def _resumed(network: NetworkName, place: Place, row: Row) -> bool:
    """To the same bytes on a CPU, as is promised; elsewhere as near as two renders are to one another."""
    folder = place.folder / f"work-{network}"
    arguments = {"folder": str(folder), "network": network, "device": str(place.device), "tiny": place.tiny}
    command = [sys.executable, "-m", "benchmarks.gpu.resuming", json.dumps(arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=place.patience * PATIENCE, check=False
    )
    row["the victim's exit code"] = done.returncode
    if not (folder / "manifest.json").exists():
        row["says"] = f"the victim kept nothing: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"
        return False
    config = config_of(network, str(place.device), place.tiny)
    events: list[Event] = []
    resumed = render(CONTENT, STYLE, config, work=Work(folder, every=1e9), observer=events.append).pixels
    undisturbed = [render(CONTENT, STYLE, config).pixels for _ in range(2)]
    row["gone on with"] = any(isinstance(event, Resumed) for event in events)
    row["from a peaceful one"] = _difference(resumed, undisturbed[0])
    row["two peaceful ones"] = usual = _difference(*undisturbed)
    away = row["from a peaceful one"]
    row["says"] = f"{network}: {'the same bytes' if away['same'] else 'off by ' + format(away['mean'], '.1g')}"
    promised = away["same"] if not place.cuda else away["mean"] <= 4 * usual["mean"] + 1e-3
    return row["gone on with"] and bool(promised)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, Any]:
    off = np.abs(one - other)
    return {"same": bool(np.array_equal(one, other)), "mean": float(off.mean()), "largest": float(off.max())}


def _padding(place: Place, row: Row) -> None:
    """Whether the gradient of torch's replicated padding, which adds up at edges, is the same every time."""
    side = 40 if place.tiny else 200
    for dtype in (torch.float32, torch.bfloat16):
        values = torch.randn(1, 32, side, side, device=place.device).to(dtype).requires_grad_()
        padded = torch.nn.functional.pad(values, [7] * 4, mode="replicate")
        weight = torch.randn_like(padded)
        gradients = [torch.autograd.grad(padded, values, weight, retain_graph=True)[0] for _ in range(5)]
        row[f"{dtype}: the same"] = all(torch.equal(gradients[0], other) for other in gradients[1:])


def main() -> None:
    """Render, and kill this process amid a sweep."""
    arguments = json.loads(sys.argv[1])
    remaining = 12 if arguments["tiny"] else PATCHES

    def stop() -> bool:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        return False

    config = config_of(NetworkName(arguments["network"]), arguments["device"], arguments["tiny"])
    work = Work(Path(arguments["folder"]), every=0.0 if arguments["tiny"] else 0.1)
    render(CONTENT, STYLE, config, work=work, stop=stop)


GROUP = Group("resume", "renders that are killed and gone on with; whether renders repeat", 35, _checks)

if __name__ == "__main__":
    main()
