"""The files that a command reads and writes: the role of every parameter that names one.

`Reads` and `Writes` belong to the declaration of a parameter (parameters.py). file_checks.py checks their files
before a command begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilestyle.cli.parsing import parse_init, parse_styles
from tilestyle.config.enums import READABLE_SUFFIXES, SUFFIXES, Format
from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import NetworkError, PictureError, SettingError, TilestyleError
from tilestyle.files.paths import file_id, regular_file
from tilestyle.pictures import CREDITS, NAMES, file_name

Named = tuple[str, Path]  # a role, and the file in it


@dataclass(frozen=True)
class Reads:
    """A parameter that names files to read.

    Attributes:
        role: The name of the file in messages.
        error: The exception for a file that cannot be used.
        inspect: Further check of a file, cheap; raises TilestyleError.
        files: The files that a value of the parameter names, with their roles; by default the value itself.
        bundled: Whether the name of a bundled picture stands for that picture (bundled.py).
    """

    role: str
    error: type[TilestyleError] = PictureError
    inspect: Callable[[Path], object] = lambda path: None
    files: Callable[[Any, str], Iterable[Named]] = lambda value, role: [(role, Path(value))]
    bundled: bool = False

    def of(self, value: Any) -> Iterator[Named]:
        """The files of a value, which may be a list or None."""
        for each in value if isinstance(value, list | tuple) else [] if value is None else [value]:
            yield from self.files(each, self.role)

    def check(self, role: str, path: Path) -> None:
        """Raise the error of this parameter, with role and file, unless the file can be used."""
        regular_file(path, role, self.error)
        try:
            self.inspect(path)
        except TilestyleError as error:
            raise type(error)(f"{role}: {error}") from error


@dataclass(frozen=True)
class Place:
    """What a command will write: a file, or the files in a folder that match a pattern.

    Attributes:
        path: The file or folder.
        names: Pattern of the files directly in the folder; None for a file.
        is_whole_folder: Whether all contents of the folder belong to the command.
        creates_folder: Whether missing parent folders are created.
    """

    path: Path
    names: re.Pattern[str] | None = None
    is_whole_folder: bool = False
    creates_folder: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.is_whole_folder or self.names is not None

    def holds(self, path: Path) -> bool:
        """Whether the file at a path, by any of its names, would be overwritten or removed."""
        identity = file_id(path)
        if identity is None:
            return False
        if self.is_whole_folder:
            folder = file_id(self.path)
            parents = Path(os.path.realpath(path)).parents
            return folder is not None and any(file_id(parent) == folder for parent in parents)
        if self.names is None:
            # Not every file system has stable file numbers, so paths are compared, too.
            return file_id(self.path) == identity or os.path.realpath(self.path) == os.path.realpath(path)
        try:
            files = [file for file in self.path.iterdir() if self.names.fullmatch(file.name)]
        except OSError:
            return False
        return any(file_id(file) == identity for file in files)

    def first_file(self) -> Path | None:
        """A file that exists and would be overwritten; None if there is none."""
        if self.names is None:
            return self.path if os.path.lexists(self.path) else None
        try:
            return min((file for file in self.path.iterdir() if self.names.fullmatch(file.name)), default=None)
        except OSError:
            return None

    def overlaps(self, other: Place) -> bool:
        """Whether both would write to the same file, which may not exist yet."""
        if self.is_folder and other.is_folder:
            return (self.is_whole_folder or other.is_whole_folder) and path_key(self.path) == path_key(
                other.path
            )
        if self.is_folder:
            return other.overlaps(self)
        if not other.is_folder:
            return path_key(self.path) == path_key(other.path)
        if other.is_whole_folder:
            top = path_key(other.path)
            return any(
                path_key(parent) == top for parent in [self.path, *Path(os.path.realpath(self.path)).parents]
            )
        inside = path_key(self.path.parent) == path_key(other.path)
        return inside and other.names is not None and bool(other.names.fullmatch(self.path.name))


def path_key(path: Path) -> object:
    """Return a key that is the same for all spellings of a path; for a missing file, of its folder and name.

    Case is ignored: names that differ in case only are the same file on some systems.
    """
    real = Path(os.path.realpath(path))
    identity = file_id(real)
    if identity is not None:
        return identity
    return file_id(real.parent) or str(real.parent), real.name.casefold()


Places = Callable[[Any, Mapping[str, Any]], Iterable[Place]]


def one_file(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The value itself."""
    return [] if value is None else [Place(Path(value))]


@dataclass(frozen=True)
class Writes:
    """A parameter that names what is written.

    Attributes:
        role: Its name in messages.
        is_written_last: Whether it is written once, at the very end, and so may replace an input.
        is_kept: Whether a file that exists is replaced only with --overwrite.
        places: The files written for a value (which may be None), given all parameters of the command.
    """

    role: str
    is_written_last: bool = False
    is_kept: bool = False
    places: Places = one_file


def _picture(path: Path) -> None:
    """Raise PictureError for a file that is not an image, as far as can be told without decoding it."""
    from tilestyle.images import inspect_picture
    from tilestyle.images.deepzoom import check_input

    check_input(path)
    inspect_picture(path)


def _clip_files(value: Any, role: str) -> Iterable[Named]:
    """A video, or the images in a folder."""
    path = Path(value)
    if not os.path.isdir(path):
        return [(role, path)]
    return [(role, file) for file in sorted(path.iterdir()) if file.suffix.lower() in READABLE_SUFFIXES]


def _style_files(value: Any, role: str) -> Iterable[Named]:
    """STYLE, STYLE:MASK or STYLE:#rrggbb."""
    for style in parse_styles([str(value)]):
        yield role, style.path
        if isinstance(style.mask, Path):
            yield f"mask of {role}", style.mask


def _init_files(value: Any, role: str) -> Iterable[Named]:
    """An image file, unless it is a kind of starting image."""
    init = parse_init(str(value))
    return [(role, init)] if isinstance(init, Path) else []


def _profile_files(value: Any, role: str) -> Iterable[Named]:
    """A profile, unless it is one that needs no file."""
    from tilestyle.images import PROFILE_NAMES

    if str(value) in PROFILE_NAMES:
        return []
    if not Path(value).suffix and file_id(Path(value)) is None:  # a name, not a file
        raise PictureError(
            f"{role}: there is no file {value}, and no profile of that name",
            hint=f"{did_you_mean(str(value), PROFILE_NAMES)}give {', '.join(PROFILE_NAMES)} or an .icc file",
        )
    return [(role, Path(value))]


def _picture_places(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The image, with the suffix of its format; and the tiles of Deep Zoom."""
    from tilestyle.images import with_format_suffix
    from tilestyle.images.deepzoom import tiles_folder

    if value is None:
        return
    path = with_format_suffix(value, params.get("form"))
    yield Place(path, creates_folder=True)
    if SUFFIXES.get(path.suffix.lower()) is Format.DEEP_ZOOM:
        yield Place(tiles_folder(path), is_whole_folder=True)


def _with_crops(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The sheet of a preview and its crops."""
    for place in _picture_places(value, params):
        yield place
        if not place.is_folder:
            stem, suffix = re.escape(place.path.stem), re.escape(place.path.suffix)
            yield Place(place.path.parent, re.compile(rf"{stem}-crop-\d+{suffix}"), creates_folder=True)


def _with_panels(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A file for print; or its panels, and their plan."""
    for place in _picture_places(value, params):
        if params.get("panels") is None or place.is_folder:
            yield place
            continue
        stem, suffix = re.escape(place.path.stem), re.escape(place.path.suffix)
        yield Place(
            place.path.parent, re.compile(rf"{stem}-panel-\d+{suffix}|{stem}-plan\.png"), creates_folder=True
        )


def _film(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A video, or numbered frames."""
    from tilestyle.motion.film import NAME_PATTERN, is_frame_output

    if value is None:
        return []
    path = Path(value)
    if not is_frame_output(path):
        return [Place(path)]
    if pattern := NAME_PATTERN.fullmatch(path.name):
        stem, ending = map(re.escape, pattern.groups())
        return [Place(path.parent, re.compile(rf"{stem}\d+{ending}"), creates_folder=True)]
    return [Place(path, FILM_FRAME, creates_folder=True)]


def _video(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A video and the folder of its frames next to it; or only the folder."""
    for place in _film(value, params):
        if place.is_folder:
            yield Place(Path(value), SERIES, creates_folder=True)
        else:
            yield replace(place, creates_folder=True)
            yield Place(place.path.with_name(f"{place.path.name}.frames"), SERIES, creates_folder=True)


def _work(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """The work folder, by default next to the output."""
    if value is not None:
        return [Place(Path(value), is_whole_folder=True, creates_folder=True)]
    pictures = [place.path for place in _picture_places(params.get("out"), params) if not place.is_folder]
    return [
        Place(path.with_name(f"{path.name}.work"), is_whole_folder=True, creates_folder=True)
        for path in pictures
    ]


def _folder(names: re.Pattern[str]) -> Places:
    """A folder in which files that match a pattern are written."""
    return lambda value, params: [] if value is None else [Place(Path(value), names, creates_folder=True)]


def _plots(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A plot in its formats (benchmark/plot.py)."""
    from tilestyle.images import with_format_suffix

    if value is None:
        return []
    path = with_format_suffix(value, None)
    suffixes = (".png", ".svg", *{path.suffix} & {".jpg", ".jpeg"})
    return [Place(path.with_suffix(suffix), creates_folder=True) for suffix in suffixes]


def _file_place(value: Any, params: Mapping[str, Any]) -> Iterable[Place]:
    """A file whose folder is created."""
    return [] if value is None else [Place(Path(value), creates_folder=True)]


# What is written into folders: series.py, film.py, snapshots.py, demo.py.
SERIES = re.compile(r"\d{4,}\.png|series\.json|statistics\.json")
FILM_FRAME = re.compile(r"\d{5,}\.png")
FRAME = re.compile(r"frame-\d{5,}\.png")
DEMO = re.compile(r"(raccoon|pagoda|texture)-[a-z]+\.png|sheet\.png")
COPY = re.compile("|".join(re.escape(name) for name in (*map(file_name, NAMES), CREDITS)))

CONTENT = Reads("content", inspect=_picture, bundled=True)
FINISHED = Reads("picture", inspect=_picture, bundled=True)
START = Reads("start", inspect=_picture, bundled=True)
STYLE = Reads("style", inspect=_picture, files=_style_files, bundled=True)
STYLE_FILE = Reads("style", inspect=_picture, bundled=True)
LOW = Reads("image to enlarge", inspect=_picture, bundled=True)
REFERENCE = Reads("reference", inspect=_picture, bundled=True)
LIKE = Reads("image of --like", inspect=_picture)
DESCRIBED = Reads("image", bundled=True)
MASK = Reads("mask", inspect=_picture, bundled=True)
BLEND_MAP = Reads("blend map", inspect=_picture, bundled=True)
CONTENT_MAP = Reads("content map", inspect=_picture, bundled=True)
INIT = Reads("init", inspect=_picture, files=_init_files, bundled=True)
CLIP = Reads("clip", files=_clip_files)
WEIGHTS = Reads("weights", NetworkError)
NAMED_WEIGHTS = Reads(
    "weights", NetworkError, files=lambda value, role: [] if value == "random" else [(role, Path(value))]
)
PROFILE = Reads("proof profile")
OUTPUT_PROFILE = Reads("profile", files=_profile_files)
CONFIG = Reads("config", SettingError)
KEPT_RENDER = Reads("work folder", files=lambda value, role: [])  # a folder, which resume looks at itself

PICTURE = Writes("out", is_written_last=True, is_kept=True, places=_picture_places)
PANELS = Writes("out", is_written_last=True, is_kept=True, places=_with_panels)
CROPS = Writes("out", is_kept=True, places=_with_crops)
WATCHED = Writes("preview")
COMPARED = Writes("sheet", is_written_last=True, is_kept=True)
FRAMES = Writes("frames", places=_folder(FRAME))
FILM = Writes("film", is_kept=True, places=_film)
NUMBERED = Writes("out", places=_folder(SERIES))
VIDEO = Writes("out", is_written_last=True, is_kept=True, places=_video)
COPIED = Writes("to", places=_folder(COPY))
DEMONSTRATED = Writes("out", places=_folder(DEMO))
WORK = Writes("work folder", places=_work)
BATCH = Writes("out", places=lambda value, params: [])  # its files are checked one by one
REPORT = Writes("report")
SAVED = Writes("save-config")
RESULT = Writes("keep", places=_file_place)
PLOT = Writes("plot", places=_plots)

SETTINGS = {
    "weights": WEIGHTS,
    "mask": MASK,
    "blend_map": BLEND_MAP,
    "content_map": CONTENT_MAP,
    "init": INIT,
    "anchor": Reads("anchor", inspect=_picture),
    "trust": Reads("trust", inspect=_picture),
}
"""Settings that are files, from options, --config or a preset."""
