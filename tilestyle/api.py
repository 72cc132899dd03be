"""Render and texture, from Python: pictures in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tilestyle.budget import canvas_fits, find_device, find_dtype, keeps_content, patch_side
from tilestyle.canvas import Canvas, resized
from tilestyle.config import Init, RenderConfig
from tilestyle.errors import MemoryLimit, PictureError, SettingError
from tilestyle.geometry import Box, rounded_up
from tilestyle.images import Picture, picture_from
from tilestyle.job import Job
from tilestyle.networks.network import FeatureNetwork
from tilestyle.networks.registry import load_network
from tilestyle.objective import Terms, Weights
from tilestyle.plan import Level, Pyramid, levels, picture_size
from tilestyle.progress import Clock, Finished, LevelStarted, Observer, SweepDone
from tilestyle.renderer import optimise

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | Image | np.ndarray[Any, Any] | Tensor | Picture

# Long side at which a texture's style is first seen, pixels: its largest forms must fit what a cell of
# the deepest layer sees.
COARSEST_STYLE = 128


def render(
    content: Source,
    style: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
) -> Picture:
    """The content in the style: a picture of `config.size`, by default the content's own.

    `content` and `style` are paths, PIL images, arrays [H, W(, C)] or tensors [C, H, W] (uint8, or
    floats in [0, 1]). `observer` is told of every level and sweep (progress.py). `stop` is asked after every
    patch; once it answers True, the picture is returned as far as it got, at its full size.

    Raises TilestyleError (errors.py) when an input, a setting or a device cannot be used.
    """
    return run(prepare(style, config or RenderConfig(), content), observer, stop, picture_from(content))


def texture(
    style: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
) -> Picture:
    """A picture of `config.size` (512 pixels square by default) with the style alone, from noise.

    Arguments and errors as in `render`. The style is seen at its own size times `config.style_scale`.
    """
    return run(prepare(style, config or RenderConfig()), observer, stop)


@dataclass(frozen=True)
class Resolved:
    """What settings come to on this machine, before any picture is looked at."""

    network: FeatureNetwork
    weights: Weights
    layers: frozenset[str]  # all in use
    unit: int  # deepest stride in use, pixels
    side: int  # largest patch side, pixels
    halo: int  # pixels


def resolve(config: RenderConfig, *, with_content: bool) -> Resolved:
    """Find device, network, layers and patch; raises what cannot be had."""
    device = find_device(config.device)
    dtype = find_dtype(config.precision, device)
    network = load_network(config.network, config.weights, config.pooling).to(device, dtype)
    weights = layer_weights(network, config, with_content=with_content)
    layers = frozenset(weights.style_layers) | frozenset(weights.content_layers)
    unit = max(network.layers[layer].stride for layer in layers)
    side = (config.patch or patch_side(network, layers, device, dtype)) // unit * unit
    halo = rounded_up(config.overlap, unit)
    least = 2 * (unit + halo)
    if side < least:
        raise SettingError(
            f"patch {config.patch or side} is too small for layers of stride {unit} and an overlap of {halo}",
            hint=f"give at least {least}",
        )
    return Resolved(network, weights, layers, unit, side, halo)


def prepare(style: Source, config: RenderConfig, content: Source | None = None) -> Job:
    """Resolve pictures and settings into a job."""
    seen = resolve(config, with_content=content is not None)
    style_pixels = _pixels(picture_from(style), seen.unit, "style")
    content_pixels = None if content is None else _pixels(picture_from(content), seen.unit, "content")
    shape = None if content_pixels is None else (content_pixels.shape[1], content_pixels.shape[2])
    size = picture_size(config.size, shape)
    coarsest = float(config.coarsest)
    if content_pixels is None:
        shown = config.style_scale * max(style_pixels.shape[1:])
        coarsest = max(coarsest, max(size) * min(1.0, COARSEST_STYLE / shown))
    steps = levels(*size, config, Pyramid(min(coarsest, max(size)), seen.side, seen.unit))
    return Job(
        config=config,
        network=seen.network,
        weights=seen.weights,
        levels=steps,
        side=seen.side,
        unit=seen.unit,
        halo=seen.halo,
        style=style_pixels,
        content=content_pixels,
        home=_home(seen, steps[-1]),
        content_kept=content_pixels is not None and _keeps_content(seen, config, steps[-1]),
        init=_init(config, seen.unit, with_content=content_pixels is not None),
    )


def run(
    job: Job,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    content: Picture | None = None,
) -> Picture:
    """Render a job; the content's transparency, if it has any, is kept."""
    clock = Clock([(level.extent.area / 1e6, level.sweeps) for level in job.levels])
    tell: Callable[..., None] = observer or (lambda event: None)

    def begin(level: Level) -> None:
        clock.level()
        tell(LevelStarted(level, len(job.levels)))

    def done(level: Level, sweep: int, terms: Terms, canvas: Canvas) -> None:
        taken = clock.sweep()
        tell(
            SweepDone(
                level,
                len(job.levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                clock.seconds,
                clock.left(),
                level.extent.area / 1e6 / taken,
                lambda: as_picture(canvas.picture(), content),
            )
        )

    try:
        canvas, complete = optimise(job, begin, done, stop or (lambda: False))
    except torch.OutOfMemoryError as error:
        raise MemoryLimit(
            f"{job.network.device} has no room for a patch of {job.side} pixels",
            hint=f"give --patch {job.side // 2} or less",
        ) from error
    finest = job.levels[-1].extent.picture
    picture = as_picture(resized(canvas.picture(), finest).clamp(0, 1), content)
    tell(Finished(complete, clock.seconds))
    return picture


def _keeps_content(seen: Resolved, config: RenderConfig, finest: Level) -> bool:
    if config.keep_content is not None:
        return config.keep_content
    weights = seen.weights
    return keeps_content(
        seen.network, weights.style_layers, weights.content_layers, seen.side, finest.extent.area
    )


def _home(seen: Resolved, finest: Level) -> torch.device:
    """The device, where it is not the host and has room for canvases beside the patches."""
    device = seen.network.device
    return device if canvas_fits(device, finest.extent) else torch.device("cpu")


def layer_weights(network: FeatureNetwork, config: RenderConfig, *, with_content: bool) -> Weights:
    """The layers in use with their weights, shares of one within style and within content."""
    style = _shares(network, config.style_layers or network.style_layers, "style")
    content: dict[str, float] = {}
    weight = network.content_weight if config.content_weight is None else config.content_weight
    if with_content and weight:
        content = _shares(network, config.content_layers or network.content_layers, "content")
    return Weights(config.style_weight, weight, config.tv_weight, style, content)


def as_picture(pixels: Tensor, content: Picture | None = None) -> Picture:
    """Host pixels [3, h, w] in [0, 1] as a Picture, with the content's transparency resampled."""
    alpha = None
    if content is not None and content.alpha is not None:
        plane = torch.from_numpy(content.alpha)[None]
        size = Box(0, 0, pixels.shape[1], pixels.shape[2])
        alpha = resized(plane, size).clamp(0, 1)[0].numpy()
    name = content.name if content is not None else ""
    return Picture(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()), alpha=alpha, name=name)


def _pixels(picture: Picture, unit: int, role: str) -> Tensor:
    """[3, h, w] pixels of a picture the network can see."""
    if min(picture.height, picture.width) < unit:
        raise PictureError(
            f"{role} {picture.name or 'picture'} is {picture.width} x {picture.height} pixels, "
            f"the layers in use see nothing under {unit}",
            hint="give a larger picture or shallower layers",
        )
    return torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()


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


def _init(config: RenderConfig, unit: int, *, with_content: bool) -> Tensor | Init:
    init = config.init
    if init is None:
        return Init.CONTENT if with_content else Init.NOISE
    if isinstance(init, Init):
        if init is Init.CONTENT and not with_content:
            raise SettingError("a texture has no content to start from", hint="give --init noise or style")
        return init
    return _pixels(picture_from(init), unit, "init")
