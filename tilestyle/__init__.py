"""Rendering style at any resolution: style transfer and texture synthesis by patches.

Example:
    >>> from tilestyle import render
    >>> picture = render("photo.jpg", "painting.jpg", size=2048, strength=0.6)
    >>> picture.save("poster.png")

`render`, `texture`, `invert` and `upscale` return pictures; `drift`, `zoom` and `stylize_video` write series of
them. `RenderConfig` has all settings. What cannot be used raises a `TilestyleError`.
"""

# Every name is imported when it is first used: torch takes seconds, and the command line must be able to handle
# signals before anything else is loaded.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilestyle.config.enums import (
        Color,
        ContentLoss,
        Init,
        NetworkName,
        Pooling,
        Precision,
        Quality,
        Sampler,
        StyleLoss,
        Tileable,
    )
    from tilestyle.config.render import RenderConfig, VideoConfig
    from tilestyle.config.settings import Settings
    from tilestyle.errors import TilestyleError
    from tilestyle.images import Picture, WriteOptions, read_picture
    from tilestyle.motion.drift import SeriesCallbacks, drift
    from tilestyle.motion.series import Series
    from tilestyle.motion.video import stylize_video
    from tilestyle.motion.zoom import zoom
    from tilestyle.motion.zoom_path import ZoomPath
    from tilestyle.pictures import picture_path
    from tilestyle.pipeline.api import invert, render, texture
    from tilestyle.pipeline.events import (
        CanvasMoved,
        Event,
        Finished,
        LevelStarted,
        Observer,
        PatchDone,
        PatchHalved,
        Resumed,
        Started,
        Stopped,
        SweepDone,
    )
    from tilestyle.pipeline.workdir import Work
    from tilestyle.planning.inputs import Style
    from tilestyle.recipes.upscale import UpscaleResult, upscale
    from tilestyle.version import __version__

__all__ = [
    "CanvasMoved",
    "Color",
    "ContentLoss",
    "Event",
    "Finished",
    "Init",
    "LevelStarted",
    "NetworkName",
    "Observer",
    "PatchDone",
    "PatchHalved",
    "Picture",
    "Pooling",
    "Precision",
    "Quality",
    "RenderConfig",
    "Resumed",
    "Sampler",
    "Series",
    "SeriesCallbacks",
    "Settings",
    "Started",
    "Stopped",
    "Style",
    "StyleLoss",
    "SweepDone",
    "Tileable",
    "TilestyleError",
    "UpscaleResult",
    "VideoConfig",
    "Work",
    "WriteOptions",
    "ZoomPath",
    "__version__",
    "drift",
    "invert",
    "picture_path",
    "read_picture",
    "render",
    "stylize_video",
    "texture",
    "upscale",
    "zoom",
]

_HOMES = {
    "pipeline.api": (
        "invert",
        "render",
        "texture",
    ),
    "config.enums": (
        "Color",
        "ContentLoss",
        "Init",
        "NetworkName",
        "Pooling",
        "Precision",
        "Quality",
        "Sampler",
        "StyleLoss",
        "Tileable",
    ),
    "config.render": ("RenderConfig", "VideoConfig"),
    "config.settings": ("Settings",),
    "errors": ("TilestyleError",),
    "images": ("Picture", "WriteOptions", "read_picture"),
    "motion.drift": ("SeriesCallbacks", "drift"),
    "motion.series": ("Series",),
    "motion.video": ("stylize_video",),
    "motion.zoom": ("zoom",),
    "motion.zoom_path": ("ZoomPath",),
    "pipeline.events": (
        "CanvasMoved",
        "Event",
        "Finished",
        "LevelStarted",
        "Observer",
        "PatchDone",
        "PatchHalved",
        "Resumed",
        "Started",
        "Stopped",
        "SweepDone",
    ),
    "pictures": ("picture_path",),
    "planning.inputs": ("Style",),
    "version": ("__version__",),
    "pipeline.workdir": ("Work",),
    "recipes.upscale": ("UpscaleResult", "upscale"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in __all__:
        raise AttributeError(f"module 'tilestyle' has no attribute {name!r}")
    value = getattr(import_module(f"tilestyle.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether they have been imported or not."""
    return sorted({*globals(), *__all__})
