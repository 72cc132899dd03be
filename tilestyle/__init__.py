"""Rendering style at any resolution: style transfer and texture synthesis by patches.

Every name is imported when it is first used: torch takes seconds, and the command line must be able to handle
signals before anything else is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilestyle.api import invert, render, texture
    from tilestyle.config import (
        Color,
        ContentLoss,
        Init,
        NetworkName,
        Pooling,
        Precision,
        Quality,
        RenderConfig,
        Sampler,
        StyleLoss,
        Tileable,
    )
    from tilestyle.errors import TilestyleError
    from tilestyle.images import Picture
    from tilestyle.progress import (
        CanvasMoved,
        Event,
        Finished,
        LevelStarted,
        Observer,
        PatchHalved,
        Resumed,
        Started,
        Stopped,
        SweepDone,
    )
    from tilestyle.sources import Style
    from tilestyle.version import __version__
    from tilestyle.work import Work

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
    "PatchHalved",
    "Picture",
    "Pooling",
    "Precision",
    "Quality",
    "RenderConfig",
    "Resumed",
    "Sampler",
    "Started",
    "Stopped",
    "Style",
    "StyleLoss",
    "SweepDone",
    "Tileable",
    "TilestyleError",
    "Work",
    "__version__",
    "invert",
    "render",
    "texture",
]

_HOMES = {
    "api": ("invert", "render", "texture"),
    "errors": ("TilestyleError",),
    "images": ("Picture",),
    "progress": (
        "CanvasMoved",
        "Event",
        "Finished",
        "LevelStarted",
        "Observer",
        "PatchHalved",
        "Resumed",
        "Started",
        "Stopped",
        "SweepDone",
    ),
    "sources": ("Style",),
    "version": ("__version__",),
    "work": ("Work",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module; those without an entry are settings."""
    if name not in __all__:
        raise AttributeError(f"module 'tilestyle' has no attribute {name!r}")
    found = getattr(import_module(f"tilestyle.{_HOME_OF.get(name, 'config')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, whether they have been imported or not."""
    return sorted({*globals(), *__all__})
