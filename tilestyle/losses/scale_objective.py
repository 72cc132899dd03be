"""One way of looking at a level's canvas: through patches of a scale, at some of the layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, Reader, read
from tilestyle.canvas.storage import Folder, touched
from tilestyle.config.enums import Normalise, Optimiser
from tilestyle.devices.transfer import sent
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import Around, covering
from tilestyle.geometry.sharding import dealt
from tilestyle.losses.autocorrelation import Arrangement, Together
from tilestyle.losses.content import CachedContent, Content, RecentContent
from tilestyle.losses.objective import Objective, StyleTerm, Terms
from tilestyle.losses.palette import Drawn, PaletteTerm
from tilestyle.losses.running_moments import Pulled
from tilestyle.losses.style_global import Global
from tilestyle.losses.style_local import Local
from tilestyle.losses.style_statistics import style_palettes, style_windows
from tilestyle.losses.style_targets import target
from tilestyle.networks.base import exact_halo, measuring_halo
from tilestyle.planning.job import Goal, Job
from tilestyle.planning.loss_weights import Weights
from tilestyle.planning.schedule import PLACES, Level
from tilestyle.stats.distances import TINY
from tilestyle.stats.sliced_wasserstein import energy_of

# Least mean square that a style's colours count as having: a black one's have none.
FAINT = 0.01


@dataclass(frozen=True)
class Look:
    """Layers to look at, each with its name at this scale, and how patches of the scale are read."""

    names: Mapping[str, str]
    scale: int = 1
    reader: Reader = read
    near: bool = True  # whether terms of the pixels themselves, total variation and palette, are looked at, too


class View:
    """An objective together with the reading of its patches."""

    def __init__(self, job: Job, level: Level, goal: Goal, look: Look) -> None:
        layers = [job.network.layers[name] for name in look.names.values()]
        self.unit = max(layer.stride for layer in layers)
        self.field = max(layer.receptive_field for layer in layers)
        self._halo = measuring_halo(layers)
        self._side = job.side_at(level)
        self._extent = level.extent
        self._look = look
        self.device, self._dtype = job.network.device, job.network.dtype
        weights = job.weights.of(look.names)
        weights = weights if look.near else replace(weights, tv=0.0, palette=0.0)
        content: Content | None = None
        if goal.content is not None and weights.content_layers:
            if look.scale == 1 and job.grid(level) > 1:
                # Where the canvas is; of ranks, each has its own.
                store = job.beside if isinstance(job.store, Folder) else job.store
                content = CachedContent(
                    goal.content, job.network, weights.content_layers, level.extent, self._side, store
                )
            elif look.scale == 1 and job.returns(level):
                content = RecentContent(goal.content, job.network, weights.content_layers, PLACES)
            else:
                content = Content(goal.content, job.network, weights.content_layers, look.scale, look.reader)
            content.faint = {name: job.faint[layer] for layer, name in look.names.items() if layer in job.faint}
            content.loss = weights.content_loss
            if job.config.normalise is Normalise.ABSOLUTE:
                content.energy = dict.fromkeys(content.layers, 1.0)
            else:
                halo = exact_halo(layers) if job.config.optimiser is Optimiser.LBFGS else 0
                fixed = job.config.deterministic
                content.measure(level.extent, self._side, self.unit, halo, job.ranks, fixed)
        self._ranks = job.ranks
        self.objective = Objective(
            job.network, self._style_term(job, level, goal, weights), content, weights, level.extent, look.scale
        )
        self.objective.palette = self._palette_term(job, level, goal, weights.palette)

    def _style_term(self, job: Job, level: Level, goal: Goal, weights: Weights) -> StyleTerm:
        """The style term over the moments of the layers that are looked at."""
        names, scale = self._look.names, self._look.scale

        def pulled(shares: Mapping[str, float]) -> Pulled:
            """The layers with their shares of the style term."""
            density = {layer: (job.network.layers[layer].stride * scale) ** 2 for layer in shares}
            return Pulled(
                job.network,
                shares,
                {layer: weights.style * share * density[layer] for layer, share in shares.items()},
                job.config.deterministic,
                {name: job.faint[layer] for layer, name in names.items() if layer in job.faint},
            )

        layers = pulled(weights.style_layers)
        if job.config.locality:
            return Local(goal.styles[0], style_windows(job, level, scale), layers, job.config)
        targets = [
            {
                name: target(style[layer], job.config, job.faint.get(layer, TINY))
                for layer, name in names.items()
                if layer in style
            }
            for style in goal.styles
        ]
        moments = Global(targets, layers, goal.regions)
        if not weights.arrangement_layers:
            return moments
        shares = {layer: weights.arrangement * share for layer, share in weights.arrangement_layers.items()}
        wanted = [
            {name: found[layer] for layer, name in names.items() if layer in found}
            for found in goal.arrangement
        ]
        return Together(moments, Arrangement(wanted, pulled(shares), goal.regions))

    def _palette_term(self, job: Job, level: Level, goal: Goal, weight: float) -> PaletteTerm | None:
        """What draws all of the canvas to the styles' colours."""
        if not weight:
            return None
        goals = style_palettes(job, level, self._look.scale)
        absolute = job.config.normalise is Normalise.ABSOLUTE
        energies = [3.0 if absolute else max(energy_of(found[1]), FAINT) for found in goals]
        return PaletteTerm(Drawn(weight, goals, energies, goal.regions, job.network.device))

    def window(self, canvas: Canvas, patch: Patch) -> Tensor:
        """What a patch shows of the canvas, [3, h, w]."""
        window = self._look.reader(canvas.pixels, patch.read, self._look.scale)
        touched(window, times=self._look.scale**2)
        return window

    def shown(self, canvas: Canvas, patch: Patch, *, exact: bool = False) -> Tensor:
        """The same on the network's device.

        From the host it is sent in the network's arithmetic, which rounds it anyway, unless something else is
        to see it: the palette, whose bins are finer than bfloat16, or whoever asks for it to be
        `exact`.
        """
        window = self.window(canvas, patch)
        if window.device == self.device:
            return window
        rounded = not exact and self.objective.palette is None
        return sent(window, self.device, self._dtype if rounded else torch.float32)

    def measure(self, canvas: Canvas, draw: Draw, *, lasting: bool) -> None:
        """Take the exact moments of the canvas, or all but: by a forward pass whose patches have a halo.

        If `lasting`, sweeps to come are corrected by how far off their own moments are in the next.
        """
        if not self.objective.styled:
            return
        side = self._side + 2 * self._halo
        around = Around(halo=self._halo)
        patches = covering(self._extent, side, self.unit, draw, self._look.scale, around)
        for patch in dealt(patches, self._extent.height, self._ranks.count)[self._ranks.index]:
            self.objective.measure(self.shown(canvas, patch), patch)
        self.objective.all_reduce(self._ranks)
        self.objective.correct(lasting=lasting)


def turned(
    objective: Objective, ranks: Ranks, memory: float = 0.0, lead: float = 0.0, *, alone: bool = False
) -> Terms:
    """End a sweep of an objective for all ranks; what one saw `alone` in one patch, it has turned alone."""
    if not alone:
        objective.all_reduce(ranks)
    elif not ranks.first:
        return Terms(0.0, 0.0, 0.0)
    return objective.turn(memory, lead)
