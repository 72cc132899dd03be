"""What settings come to on this machine: device, network, layers, levels, and the patch that fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import inf

import torch

from tilestyle.config.enums import Color, ContentLoss, Normalise, Optimiser, Precision, Sampler, StyleLoss
from tilestyle.config.render import ARRANGEMENT, PALETTE_WEIGHT, RenderConfig
from tilestyle.devices.malloc import keep_few_kernels, keep_nothing_large
from tilestyle.distributed import ALONE, Ranks
from tilestyle.errors import SettingError, WorkError
from tilestyle.geometry.boxes import Box, rounded_up
from tilestyle.networks.base import FeatureNetwork, exact_halo
from tilestyle.networks.energy import faint_energies
from tilestyle.networks.registry import load_network
from tilestyle.planning.loss_weights import Weights
from tilestyle.planning.memory_budget import (
    Limits,
    belongs_in_files,
    check_own_card,
    find_device,
    find_dtype,
    fits,
    fitting_history,
    fitting_home,
    fitting_side,
    worth_keeping,
)
from tilestyle.planning.memory_model import CANVAS, Footprint, Pictures, Work, footprint
from tilestyle.planning.schedule import Level, Pyramid, falloff, levels, picture_size
from tilestyle.planning.strength import aim_of, first_weight

# Long side at which a texture's style is first seen, pixels: its largest forms must fit what a cell of
# the deepest layer sees.
COARSEST_STYLE = 128
# Strides of the layers whose autocorrelations are compared where the network's own are not in use, pixels.
ARRANGING = (4, 8)
# Longest side of a patch that is chosen for a device, pixels; longer ones must be asked for.
MOST = 2048
# Content weight of self-similarity over that of features, by which as much of a picture is kept.
SIMILARITY_WEIGHT = 8.0


# Of a patch's bytes, those that glibc keeps besides when it may: its heap holds up to twice what is in use.
LOOSE = 1 / 2


@dataclass(frozen=True)
class Resolved:
    """What can be said before any picture is looked at."""

    network: FeatureNetwork
    weights: Weights
    unit: int  # deepest stride in use, pixels
    halo: int  # by which patches overlap, pixels
    limits: Limits
    regions: int = 1  # that have moments of their own
    faint: Mapping[str, float] = field(default_factory=dict)  # least energy of each layer (networks.energy)

    @property
    def layers(self) -> frozenset[str]:
        """All in use."""
        return frozenset(self.weights.names)


@dataclass(frozen=True)
class Planned:
    """What can be said once the sizes of the pictures are known."""

    size: Box  # of the finished picture
    levels: tuple[Level, ...]
    side: int  # largest patch side, pixels
    home: torch.device  # where canvases live
    settled: Settled
    need: Footprint


@dataclass(frozen=True)
class Settled:
    """What the machine and its free memory decided when a render began. A resumed one keeps to it.

    Raises ValueError for a precision that there is not.
    """

    side: int
    mapped: bool  # whether canvases are in files; those that ranks share always are
    content_kept: bool
    history: int = 0
    precision: str = ""  # of the network, "fp32" or "bf16"; empty in checkpoints that do not say

    def __post_init__(self) -> None:
        """Refuse what a damaged manifest may say."""
        if self.precision not in ("", Precision.FP32, Precision.BF16):
            raise ValueError(f"precision {self.precision!r}")


def resolve(
    config: RenderConfig,
    *,
    with_content: bool,
    with_style: bool = True,
    settled: Settled | None = None,
    ranks: Ranks = ALONE,
) -> Resolved:
    """Find device, network and layers.

    Args:
        config: The settings.
        with_content: Whether there is a content.
        with_style: Whether there is a style.
        settled: What was chosen when the render began, if it is resumed: `--precision auto` stays what it was.
        ranks: Processes that render together: the first one chooses for all.

    Raises:
        TilestyleError: Something of it cannot be had.
    """
    check_own_card(config.device, ranks.beside)
    device = find_device(config.device)
    limits = Limits.of(config)
    exact = config.optimiser is Optimiser.LBFGS
    precision = Precision.FP32 if exact else config.precision
    if precision is Precision.AUTO and settled is not None and settled.precision:
        precision = Precision(settled.precision)
    dtype = find_dtype(Precision(ranks.told(str(precision_of(find_dtype(precision, device))))), device)
    if device.type == "cuda":  # until the call of the library ends (torch_state.py)
        torch.cuda.set_device(device)  # whose streams and kernels are meant where none is named
    if device.type == "cpu" and limits.memory is not None:
        keep_few_kernels()
    network = load_network(config).to(device, dtype)
    weights = layer_weights(network, config, with_content=with_content, with_style=with_style)
    unit = max(network.layers[layer].stride for layer in weights.names)
    halo = widest_halo(network, weights) if exact else config.overlap
    faint = faint_energies(network, tuple(weights.names))
    return Resolved(network, weights, unit, rounded_up(halo, unit), limits, faint=faint)


def precision_of(dtype: torch.dtype) -> Precision:
    """Return the setting that asks for this arithmetic."""
    return Precision.BF16 if dtype is torch.bfloat16 else Precision.FP32


def widest_halo(network: FeatureNetwork, weights: Weights) -> int:
    """Pixels around a patch with which all its cells are those of the whole canvas."""
    octaves = network.octaves(weights.names)
    return max(exact_halo([network.layers[name] for name in names.values()]) for names in octaves.values())


def planned(
    config: RenderConfig,
    seen: Resolved,
    pictures: Pictures,
    *,
    files: bool = False,
    settled: Settled | None = None,
    ranks: Ranks = ALONE,
) -> Planned:
    """Choose the patch and the levels; raises SettingError or MemoryLimit where there are none.

    `files`: whether there is a folder for what memory does not hold; `settled`: what was chosen before. Of
    several ranks the first one chooses, and all canvases are in files.
    """
    size = picture_size(config.size, pictures.content)
    coarsest = float(config.coarsest)
    style_side = config.style_scale * max(map(max, pictures.styles), default=0)
    if pictures.content is None:
        coarsest = max(coarsest, max(size) * min(1.0, COARSEST_STYLE / style_side))
    else:
        style_side = config.style_scale * max(size)
    fall = falloff(config, with_content=pictures.content is not None)
    work = Work(
        seen.network,
        seen.weights.style_layers,
        seen.weights.content_layers,
        blended=bool(seen.halo) or config.sampler is Sampler.WINDOWS,
        regions=seen.regions,
        local=config.locality > 0,
        recoloured=config.color is Color.CONTENT,
        resized=any(config.repeats),
        retinted=config.color is Color.LUMINANCE,
        arranged=tuple(seen.weights.arrangement_layers),
        alike=config.content_loss is ContentLoss.SELF_SIMILARITY,
    )

    def steps(side: int) -> tuple[Level, ...]:
        return levels(*size, config, Pyramid(min(coarsest, max(size)), side, seen.unit, fall))

    def need(side: int, *, kept: bool = False, mapped: bool = False, history: int = 0) -> Footprint:
        task = replace(work, kept=kept, mapped=mapped, history=history)
        return footprint(task, steps(side), side, pictures, style_side)

    least = 2 * (seen.unit + seen.halo)
    given = config.patch // seen.unit * seen.unit if config.patch else None
    if given is not None and given < least:
        raise SettingError(
            f"patch {config.patch} is too small for layers of stride {seen.unit} and an overlap of {seen.halo}",
            hint=f"give at least {least}",
        )
    device = seen.network.device
    _check_settled(settled, config, seen.unit, least)
    if settled is None and config.optimiser is Optimiser.LBFGS:
        history = fitting_history(
            device, seen.limits, lambda length: need(given or least, history=length), config.history
        )
        side = fitting_side(device, seen.limits, partial(need, history=history), least, given)
        settled = Settled(side, mapped=False, content_kept=False, history=history)
    elif settled is None:
        within, filed = (need(given or least, mapped=mapped) for mapped in (False, True))
        mapped = files and belongs_in_files(device, seen.limits, within, filed)
        size_needed = partial(need, mapped=mapped or ranks.count > 1)
        side = fitting_side(device, seen.limits, size_needed, least, given, ranks.beside)
        kept = config.keep_content
        if kept is None:
            worth = not mapped and worth_keeping(seen.network, seen.layers, seen.weights.content_layers, side)
            kept = worth and fits(device, seen.limits, need(side, kept=True), inf)
        settled = Settled(side, mapped, kept)
    settled = replace(settled, precision=str(precision_of(seen.network.dtype)))
    settled = Settled(**ranks.told(asdict(settled)))
    mapped = settled.mapped or ranks.count > 1
    found = need(settled.side, kept=settled.content_kept, mapped=mapped, history=settled.history)
    if ranks.count > 1:  # a checkpoint, and the one before it
        found = replace(found, disk=found.disk + 2 * CANVAS * steps(settled.side)[-1].extent.area)
    limit = seen.limits.memory
    if device.type == "cpu" and limit is not None and found.together + LOOSE * found.patch > limit:
        keep_nothing_large(found.patch)
    hosted = mapped or settled.history > 0
    home = torch.device("cpu") if hosted else fitting_home(device, seen.limits, found)
    return Planned(Box(0, 0, *size), steps(settled.side), settled.side, home, settled, found)


def _check_settled(settled: Settled | None, config: RenderConfig, unit: int, least: int) -> None:
    """Raise WorkError where a work folder, which is not trusted, has settled what no render has."""
    if settled is None:
        return
    lasting = config.optimiser is Optimiser.LBFGS
    sensible = settled.side % unit == 0 and least <= settled.side <= max(MOST, config.patch or 0)
    asked = config.patch is None or settled.side == config.patch // unit * unit
    kept = lasting or config.keep_content in (None, settled.content_kept)
    if not (sensible and asked and kept and (settled.history > 0) == lasting):
        raise WorkError(
            "the work folder is damaged (its patch or memory are not of this render)",
            hint="begin anew with --restart",
        )


def layer_weights(
    network: FeatureNetwork, config: RenderConfig, *, with_content: bool, with_style: bool = True
) -> Weights:
    """The layers in use with their weights, shares of one within style and within content."""
    style: dict[str, float] = {}
    if with_style:
        style = _shares(network, config.style_layers or network.style_layers, "style")
    content: dict[str, float] = {}
    weight, aim = config.content_weight, None
    if weight is None:
        weight = network.content_weight
        if config.content_loss is ContentLoss.SELF_SIMILARITY:
            weight *= SIMILARITY_WEIGHT
        if with_content and with_style and config.style_weight:
            weight, aim = first_weight(weight * config.style_weight, config.strength), aim_of(config.strength)
    if with_content and weight:
        content = _shares(network, config.content_layers or network.content_layers, "content")
    arrangement, layers = _arrangement(network, config, style, with_content=with_content)
    return Weights(
        config.style_weight,
        weight,
        config.tv_weight,
        style,
        content,
        config.tv_form,
        config.tv_exponent,
        palette=_palette_weight(config) if with_style else 0.0,
        aim=aim,
        arrangement=arrangement,
        arrangement_layers=layers,
        content_loss=config.content_loss,
    )


def _palette_weight(config: RenderConfig) -> float:
    """Weight of the palette, which is that of all of the canvas: the less, the more places are their own."""
    weight = config.palette_weight
    if weight is None:
        absolute = config.normalise is Normalise.ABSOLUTE
        without = absolute or config.optimiser is Optimiser.LBFGS
        weight = 0.0 if without else PALETTE_WEIGHT * config.style_weight
    return weight * (1 - config.locality)


def _arrangement(
    network: FeatureNetwork, config: RenderConfig, style: Mapping[str, float], *, with_content: bool
) -> tuple[float, dict[str, float]]:
    """Weight of autocorrelations, and the layers that have them, with equal shares of one.

    Unless it is given, textures alone have it: where there is a content, things are arranged as they are there.
    """
    weight = config.arrangement_weight
    if weight is None:
        usual = config.style_loss is StyleLoss.W2 and config.normalise is Normalise.RELATIVE
        weight = 0.0 if with_content or config.locality or not usual else ARRANGEMENT
    if not weight or not style:
        return 0.0, {}
    seen = [layer for layer in network.arrangement_layers if layer in style]
    seen = seen or [layer for layer in style if network.layers[layer].stride in ARRANGING]
    if not seen and config.arrangement_weight is not None:
        strides = " or ".join(map(str, ARRANGING))
        raise SettingError(
            f"arrangement-weight needs a style layer of stride {strides}",
            hint=f"add one, such as {next(iter(network.arrangement_layers))}, or leave the weight out",
        )
    return weight if seen else 0.0, {layer: 1 / len(seen) for layer in seen}


def _shares(network: FeatureNetwork, layers: Mapping[str, float], term: str) -> dict[str, float]:
    named: dict[str, float] = {}
    for name, weight in layers.items():
        if not 0 <= weight < float("inf"):
            raise SettingError(f"weight {weight} of {term} layer {name}", hint="give a number from 0 up")
        named[network.canonical(name)] = weight
    total = sum(named.values())
    if not total:
        raise SettingError(f"no {term} layer has any weight", hint="give one layer a weight above 0")
    return {name: weight / total for name, weight in named.items() if weight}
