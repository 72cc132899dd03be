"""Rendering style at any resolution: style transfer and texture synthesis by patches.

`render` and `texture` need torch, which takes a while to import: they are looked up when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilestyle.config import (
    Color,
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
from tilestyle.progress import Event, Finished, LevelStarted, Observer, PatchHalved, Resumed, Started, SweepDone
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.api import invert, render, texture
    from tilestyle.images import Picture
    from tilestyle.sources import Style
    from tilestyle.work import Work

__all__ = [
    "Color",
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


def __getattr__(name: str) -> Any:
    """Import what computes only when it is asked for."""
    if name in ("invert", "render", "texture"):
        from tilestyle import api

        return getattr(api, name)
    if name == "Work":
        from tilestyle.work import Work

        return Work
    if name == "Style":
        from tilestyle.sources import Style

        return Style
    if name == "Picture":
        from tilestyle.images import Picture

        return Picture
    raise AttributeError(f"module 'tilestyle' has no attribute {name!r}")
