"""The loss of one level: the objectives of all its scales, with moments that are recent enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, average_adjoint, read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.config.enums import Color, Sampler, StyleLoss
from tilestyle.devices.staging import AsyncCopy
from tilestyle.devices.transfer import to_device
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.anchor import AnchorLoss
from tilestyle.losses.coarse import CoarseLayersObjective
from tilestyle.losses.color_fringes import FringeLoss
from tilestyle.losses.objective import LossTerms, Objective
from tilestyle.losses.planes import LevelPlanes
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec, all_reduce_and_end_sweep
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.style_statistics import style_autocorrelations, style_moments
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.schedule import Level, extrapolation

if TYPE_CHECKING:
    from tilestyle.optim.device_update import DeviceUpdate

# Decay of the moments' exponential moving average over sweeps, for independent windows, which leave pixels out.
WINDOW_EMA_DECAY = 0.5

# Sweeps between exact measurements of the moments, before and in the last quarter of a level. There steps are
# small, and the measured moments decide where the canvas settles. Each costs a forward pass with a halo.
MEASURE_EVERY, MEASURE_EVERY_LATE = 16, 3
# These intervals hold for patches up to twice the widest receptive field. In larger ones a smaller share of the
# cells sees padding, and squared distances of moments change by the square of that share.
RECEPTIVE_FIELDS = 2


def measurement_interval(side: int, receptive_field: int, *, late: bool) -> int:
    """Return the number of sweeps between exact measurements of the moments.

    Args:
        side: Side of the patches, in patch pixels.
        receptive_field: The widest receptive field, in patch pixels.
        late: Whether for the last quarter of a level.
    """
    stretch = max(1.0, side / (RECEPTIVE_FIELDS * receptive_field)) ** 2
    return round((MEASURE_EVERY_LATE if late else MEASURE_EVERY) * stretch)


@dataclass(frozen=True)
class _SweepContext:
    """What the gradients of a sweep's patches have in common."""

    canvas: Canvas
    rng: SweepRng
    sweep: int  # index in the level


class LevelObjective(Stateful):
    """The loss of one level, as gradients of patches.

    It holds one objective per scale of patches, made when the scale is first drawn; the coarse layers, which
    see the canvas reduced; the anchor; and the removal of color fringes.

    In each sweep: `begin_sweep`, `gradients`, `end_sweep`.
    """

    def __init__(
        self, job: Job, level: Level, planes: LevelPlanes, state: Mapping[str, Tensor] | None = None
    ) -> None:
        """Make the objectives of a level.

        Args:
            job: The render.
            level: Its level.
            planes: Content and regions at the size of the level.
            state: A saved `state_dict` of this level.
        """
        self._job = job
        self._level = level
        self._planes = planes
        self._scale_objectives: dict[int, ScaleObjective] = {}
        self._content_weight = job.weights.content
        self._single_patch = False
        targets = self._targets(1)
        groups = job.scale_groups(level)
        self._scale_objectives[1] = ScaleObjective(job, level, targets, ScaleSpec(groups[1]))
        self._coarse = [
            CoarseLayersObjective(job, level, targets, factor, names)
            for factor, names in groups.items()
            if factor > 1
        ]
        self._fringe_loss = FringeLoss(job, level)
        self._anchor = None if job.anchor is None else AnchorLoss(job, level, job.anchor)
        if state:
            self.load_state_dict(state)

    def parts(self) -> Mapping[str, Stateful]:
        """Return the objectives of all scales, the coarse layers and the anchor."""
        parts: dict[str, Stateful] = {
            f"view {scale}": at_scale.objective for scale, at_scale in self._scale_objectives.items()
        }
        parts |= {f"coarse {index}": coarse for index, coarse in enumerate(self._coarse)}
        return parts | ({"anchor 0": self._anchor} if self._anchor else {})

    def own_state(self) -> dict[str, Tensor]:
        """Return whether one patch covers the whole canvas in this sweep, as a tensor."""
        return {"sweep 0 alone": torch.tensor(self._single_patch)}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`, and make the objectives of the scales in the state."""
        self._single_patch = bool(state["sweep 0 alone"])
        for scale in sorted({int(name.split(" ")[1]) for name in state if name.startswith("view ")}):
            self.scale_objective(scale)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned. With several processes, only rank 0 keeps the sums."""
        super().load_state_dict(state)
        if not self._job.comm.is_rank_zero:
            self.reset_sums()
        self._job.comm.barrier()

    @property
    def state_snapshot(self) -> dict[str, Tensor]:
        """A copy of `state_dict()` between two sweeps, from which the sweep can be repeated.

        Gradients of coarse layers are not copied: they are as large as the canvas at their scale, and are
        computed again before they are used.
        """
        return {
            name: tensor if name.endswith(" gradient") else tensor.to("cpu", copy=True)
            for name, tensor in self.state_dict().items()
        }

    def reduce_to_rank_zero(self) -> None:
        """Add the sums of all ranks on rank 0, and reset those of the others."""
        comm = self._job.comm
        if comm.world_size > 1:
            self.all_reduce(comm)
            if not comm.is_rank_zero:
                self.reset_sums()

    @property
    def _objectives(self) -> list[Objective]:
        """The objectives of all scales, and of the coarse layers."""
        objectives = [self._scale_objectives[scale].objective for scale in sorted(self._scale_objectives)]
        return objectives + [coarse.objective for coarse in self._coarse]

    def set_content_weight(self, weight: float) -> None:
        """Set the content weight for the gradients to come."""
        self._content_weight = weight
        for objective in self._objectives:
            objective.set_content_weight(weight)

    def scale_objective(self, scale: int) -> ScaleObjective:
        """Return the objective of patches at this scale, making it at first use.

        At scales above 1 it has all layers, coarse ones included: such patches see far enough.
        """
        if scale not in self._scale_objectives:
            spec = ScaleSpec(self._job.weights.layer_names, scale)
            view = ScaleObjective(self._job, self._level, self._targets(scale), spec)
            view.objective.set_content_weight(self._content_weight)
            self._scale_objectives[scale] = view
        return self._scale_objectives[scale]

    def _targets(self, scale: int) -> LevelTargets:
        """Return the targets of patches at this scale: style statistics, content and regions."""
        moments = style_moments(self._job, self._level, scale)
        arrangement = style_autocorrelations(self._job, self._level, scale, moments)
        planes = self._planes
        return LevelTargets(moments, planes.content, planes.regions, arrangement, planes.content_map)

    def begin_sweep(self, canvas: Canvas, patches: list[Patch], sweep: int) -> None:
        """Measure what the gradients of a sweep need beforehand.

        That is the anchor's loss, the gradient of the coarse layers, and exact moments where they are due.

        With W2, gradients use the moments of the sweep before (docs/algorithm.md has the cost of that), and an
        exact measurement every so many sweeps corrects the bias of padding at the patches' edges. Gram losses
        overshoot with old moments, and patches at a scale above 1 may not have been drawn for many sweeps:
        there every sweep measures exact moments. With locality 1, nothing depends on moments of the canvas.

        Args:
            canvas: The canvas, not yet changed by the sweep.
            patches: Patches of the sweep, of all processes.
            sweep: Its index in the level.
        """
        rng = SweepRng(self._job.config.seed, self._level.index, sweep)
        scales = sorted({patch.scale for patch in patches})
        for scale in scales:
            self.scale_objective(scale)  # on all ranks, whichever have the patches
        if self._anchor:
            self._anchor.begin_sweep(canvas)
        if 1 in scales:
            for coarse in self._coarse:
                coarse.compute_gradient(canvas, rng.fork())
        # A patch that covers the whole canvas has its moments. (Judged by area, because the rest of a sweep
        # that failed may be a single patch, too.)
        covers_canvas = all(patch.owned.area == self._level.extent.area for patch in patches)
        self._single_patch = self._job.config.sampler is Sampler.SWEEP and covers_canvas
        if self._single_patch or self._job.config.locality == 1:
            return
        late = 4 * sweep >= 3 * self._level.sweeps
        for scale in scales:
            at_scale = self.scale_objective(scale)
            interval = measurement_interval(
                self._job.patch_side_at(self._level), at_scale.receptive_field, late=late
            )
            always = self._job.config.style_loss is not StyleLoss.W2 or scale > 1
            if always or not at_scale.objective.has_moments or sweep % interval == 0:
                at_scale.measure_exact_moments(canvas, rng, calibrate=not always)

    def gradients(
        self,
        canvas: Canvas,
        patches: Iterable[Patch],
        sweep: int = 0,
        device_update: DeviceUpdate | None = None,
    ) -> Iterator[tuple[Patch, Tensor]]:
        """Compute the gradients of patches, one after the other.

        On a device, the next patch is launched before the gradient of one is yielded, so device and host work
        at the same time. (No patch of a sweep reads what another writes.) A yielded gradient from a device is
        valid until the next is requested.

        Args:
            canvas: The canvas.
            patches: The patches of this process.
            sweep: Index of the sweep in the level.
            device_update: If given, patches are stepped on the device.

        Yields:
            - The patch.
            - The gradient of the loss, times the number of canvas pixels, in the canvas pixels that the patch
              reads: [3, height, width]. With a `device_update`, the result of the step instead.
        """
        context = _SweepContext(canvas, SweepRng(self._job.config.seed, self._level.index, sweep), sweep)
        ahead = int(self._job.network.device != canvas.pixels.device)
        pending: deque[tuple[Patch, AsyncCopy]] = deque()

        def oldest() -> Iterator[tuple[Patch, Tensor]]:
            patch, copy = pending.popleft()
            result = copy.result()
            yield patch, result if device_update else self._finish_gradient(context, patch, result)
            copy.release()

        for patch in patches:
            pending.append((patch, self._launch_gradient(context, patch, device_update)))
            if len(pending) > ahead:
                yield from oldest()
        while pending:
            yield from oldest()

    def _launch_gradient(
        self, context: _SweepContext, patch: Patch, device_update: DeviceUpdate | None
    ) -> AsyncCopy:
        """Start the gradient of a patch, or its whole step, and the copy to the canvas's device."""
        at_scale = self.scale_objective(patch.scale)
        exact = device_update is not None or self._fringe_loss.is_active(context.sweep)
        window = at_scale.device_window(context.canvas, patch, exact=exact)
        gradient = at_scale.objective.gradient(window, patch, context.rng, single_patch=self._single_patch)
        if device_update or self._completes_on_device(context, patch):
            gradient = self._complete_gradient(context, patch, gradient, window)
        if device_update:
            return device_update.start(patch, self._project_to_luminance(gradient), window)
        return AsyncCopy.start(gradient, context.canvas.pixels.device)

    def _finish_gradient(self, context: _SweepContext, patch: Patch, gradient: Tensor) -> Tensor:
        """Add the terms that are computed on the canvas's device."""
        if not self._completes_on_device(context, patch):
            gradient = self._complete_gradient(context, patch, gradient)
        if self._anchor:
            gradient = gradient + self._anchor.gradient(context.canvas, patch.read)
        return self._project_to_luminance(gradient)

    def _completes_on_device(self, context: _SweepContext, patch: Patch) -> bool:
        """Return whether the other terms are added on the network's device, before the copy.

        At scales above 1 they are not, because the gradient grows when they are added.
        """
        return self._job.network.device != context.canvas.pixels.device and patch.scale == 1

    def _complete_gradient(
        self, context: _SweepContext, patch: Patch, gradient: Tensor, window: Tensor | None = None
    ) -> Tensor:
        """Add all terms but the anchor to a patch's gradient, on the gradient's device.

        Args:
            context: The sweep.
            patch: The patch.
            gradient: Gradient of the objective in patch pixels, [3, h, w].
            window: The patch's pixels on that device, if they are there.

        Returns:
            Gradient in the canvas pixels that the patch reads, [3, height, width].
        """
        gradient = average_adjoint(gradient, patch.scale)
        for coarse in self._coarse if patch.scale == 1 else []:
            gradient = gradient + coarse.gradient(patch.read, gradient.device)
        if not self._fringe_loss.is_active(context.sweep):
            return gradient
        if window is None or patch.scale > 1:
            window = to_device(read_box(context.canvas.pixels, patch.read), gradient.device, torch.float32)
            note_mapped_access(window)
        return gradient + self._fringe_loss.gradient(window)

    def _project_to_luminance(self, gradient: Tensor) -> Tensor:
        """Return the mean over the channels with `--color luminance`, else the gradient itself."""
        if self._job.config.color is Color.LUMINANCE:  # equal steps of all channels: the canvas stays gray
            return gradient.mean(0, keepdim=True).expand_as(gradient)
        return gradient

    def end_sweep(self, patches: list[Patch], sweep: int) -> LossTerms:
        """End a sweep: its moments become those of the next sweep's gradients.

        Args:
            patches: Patches of the sweep, of all processes.
            sweep: Its index in the level.

        Returns:
            The loss terms of the finest scale of the sweep.
        """
        scales = sorted({patch.scale for patch in patches})
        ema_decay = WINDOW_EMA_DECAY if self._job.config.sampler is Sampler.WINDOWS else 0.0
        factor = extrapolation(self._level, sweep + 1)  # l of docs/algorithm.md, for the next sweep
        terms = [
            all_reduce_and_end_sweep(
                self._scale_objectives[scale].objective,
                self._job.comm,
                ema_decay,
                factor,
                single_patch=self._single_patch,
            )
            for scale in scales
        ]
        total = sum((coarse.end_sweep() for coarse in self._coarse if scales[0] == 1), terms[0])
        return replace(total, anchor=self._anchor.end_sweep()) if self._anchor else total
