"""The look of a picture that tilestyle made: settings stored in it that another can be made by."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tilestyle.errors import SettingError

# Not those of size, seed, content or computation; nor the scale: the forms of a finished picture have the size
# they are to have, so it is shown at its own.
LOOK = (
    "network",
    "weights",
    "pooling",
    "style_loss",
    "style_weight",
    "tv_weight",
    "style_layers",
    "overlap",
    "sampler",
    "scale_odds",
    "sweeps",
    "quality",
    "learning_rate",
)


def look_of(stored: Mapping[str, Any], file: Path, given: Collection[str] = ()) -> dict[str, Any]:
    """Settings for another picture of the look of `file`, from what is stored in it (images.read_provenance).

    All but those that are `given` otherwise, by name.
    Weights are stored without their folder: they are looked for where the program runs, and beside the picture.
    Raises SettingError where they are in neither.
    """
    settings = stored.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    found = {name: settings[name] for name in LOOK if name in settings and name not in given}
    found |= {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    if "weights" in found:
        found["weights"] = _here(str(found["weights"]), file)
    return found


def _here(name: str, file: Path) -> str | os.PathLike[str]:
    """Where weights of this name are."""
    for path in (Path(name), file.parent / name):
        if path.is_file():
            return path
    raise SettingError(
        f"{file.name} was made with the weights {name}, which are not here", hint="give --weights"
    )
