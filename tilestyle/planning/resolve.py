"""Resolve settings for this machine: device, network, layers, levels, and the patch size that fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch

from tilestyle.config.enums import Color, ContentLoss, Optimizer, Precision, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.devices.device_memory import free_bytes
from tilestyle.devices.malloc import limit_kernel_cache, return_large_blocks
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import SettingError, WorkError
from tilestyle.geometry.boxes import Box, round_up
from tilestyle.images.faces import check_detector
from tilestyle.networks.base import FeatureNetwork, exact_halo
from tilestyle.networks.energy import energy_floors
from tilestyle.networks.registry import load_network
from tilestyle.planning.caching import should_cache_content, should_capture
from tilestyle.planning.device_choice import DTYPES, check_device_per_rank, choose_precision, find_device
from tilestyle.planning.loss_weights import LossWeights, loss_weights
from tilestyle.planning.memory_budget import CPU, MemoryBudget
from tilestyle.planning.memory_limits import MemoryLimits
from tilestyle.planning.memory_model import (
    CANVAS_BYTES,
    MemoryEstimate,
    MemoryInputs,
    PictureSizes,
    captured_bytes,
    estimate_memory,
)
from tilestyle.planning.schedule import Level, Pyramid, learning_rate_falloff, plan_levels

# Long side of the style at the first level of a texture, pixels: its largest forms must fit into the receptive
# field of the deepest layer.
COARSEST_STYLE = 128
# Largest patch side that is chosen automatically, pixels.
MAX_DEFAULT_PATCH_SIDE = 2048
# Fraction of a patch's memory that the heap of glibc may keep in addition: it holds up to twice what is in use.
HEAP_SLACK = 1 / 2


@dataclass(frozen=True)
class ResolvedConfig:
    """What the settings determine on this machine, before the sizes of pictures are known.

    Attributes:
        network: The network, on its device.
        weights: Weights of the loss terms and layers.
        unit: Deepest stride in use, pixels.
        halo: Overlap of patches, pixels.
        memory_limits: Memory limits.
        regions: Regions with moments of their own.
        energy_floors: Smallest energy of each layer (networks.energy).
    """

    network: FeatureNetwork
    weights: LossWeights
    unit: int
    halo: int
    memory_limits: MemoryLimits
    regions: int = 1
    energy_floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> frozenset[str]:
        """All layers in use."""
        return frozenset(self.weights.layer_names)


@dataclass(frozen=True)
class RenderPlan:
    """What the settings determine once the sizes of the pictures are known.

    Attributes:
        size: Size of the finished picture.
        levels: The levels, from coarse to fine.
        patch_side: Largest patch side, pixels.
        canvas_device: Where canvases are stored.
        decisions: What was decided from free memory.
        memory_estimate: What the render needs at most.
    """

    size: Box
    levels: tuple[Level, ...]
    patch_side: int
    canvas_device: torch.device
    decisions: MemoryDecisions
    memory_estimate: MemoryEstimate


@dataclass(frozen=True)
class MemoryDecisions:
    """What was decided from the machine and its free memory when a render started. A resumed render keeps it.

    Attributes:
        side: Patch side, pixels.
        mapped: Whether canvases are memory-mapped; those that ranks share always are.
        content_kept: Whether content features are cached.
        history: Vector pairs that L-BFGS stores.
        precision: Of the network, "fp32" or "bf16"; empty in checkpoints that do not say.

    Raises:
        ValueError: The precision is unknown.
    """

    side: int
    mapped: bool
    content_kept: bool
    history: int = 0
    precision: str = ""

    def __post_init__(self) -> None:
        """Refuse what a damaged manifest may contain."""
        if self.precision not in ("", Precision.FP32, Precision.BF16):
            raise ValueError(f"precision {self.precision!r}")


def resolve_config(
    config: RenderConfig,
    *,
    with_content: bool,
    with_style: bool = True,
    decisions: MemoryDecisions | None = None,
    comm: Communicator = SINGLE,
) -> ResolvedConfig:
    """Find the device and the network, and resolve the layers and their weights.

    Args:
        config: The settings.
        with_content: Whether there is a content.
        with_style: Whether there is a style.
        decisions: What was decided when the render started, if it is resumed. Automatic precision stays the
            same.
        comm: Processes that render together. The first one decides for all.

    Raises:
        TilestyleError: A device, network, layer or detector is not available.
    """
    if config.keep_faces:
        check_detector()
    check_device_per_rank(config.device, comm.local_world_size)
    device = find_device(config.device)
    limits = MemoryLimits.from_config(config)
    is_lbfgs = config.optimizer is Optimizer.LBFGS
    precision = Precision.FP32 if is_lbfgs else config.precision
    if precision is Precision.AUTO and decisions is not None and decisions.precision:
        precision = Precision(decisions.precision)
    precision = Precision(comm.broadcast(str(choose_precision(precision, device))))
    if device.type == "cuda":  # restored when the call of the library ends (devices.torch_state)
        torch.cuda.set_device(device)  # the device of streams and kernels that name none
    if device.type == "cpu" and limits.memory is not None:
        limit_kernel_cache()
    network = load_network(config).to(device, DTYPES[precision])
    weights = loss_weights(network, config, with_content=with_content, with_style=with_style)
    unit = max(network.layers[layer].stride for layer in weights.layer_names)
    halo = max_exact_halo(network, weights) if is_lbfgs else config.overlap
    faint = energy_floors(network, tuple(weights.layer_names))
    return ResolvedConfig(network, weights, unit, round_up(halo, unit), limits, energy_floors=faint)


def precision_of(dtype: torch.dtype) -> Precision:
    """Return the setting for a floating-point type."""
    return Precision.BF16 if dtype is torch.bfloat16 else Precision.FP32


def max_exact_halo(network: FeatureNetwork, weights: LossWeights) -> int:
    """Return the pixels around a patch with which all its cells equal those of the whole canvas."""
    scale_groups = network.scale_groups(weights.layer_names)
    return max(exact_halo([network.layers[name] for name in names.values()]) for names in scale_groups.values())


def plan_render(
    config: RenderConfig,
    resolved: ResolvedConfig,
    picture_sizes: PictureSizes,
    *,
    can_map: bool = False,
    decisions: MemoryDecisions | None = None,
    comm: Communicator = SINGLE,
) -> RenderPlan:
    """Choose the patch size, the levels, and where the canvas is stored.

    Args:
        config: The settings.
        resolved: What they determine on this machine.
        picture_sizes: Sizes of the pictures.
        can_map: Whether there is a folder for memory-mapped planes.
        decisions: What was decided when the render started, if it is resumed.
        comm: Processes that render together. The first one decides for all, and all canvases are memory-mapped.

    Raises:
        SettingError: The patch size is too small, or there is none to choose.
        MemoryLimit: Nothing fits into memory.
        WorkError: The decisions of a resumed render do not match the settings.
    """
    minimum_side = 2 * (resolved.unit + resolved.halo)
    fixed_side = config.patch // resolved.unit * resolved.unit if config.patch else None
    if fixed_side is not None and fixed_side < minimum_side:
        raise SettingError(
            f"patch {config.patch} is too small for layers of stride {resolved.unit} and an overlap of "
            f"{resolved.halo}",
            hint=f"give at least {minimum_side}",
        )
    _check_decisions(decisions, config, resolved.unit, minimum_side)
    size = picture_sizes.result
    coarsest = float(config.coarsest)
    style_side = config.style_scale * max(map(max, picture_sizes.styles), default=0)
    if picture_sizes.content is None:
        coarsest = max(coarsest, max(size) * min(1.0, COARSEST_STYLE / style_side))
    else:
        style_side = config.style_scale * max(size)
    rate_falloff = learning_rate_falloff(config, with_content=picture_sizes.content is not None)
    work = MemoryInputs(
        resolved.network,
        resolved.weights.style_layers,
        resolved.weights.content_layers,
        overlapping=bool(resolved.halo) or config.sampler is Sampler.WINDOWS,
        regions=resolved.regions,
        has_locality=config.locality > 0,
        recolored=config.color is Color.CONTENT,
        resized=any(config.repeats),
        luminance_only=config.color is Color.LUMINANCE,
        autocorrelation_layers=tuple(resolved.weights.arrangement_layers),
        self_similarity=config.content_loss is ContentLoss.SELF_SIMILARITY,
    )

    def levels_at(side: int) -> tuple[Level, ...]:
        return plan_levels(*size, config, Pyramid(min(coarsest, max(size)), side, resolved.unit, rate_falloff))

    def estimate_for(
        side: int, *, cache_content: bool = False, mapped: bool = False, history: int = 0
    ) -> MemoryEstimate:
        task = replace(work, content_cached=cache_content, mapped=mapped, history=history)
        return estimate_memory(task, levels_at(side), side, picture_sizes, style_side)

    device = resolved.network.device
    budget = MemoryBudget(device, resolved.memory_limits, free_bytes(device), free_bytes(CPU))
    if decisions is None and config.optimizer is Optimizer.LBFGS:
        history = budget.choose_history(
            lambda length: estimate_for(fixed_side or minimum_side, history=length), config.history
        )
        side = budget.choose_patch_side(partial(estimate_for, history=history), minimum_side, fixed_side)
        decisions = MemoryDecisions(side, mapped=False, content_kept=False, history=history)
    elif decisions is None:
        unmapped, memory_mapped = (
            estimate_for(fixed_side or minimum_side, mapped=mapped) for mapped in (False, True)
        )
        mapped = can_map and budget.should_memory_map(unmapped, memory_mapped)
        estimate_at = partial(estimate_for, mapped=mapped or comm.world_size > 1)
        side = budget.choose_patch_side(estimate_at, minimum_side, fixed_side, comm.local_world_size)
        cache_content = config.keep_content
        if cache_content is None:
            is_worth = not mapped and should_cache_content(
                resolved.network, resolved.layers, resolved.weights.content_layers, side
            )
            cache_content = is_worth and budget.fits(estimate_for(side, cache_content=True))
        decisions = MemoryDecisions(side, mapped, cache_content)
    decisions = replace(decisions, precision=str(precision_of(resolved.network.dtype)))
    decisions = MemoryDecisions(**comm.broadcast(asdict(decisions)))
    mapped = decisions.mapped or comm.world_size > 1
    estimate = estimate_for(
        decisions.side, cache_content=decisions.content_kept, mapped=mapped, history=decisions.history
    )
    if comm.world_size > 1:  # a checkpoint, and the one before
        estimate = replace(
            estimate, disk=estimate.disk + 2 * CANVAS_BYTES * levels_at(decisions.side)[-1].extent.area
        )
    limit = resolved.memory_limits.memory
    if (
        device.type == "cpu"
        and limit is not None
        and estimate.unified_total + HEAP_SLACK * estimate.patch > limit
    ):
        return_large_blocks(estimate.patch)
    on_host = mapped or decisions.history > 0
    home = CPU if on_host else budget.choose_canvas_device(estimate)
    levels = levels_at(decisions.side)
    captured = captured_bytes(work, levels[-1].extent, min(decisions.side, levels[-1].patch_side))
    total = estimate.device_bytes(device, home) + captured
    captured *= should_capture(resolved.network, budget, total)
    estimate = replace(estimate, captured=captured)
    return RenderPlan(Box(0, 0, *size), levels, decisions.side, home, decisions, estimate)


def _check_decisions(decisions: MemoryDecisions | None, config: RenderConfig, unit: int, min_side: int) -> None:
    """Check the decisions in a work folder, which are not trusted.

    Args:
        decisions: The decisions; None if the render is new.
        config: The settings.
        unit: Deepest stride in use, pixels.
        min_side: Smallest patch side, pixels.

    Raises:
        WorkError: They are impossible, or do not match the settings.
    """
    if decisions is None:
        return
    is_lbfgs = config.optimizer is Optimizer.LBFGS
    is_possible = decisions.side % unit == 0 and min_side <= decisions.side <= max(
        MAX_DEFAULT_PATCH_SIDE, config.patch or 0
    )
    matches_patch = config.patch is None or decisions.side == config.patch // unit * unit
    matches_cache = is_lbfgs or config.keep_content in (None, decisions.content_kept)
    if not (is_possible and matches_patch and matches_cache and (decisions.history > 0) == is_lbfgs):
        raise WorkError(
            "the work folder is damaged (its patch size or memory settings are not those of this render)",
            hint="start over with --restart",
        )
