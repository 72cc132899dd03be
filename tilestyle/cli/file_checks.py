"""Checks of all files of a command before it creates or removes anything.

Inputs must be readable and outputs writable. An output must not be one of the inputs, by any path or link:
otherwise the original would be lost, and the render could not be resumed, because its input had changed. With
--overwrite-input, an output that is written at the very end may replace an input.

Nor does an output replace any other file without --overwrite: it may have taken hours, or be the user's own.
What an unfinished command wrote when it was stopped is replaced when that command is resumed.
"""

from __future__ import annotations

import difflib
import os
import shlex
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli.file_roles import SERIES, SETTINGS, Place, Reads, Writes
from tilestyle.cli.parameters import roles_of
from tilestyle.config.enums import SUFFIXES, Init
from tilestyle.errors import OutputError, PictureError, TilestyleError
from tilestyle.files.paths import file_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import typer

    from tilestyle.cli.file_roles import Named
    from tilestyle.config.render import RenderConfig

FLAG = "--overwrite-input"
# Of pipeline.workdir, recipes.comparison and motion.series, which import torch.
UNFINISHED = ("manifest.json", "cells.json", "series.json")
"""Files that say that a folder holds unfinished work, or a series that can be continued."""


def check_files(context: typer.Context, *configs: RenderConfig) -> None:
    """Check all files of a command.

    Args:
        context: The context of the command, with its parameters.
        configs: Settings, which may name more files than the parameters: --config does.

    Raises:
        TilestyleError: An input cannot be read; or an output cannot be written, is one of the inputs (unless
            that is allowed), or is another output.
    """
    params = context.params
    roles = roles_of(context.command.callback) if context.command.callback else {}
    outputs = [
        (writes, place)
        for name, writes in roles.items()
        if isinstance(writes, Writes)
        for place in _places(writes, params.get(name), params)
    ]
    values = [(name, reads, params.get(name)) for name, reads in roles.items() if isinstance(reads, Reads)]
    values += [("", reads, getattr(config, name)) for config in configs for name, reads in SETTINGS.items()]
    inputs: list[Named] = []
    for name, reads, value in values:
        for role, path in reads.of(value):
            if (role, path) not in inputs:
                _check_stored(context, name, role, path)
                _check_input(reads, role, path)
                inputs.append((role, path))
    for writes, place in outputs:
        _check_place(writes, place)
    _check_apart(
        inputs, outputs, allowed=bool(params.get("overwrite_input")), can_allow="overwrite_input" in params
    )
    _check_distinct(outputs)
    if "overwrite" in params and not params["overwrite"]:
        replaced = {path for _, path in inputs} if params.get("overwrite_input") else set()
        _check_unused(context, outputs, replaced)


def existing_output(context: typer.Context, out: Path) -> Path | None:
    """A file that exists and would be replaced if the output had this name; None if there is none."""
    writes = roles_of(context.command.callback)["out"] if context.command.callback else None
    assert isinstance(writes, Writes), "the command has an output"
    for place in _places(writes, out, context.params):
        if place.names is not SERIES and (file := place.first_file()):
            return file
    return None


def is_continued(context: typer.Context) -> bool:
    """Whether the folder of the command's work, or its series, holds what an earlier command has left."""
    params = context.params
    roles = roles_of(context.command.callback) if context.command.callback else {}
    return any(
        os.path.lexists(place.path / name)
        for role, writes in roles.items()
        if isinstance(writes, Writes) and role in ("out", "work_dir")
        for place in _places(writes, params.get(role), params)
        if place.names is SERIES or (place.is_whole_folder and role == "work_dir")
        for name in UNFINISHED
    )


def replaces_input(out: Path, inputs: Iterable[object]) -> bool:
    """Whether an output is one of these inputs; inputs that are not files are ignored."""
    place = Place(out)
    return any(place.holds(Path(each)) for each in inputs if isinstance(each, str | os.PathLike))


def _places(writes: Writes, value: Any, params: Mapping[str, Any]) -> list[Place]:
    """What is written for a parameter. Raises OutputError, with its role, for an invalid file name."""
    try:
        return list(writes.places(value, params))
    except OutputError as error:
        raise OutputError(f"{writes.role}: {error}") from error


def _check_stored(context: typer.Context, name: str, role: str, path: Path) -> None:
    """Say how to give a file that a picture names and that is not there: pictures store names without folders.

    Args:
        context: The context of the command, with its parameters.
        name: The parameter that names the file, or "".
        role: The name of the file in messages.
        path: The file.

    Raises:
        PictureError: The photograph or a style of the picture of --config is missing.
    """
    picture = context.params.get("config_file")
    if picture is None or picture.suffix.lower() not in SUFFIXES or role not in ("content", "style"):
        return
    source = context.get_parameter_source(name)
    is_typed = source is not None and source.name == "COMMANDLINE"
    if is_typed or path.parent != Path() or file_id(path) is not None:
        return
    words = ["tilestyle", "again", str(picture), *(["--style"] if role == "style" else []), f"FOLDER/{path}"]
    raise PictureError(
        f"{role}: there is no file {path}",
        hint=f"pictures store no folders; give its folder: {shlex.join(words)}",
    )


def _check_input(reads: Reads, role: str, path: Path) -> None:
    try:
        reads.check(role, path)
    except PictureError:
        # A value of --init that is not a file may be a misspelled choice.
        choices = [each.value for each in Init]
        similar = difflib.get_close_matches(path.name, choices, n=1) if role == "init" else []
        if role != "init" or file_id(path) is not None or path.suffix:
            raise
        question = f"did you mean {similar[0]}? " if similar else ""
        raise PictureError(
            f"init: there is no file {path}",
            hint=f"{question}give an image file, or one of {', '.join(choices)}",
        ) from None


def _check_place(writes: Writes, place: Place) -> None:
    """Raise OutputError if a file or folder could not be created, as far as can be told without creating it."""
    from tilestyle.files.atomic import check_output_path
    from tilestyle.images.library_errors import translating_encode_errors

    if place.is_whole_folder:  # checked by whoever creates it
        return
    with translating_encode_errors(f"{writes.role}: {place.path}"):
        try:
            if not place.is_folder:
                check_output_path(place.path, creates_folder=place.creates_folder)
                return
            if os.path.lexists(place.path) and not place.path.is_dir():
                raise OutputError(f"{place.path} is not a folder", hint="give another name")
            check_output_path(place.path / "any", creates_folder=True)
        except OutputError as error:
            raise OutputError(f"{writes.role}: {error}") from error


def _check_apart(
    inputs: Sequence[Named], outputs: Sequence[tuple[Writes, Place]], *, allowed: bool, can_allow: bool
) -> None:
    """Raise OutputError for an output that is an input, unless that is possible and allowed."""
    for writes, place in outputs:
        if allowed and writes.is_written_last and not place.is_folder:
            continue
        replaced = next(((role, path) for role, path in inputs if place.holds(path)), None)
        if replaced is None:
            continue
        role, path = replaced
        where = f"files in {place.path}" if place.is_folder else f"the file {place.path}"
        ways = "give another name"
        if can_allow and writes.is_written_last and not place.is_folder:
            ways += f", or {FLAG} to replace it when the image is complete"
        raise OutputError(f"{writes.role}: {where} would replace an input, the {role} {path}", hint=ways)


def _check_unused(context: typer.Context, outputs: Sequence[tuple[Writes, Place]], replaced: set[Path]) -> None:
    """Raise OutputError for an output that exists, unless an unfinished command has written it.

    Args:
        context: The context of the command.
        outputs: Its outputs.
        replaced: Inputs that may be replaced.
    """
    continued = is_continued(context)
    for writes, place in outputs:
        file = place.first_file() if writes.is_kept and place.names is not SERIES else None
        if file is None:
            continue
        if any(place.holds(path) for path in replaced) or (continued and _may_be_own(writes, place)):
            continue
        raise OutputError(
            f"{writes.role}: {file} exists", hint="give another name, or --overwrite to replace it"
        )


def _may_be_own(writes: Writes, place: Place) -> bool:
    """Whether tilestyle may have written an output before: a picture then has settings stored in it."""
    from tilestyle.images import read_provenance

    if writes.role != "out" or place.is_folder or place.path.suffix.lower() not in SUFFIXES:
        return True
    try:
        return read_provenance(place.path) is not None
    except TilestyleError:
        return False


def _check_distinct(outputs: Sequence[tuple[Writes, Place]]) -> None:
    """Raise OutputError for two outputs that are the same file."""
    for (writes, place), (other_writes, other_place) in combinations(outputs, 2):
        if place.overlaps(other_place):
            raise OutputError(
                f"{writes.role} and {other_writes.role} would both write to {place.path}",
                hint="give them different names",
            )
