"""The losses of coarse layers, on a reduced canvas: their gradient is computed before a sweep's patches."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, pyramid_expand, pyramid_reduce, write_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.devices.staging import AsyncCopy
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import APRON, PatchContext, grid_patches
from tilestyle.geometry.sharding import shard_patches
from tilestyle.losses.objective import LossTerms, Objective
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec, all_reduce_and_end_sweep
from tilestyle.losses.stateful import Stateful
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.schedule import Level


class CoarseLayersObjective(Stateful):
    """The layers that a network can evaluate on the canvas reduced by a factor.

    A patch of the same size covers factor x factor times as much canvas there, so cells with wide receptive
    fields see less padding. The gradient is stored at the reduced size, 12 / factor^2 bytes per canvas pixel;
    the patches of the sweep read it from there.
    """

    def __init__(
        self, job: Job, level: Level, level_targets: LevelTargets, factor: int, names: Mapping[str, str]
    ) -> None:
        """Build the losses.

        Args:
            job: The render.
            level: Its level.
            level_targets: Statistics of the styles, content and regions.
            factor: Canvas pixels per reduced pixel, per axis.
            names: The layers, each with its name on the reduced canvas.
        """
        self._scale_objective = ScaleObjective(
            job, level, level_targets, ScaleSpec(names, factor, pyramid_reduce, with_pixel_terms=False)
        )
        self._extent = level.extent
        self._side = job.patch_side
        self._factor = factor
        self._comm = job.comm
        self._single_patch = False
        self._gradient = job.store.zeros(3, level.extent.height // factor, level.extent.width // factor)
        self._origin = 0, 0  # canvas pixel at which the gradient's first cell begins

    @property
    def objective(self) -> Objective:
        """The losses of the coarse layers."""
        return self._scale_objective.objective

    def compute_gradient(self, canvas: Canvas, rng: SweepRng) -> None:
        """Compute the gradient for the coming sweep, at the current canvas.

        Args:
            canvas: The canvas.
            rng: Random numbers for the position of the patches.
        """
        objective, factor = self._scale_objective.objective, self._factor
        patches = grid_patches(
            self._extent, self._side, self._scale_objective.unit, rng, factor, PatchContext(apron=APRON)
        )
        single_patch = len(patches) == 1
        self._single_patch = single_patch
        if not single_patch:
            self._scale_objective.measure_exact_moments(canvas, rng, calibrate=False)
        top, left = self._origin = patches[0].owned.top, patches[0].owned.left
        # On a device, the next patch is launched before the result of one is stored.
        ahead = int(self._gradient.device != self._scale_objective.device)
        pending: deque[tuple[Box, AsyncCopy]] = deque()

        def store_oldest() -> None:
            box, copy = pending.popleft()
            cells = Box(box.top - top, box.left - left, box.height, box.width).to_cells(factor)
            write_box(self._gradient, cells, copy.result())
            note_mapped_access(copy.result())
            copy.release()

        for patch in shard_patches(patches, self._extent.height, self._comm.world_size)[self._comm.rank]:
            gradient = objective.gradient(
                self._scale_objective.device_window(canvas, patch), patch, rng, single_patch=single_patch
            )
            inside = patch.owned_in_patch
            rows = slice(inside.top, inside.top + inside.height)
            columns = slice(inside.left, inside.left + inside.width)
            pending.append((patch.owned, AsyncCopy.start(gradient[:, rows, columns], self._gradient.device)))
            if len(pending) > ahead:
                store_oldest()
        while pending:
            store_oldest()
        self._comm.barrier()

    def gradient(self, box: Box, device: torch.device | None = None) -> Tensor:
        """Return this sweep's gradient in the canvas pixels of a box.

        Args:
            box: Pixels of the canvas.
            device: Where to expand the gradient; the stored, reduced one is fewer bytes to copy.

        Returns:
            The gradient, [3, height, width].
        """
        top, left = self._origin
        moved = Box(box.top - top, box.left - left, box.height, box.width)
        gradient = pyramid_expand(self._gradient, moved, self._factor, device)
        note_mapped_access(gradient)
        return gradient

    def parts(self) -> Mapping[str, Stateful]:
        """Return the objective of the layers; its state has no prefix."""
        return {"": self.objective}

    def own_state(self) -> dict[str, Tensor]:
        """Return the gradient of the sweep and its position."""
        return {
            "gradient": self._gradient,
            "corner": torch.tensor(self._origin),
            "alone": torch.tensor(self._single_patch),
        }

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        top, left = state["corner"].tolist()
        self._origin = top, left
        self._single_patch = bool(state["alone"])
        if self._comm.is_rank_zero:
            self._gradient.copy_(state["gradient"])

    def end_sweep(self) -> LossTerms:
        """End the sweep; return its loss terms."""
        return all_reduce_and_end_sweep(
            self._scale_objective.objective, self._comm, single_patch=self._single_patch
        )
