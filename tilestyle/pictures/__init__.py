"""The pictures that come with the package: photographs, and pictures to take a style from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tilestyle.errors import PictureError

# Photographs first; the others are painted by examples/paint.py.
NAMES = ("coffee", "astronaut", "swirls", "facets", "woodcut", "weave")


def path_of(name: str) -> Path:
    """The file of a picture; raises PictureError for a name that is not in NAMES."""
    if name not in NAMES:
        raise PictureError(f"no picture {name!r} comes with tilestyle", hint=f"there are {', '.join(NAMES)}")
    return Path(str(files(__name__).joinpath(f"{name}.jpg")))
