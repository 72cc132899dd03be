"""`tilestyle pictures`."""

from __future__ import annotations

import os
from pathlib import Path

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.parameters import Values, command, optional
from tilestyle.cli.terminal import console, say
from tilestyle.errors import OutputError

TO = optional(
    "to",
    Path,
    "Folder to copy the pictures into, with their credits; created if it does not exist.",
    shown="nothing is copied",
    metavar="FOLDER",
    basic=True,
    files=file_roles.COPIED,
)


@command(TO, opt.QUIET, opt.DEBUG)
def pictures(values: Values) -> None:
    """List the included pictures, or copy them.

    Every command understands their names: tilestyle render raccoon --style swirls.
    """
    folder = values[TO]
    if folder is not None:
        copied = copy_pictures(folder)
        if not values[opt.QUIET]:
            files = "1 file" if copied == 1 else f"{copied} files"
            say(f"copied {files} to {folder}" if copied else f"{folder} has all pictures already")
        return
    from rich.table import Table

    from tilestyle.images import inspect_picture
    from tilestyle.pictures import CREDIT_OF, NAMES, picture_path

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("picture", "size", "what", "whose"):
        table.add_column(heading, no_wrap=heading in ("picture", "size"), overflow="fold")
    for name in NAMES:
        facts, credit = inspect_picture(picture_path(name)), CREDIT_OF[name]
        table.add_row(name, f"{facts.width} x {facts.height}", credit.what, credit.whose)
    console().print(table)


def copy_pictures(folder: Path) -> int:
    """Copy the bundled pictures and their credits into a folder; files that are there already stay.

    Returns:
        The number of files that were copied.

    Raises:
        OutputError: A file of the same name is there and differs, or the folder cannot be written. Nothing is
            copied if a file differs.
    """
    from tilestyle.files.atomic import atomic_write
    from tilestyle.images.library_errors import translating_encode_errors
    from tilestyle.pictures import NAMES, credits_path, picture_path

    sources = [*map(picture_path, NAMES), credits_path()]
    missing = []
    with translating_encode_errors(str(folder)):
        for source in sources:
            target = folder / source.name
            if not os.path.lexists(target):
                missing.append(source)
            elif not target.is_file() or target.read_bytes() != source.read_bytes():
                raise OutputError(
                    f"{target} exists and is not the included picture", hint="give another folder"
                )
        folder.mkdir(parents=True, exist_ok=True)
        if missing:
            signals.writes(folder / missing[-1].name)
        for source in missing:
            with atomic_write(folder / source.name) as file:
                file.write(source.read_bytes())
    return len(missing)
