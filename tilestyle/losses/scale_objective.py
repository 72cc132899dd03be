"""The objective of one level at one scale: its losses, and how its patches are read from the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, Reader, fetch_box, read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import MappedStore
from tilestyle.config.enums import Normalize, Optimizer
from tilestyle.devices.transfer import to_device
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches
from tilestyle.geometry.sharding import shard_patches
from tilestyle.losses.autocorrelation import AutocorrelationLoss, StyleLossSum
from tilestyle.losses.content import CachedContentTarget, ContentTarget, RecentContentTarget
from tilestyle.losses.objective import LossTerms, Objective, StyleTerm
from tilestyle.losses.palette import PaletteLoss, PaletteTargets
from tilestyle.losses.running_moments import LayerFactors
from tilestyle.losses.style_global import GlobalStyleLoss
from tilestyle.losses.style_local import LocalStyleLoss
from tilestyle.losses.style_statistics import style_histograms, style_windows
from tilestyle.losses.style_targets import make_target
from tilestyle.networks.base import exact_halo, measuring_halo
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.loss_weights import LossWeights
from tilestyle.planning.schedule import CYCLED_PLACES, Level
from tilestyle.stats.distances import MIN_ENERGY
from tilestyle.stats.sliced_wasserstein import mean_square_color

# Least mean square of a style's colors that the palette loss divides by: a black style has none.
MIN_COLOR_ENERGY = 0.01


@dataclass(frozen=True)
class ScaleSpec:
    """What an objective sees of the canvas: which layers, at which scale, through which reduction.

    Attributes:
        layer_names: The layers, each with its name on the reduced canvas.
        scale: Canvas pixels averaged into one patch pixel, per axis.
        reader: Reads a box of the canvas at this scale.
        with_pixel_terms: Whether the losses of the pixels themselves are included: total variation and palette.
    """

    layer_names: Mapping[str, str]
    scale: int = 1
    reader: Reader = read_box
    with_pixel_terms: bool = True


class ScaleObjective:
    """An objective together with the reading of its patches.

    Attributes:
        unit: The deepest stride of its layers: patch sides are multiples of it.
        receptive_field: The widest receptive field of its layers, in patch pixels.
        device: The network's device.
        objective: The losses.
    """

    def __init__(self, job: Job, level: Level, level_targets: LevelTargets, spec: ScaleSpec) -> None:
        """Build the losses.

        Args:
            job: The render.
            level: Its level.
            level_targets: Statistics of the styles, content and regions.
            spec: Layers and scale.
        """
        layers = [job.network.layers[name] for name in spec.layer_names.values()]
        self.unit = max(layer.stride for layer in layers)
        self.receptive_field = max(layer.receptive_field for layer in layers)
        self._halo = measuring_halo(layers)
        self._side = job.patch_side_at(level)
        self._extent = level.extent
        self._spec = spec
        self.device, self._dtype = job.network.device, job.network.dtype
        weights = job.weights.for_layers(spec.layer_names)
        weights = weights if spec.with_pixel_terms else replace(weights, tv=0.0, palette=0.0)
        self._comm = job.comm
        content = self._content_target(job, level, level_targets, weights)
        self.objective = Objective(
            job.network,
            self._style_term(job, level, level_targets, weights),
            content,
            weights,
            level.extent,
            spec.scale,
        )
        self.objective.captures = job.memory_estimate.captured > 0
        self.objective.palette = self._palette_term(job, level, level_targets, weights.palette)

    def _content_target(
        self, job: Job, level: Level, level_targets: LevelTargets, weights: LossWeights
    ) -> ContentTarget | None:
        """Build the content targets as the job plans them: features stored, kept for a few sweeps or computed.

        Returns:
            The targets; None without a content loss.
        """
        plane, layers, spec = level_targets.content, weights.content_layers, self._spec
        if plane is None or not layers:
            return None
        target: ContentTarget
        if spec.scale == 1 and job.grid_stride(level) > 1:
            # Features are stored like the canvas; each rank has its own.
            store = job.local_store if isinstance(job.store, MappedStore) else job.store
            target = CachedContentTarget(plane, job.network, layers, level.extent, self._side, store)
        elif spec.scale == 1 and job.cycles_places(level):
            target = RecentContentTarget(plane, job.network, layers, CYCLED_PLACES)
        else:
            target = ContentTarget(plane, job.network, layers, spec.scale, spec.reader)
        target.energy_floors = self._energy_floors(job)
        target.loss_form = weights.content_loss
        target.content_map = level_targets.content_map
        if job.config.normalize is Normalize.ABSOLUTE:
            target.energies = dict.fromkeys(target.layers, 1.0)
        else:
            names = spec.layer_names.values()
            is_exact = job.config.optimizer is Optimizer.LBFGS
            halo = exact_halo([job.network.layers[name] for name in names]) if is_exact else 0
            target.measure_energies(
                level.extent, self._side, self.unit, halo, job.comm, job.config.deterministic
            )
        return target

    def _energy_floors(self, job: Job) -> dict[str, float]:
        """Return the least energy of the layers that have one, by their names on the reduced canvas."""
        names = self._spec.layer_names.items()
        return {name: job.energy_floors[layer] for layer, name in names if layer in job.energy_floors}

    def _style_term(
        self, job: Job, level: Level, level_targets: LevelTargets, weights: LossWeights
    ) -> StyleTerm:
        """Build the style loss that the settings ask for: global or local, with autocorrelations or without."""
        names, scale = self._spec.layer_names, self._spec.scale

        def layer_factors(shares: Mapping[str, float]) -> LayerFactors:
            """Return the layers with their shares of the style loss, and the factors of their gradients."""
            # A cell's gradient counts for all canvas pixels under it.
            density = {layer: (job.network.layers[layer].stride * scale) ** 2 for layer in shares}
            return LayerFactors(
                job.network,
                shares,
                {layer: weights.style * share * density[layer] for layer, share in shares.items()},
                job.config.deterministic,
                self._energy_floors(job),
                job.memory_estimate.captured > 0,
            )

        layers = layer_factors(weights.style_layers)
        if job.config.locality:
            return LocalStyleLoss(
                level_targets.style_moments[0], style_windows(job, level, scale), layers, job.config
            )
        targets = [
            {
                name: make_target(style[layer], job.config, job.energy_floors.get(layer, MIN_ENERGY))
                for layer, name in names.items()
                if layer in style
            }
            for style in level_targets.style_moments
        ]
        global_loss = GlobalStyleLoss(targets, layers, level_targets.regions)
        if not weights.arrangement_layers:
            return global_loss
        shares = {layer: weights.arrangement * share for layer, share in weights.arrangement_layers.items()}
        autocorrelations = [
            {name: by_layer[layer] for layer, name in names.items() if layer in by_layer}
            for by_layer in level_targets.autocorrelations
        ]
        return StyleLossSum(
            global_loss, AutocorrelationLoss(autocorrelations, layer_factors(shares), level_targets.regions)
        )

    def _palette_term(
        self, job: Job, level: Level, level_targets: LevelTargets, weight: float
    ) -> PaletteLoss | None:
        """Build the palette loss; None without a weight."""
        if not weight:
            return None
        palettes = style_histograms(job, level, self._spec.scale)
        absolute = job.config.normalize is Normalize.ABSOLUTE
        energies = [
            3.0 if absolute else max(mean_square_color(palette[1]), MIN_COLOR_ENERGY) for palette in palettes
        ]
        return PaletteLoss(
            PaletteTargets(weight, palettes, energies, level_targets.regions, job.network.device)
        )

    def window(self, canvas: Canvas, patch: Patch) -> Tensor:
        """Read a patch from the canvas: [3, h, w] at this scale, on the canvas's device."""
        window = self._spec.reader(canvas.pixels, patch.read, self._spec.scale)
        note_mapped_access(window, times=self._spec.scale**2)
        return window

    def device_window(self, canvas: Canvas, patch: Patch, *, exact: bool = False) -> Tensor:
        """Read a patch from the canvas to the network's device, [3, h, w].

        From the host it is sent in the network's precision, which rounds it anyway; in float32 if `exact`, or
        for the palette loss, whose bins are finer than bfloat16.

        Args:
            canvas: The canvas.
            patch: The patch.
            exact: Whether to keep float32.
        """
        if canvas.beyond_bus and patch.scale == 1:
            return fetch_box(canvas.pixels, patch.read)
        window = self.window(canvas, patch)
        if window.device == self.device:
            return window
        rounded = not exact and self.objective.palette is None
        return to_device(window, self.device, self._dtype if rounded else torch.float32)

    def measure_exact_moments(self, canvas: Canvas, rng: SweepRng, *, calibrate: bool) -> None:
        """Measure the moments of the canvas almost exactly: a forward pass over patches with a halo.

        Args:
            canvas: The canvas.
            rng: Random numbers of the sweep, for the position of the patches.
            calibrate: Whether to derive a correction of the patches' own, biased moments in the coming sweep,
                for the sweeps after it.
        """
        if not self.objective.has_style:
            return
        side = self._side + 2 * self._halo
        around = PatchContext(halo=self._halo)
        patches = grid_patches(self._extent, side, self.unit, rng, self._spec.scale, around)
        for patch in shard_patches(patches, self._extent.height, self._comm.world_size)[self._comm.rank]:
            self.objective.accumulate_moments(self.device_window(canvas, patch), patch)
        self.objective.all_reduce(self._comm)
        self.objective.use_exact_moments(calibrate=calibrate)


def all_reduce_and_end_sweep(
    objective: Objective,
    comm: Communicator,
    ema_decay: float = 0.0,
    extrapolation: float = 0.0,
    *,
    single_patch: bool = False,
) -> LossTerms:
    """Add the sums of an objective over all ranks, and end its sweep.

    Args:
        objective: The objective.
        comm: The communicator.
        ema_decay: See `Objective.end_sweep`.
        extrapolation: See `Objective.end_sweep`.
        single_patch: Whether one patch covered the whole canvas. Then rank 0 has computed it alone, and there
            is nothing to add.

    Returns:
        The loss terms of the sweep; with a single patch, zeros on the other ranks.
    """
    if not single_patch:
        objective.all_reduce(comm)
    elif not comm.is_rank_zero:
        return LossTerms(0.0, 0.0, 0.0)
    return objective.end_sweep(ema_decay, extrapolation)
