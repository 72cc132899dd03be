"""All files of a command are checked before it makes or removes anything: inputs can be read, outputs written.

An output that is one of the inputs is refused, by whatever path or link. Otherwise the original would be lost,
and the work could not be resumed, because its input had changed. With --overwrite-input, an output that is
written once, when all is complete, may replace an input.
"""

from __future__ import annotations

import difflib
import inspect
import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli.roles import SETTINGS, Place, Reads, Writes, declared
from tilestyle.config.enums import Init
from tilestyle.errors import OutputError, PictureError
from tilestyle.files.paths import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import typer

    from tilestyle.cli.roles import Named
    from tilestyle.config.render import RenderConfig

FLAG = "--overwrite-input"


def check_files(context: typer.Context, *configs: RenderConfig) -> None:
    """Check all files of a command.

    Args:
        context: Of the command, with its parameters.
        configs: Settings, which may name files that no parameter names: a file of settings does.

    Raises:
        TilestyleError: Where an input cannot be read; where an output cannot be written, is one of the inputs
            (unless that was asked for), or is another output.
    """
    params = context.params
    roles = declared(inspect.unwrap(context.command.callback)) if context.command.callback else {}
    outputs = [
        (writes, place)
        for name, writes in roles.items()
        if isinstance(writes, Writes)
        for place in _places(writes, params.get(name), params)
    ]
    given = [(reads, params.get(name)) for name, reads in roles.items() if isinstance(reads, Reads)]
    given += [(reads, getattr(config, name)) for config in configs for name, reads in SETTINGS.items()]
    inputs: list[Named] = []
    for reads, value in given:
        for role, path in reads.of(value):
            if (role, path) not in inputs:
                _check_input(reads, role, path)
                inputs.append((role, path))
    for writes, place in outputs:
        _check_place(writes, place)
    _check_apart(
        inputs, outputs, allowed=bool(params.get("overwrite_input")), can_allow="overwrite_input" in params
    )
    _check_distinct(outputs)


def over_input(out: Path, inputs: Iterable[object]) -> bool:
    """Whether an output is one of these inputs; those that are no files are passed over."""
    place = Place(out)
    return any(place.holds(Path(each)) for each in inputs if isinstance(each, str | os.PathLike))


def _places(writes: Writes, value: Any, params: Mapping[str, Any]) -> list[Place]:
    """What is written for a parameter. Raises OutputError, with its role, for what names no file."""
    try:
        return list(writes.places(value, params))
    except OutputError as error:
        raise OutputError(f"{writes.role}: {error}") from error


def _check_input(reads: Reads, role: str, path: Path) -> None:
    try:
        reads.check(role, path)
    except PictureError:
        # Of --init, what is no file may be a misspelt choice.
        near = difflib.get_close_matches(path.name, list(Init), n=1) if role == "init" else []
        if role != "init" or identity(path) is not None or path.suffix:
            raise
        meant = f"did you mean {near[0]}? " if near else ""
        raise PictureError(
            f"init: there is no file {path}", hint=f"{meant}give a picture, or one of {', '.join(Init)}"
        ) from None


def _check_place(writes: Writes, place: Place) -> None:
    """Raise OutputError where a file or folder could not be made, as far as can be told without making it."""
    from tilestyle.files.atomic import check_place
    from tilestyle.images.library_errors import encoding

    if place.whole:  # they are checked by those that make them
        return
    with encoding(f"{writes.role}: {place.path}"):
        try:
            if not place.is_folder and not place.made:
                check_place(place.path)
                return
            if place.is_folder and os.path.lexists(place.path) and not place.path.is_dir():
                raise OutputError(f"{place.path} is not a folder", hint="give another name")
            above = place.path if place.is_folder else place.path.parent
            while not os.path.lexists(above):
                above = above.parent
            check_place(above / "any")
            if not place.is_folder and place.path.is_dir():
                raise OutputError(f"{place.path} is a folder", hint="name a file inside it")
        except OutputError as error:
            raise OutputError(f"{writes.role}: {error}") from error


def _check_apart(
    inputs: Sequence[Named], outputs: Sequence[tuple[Writes, Place]], *, allowed: bool, can_allow: bool
) -> None:
    """Raise OutputError for an output that is an input, but where that may be and was asked for."""
    for writes, place in outputs:
        if allowed and writes.last and not place.is_folder:
            continue
        found = next(((role, path) for role, path in inputs if place.holds(path)), None)
        if found is None:
            continue
        role, path = found
        where = f"files in {place.path}" if place.is_folder else f"the file {place.path}"
        ways = "give another name"
        if can_allow and writes.last and not place.is_folder:
            ways += f", or {FLAG} to replace it when all is complete"
        raise OutputError(f"{writes.role}: {where} would replace an input, the {role} {path}", hint=ways)


def _check_distinct(outputs: Sequence[tuple[Writes, Place]]) -> None:
    """Raise OutputError where two outputs would be one file."""
    for (writes, place), (others, other) in combinations(outputs, 2):
        if place.meets(other):
            raise OutputError(
                f"{writes.role} and {others.role} would both write to {place.path}",
                hint="give each its own name",
            )
