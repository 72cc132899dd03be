"""The look of a picture that tilestyle made: settings stored in it that another can be made by.

Weights mean nothing by themselves: what they weigh is measured in units that other settings choose, and an
optimiser makes of it what it can. So all settings that the style term, smoothness and the steps depend on are
taken over together. Every field of RenderConfig is in LOOK or in APART.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tilestyle.errors import SettingError

NETWORK = ("weights", "pooling", "pooling_scale", "input_scaling", "feature_scale", "style_layers")
LOOK = (
    # What sees the style.
    "network",
    *NETWORK,
    # What its distance is measured by, and how much each term counts.
    "style_loss",
    "statistics_weight",
    "normalise",
    "style_weight",
    "palette_weight",
    "arrangement_weight",
    "tv_weight",
    "tv_form",
    "tv_exponent",
    "finish",
    # How the canvas is stepped.
    "optimiser",
    "learning_rate",
    "learning_rate_falloff",
    "history",
    "round",
    "sampler",
    "scale_odds",
    "overlap",
    # From level to level.
    "coarsest",
    "level_ratio",
    "margin",
    "sweeps",
    "quality",
    "init",  # unless it was a picture
)
# Settings that are not part of a look, by the reason.
APART = {
    "asked for anew": ("size", "seed", "tileable"),
    "of the content, which a texture has none of": (
        *("strength", "content_weight", "content_loss", "content_layers", "color"),
    ),
    # The forms of a finished picture have the size and the directions that they are to have.
    "of the style that it was made from": ("style_scale", "enlarge_style", "turn_style", "style_blend"),
    "of places in that picture": ("mask", "blend_map", "locality", "locality_window"),
    "of another picture": ("anchor", "trust", "anchor_weight"),
    "of the machine": (
        *("device", "precision", "deterministic"),
        *("patch", "memory", "host_memory", "keep_content", "max_input_pixels"),
    ),
}
# Settings that mean nothing once another is given in their place.
FOLLOWING = {
    "network": NETWORK,
    "optimiser": ("history", "round", "learning_rate", "learning_rate_falloff"),
    "quality": ("sweeps",),
    "sweeps": ("quality",),
}
MADE_OF_NOTHING = ("noise", "uniform", "grey")  # beginnings that need no picture
RANDOM = "random"  # weights that are in no file (networks.registry)


def look_of(
    stored: Mapping[str, Any], file: Path, defaults: Mapping[str, Any], given: Collection[str] = ()
) -> dict[str, Any]:
    """Settings for another picture of the look of `file`.

    Args:
        stored: What is stored in the file (images.read_provenance): of settings those that are not defaults.
        file: The picture.
        defaults: What settings are that are not stored, by name.
        given: Names of settings that were asked for otherwise; they are not taken over, nor what follows them.

    Returns:
        A value for every setting of the look that was not given. Weights are stored without their folder: they
        are looked for where the program runs, and beside the picture.

    Raises:
        SettingError: If the weights are in neither place.
    """
    settings = stored.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    other = {*given, *(name for each in given for name in FOLLOWING.get(each, ()))}
    found = {name: settings.get(name, defaults[name]) for name in LOOK if name not in other}
    if found.get("init") not in MADE_OF_NOTHING:
        found.pop("init", None)
    if found.get("weights") not in (None, RANDOM):
        found["weights"] = _here(Path(str(found["weights"])).name, file)
    return found


def _here(name: str, file: Path) -> str | os.PathLike[str]:
    """Where weights of this name are."""
    for path in (Path(name), file.parent / name):
        if path.is_file():
            return path
    raise SettingError(
        f"{file.name} was made with the weights {name}, which are not here", hint="give --weights"
    )
