"""What one level's patches are drawn to: the views of every scale, and moments recent enough for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, read, spread
from tilestyle.canvas.storage import touched
from tilestyle.config.enums import Color, Sampler, StyleLoss
from tilestyle.devices.staging import Landing
from tilestyle.devices.transfer import sent
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import Draw
from tilestyle.losses.anchor import Anchored
from tilestyle.losses.coarse import Coarse
from tilestyle.losses.color_fringes import Finish
from tilestyle.losses.objective import Objective, Terms
from tilestyle.losses.planes import content_plane, region_weights
from tilestyle.losses.scale_objective import Look, View, turned
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.style_statistics import style_arrangement, style_moments
from tilestyle.planning.job import Goal, Job
from tilestyle.planning.schedule import Level, lead

if TYPE_CHECKING:
    from tilestyle.optim.device_update import Visits

# Share of the earlier moments kept when a sweep of independent windows leaves pixels unseen.
MEMORY = 0.5

# Sweeps between exact measurements of the moments, until the last quarter of a level and in it: there steps are
# small, and where the canvas settles depends on what is measured. Each costs a forward pass with a halo.
CORRECT_EVERY, CORRECT_LATE = 16, 3
# For patches up to twice the widest receptive field. Of larger ones a smaller share of the cells feels an edge,
# and squared distances of moments feel that share's square.
FIELDS = 2


def measured_every(side: int, field: int, *, late: bool) -> int:
    """Sweeps from one exact measurement of moments to the next, by patch side and widest receptive field."""
    stretch = max(1.0, side / (FIELDS * field)) ** 2
    return round((CORRECT_LATE if late else CORRECT_EVERY) * stretch)


@dataclass(frozen=True)
class _Sweep:
    """One sweep of a canvas."""

    canvas: Canvas
    draw: Draw
    number: int


class Sight(Stateful):
    """The views of one level: of patches at every scale drawn, and of coarse layers from afar."""

    def __init__(self, job: Job, level: Level, state: Mapping[str, Tensor] | None = None) -> None:
        """`state` is what an earlier one had seen of this level."""
        self._job = job
        self._level = level
        self._content = content_plane(job, level)
        self._views: dict[int, View] = {}
        self._weight = job.weights.content
        self._alone = False
        self.regions = region_weights(job, level)
        goal = self._goal(1)
        octaves = job.octaves(level)
        self._views[1] = View(job, level, goal, Look(octaves[1]))
        self._coarse = [
            Coarse(job, level, goal, factor, names) for factor, names in octaves.items() if factor > 1
        ]
        self._finish = Finish(job, level)
        self._anchor = None if job.anchor is None else Anchored(job, level, job.anchor)
        if state:
            self.load_state_dict(state)

    def parts(self) -> Mapping[str, Stateful]:
        """Return the objectives of every scale, the coarse layers and the anchor."""
        parts: dict[str, Stateful] = {f"view {scale}": view.objective for scale, view in self._views.items()}
        parts |= {f"coarse {index}": coarse for index, coarse in enumerate(self._coarse)}
        return parts | ({"anchor 0": self._anchor} if self._anchor else {})

    def own_state(self) -> dict[str, Tensor]:
        """Return whether one patch is the whole canvas in this sweep."""
        return {"sweep 0 alone": torch.tensor(self._alone)}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`, and make the objectives of the scales that the state has."""
        self._alone = bool(state["sweep 0 alone"])
        for scale in sorted({int(name.split(" ")[1]) for name in state if name.startswith("view ")}):
            self.view(scale)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned; of several processes, the first keeps the sums."""
        super().load_state_dict(state)
        if not self._job.ranks.first:
            self.reset_sums()
        self._job.ranks.meet()

    @property
    def remembered(self) -> dict[str, Tensor]:
        """A copy of `state_dict()` between two sweeps, to go back to.

        The gradients of coarse layers are not copied, being as large as the canvas at their scale: they are
        computed anew before they are used.
        """
        return {
            name: tensor if name.endswith(" gradient") else tensor.to("cpu", copy=True)
            for name, tensor in self.state_dict().items()
        }

    def gather(self) -> None:
        """Let what all ranks have counted in this sweep be the first one's."""
        ranks = self._job.ranks
        if ranks.count > 1:
            self.all_reduce(ranks)
            if not ranks.first:
                self.reset_sums()

    @property
    def _objectives(self) -> list[Objective]:
        views = [self._views[scale].objective for scale in sorted(self._views)]
        return views + [coarse.objective for coarse in self._coarse]

    def weigh(self, content: float) -> None:
        """Give the content another weight from now on."""
        self._weight = content
        for objective in self._objectives:
            objective.weigh(content)

    def view(self, scale: int) -> View:
        """The view of patches at this scale. Those above 1 look at all layers: they see far by themselves."""
        if scale not in self._views:
            look = Look(self._job.weights.names, scale)
            view = View(self._job, self._level, self._goal(scale), look)
            view.objective.weigh(self._weight)
            self._views[scale] = view
        return self._views[scale]

    def _goal(self, scale: int) -> Goal:
        """What patches of a scale are drawn to."""
        moments = style_moments(self._job, self._level, scale)
        arrangement = style_arrangement(self._job, self._level, scale, moments)
        return Goal(moments, self._content, self.regions, arrangement)

    def prepare(self, canvas: Canvas, patches: list[Patch], sweep: int) -> None:
        """See to it that every scale has moments to work with: recent, and not bent by padding.

        One sweep old is recent for W2, at a price that docs/algorithm.md tells. Gram overshoots with it, and at
        a rarer scale than 1 the last sweep is long ago: there the moments are taken anew. What patches measure
        is bent by the padding at their edges, so now and then a forward pass with a halo sets it right. What is
        wholly local needs none.
        """
        draw = Draw(self._job.config.seed, self._level.index, sweep)
        scales = sorted({patch.scale for patch in patches})
        for scale in scales:
            self.view(scale)  # by all ranks, whoever has the patches
        if self._anchor:
            self._anchor.prepare(canvas)
        if 1 in scales:
            for coarse in self._coarse:
                coarse.sweep(canvas, draw.other())
        # A patch that is the whole canvas has the canvas's moments. (The last piece of a sweep that was cut
        # short is one patch, too.)
        whole = all(patch.owned.area == self._level.extent.area for patch in patches)
        self._alone = self._job.config.sampler is Sampler.SWEEP and whole
        if self._alone or self._job.config.locality == 1:
            return
        late = 4 * sweep >= 3 * self._level.sweeps
        for scale in scales:
            view = self.view(scale)
            every = measured_every(self._job.side_at(self._level), view.field, late=late)
            anew = self._job.config.style_loss is not StyleLoss.W2 or scale > 1
            if anew or not view.objective.ready or sweep % every == 0:
                view.measure(canvas, draw, lasting=not anew)

    def gradients(
        self, canvas: Canvas, patches: Iterable[Patch], sweep: int = 0, visits: Visits | None = None
    ) -> Iterator[tuple[Patch, Tensor]]:
        """Every patch with the gradient [3, height, width] of the loss in the canvas pixels it reads.

        A device is at work on the next patch while a caller is at work on one: no patch of a sweep reads what
        another writes. Where the host computes nothing is gained by it. From a device a gradient is there until
        the next is asked for; with `visits`, it is used there, and what lands is theirs.
        """
        at = _Sweep(canvas, Draw(self._job.config.seed, self._level.index, sweep), sweep)
        ahead = int(self._job.network.device != canvas.pixels.device)
        pending: deque[tuple[Patch, Landing]] = deque()

        def landed() -> Iterator[tuple[Patch, Tensor]]:
            patch, landing = pending.popleft()
            found = landing.get()
            yield patch, found if visits else self._landed(at, patch, found)
            landing.done()

        for patch in patches:
            pending.append((patch, self._launched(at, patch, visits)))
            if len(pending) > ahead:
                yield from landed()
        while pending:
            yield from landed()

    def _launched(self, at: _Sweep, patch: Patch, visits: Visits | None) -> Landing:
        view = self.view(patch.scale)
        exact = visits is not None or self._finish.at(at.number)
        window = view.shown(at.canvas, patch, exact=exact)
        gradient = view.objective.gradient(window, patch, at.draw, alone=self._alone)
        if visits or self._is_whole(at, patch):
            gradient = self._whole(at, patch, gradient, window)
        if visits:
            return visits.begin(patch, self._coloured(gradient), window)
        return Landing.of(gradient, at.canvas.pixels.device)

    def _landed(self, at: _Sweep, patch: Patch, gradient: Tensor) -> Tensor:
        if not self._is_whole(at, patch):
            gradient = self._whole(at, patch, gradient)
        if self._anchor:
            gradient = gradient + self._anchor.gradient(at.canvas, patch.read)
        return self._coloured(gradient)

    def _is_whole(self, at: _Sweep, patch: Patch) -> bool:
        """Whether a gradient is made whole where it is computed, before it lands: it is no smaller before."""
        return self._job.network.device != at.canvas.pixels.device and patch.scale == 1

    def _whole(self, at: _Sweep, patch: Patch, gradient: Tensor, window: Tensor | None = None) -> Tensor:
        """A patch's gradient in canvas pixels, where it is, with what else there is but an anchor.

        `window` is what the patch shows there, if that is at hand.
        """
        gradient = spread(gradient, patch.scale)
        for coarse in self._coarse if patch.scale == 1 else []:
            gradient = gradient + coarse.gradient(patch.read, gradient.device)
        if not self._finish.at(at.number):
            return gradient
        if window is None or patch.scale > 1:
            window = sent(read(at.canvas.pixels, patch.read), gradient.device, torch.float32)
            touched(window)
        return gradient + self._finish.gradient(window)

    def _coloured(self, gradient: Tensor) -> Tensor:
        if self._job.config.color is Color.LUMINANCE:  # a step of all channels alike: the canvas stays grey
            return gradient.mean(0, keepdim=True).expand_as(gradient)
        return gradient

    def turn(self, patches: list[Patch], sweep: int) -> Terms:
        """End a sweep; answers the terms of its finest scale."""
        scales, ranks = sorted({patch.scale for patch in patches}), self._job.ranks
        memory = MEMORY if self._job.config.sampler is Sampler.WINDOWS else 0.0
        ahead = lead(self._level, sweep + 1)
        terms = [
            turned(self._views[scale].objective, ranks, memory, ahead, alone=self._alone) for scale in scales
        ]
        found = sum((coarse.turn() for coarse in self._coarse if scales[0] == 1), terms[0])
        return replace(found, anchor=self._anchor.turn()) if self._anchor else found
