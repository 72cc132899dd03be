"""Super-resolution by style: enlarge a picture, with the detail of a reference that shows something similar.

The enlarged picture is the content, and the reference the style, at its own scale. An anchor term keeps the
result, averaged down, close to the original picture. The remaining difference is projected back onto the result
(Irani and Peleg 1991).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log10
from typing import Any, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.resize import resize
from tilestyle.config.render import UPSCALE_DEFAULTS, RenderConfig
from tilestyle.config.settings import Settings, with_settings
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.images import ImageSource, Picture, picture_from, read_all
from tilestyle.losses.anchor import box_downsample
from tilestyle.pipeline.api import CALL_KEYWORDS, render
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.finished_picture import as_picture
from tilestyle.pipeline.provenance import file_name
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.inputs import open_image

GAP_PIXELS = 4  # pixels between the pictures of a row
PROJECTION_STEPS = 8  # projections of the remaining difference; each leaves a part of it


@dataclass(frozen=True)
class UpscaleResult:
    """An enlarged picture, and how close it is to the original when averaged down.

    Attributes:
        picture: The enlarged picture.
        rendered_psnr: Peak signal-to-noise ratio as rendered, dB.
        psnr: Peak signal-to-noise ratio after the projection, dB.
    """

    picture: Picture
    rendered_psnr: float
    psnr: float


@with_torch_state
def upscale(  # noqa: PLR0913  what `render` takes, and a factor
    low: object,
    reference: object,
    factor: int,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
    save: Callable[[UpscaleResult], object] | None = None,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> UpscaleResult:
    """Enlarge a picture with the detail of a reference.

    Args:
        low: The picture to enlarge; anything that `render` takes.
        reference: The picture that provides the detail.
        factor: Integer factor of the enlargement, 2 or more.
        config: The settings; UPSCALE_DEFAULTS in `config/render.py` if None.
        observer: Called with events, as for `render`.
        stop: Asked whether to stop, as for `render`.
        work: Folder for checkpoints, as for `render`.
        save: Called with the result before the work folder is removed, as for `render`.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The enlarged picture, and how close it is to the original.

    Raises:
        TilestyleError: As in `render`.

    Example:
        >>> from tilestyle import upscale
        >>> upscale("small.jpg", "similar.jpg", 4).picture.save("large.png")
    """
    config = with_settings(config, settings, UPSCALE_DEFAULTS, CALL_KEYWORDS)
    low_picture: Any = low
    style: Any = reference
    config = upscale_config(config, sides_of(low_picture), sides_of(style), factor, low_picture)
    results: list[UpscaleResult] = []
    command = f"tilestyle upscale {file_name(low_picture)} --reference {file_name(style)} --factor {factor}"

    def finish(rendered: Picture) -> None:
        entries = {**(rendered.provenance or {}), "command": command}
        results.append(project_result(replace(rendered, provenance=entries), picture_of(low_picture), factor))
        if save is not None:
            save(results[0])

    render(low_picture, style, config, observer=observer, stop=stop, work=work, save=finish, progress=progress)
    return results[0]


def sides_of(image: object) -> tuple[int, int]:
    """Return height and width of anything that holds a picture."""
    with open_image(image) as source:
        return source.height, source.width


def picture_of(image: object) -> Picture:
    """Return anything that holds a picture, in memory."""
    return read_all(image) if isinstance(image, ImageSource) else picture_from(image)


def upscale_config(
    config: RenderConfig, low: tuple[int, int], reference: tuple[int, int], factor: int, anchor: object
) -> RenderConfig:
    """Return the settings of the render that enlarges a picture.

    Levels double in size, starting from that of the picture. The reference is used at its own size, times
    `config.style_scale`.

    Args:
        config: The settings to start from.
        low: Height and width of the picture.
        reference: Height and width of the reference.
        factor: Factor of the enlargement.
        anchor: The picture, which the result must match when averaged down.

    Raises:
        SettingError: The factor is less than 2.
    """
    if factor < 2:
        raise SettingError(f"an enlargement by {factor} is not possible", hint="give a factor of 2 or more")
    height, width = factor * low[0], factor * low[1]
    # A style's scale is relative to the long side of the picture: here that at which it has its own size.
    share = max(reference) / max(height, width)
    return replace(
        config,
        size=(width, height),
        coarsest=max(low),
        level_ratio=2,
        style_scale=config.style_scale * share,
        anchor=anchor,
    )


def project_result(rendered: Picture, low: Picture, factor: int) -> UpscaleResult:
    """Project the remaining difference back onto a render, and measure how close it is to the original.

    Args:
        rendered: The render.
        low: The original picture.
        factor: Factor of the enlargement.
    """
    low_pixels, pixels = picture_tensor(low), picture_tensor(rendered)
    rendered_psnr = downsampled_psnr(pixels, low_pixels)
    pixels = back_project(pixels, low_pixels, factor)
    picture = replace(rendered, pixels=pixels.permute(1, 2, 0).numpy())  # [H, W, 3]
    return UpscaleResult(picture, rendered_psnr, downsampled_psnr(pixels, low_pixels))


def back_project(pixels: Tensor, low: Tensor, factor: int) -> Tensor:
    """Change a picture as little as possible so that it matches the original when averaged down.

    It matches up to clipping. Differences are upsampled bicubically; evenly distributed, they would show as
    squares.

    Args:
        pixels: The picture, [3, H, W].
        low: The original, [3, h, w].
        factor: H / h.
    """
    for _ in range(PROJECTION_STEPS):
        missing = (low - box_downsample(pixels, factor))[None]
        pixels = (pixels + F.interpolate(missing, scale_factor=factor, mode="bicubic")[0]).clamp(0, 1)
    return pixels


def downsampled_psnr(pixels: Tensor, low: Tensor) -> float:
    """Return the peak signal-to-noise ratio, dB, of a picture averaged down against another.

    Args:
        pixels: The picture, [3, H, W].
        low: The picture to compare it to, [3, h, w].
    """
    factor = pixels.shape[1] // low.shape[1]
    error = float((box_downsample(pixels, factor) - low).double().square().mean())
    return 10 * log10(1 / max(error, 1e-12))


def interpolation_baselines(low: object, factor: int) -> dict[str, Picture]:
    """Enlarge a picture by bicubic interpolation, and by Lanczos's kernel of three lobes, for comparison."""
    pixels = picture_tensor(low)
    size = Box(0, 0, factor * pixels.shape[1], factor * pixels.shape[2])
    bicubic = resize(pixels, size).clamp_(0, 1)
    return {
        "bicubic": as_picture(bicubic),
        "Lanczos": as_picture(lanczos_upsample(pixels, factor).clamp_(0, 1)),
    }


def lanczos_upsample(pixels: Tensor, factor: int, lobes: int = 3) -> Tensor:
    """Enlarge a picture [3, h, w] by an integer factor with Lanczos's kernel."""
    for axis in (1, 2):
        size = pixels.shape[axis]
        position = (torch.arange(factor * size, dtype=torch.float64) + 0.5) / factor - 0.5
        taps = position.floor()[:, None] + torch.arange(1 - lobes, lobes + 1)  # [n, 2 lobes]
        offset = taps - position[:, None]
        weights = torch.sinc(offset) * torch.sinc(offset / lobes)
        weights = (weights / weights.sum(1, keepdim=True)).float()
        index = taps.long().clamp(0, size - 1)
        rows = pixels.movedim(axis, 0)[index]  # [n, 2 lobes, ...]
        pixels = (rows * weights[:, :, None, None]).sum(1).movedim(0, axis)
    return pixels


def picture_tensor(source: object) -> Tensor:
    """Return the pixels [3, h, w] of anything that holds a picture."""
    return torch.from_numpy(np.ascontiguousarray(picture_from(source).pixels.transpose(2, 0, 1)))


def side_by_side(pictures: list[Picture]) -> Picture:
    """Return pictures of the same size in a row, with a white line between them."""
    line = np.ones((pictures[0].height, GAP_PIXELS, 3), np.float32)
    row = [part for picture in pictures for part in (line, picture.pixels)]
    return Picture(np.concatenate(row[1:], axis=1))
