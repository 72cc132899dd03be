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

KEPT_BY = ("render", "texture", "invert", "upscale")
"""Commands that keep their work in a folder that can be resumed."""


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
    from tilestyle.pipeline.workdir import manifest_of, printable

    if not folder.is_dir():
        raise WorkError(f"there is no folder {folder}", hint="give the work folder of a render")
    kept = manifest_of(folder)
    if kept is None:
        raise WorkError(f"{folder} keeps no render", hint="give the work folder of one that was stopped")
    path = folder.resolve()
    words = [word for word in kept.words if word not in ("--restart", "--yes", "--quiet", "-q")]
    if not words:
        raise WorkError(f"{folder} was left by a program", hint="call that again")
    if words[0] not in KEPT_BY:
        raise WorkError(f"{folder} is damaged (its command keeps no work)", hint="give its command again")
    try:
        os.chdir(kept.folder)
    except OSError as error:
        raise WorkError(
            f"{printable(kept.folder)}, where it was begun, cannot be entered ({error.strerror})",
            hint="give its command again",
        ) from error
    more = ["--yes", *(["--quiet"] if quiet else []), *(["--debug"] if debug else [])]
    # Options end at a "--" that the command may have had.
    end = words.index("--") if "--" in words else len(words)
    sys.argv[1:] = [*words[:end], "--work-dir", str(path), *more, *words[end:]]
    main()
