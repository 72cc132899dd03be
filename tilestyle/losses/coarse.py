"""Coarse layers, seen from afar: their gradient for a whole sweep, before its patches."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, expanded, put, reduced
from tilestyle.canvas.storage import touched
from tilestyle.devices.staging import Landing
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import LAP, Around, covering
from tilestyle.geometry.sharding import dealt
from tilestyle.losses.objective import Objective, Terms
from tilestyle.losses.scale_objective import Look, View, turned
from tilestyle.losses.stateful import Stateful
from tilestyle.planning.job import Goal, Job
from tilestyle.planning.schedule import Level


class Coarse(Stateful):
    """The layers that a network can see on the canvas reduced by `factor`.

    A patch of the same pixels shows factor x factor times as much canvas there, so that cells which look far
    are not mostly looking at padding. The gradient is kept at the reduced size, 12 / factor^2 bytes a canvas
    pixel where the canvas is, and read through the boxes of ordinary patches.
    """

    def __init__(self, job: Job, level: Level, goal: Goal, factor: int, names: Mapping[str, str]) -> None:
        """`names` are the layers, each with its name on the reduced canvas."""
        self._view = View(job, level, goal, Look(names, factor, reduced, near=False))
        self._extent = level.extent
        self._side = job.side
        self._factor = factor
        self._ranks = job.ranks
        self._alone = False
        self._gradient = job.store.zeros(3, level.extent.height // factor, level.extent.width // factor)
        self._corner = 0, 0  # canvas pixel at which the gradient's first cell begins

    @property
    def objective(self) -> Objective:
        """What the coarse layers are drawn to."""
        return self._view.objective

    def sweep(self, canvas: Canvas, draw: Draw) -> None:
        """Compute the gradient at the canvas as it is."""
        objective, factor = self._view.objective, self._factor
        patches = covering(self._extent, self._side, self._view.unit, draw, factor, Around(lap=LAP))
        alone = self._alone = len(patches) == 1
        if not alone:
            self._view.measure(canvas, draw, lasting=False)
        top, left = self._corner = patches[0].owned.top, patches[0].owned.left
        # A device is at work on the next patch while what it found for one is put in its place.
        ahead = int(self._gradient.device != self._view.device)
        pending: deque[tuple[Box, Landing]] = deque()

        def landed() -> None:
            box, landing = pending.popleft()
            cells = Box(box.top - top, box.left - left, box.height, box.width).over(factor)
            put(self._gradient, cells, landing.get())
            touched(landing.get())
            landing.done()

        for patch in dealt(patches, self._extent.height, self._ranks.count)[self._ranks.index]:
            gradient = objective.gradient(self._view.shown(canvas, patch), patch, draw, alone=alone)
            inside = patch.inside
            rows = slice(inside.top, inside.top + inside.height)
            columns = slice(inside.left, inside.left + inside.width)
            pending.append((patch.owned, Landing.of(gradient[:, rows, columns], self._gradient.device)))
            if len(pending) > ahead:
                landed()
        while pending:
            landed()
        self._ranks.meet()

    def gradient(self, box: Box, device: torch.device | None = None) -> Tensor:
        """The gradient [3, height, width] of this sweep in the canvas pixels under a box.

        On a device it is expanded there: what it is expanded from is fewer bytes.
        """
        top, left = self._corner
        place = Box(box.top - top, box.left - left, box.height, box.width)
        gradient = expanded(self._gradient, place, self._factor, device)
        touched(gradient)
        return gradient

    def parts(self) -> Mapping[str, Stateful]:
        """Return the objective of the layers; its state has no prefix."""
        return {"": self.objective}

    def own_state(self) -> dict[str, Tensor]:
        """Return the gradient of the sweep and where it lies."""
        return {
            "gradient": self._gradient,
            "corner": torch.tensor(self._corner),
            "alone": torch.tensor(self._alone),
        }

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        top, left = state["corner"].tolist()
        self._corner = top, left
        self._alone = bool(state["alone"])
        if self._ranks.first:
            self._gradient.copy_(state["gradient"])

    def turn(self) -> Terms:
        """End the sweep; answers its terms."""
        return turned(self._view.objective, self._ranks, alone=self._alone)
