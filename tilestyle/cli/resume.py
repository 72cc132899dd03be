"""`tilestyle resume`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import roles
from tilestyle.errors import WorkError


def resume(
    folder: Annotated[
        Path,
        typer.Argument(help="Work folder of a render, such as out.tif.work.", show_default=False),
        roles.KEPT_RENDER,
    ],
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Go on with a render that was stopped or killed, as its own command would."""
    from tilestyle.cli.app import main
    from tilestyle.work import MANIFEST, command_of

    if not folder.is_dir():
        raise WorkError(f"there is no folder {folder}", hint="give the work folder of a render")
    if not (folder / MANIFEST).exists():
        raise WorkError(f"{folder} keeps no render", hint="give the work folder of one that was stopped")
    command = command_of(folder)
    path = folder.resolve()
    words = [word for word in command.get("words", []) if word not in ("--restart", "--yes", "--quiet", "-q")]
    if not words:
        raise WorkError(f"{folder} was left by a program", hint="call that again")
    try:
        os.chdir(command["folder"])
    except OSError as error:
        raise WorkError(
            f"{command['folder']}, where it was begun, is gone", hint="give its command again"
        ) from error
    more = ["--yes", *(["--quiet"] if quiet else []), *(["--debug"] if debug else [])]
    sys.argv[1:] = [*words, "--work-dir", str(path), *more]
    main()
