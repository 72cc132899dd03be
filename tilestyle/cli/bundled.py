"""Pictures that come with tilestyle, named on the command line: `render photo.jpg --style swirls`.

A name stands for the bundled picture where there is no file of that name. Before a command begins, the names
among its arguments and options become the files, so everything that follows knows files only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tilestyle.cli.file_roles import Reads
from tilestyle.cli.parameters import parameters_of
from tilestyle.cli.parsing import parse_init, parse_styles
from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import PictureError
from tilestyle.files.paths import file_id, is_regular_file
from tilestyle.pictures import NAMES, bundled_name, picture_path

if TYPE_CHECKING:
    import typer

    from tilestyle.cli.parameters import Parameter


def take_style_of_preset(context: typer.Context) -> None:
    """Give a command the style of its file of settings or of its preset, if it has none.

    Raises:
        SettingError: The preset does not exist.
    """
    params = context.params
    for each in parameters_of(context.command.callback):
        if each.name == "style" and not params.get(each.name) and not params.get("like"):
            params[each.name] = _style_of_preset(each, params)


def name_pictures(context: typer.Context) -> None:
    """Give a command the files of bundled pictures for their names.

    Raises:
        PictureError: A name is neither a file nor a bundled picture, but similar to one.
    """
    params = context.params
    for each in parameters_of(context.command.callback):
        if isinstance(each.files, Reads) and each.files.bundled and params.get(each.name) is not None:
            value, role = params[each.name], each.files.role
            many = isinstance(value, list | tuple)
            stored = params.get("config_file") is not None  # check_files knows more of what a picture names
            words = [with_bundled(word, role, stored=stored) for word in (value if many else [value])]
            params[each.name] = words if many else words[0]


def with_bundled(word: Any, role: str, *, stored: bool = False) -> Any:
    """A file name, or STYLE:MASK, with the files of the bundled pictures that it names.

    Args:
        word: The name.
        role: What it is for, in messages.
        stored: Whether it may be a name that a picture stores.
    """
    if isinstance(word, Path):
        return _file_of(word, role, stored=stored)
    if not isinstance(parse_init(word), Path):
        return word  # a kind of starting image
    style = parse_styles([word])[0]
    files = [_file_of(style.path, role, stored=stored)]
    if isinstance(style.mask, Path):
        files.append(_file_of(style.mask, f"mask of {role}"))
    if files == [style.path, style.mask][: len(files)]:
        return word
    return ":".join([*map(str, files), *([style.mask] if isinstance(style.mask, str) else [])])


def shown_name(path: Path) -> str:
    """How a picture is named on a command line: by its own name if it is bundled."""
    return bundled_name(path) or str(path)


def _file_of(path: Path, role: str, *, stored: bool = False) -> Path:
    name = str(path)
    if name in NAMES and not is_regular_file(path):
        return picture_path(name)
    if file_id(path) is not None:
        return path
    question = did_you_mean(name, NAMES)
    # Words that may also be something else get the hint of their option.
    looks_like_name = (
        path.parent == Path() and not path.suffix and not stored and role != "init" and "mask" not in role
    )
    if question or (looks_like_name and name):
        raise PictureError(
            f"{role}: there is no file {name}, and no bundled picture of that name",
            hint=f"{question}tilestyle pictures lists them",
        )
    return path


def _style_of_preset(parameter: Parameter[Any], params: dict[str, Any]) -> Any:
    """The style that --config or --preset names, as a value of the parameter; None if neither does."""
    from tilestyle.cli.remembered import remembered_settings
    from tilestyle.config.toml import load_preset

    style = ""
    if file := params.get("config_file"):
        style = remembered_settings(file).style
    if not style and (preset := params.get("preset")):
        style = load_preset(preset).style
    if not style:
        return None
    return [style] if get_args(parameter.kind) else Path(style)
