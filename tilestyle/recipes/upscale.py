"""Super-resolution by style: a picture enlarged, with the detail of another of something alike.

The enlarged picture is the content, the reference the style, at its own scale; and an anchor holds the result,
averaged down, to what it was made from. What then is left of a difference is projected back onto the result
(Irani and Peleg 1991).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log10

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import resized
from tilestyle.config.render import UPSCALE, RenderConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture, picture_from
from tilestyle.losses.anchor import averaged
from tilestyle.pipeline.api import identity, working
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.run import as_picture, run
from tilestyle.pipeline.workdir import Work

LINE = 4  # pixels between the pictures of a sheet
PROJECTIONS = 8  # times that a difference is projected back: each leaves a part of it


@dataclass(frozen=True)
class Upscaled:
    """A result, and how far it agrees with what it was made from, dB: as rendered, and projected."""

    picture: Picture
    rendered: float
    agreement: float


@isolated
def upscale(  # noqa: PLR0913  what `render` takes, and a factor
    low: object,
    reference: object,
    factor: int,
    config: RenderConfig = UPSCALE,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Upscaled:
    """The picture `factor` times as large, with the reference's detail; both are anything that holds a picture.

    Observer, stop and work folder as in `render`.
    """
    given, style = picture_from(low), picture_from(reference)
    config = upscaling(
        config, (given.height, given.width), (style.height, style.width), factor, pixels_of(given)
    )
    with working(work, lambda: identity(config, {"content": low, "style": reference})) as checkpoints:
        made = run(prepare(style, config, given, checkpoints), observer, stop, checkpoints)
        return finished(made, given, factor)


def upscaling(
    config: RenderConfig, low: tuple[int, int], reference: tuple[int, int], factor: int, anchor: object
) -> RenderConfig:
    """Settings of the render that does it; `anchor` is the picture of height and width `low`.

    Levels double from its size on. The reference is seen at its own scale, times `config.style_scale`.
    """
    if factor < 2:
        raise SettingError(f"an enlargement by {factor}", hint="give 2 or more")
    height, width = factor * low[0], factor * low[1]
    # A style is shown at a share of the picture's long side: that at which it has its own size, or less.
    share = max(reference) / max(height, width)
    return replace(
        config,
        size=(height, width),
        coarsest=max(low),
        level_ratio=2,
        style_scale=config.style_scale * share,
        anchor=anchor,
    )


def finished(rendered: Picture, low: Picture, factor: int) -> Upscaled:
    """What was rendered, with what is left of a difference projected back."""
    given, found = pixels_of(low), pixels_of(rendered)
    before = agreement(found, given)
    found = projected(found, given, factor)
    picture = replace(rendered, pixels=found.permute(1, 2, 0).numpy())
    return Upscaled(picture, before, agreement(found, given))


def projected(pixels: Tensor, low: Tensor, factor: int) -> Tensor:
    """The picture [3, H, W] nearest to this whose mean over factor x factor pixels is `low`, but for clipping.

    Differences are shared out bicubically: shared out evenly, they would show squares.
    """
    for _ in range(PROJECTIONS):
        missing = (low - averaged(pixels, factor))[None]
        pixels = (pixels + F.interpolate(missing, scale_factor=factor, mode="bicubic")[0]).clamp(0, 1)
    return pixels


def agreement(pixels: Tensor, low: Tensor) -> float:
    """Peak signal-to-noise ratio, dB, of a picture [3, H, W] averaged down against another [3, h, w]."""
    factor = pixels.shape[1] // low.shape[1]
    error = float((averaged(pixels, factor) - low).double().square().mean())
    return 10 * log10(1 / max(error, 1e-12))


def interpolated(low: object, factor: int) -> dict[str, Picture]:
    """The picture enlarged by bicubic interpolation, and by Lanczos's kernel of three lobes."""
    given = pixels_of(low)
    size = Box(0, 0, factor * given.shape[1], factor * given.shape[2])
    bicubic = resized(given, size).clamp_(0, 1)
    return {"bicubic": as_picture(bicubic), "Lanczos": as_picture(lanczos(given, factor).clamp_(0, 1))}


def lanczos(pixels: Tensor, factor: int, lobes: int = 3) -> Tensor:
    """A picture [3, h, w] enlarged by a whole factor with Lanczos's kernel."""
    for axis in (1, 2):
        size = pixels.shape[axis]
        place = (torch.arange(factor * size, dtype=torch.float64) + 0.5) / factor - 0.5
        taps = place.floor()[:, None] + torch.arange(1 - lobes, lobes + 1)  # [n, 2 lobes]
        away = taps - place[:, None]
        weights = torch.sinc(away) * torch.sinc(away / lobes)
        weights = (weights / weights.sum(1, keepdim=True)).float()
        index = taps.long().clamp(0, size - 1)
        rows = pixels.movedim(axis, 0)[index]  # [n, 2 lobes, ...]
        pixels = (rows * weights[:, :, None, None]).sum(1).movedim(0, axis)
    return pixels


def pixels_of(given: object) -> Tensor:
    """Pixels [3, h, w] of anything that holds a picture."""
    return torch.from_numpy(np.ascontiguousarray(picture_from(given).pixels.transpose(2, 0, 1)))


def side_by_side(pictures: list[Picture]) -> Picture:
    """Pictures of one size in a row, a white line between them."""
    line = np.ones((pictures[0].height, LINE, 3), np.float32)
    row = [part for picture in pictures for part in (line, picture.pixels)]
    return Picture(np.concatenate(row[1:], axis=1))
