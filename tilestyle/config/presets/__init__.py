"""Settings by name, a file for each."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from tilestyle.errors import SettingError


def names() -> list[str]:
    """All there are, in order."""
    return sorted(Path(entry.name).stem for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def path_of(name: str) -> Path:
    """The file of a preset; raises SettingError for a name that is none, suggesting the nearest."""
    if name not in names():
        nearest = difflib.get_close_matches(name, names(), n=1, cutoff=0.0)[0]
        raise SettingError(
            f"there is no preset {name!r}",
            hint=f"did you mean {nearest!r}? the presets are {', '.join(names())}",
        )
    return Path(str(files(__name__).joinpath(f"{name}.toml")))
