"""Reuse of the settings stored in a picture that tilestyle made, to make another picture of the same look.

The weight of a loss term means little by itself: other settings choose the units of the term, and the effect
depends on the optimizer. So all settings that determine style, smoothness and updates are reused together.
Every field of RenderConfig is in LOOK or in APART.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.errors import SettingError
from tilestyle.pictures import NAMES, file_name, picture_path

if TYPE_CHECKING:
    from tilestyle.config.toml import SettingsFile

NETWORK_SETTINGS = ("weights", "pooling", "pooling_scale", "input_scaling", "feature_scale", "style_layers")
REUSABLE = (
    # The feature network.
    "network",
    *NETWORK_SETTINGS,
    # The loss terms and their weights.
    "style_loss",
    "statistics_weight",
    "normalize",
    "style_weight",
    "palette_weight",
    "arrangement_weight",
    "tv_weight",
    "tv_form",
    "tv_exponent",
    "finish",
    # The optimizer and its patches.
    "optimizer",
    "learning_rate",
    "learning_rate_falloff",
    "history",
    "round",
    "sampler",
    "scale_odds",
    "overlap",
    # The levels.
    "coarsest",
    "level_ratio",
    "margin",
    "sweeps",
    "quality",
    "init",  # unless it was a picture
)
# Settings that are not part of a look, by reason.
NOT_REUSABLE = {
    "chosen for every picture": ("size", "seed", "tileable"),
    "for a content, which a texture does not have": (
        *("strength", "content_weight", "content_loss", "content_layers", "color", "keep_faces"),
    ),
    # The features of the finished picture already have the right size and direction.
    "for the style that the picture was made from": (
        *("style_scale", "enlarge_style", "turn_style", "style_blend"),
    ),
    "for positions in that picture": ("mask", "blend_map", "content_map", "locality", "locality_window"),
    "for another picture": ("anchor", "trust", "anchor_weight"),
    "for the machine": (
        *("device", "precision", "deterministic"),
        *("patch", "memory", "host_memory", "keep_content", "max_input_pixels"),
    ),
}
# Settings that are not reused either when the setting of the key is set to another value.
DEPENDENT_SETTINGS = {
    "network": NETWORK_SETTINGS,
    "optimizer": ("history", "round", "learning_rate", "learning_rate_falloff"),
    "quality": ("sweeps",),
    "sweeps": ("quality",),
}

# What older files call settings and layers, and values of the settings.
OLD_NAMES = {
    "optimiser": "optimizer",
    "normalise": "normalize",
    **{f"colour_{scale}": f"color_{scale}" for scale in range(1, 5)},
}
OLD_VALUES = {("init", "grey"): "gray", ("tv_form", "neighbours"): "neighbors"}
PICTURELESS_INITS = ("noise", "uniform", "gray")  # choices of Init that need no picture
RANDOM_WEIGHTS = "random"  # random weights, which are not in a file (networks/registry.py)


def with_current_names(stored: Any) -> Any:
    """Return JSON from a file with the names and values of older versions replaced by those of this one."""
    if isinstance(stored, dict):
        return {OLD_NAMES.get(name, name): _current_value(name, value) for name, value in stored.items()}
    return stored


def _current_value(name: str, value: Any) -> Any:
    """Return a value from a file as this version stores it."""
    if name == "size" and isinstance(value, list) and len(value) == 2:
        height, width = value  # older files have lists, in this order
        return f"{width}x{height}"
    if isinstance(value, str):
        return OLD_VALUES.get((name, value), value)
    return with_current_names(value)


def look_of(
    stored: SettingsFile, defaults: Mapping[str, Any], overridden: Collection[str] = ()
) -> dict[str, Any]:
    """Return the settings for another picture with the look of one that was made before.

    Args:
        stored: The settings of that picture (stored.py). They are only those that differ from the defaults.
        defaults: Default values of all settings, by name.
        overridden: Names of settings that the user has set. They are not reused, nor are those that depend on
            them.

    Returns:
        A value for every reused setting.

    Raises:
        SettingError: The file of the weights was not found.
    """
    excluded = {*overridden, *(name for setting in overridden for name in DEPENDENT_SETTINGS.get(setting, ()))}
    reused = {name: stored.settings.get(name, defaults[name]) for name in REUSABLE if name not in excluded}
    if reused.get("init") not in PICTURELESS_INITS:
        reused.pop("init", None)
    weights = reused.get("weights")
    if isinstance(weights, Path) and not weights.is_file():
        raise SettingError(
            f"{stored.path.name} was made with the weights {weights.name}, which were not found",
            hint="give --weights",
        )
    return reused


def find_file(name: str, picture: Path) -> Path:
    """Return the path of a file that made a picture, by its name; the name itself if it is nowhere.

    Args:
        name: Name of the file. Folders are ignored: pictures store none.
        picture: The picture. The file may be in the working directory, beside the picture, or in the package.
    """
    bare = Path(Path(name).name)
    for path in (bare, picture.parent / bare):
        if path.is_file():
            return path
    is_bundled = bare.stem in NAMES and bare.name == file_name(bare.stem)
    return picture_path(bare.stem) if is_bundled else bare
