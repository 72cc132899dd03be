"""One rank of several, in a process of its own: renders what the command line says.

    python -m tests.support.rank_worker '{"folder": ..., "cases": {...}}'

The first rank leaves the pixels of every case, each rank what it has touched and sent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tests.conftest import waves
from tilestyle import RenderConfig, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Init, NetworkName, Precision
from tilestyle.distributed import Communicator, process_group
from tilestyle.errors import TilestyleError
from tilestyle.geometry.boxes import Box, Patch, split_on_torus
from tilestyle.losses.scale_objective import ScaleObjective
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.workdir import Work

CONTENT, STYLE = waves(90, 150, 1), waves(70, 90, 2)
# Two levels, the last of six patches, with few layers, of which one is coarse: they cost most.
CONFIG = RenderConfig(
    size=150,
    patch=64,
    coarsest=106,
    sweeps=3,
    margin=8,
    precision=Precision.FP32,
    network=NetworkName.WAVELET,
    style_layers={"color_2": 1, "first_1": 1, "first_4": 1},
    content_layers={"contour_2": 1},
)
# One level, tall enough for ranks to have parts of it. Coarse layers would see four times as far.
TALL = {
    "size": [64, 512],
    "coarsest": 512,
    "margin": 0,
    "style_layers": {"color_2": 1, "first_1": 1},
}


def config_with(settings: dict[str, Any]) -> RenderConfig:
    """The small render with other settings, as JSON has them."""
    values: dict[str, Any] = {key: tuple(x) if isinstance(x, list) else x for key, x in settings.items()}
    if "init" in values:
        values["init"] = Init(values["init"])
    if values.pop("masked", False):  # two regions with moments of their own
        values["mask"] = np.zeros((90, 150, 3), np.uint8)
        values["mask"][:, 70:] = 255
    return replace(CONFIG, **values)


class TouchedPixels:
    """Which pixels of the largest canvas this process has read or stepped."""

    def __init__(self) -> None:
        self.rows = np.zeros((1, 1), bool)
        step, window = CanvasUpdater._step, ScaleObjective.window

        def recording_step(updater: CanvasUpdater, box: Box, gradient: Tensor) -> None:
            self.add(updater._canvas, box)
            step(updater, box, gradient)

        def recording_window(scale_objective: ScaleObjective, canvas: Canvas, patch: Patch) -> Tensor:
            self.add(canvas, patch.read)
            return window(scale_objective, canvas, patch)

        CanvasUpdater._step = recording_step  # type: ignore[assignment, method-assign]
        ScaleObjective.window = recording_window  # type: ignore[assignment, method-assign]

    def add(self, canvas: Canvas, box: Box) -> None:
        extent = canvas.extent
        if extent.area > self.rows.size:
            self.rows = np.zeros((extent.height, extent.width), bool)
        if extent.area == self.rows.size and box.height <= extent.height and box.width <= extent.width:
            for part, _, _ in split_on_torus(box, extent.height, extent.width):
                self.rows[part.top : part.top + part.height, part.left : part.left + part.width] = True

    def share(self) -> float:
        share, self.rows = float(self.rows.mean()), np.zeros((1, 1), bool)
        return share


def kill_after(where: dict[str, int], ranks: Communicator) -> None:
    """Let a rank die in the middle of a sweep, once it has stepped a patch of it."""
    level, sweep, rank = (where[name] for name in ("level", "sweep", "rank"))
    applied, apply = 0, CanvasUpdater.apply

    def counting_apply(updater: CanvasUpdater, patch: Patch, gradient: Tensor) -> None:
        nonlocal applied
        apply(updater, patch, gradient)
        applied += (updater._render_state.level, updater._render_state.sweep) == (level, sweep)
        if applied and ranks.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    CanvasUpdater.apply = counting_apply  # type: ignore[assignment, method-assign]


def main() -> None:
    """Render the cases, one after the other."""
    request = json.loads(sys.argv[1])
    folder, facts = Path(request["folder"]), dict[str, Any]()
    with process_group() as ranks:
        touched = TouchedPixels()
        if "kill" in request:
            kill_after(request["kill"], ranks)
        for name, settings in request["cases"].items():
            sweeps: list[int] = []

            def count(event: Event, sweeps: list[int] = sweeps) -> None:
                sweeps += [event.level.extent.area] if isinstance(event, SweepDone) else []

            bytes_before = ranks.traffic.reduced_bytes
            config = config_with(settings)
            work = Work(folder / f"{name}.work", request.get("every", 600.0), ranks=ranks)
            try:
                picture = render(CONTENT, STYLE, config, work=work, observer=count)
            except TilestyleError as error:
                if name != "refused":
                    raise
                facts[name] = str(error)
                continue
            facts[name] = {
                "share": touched.share(),
                "sums": ranks.traffic.reduced_bytes - bytes_before,
                "sweeps": len(sweeps),
            }
            if ranks.is_rank_zero:
                np.save(folder / f"{name}.npy", picture.pixels)
        (folder / f"facts-{ranks.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    try:
        main()
    except TilestyleError as error:
        sys.exit(f"tilestyle: {error}")
