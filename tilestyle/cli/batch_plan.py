"""Which pictures a batch renders, in which styles, and what their results are called.

Results lie in the output folder as the pictures lie in theirs, under the names that `render` would give them:
`holiday/sea.jpg` in the style `ink.png` becomes `OUT/sea-ink.png`.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilestyle.cli.naming import automatic_name
from tilestyle.errors import OutputError, PictureError, SettingError, excerpt
from tilestyle.files.paths import file_id
from tilestyle.notices import notice
from tilestyle.pictures import NAMES

PICTURE_SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
        *(".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    )
)
"""Endings of the files in a folder that are taken for pictures; other files there are left alone."""


@dataclass(frozen=True)
class Item:
    """One result of a batch.

    Attributes:
        picture: The picture.
        style: Number of its style among those that were given; None: all of them, or that of a preset.
        name: The result, relative to the output folder.
    """

    picture: Path
    style: int | None
    name: Path


def find_pictures(
    sources: Sequence[str], out: Path, maps: Mapping[str, Path] | None = None
) -> list[tuple[Path, Path]]:
    """Find the pictures of a batch, each with its path below the folder that all sources share.

    Args:
        sources: Folders, patterns such as `photos/*.jpg`, and files.
        out: Output folder; what lies in it is a result and not a picture.
        maps: Files that say where something holds, such as a mask, by what they are: they are left out, with a
            notice, unless a source is the file itself.

    Raises:
        PictureError: A source does not exist, or there is no picture.
        OutputError: The output folder is a source.
    """
    pictures: dict[Path, tuple[Path, Path]] = {}  # by real path: the picture, and the folder of its source
    roles = {file_id(path): role for role, path in (maps or {}).items()}
    for source in sources:
        folder, files = _matches(source)
        if file_id(out) is not None and file_id(folder) == file_id(out) and Path(source).is_dir():
            raise OutputError(f"out: {out} is the folder of the pictures", hint="give another --out")
        for file in files:
            same = file_id(file)  # None for a link that leads nowhere
            role = roles.get(same) if same and files != [Path(source)] else None
            if role:
                notice(f"{file} is the {role}, and is not rendered itself")
            elif not _is_inside(file, out):
                pictures.setdefault(_real_path(file), (file, folder))
    if not pictures:
        names = ", ".join(excerpt(source) for source in sources)
        raise PictureError(f"there are no pictures in {names}", hint=_hint(sources))
    try:
        root = Path(os.path.commonpath([os.path.abspath(folder) for _, folder in pictures.values()]))
    except ValueError as error:
        raise SettingError(
            "the pictures are on several drives", hint="give pictures of one drive at a time"
        ) from error
    return [(file, Path(os.path.abspath(file)).relative_to(root)) for file, _ in pictures.values()]


def _hint(sources: Sequence[str]) -> str:
    """Where pictures may be instead: in the folders of a folder, for instance."""
    for source in sources:
        pattern = os.path.join(source, "**", "*")
        if os.path.isdir(source) and _matches(pattern)[1]:
            return f"for the pictures in its folders give {excerpt(pattern)}"
    return "give a folder of pictures, or a pattern such as 'photos/*.jpg'"


def _matches(source: str) -> tuple[Path, list[Path]]:
    """The folder of a source, and its pictures in order."""
    if not source:  # Path("") would be the current folder
        raise PictureError("the name of the folder is empty", hint="give a folder of pictures")
    path = Path(source)
    if path.is_dir():
        return path, sorted(file for file in path.iterdir() if _is_picture(file))
    if path.exists() or not glob.has_magic(source):
        if not os.path.lexists(path):
            ways = "tilestyle pictures --to FOLDER copies the included pictures" if source in NAMES else ""
            raise PictureError(f"there is no file or folder {source}", hint=ways or "check the path")
        return path.parent, [path]
    parts = path.parts
    first_pattern = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    files = map(Path, glob.iglob(source, recursive=True))
    # A pattern with an ending says itself what a picture is.
    has_ending = "." in parts[-1].rstrip("*?")
    matches = sorted(file for file in files if not file.is_dir() and (has_ending or _is_picture(file)))
    # Of several paths to a file, through links, the shortest counts: a link to a folder above leads to itself.
    shortest = {_real_path(file): file for file in sorted(matches, key=lambda file: -len(file.parts))}
    return Path(*parts[:first_pattern]), [file for file in matches if shortest[_real_path(file)] == file]


def _is_picture(file: Path) -> bool:
    hidden = file.name.startswith(".")
    return not hidden and file.suffix.lower() in PICTURE_SUFFIXES and not file.is_dir()


def _real_path(file: Path) -> Path:
    """The path of a file by its real folder; a file that is a link keeps its own name."""
    return Path(os.path.realpath(file.parent), file.name)


def _is_inside(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder or below it, by the folders' real paths."""
    return Path(os.path.realpath(folder)) in _real_path(file).parents


def plan_items(
    pictures: Iterable[tuple[Path, Path]],
    styles: Sequence[str],
    params: dict[str, Any],
    *,
    uses_all_styles: bool,
) -> list[Item]:
    """Name the results: each picture in each style, or in all of them together.

    Args:
        pictures: Pictures, with their paths below their common folder.
        styles: The styles, as files or FILE:MASK.
        params: Parameters of the command, which decide the format.
        uses_all_styles: Whether all styles are used for every picture.

    Raises:
        SettingError: Two results would have the same name.
    """
    pictures = list(pictures)
    style_groups: list[tuple[int | None, list[str]]] = (
        [(None, list(styles))]
        if uses_all_styles or len(styles) < 2
        else [(number, [style]) for number, style in enumerate(styles)]
    )
    stems = Counter(_case_key(relative.with_suffix("")) for _, relative in pictures)
    items: list[Item] = []
    by_name: dict[str, Item] = {}
    for number, words in style_groups:
        for file, relative in pictures:
            # `a.jpg` and `a.png` would have the same result.
            is_unique = stems[_case_key(relative.with_suffix(""))] == 1
            content = relative if is_unique else _with_ending(relative)
            name = automatic_name("render", {"content": content, "style": words, "form": params.get("form")})
            item = Item(file, number, relative.with_name(name.name))
            same_name = by_name.setdefault(_case_key(item.name), item)
            if same_name is not item:
                first, second = (_description(each, styles) for each in (same_name, item))
                raise SettingError(
                    f"{first} and {second} would both become {item.name}",
                    hint="rename one, or render them into two folders",
                )
            items.append(item)
    return items


def _with_ending(path: Path) -> Path:
    """A path whose stem tells its ending, too."""
    return path.with_name(f"{path.stem}-{path.suffix.lstrip('.')}.png")


def _description(item: Item, styles: Sequence[str]) -> str:
    """A picture in its style, for a message."""
    return str(item.picture) if item.style is None else f"{item.picture} in {styles[item.style]}"


def _case_key(name: Path) -> str:
    """A key of a name: some systems do not tell upper from lower case."""
    return str(name).casefold()
