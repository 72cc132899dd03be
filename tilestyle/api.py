"""Render and texture, from Python: pictures in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tilestyle.budget import find_device, find_dtype, patch_side
from tilestyle.canvas import Canvas, resized
from tilestyle.config import Init, RenderConfig
from tilestyle.errors import PictureError, SettingError
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


def prepare(style: Source, config: RenderConfig, content: Source | None = None) -> Job:
    """Resolve pictures and settings into a job."""
    device = find_device(config.device)
    dtype = find_dtype(config.precision, device)
    network = load_network(config.network, config.weights, config.pooling).to(device, dtype)
    weights = layer_weights(network, config, with_content=content is not None)
    used = {**weights.style_layers, **weights.content_layers}
    unit = max(network.layers[layer].stride for layer in used)
    side = config.patch or patch_side(network, used, device, dtype, unit)
    halo = rounded_up(config.overlap, unit)
    least = 2 * (unit + halo)
    if side < least:
        raise SettingError(
            f"patch {side} is too small for layers of stride {unit} and an overlap of {config.overlap}",
            hint=f"give at least {least}",
        )
    style_pixels = _pixels(picture_from(style), unit, "style")
    content_pixels = None if content is None else _pixels(picture_from(content), unit, "content")
    shape = None if content_pixels is None else (content_pixels.shape[1], content_pixels.shape[2])
    size = picture_size(config.size, shape)
    coarsest = float(config.coarsest)
    if content_pixels is None:
        shown = config.style_scale * max(style_pixels.shape[1:])
        coarsest = max(coarsest, max(size) * min(1.0, COARSEST_STYLE / shown))
    pyramid = Pyramid(min(coarsest, max(size)), side // unit * unit, unit)
    return Job(
        config,
        network,
        weights,
        levels(*size, config, pyramid),
        pyramid.side,
        unit,
        halo,
        style_pixels,
        content_pixels,
        _init(config, content_pixels is not None, unit),
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

    canvas, complete = optimise(job, begin, done, stop or (lambda: False))
    finest = job.levels[-1].extent.picture
    picture = as_picture(resized(canvas.picture(), finest).clamp(0, 1), content)
    tell(Finished(complete, clock.seconds))
    return picture


def layer_weights(network: FeatureNetwork, config: RenderConfig, *, with_content: bool) -> Weights:
    """The layers in use with their weights, shares of one within style and within content."""
    style = _shares(network, config.style_layers or network.style_layers, "style")
    content: dict[str, float] = {}
    if with_content and config.content_weight:
        content = _shares(network, config.content_layers or network.content_layers, "content")
    return Weights(config.style_weight, config.content_weight, config.tv_weight, style, content)


def as_picture(pixels: Tensor, content: Picture | None = None) -> Picture:
    """Host pixels [3, h, w] in [0, 1] as a Picture, with the content's transparency resampled."""
    alpha = None
    if content is not None and content.alpha is not None:
        plane = torch.from_numpy(content.alpha)[None]
        size = Box(0, 0, pixels.shape[1], pixels.shape[2])
        alpha = resized(plane, size).clamp(0, 1)[0].numpy()
    name = content.name if content is not None else ""
    return Picture(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), alpha=alpha, name=name)


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


def _init(config: RenderConfig, with_content: bool, unit: int) -> Tensor | Init:
    init = config.init
    if init is None:
        return Init.CONTENT if with_content else Init.NOISE
    if isinstance(init, Init):
        if init is Init.CONTENT and not with_content:
            raise SettingError("a texture has no content to start from", hint="give --init noise or style")
        return init
    return _pixels(picture_from(init), unit, "init")
