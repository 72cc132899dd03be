"""The endless zoom: enlarge the picture about a point, crop it, let the style add detail, and repeat.

The canvas starts as the enlarged picture and is optimized in a few small steps, at the full size only. So the
scene stays recognizable as it grows, while the statistics of the style keep its color, contrast and detail.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from tilestyle.config.enums import Quality
from tilestyle.config.render import ZOOM_DEFAULTS, RenderConfig
from tilestyle.config.settings import Settings, with_settings
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.files.paths import named_path
from tilestyle.images import open_source
from tilestyle.motion.drift import SERIES_KEYWORDS, PathLike, SeriesCallbacks, resize_to, showing_steps
from tilestyle.motion.repeated_job import render_step, step_job, with_style_cache
from tilestyle.motion.series import Series, open_series, read_pixels
from tilestyle.motion.zoom_path import ZoomPath
from tilestyle.pipeline.api import texture
from tilestyle.pipeline.estimate import Repeated
from tilestyle.pipeline.fingerprint import render_fingerprint
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.planning.sizes import picture_size

NO_CALLBACKS, DEFAULT_PATH = SeriesCallbacks(), ZoomPath()


@with_torch_state
def zoom(  # noqa: PLR0913
    style: PathLike,
    folder: PathLike,
    config: RenderConfig | None = None,
    zoom_path: ZoomPath = DEFAULT_PATH,
    start: PathLike | None = None,
    callbacks: SeriesCallbacks = NO_CALLBACKS,
    *,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Series:
    """Render the steps of a zoom into a style: numbered pictures in a folder, and statistics.

    The same call resumes a zoom that was stopped. With more steps it continues a finished zoom without a loop.

    Args:
        style: The style picture.
        folder: Folder for the pictures 0001.png, 0002.png, ... and the statistics.
        config: Settings of every render, among them the `size` of the pictures; ZOOM_DEFAULTS in
            `config/render.py` if None.
        zoom_path: Number of steps, and how far each zooms in.
        start: Picture to start from; None: a texture of the style.
        callbacks: Called during the series.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The series, complete or as far as it was when it was stopped.

    Raises:
        WorkError: The folder holds another series.
        TilestyleError: As in `render`.

    Example:
        >>> from tilestyle import ZoomPath, zoom
        >>> series = zoom("painting.jpg", "zoom", zoom_path=ZoomPath(steps=60, loop=True), size=512)
    """
    config = with_settings(config, settings, ZOOM_DEFAULTS, SERIES_KEYWORDS)
    pictures = {"style": style} | ({} if start is None else {"start": start})
    fingerprint = {"kind": "zoom", **zoom_path.fingerprint, **render_fingerprint(config, pictures)}
    with (
        open_series(named_path(folder, "the folder of the series"), fingerprint) as output,
        showing_steps(callbacks, zoom_path.steps, progress=progress) as callbacks,
    ):
        callbacks.on_begin(output)
        initial = None if start is None else resize_to(read_pixels(Path(start)), config.size)
        height, width = picture_size(config.size, None) if initial is None else initial.shape[1:]
        config = step_config(config, height, width)
        job = with_style_cache(prepare(style, config))
        while output.count < zoom_path.steps:
            if output.count:
                initial = zoom_path.next_start(output)
            elif initial is None:
                initial = render_start_texture(style, config, callbacks)
            result = render_step(step_job(job, output.count, initial), callbacks.observer, callbacks.stop)
            if result is None:
                break
            picture, terms = result
            output.add(picture, {"style loss": terms.style})
            callbacks.on_step(output)
        return output


def step_config(config: RenderConfig, height: int, width: int) -> RenderConfig:
    """Return the settings of a step of a zoom whose pictures have this size."""
    return replace(config, size=(width, height), coarsest=max(height, width))


def start_config(config: RenderConfig) -> RenderConfig:
    """Return the settings of the texture that a zoom starts from, given those of its steps."""
    defaults = RenderConfig()
    return replace(
        config,
        coarsest=defaults.coarsest,
        level_ratio=defaults.level_ratio,
        learning_rate=defaults.learning_rate,
        learning_rate_falloff=defaults.learning_rate_falloff,
        sweeps=None,
        quality=Quality.DRAFT,
    )


def plan_zoom(
    style: PathLike, config: RenderConfig, zoom_path: ZoomPath, start: PathLike | None = None
) -> list[Repeated]:
    """Plan the renders of a zoom. Nothing is rendered.

    Args:
        style: The style picture.
        config: Settings of every render.
        zoom_path: Number of steps, and how far each zooms in.
        start: Picture to start from; None: a texture of the style.
    """
    sides = None
    if start is not None:
        with open_source(start) as source:
            sides = source.height, source.width
    config = step_config(config, *picture_size(config.size, sides))
    first = [] if start is not None else [Repeated("first texture", outline(style, start_config(config)))]
    return [*first, Repeated("steps", outline(style, config), zoom_path.steps, shares_style=True)]


def render_start_texture(style: PathLike, config: RenderConfig, callbacks: SeriesCallbacks) -> Tensor:
    """Render a texture [3, h, w] from coarse to fine.

    The few sweeps of a step, at one level, would not make its large forms.

    Args:
        style: The style picture.
        config: Settings of the zoom.
        callbacks: Observer and stop of the render.
    """
    config = start_config(config)
    picture = texture(style, config, observer=callbacks.observer, stop=callbacks.stop)
    return torch.from_numpy(np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)))
