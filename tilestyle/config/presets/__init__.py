"""Presets: named settings, one TOML file for each. Looks are those that name a style."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import SettingError, excerpt


def preset_names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(Path(entry.name).stem for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def preset_path(name: str) -> Path:
    """Return the file of a preset; raises SettingError with a similar name if there is none."""
    if name not in preset_names():
        question = did_you_mean(name, preset_names(), quoted=True)
        raise SettingError(
            f"there is no preset {excerpt(name)}",
            hint=f"{question}the presets are {', '.join(preset_names())}",
        )
    return Path(str(files(__name__).joinpath(f"{name}.toml")))


def look_names() -> list[str]:
    """Return the names of the presets that are a look: they name a bundled style, too."""
    from tilestyle.config.toml import load_preset

    return [name for name in preset_names() if load_preset(name).style]
