"""The endless zoom: enlarge about the centre, crop, let the style put in what is lacking, again and again.

The canvas begins as the enlarged picture and goes a few small steps from it, at the full size alone: so what is
seen moves on and stays the same thing, while the moments of the style hold its colour, contrast and detail.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig
from tilestyle.devices.torch_state import isolated
from tilestyle.motion import zoom_path
from tilestyle.motion.drift import PathLike, Watch, sized
from tilestyle.motion.repeated_job import finished, step_job, with_style_cache
from tilestyle.motion.series import Series, pixels_of, series
from tilestyle.pipeline.api import identity, texture
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.schedule import picture_size

NOBODY = Watch()


@isolated
def zoom(
    style: PathLike,
    folder: PathLike,
    config: RenderConfig,
    path: zoom_path.Path,
    start: PathLike | None = None,
    watch: Watch = NOBODY,
) -> Series:
    """Steps of a zoom into a style: numbered pictures in a folder, and statistics.

    It begins with `start`, or with a texture of the style at `config.size`. The rest is as in `drift`.
    """
    pictures = {"style": style} | ({} if start is None else {"start": start})
    with series(Path(folder), {"kind": "zoom", **path.about, **identity(config, pictures)}) as done:
        first = None if start is None else sized(pixels_of(Path(start)), config.size)
        size = picture_size(config.size, None) if first is None else (first.shape[1], first.shape[2])
        config = replace(config, size=size, coarsest=max(size))
        job = with_style_cache(prepare(style, config))
        while done.count < path.steps:
            if done.count:
                first = path.beginning(done)
            elif first is None:
                first = textured(style, config, watch)
            found = finished(step_job(job, done.count, first), watch.observer, watch.stop)
            if found is None:
                break
            picture, terms = found
            done.add(picture, {"style loss": terms.style})
            watch.tell(done)
        return done


def textured(style: PathLike, config: RenderConfig, watch: Watch) -> Tensor:
    """A texture [3, h, w] from coarse to fine: few sweeps of one level would not make its large forms."""
    usual = RenderConfig()
    config = replace(
        config,
        coarsest=usual.coarsest,
        level_ratio=usual.level_ratio,
        learning_rate=usual.learning_rate,
        learning_rate_falloff=usual.learning_rate_falloff,
        sweeps=None,
        quality=Quality.DRAFT,
    )
    picture = texture(style, config, observer=watch.observer, stop=watch.stop)
    return torch.from_numpy(np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)))
