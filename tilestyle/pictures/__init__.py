"""The pictures that come with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tilestyle.errors import PictureError

PHOTOGRAPHS = ("coffee", "astronaut", "raccoon", "pagoda")
# Painted by examples/paint.py.
STYLES = ("swirls", "facets", "woodcut", "weave", "impasto", "mosaic", "watercolor", "inkwash", "pastel")
# Drawn by examples/bricks.py and examples/masks.py.
SAMPLES = ("bricks",)
MASKS = ("coffee-mask", "woodcut-mask", "landscape-mask", "ramp")
NAMES = PHOTOGRAPHS + STYLES + SAMPLES + MASKS


CREDITS = "CREDITS.md"
"""The file, beside the pictures, that says whose they are."""


@dataclass(frozen=True)
class Credit:
    """What a picture shows, and whose it is.

    Attributes:
        what: What it shows or looks like.
        whose: Author and license.
    """

    what: str
    whose: str


_OURS = "tilestyle, CC0"
CREDIT_OF = {
    "coffee": Credit("a cup of coffee", "Rachel Michetti, CC0"),
    "astronaut": Credit("the astronaut Eileen Collins", "NASA, public domain"),
    "raccoon": Credit("a raccoon", "public-domain-image.com, public domain"),
    "pagoda": Credit("a pagoda above a lake", "danielbuechele, CC BY 2.0"),
    "swirls": Credit("oil: thick strokes around eddies", _OURS),
    "facets": Credit("oil: angular planes, outlined in black", _OURS),
    "woodcut": Credit("two blocks, indigo and vermilion", _OURS),
    "weave": Credit("dyed straw", _OURS),
    "impasto": Credit("oil: thick strokes of broken color", _OURS),
    "mosaic": Credit("cut stones and gold glass", _OURS),
    "watercolor": Credit("washes on rough paper", _OURS),
    "inkwash": Credit("ink in water on soft paper", _OURS),
    "pastel": Credit("chalk on gray-brown paper", _OURS),
    "bricks": Credit("a brick wall, for textures", _OURS),
    "coffee-mask": Credit("mask of coffee: cup red, table blue", _OURS),
    "woodcut-mask": Credit("mask of woodcut: sun red, sky yellow, hills blue", _OURS),
    "landscape-mask": Credit("mask of a new picture, in the colors of woodcut-mask", _OURS),
    "ramp": Credit("blend map: from black to white", _OURS),
}
"""The credit of every picture; CREDITS has them in full."""


def picture_path(name: str) -> Path:
    """Return the file of an included picture.

    Args:
        name: Its name, such as "swirls"; `tilestyle pictures` lists them.

    Returns:
        Its path.

    Raises:
        PictureError: No picture of this name is included.
    """
    if name not in NAMES:
        raise PictureError(f"no picture {name!r} comes with tilestyle", hint=f"there are {', '.join(NAMES)}")
    return Path(str(files(__name__).joinpath(file_name(name))))


def file_name(name: str) -> str:
    """The name of the file of a picture. Masks are PNGs: they need exact colors."""
    return f"{name}.png" if name in MASKS else f"{name}.jpg"


def bundled_name(path: str | os.PathLike[str]) -> str | None:
    """The name of the picture in a file; None for any file but those that come with the package."""
    path = Path(path)
    return path.stem if path.stem in NAMES and path == picture_path(path.stem) else None


def credits_path() -> Path:
    """The file that says whose the pictures are."""
    return Path(str(files(__name__).joinpath(CREDITS)))
