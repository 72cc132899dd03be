"""What a command reads and what it writes: one declaration for every option and argument that names a file.

`Reads` and `Writes` stand in the annotation of a parameter, beside what typer is told of it. guarding.py checks
the files they name before a command begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tilestyle.cli.parsing import parsed_init, parsed_styles
from tilestyle.config.enums import SUFFIXES, Format
from tilestyle.errors import NetworkError, PictureError, SettingError, TilestyleError
from tilestyle.files.paths import identity, ordinary_file

Named = tuple[str, Path]  # a role, and the file in it


@dataclass(frozen=True)
class Reads:
    """A parameter that names files to read.

    Attributes:
        role: What messages call the file.
        error: What is raised where it cannot be used.
        inspect: Further check of a file, cheap; raises TilestyleError.
        files: The files of a value of the parameter, with their roles; by default the value is the file.
    """

    role: str
    error: type[TilestyleError] = PictureError
    inspect: Callable[[Path], object] = lambda path: None
    files: Callable[[Any, str], Iterable[Named]] = lambda value, role: [(role, Path(value))]

    def of(self, value: Any) -> Iterator[Named]:
        """The files of a value, which may be a list or None."""
        for each in value if isinstance(value, list | tuple) else [] if value is None else [value]:
            yield from self.files(each, self.role)

    def check(self, role: str, path: Path) -> None:
        """Raise the error of this parameter unless the file can be used, naming role and file."""
        ordinary_file(path, role, self.error)
        try:
            self.inspect(path)
        except TilestyleError as error:
            raise type(error)(f"{role}: {error}") from error


@dataclass(frozen=True)
class Place:
    """What a command will write: a file, or in a folder the files of these names.

    Attributes:
        path: The file or folder.
        names: Of the files directly in the folder; None for a file.
        whole: Whether the folder belongs to the command with all that is in it.
        made: Whether missing folders above it are made.
    """

    path: Path
    names: re.Pattern[str] | None = None
    whole: bool = False
    made: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.whole or self.names is not None

    def holds(self, path: Path) -> bool:
        """Whether the file at a path, by whatever name, would be written over or removed."""
        wanted = identity(path)
        if wanted is None:
            return False
        if self.whole:
            folder = identity(self.path)
            parents = Path(os.path.realpath(path)).parents
            return folder is not None and any(identity(parent) == folder for parent in parents)
        if self.names is None:
            # Not every file system has numbers that last: by its path it is known there, too.
            return identity(self.path) == wanted or os.path.realpath(self.path) == os.path.realpath(path)
        try:
            there = [file for file in self.path.iterdir() if self.names.fullmatch(file.name)]
        except OSError:
            return False
        return any(identity(file) == wanted for file in there)

    def meets(self, other: Place) -> bool:
        """Whether both would write to one file, also where that is not there yet."""
        if self.is_folder and other.is_folder:
            return (self.whole or other.whole) and spot(self.path) == spot(other.path)
        if self.is_folder:
            return other.meets(self)
        if not other.is_folder:
            return spot(self.path) == spot(other.path)
        if other.whole:
            top = spot(other.path)
            return any(
                spot(parent) == top for parent in [self.path, *Path(os.path.realpath(self.path)).parents]
            )
        inside = spot(self.path.parent) == spot(other.path)
        return inside and other.names is not None and bool(other.names.fullmatch(self.path.name))


def spot(path: Path) -> object:
    """What is the same for all spellings of a path: of a file that is not there, its folder and its name.

    Names that differ in the case of letters alone are one file on some systems, and nobody means two by them.
    """
    real = Path(os.path.realpath(path))
    found = identity(real)
    return found if found is not None else (identity(real.parent) or str(real.parent), real.name.casefold())


Places = Callable[[Any, Mapping[str, Any]], Iterable[Place]]


def one_file(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The value itself."""
    return [] if value is None else [Place(Path(value))]


@dataclass(frozen=True)
class Writes:
    """A parameter that names what is written.

    Attributes:
        role: What messages call it.
        last: Whether it is written once, when all is done: only then may it replace an input.
        places: What is written for a value (which may be None) and all parameters of the command.
    """

    role: str
    last: bool = False
    places: Places = one_file


def declared(callback: Callable[..., Any]) -> dict[str, Reads | Writes]:
    """The roles of a command's parameters, by name."""
    hints = get_type_hints(callback, include_extras=True)
    return {
        name: extra
        for name, hint in hints.items()
        for extra in get_args(hint)
        if isinstance(extra, Reads | Writes)
    }


def _picture(path: Path) -> None:
    """Raise PictureError for what is no picture, as far as can be told without decoding it."""
    from tilestyle.images import inspect_picture
    from tilestyle.images.deepzoom import check_input

    check_input(path)
    inspect_picture(path)


def _clip_files(value: Any, role: str) -> Iterable[Named]:
    """A film; or the pictures of a folder."""
    path = Path(value)
    if not os.path.isdir(path):
        return [(role, path)]
    return [(role, file) for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES]


def _style_files(value: Any, role: str) -> Iterable[Named]:
    """STYLE, STYLE:MASK or STYLE:#rrggbb."""
    for style in parsed_styles([str(value)]):
        yield role, style.path
        if isinstance(style.mask, Path):
            yield f"mask of {role}", style.mask


def _init_files(value: Any, role: str) -> Iterable[Named]:
    """A picture, unless it is the name of a way to begin."""
    found = parsed_init(str(value))
    return [(role, found)] if isinstance(found, Path) else []


def _pressed(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The picture, with the ending of its format; of Deep Zoom its tiles, too."""
    from tilestyle.images import named
    from tilestyle.images.deepzoom import tiles_folder

    if value is None:
        return
    path = named(value, params.get("form"))
    yield Place(path)
    if SUFFIXES.get(path.suffix.lower()) is Format.DEEP_ZOOM:
        yield Place(tiles_folder(path), whole=True)


def _with_crops(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The sheet of a preview, and its crops."""
    for place in _pressed(value, params):
        yield place
        if not place.is_folder:
            stem, suffix = re.escape(place.path.stem), re.escape(place.path.suffix)
            yield Place(place.path.parent, re.compile(rf"{stem}-crop-\d+{suffix}"))


def _film(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A film, or the numbered pictures of one."""
    from tilestyle.motion.film import PATTERN, is_frames

    if value is None:
        return []
    path = Path(value)
    if not is_frames(path):
        return [Place(path)]
    if pattern := PATTERN.fullmatch(path.name):
        before, after = map(re.escape, pattern.groups())
        return [Place(path.parent, re.compile(rf"{before}\d+{after}"), made=True)]
    return [Place(path, FILM_FRAME, made=True)]


def _video(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A film, and the folder of its frames beside it; or the folder alone."""
    for place in _film(value, params):
        if place.is_folder:
            yield Place(Path(value), SERIES, made=True)
        else:
            yield place
            yield Place(place.path.with_name(f"{place.path.name}.frames"), SERIES, made=True)


def _work(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The work folder, by default beside the picture."""
    if value is not None:
        return [Place(Path(value), whole=True, made=True)]
    pictures = [place.path for place in _pressed(params.get("out"), params) if not place.is_folder]
    return [Place(path.with_name(f"{path.name}.work"), whole=True, made=True) for path in pictures]


def _folder(names: re.Pattern[str]) -> Places:
    """A folder in which files of these names are written."""
    return lambda value, params: [] if value is None else [Place(Path(value), names, made=True)]


def _plots(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A plot in its formats (benchmark/plot.py)."""
    from tilestyle.images import named

    if value is None:
        return []
    path = named(value, None)
    suffixes = (".png", ".svg", *{path.suffix} & {".jpg", ".jpeg"})
    return [Place(path.with_suffix(suffix), made=True) for suffix in suffixes]


def _kept(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A file whose folder is made."""
    return [] if value is None else [Place(Path(value), made=True)]


# What is written into folders: series.py, film.py, snapshots.py, demo.py.
SERIES = re.compile(r"\d{4,}\.png|series\.json|statistics\.json")
FILM_FRAME = re.compile(r"\d{5,}\.png")
FRAME = re.compile(r"frame-\d{5,}\.png")
DEMO = re.compile(r"(coffee|texture)-[a-z]+\.png")

CONTENT = Reads("content", inspect=_picture)
START = Reads("start", inspect=_picture)
STYLE = Reads("style", inspect=_picture, files=_style_files)
STYLE_FILE = Reads("style", inspect=_picture)
LOW = Reads("picture to enlarge", inspect=_picture)
REFERENCE = Reads("reference", inspect=_picture)
LIKE = Reads("picture of --like", inspect=_picture)
DESCRIBED = Reads("picture")
MASK = Reads("mask", inspect=_picture)
BLEND_MAP = Reads("blend map", inspect=_picture)
INIT = Reads("init", inspect=_picture, files=_init_files)
CLIP = Reads("clip", files=_clip_files)
WEIGHTS = Reads("weights", NetworkError)
NAMED_WEIGHTS = Reads(
    "weights", NetworkError, files=lambda value, role: [] if value == "random" else [(role, Path(value))]
)
PROFILE = Reads("proof profile")
CONFIG = Reads("config", SettingError)
KEPT_RENDER = Reads("work folder", files=lambda value, role: [])  # a folder, which resume looks at itself

PICTURE = Writes("out", last=True, places=_pressed)
CROPS = Writes("out", places=_with_crops)
WATCHED = Writes("preview")
COMPARED = Writes("sheet", last=True)
FRAMES = Writes("frames", places=_folder(FRAME))
FILM = Writes("film", places=_film)
NUMBERED = Writes("out", places=_folder(SERIES))
VIDEO = Writes("out", last=True, places=_video)
DEMONSTRATED = Writes("out", places=_folder(DEMO))
WORK = Writes("work folder", places=_work)
SAVED = Writes("save-config")
RESULT = Writes("keep", places=_kept)
PLOT = Writes("plot", places=_plots)

SETTINGS = {
    "weights": WEIGHTS,
    "mask": MASK,
    "blend_map": BLEND_MAP,
    "init": INIT,
    "anchor": Reads("anchor", inspect=_picture),
    "trust": Reads("trust", inspect=_picture),
}
"""Settings that are files, wherever they come from: options, a file of settings, a preset."""
