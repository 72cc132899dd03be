"""Settings from a file of settings, or from a picture that tilestyle made: `--config picture.png`."""

from __future__ import annotations

from pathlib import Path

from tilestyle.config.enums import SUFFIXES
from tilestyle.config.stored import stored_settings
from tilestyle.config.toml import SettingsFile, load_settings


def remembered_settings(path: Path) -> SettingsFile:
    """Read settings from a file of settings, or from a picture (config/stored.py).

    Raises:
        TilestyleError: The file cannot be read, is a picture without settings, or has settings that this
            version does not know.
    """
    if path.suffix.lower() not in SUFFIXES:
        return load_settings(path)
    from tilestyle.images import read_provenance

    return stored_settings(read_provenance(path), path)
