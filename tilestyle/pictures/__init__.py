"""The pictures that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tilestyle.errors import PictureError

PHOTOGRAPHS = ("coffee", "astronaut", "raccoon", "pagoda")
# Painted by examples/paint.py.
STYLES = ("swirls", "facets", "woodcut", "weave", "impasto", "mosaic", "watercolor", "inkwash", "pastel")
NAMES = PHOTOGRAPHS + STYLES


def picture_path(name: str) -> Path:
    """The file of a picture; raises PictureError for a name that is not in NAMES."""
    if name not in NAMES:
        raise PictureError(f"no picture {name!r} comes with tilestyle", hint=f"there are {', '.join(NAMES)}")
    return Path(str(files(__name__).joinpath(f"{name}.jpg")))
