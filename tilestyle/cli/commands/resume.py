"""`tilestyle resume`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.naming import with_options
from tilestyle.cli.parameters import Values, argument, command, without
from tilestyle.errors import WorkError

KEPT_BY = ("render", "texture", "invert", "upscale")
"""Commands whose work folder can be resumed."""


FOLDER = argument(
    "folder", Path, "Work folder of the render, such as poster.tif.work.", files=file_roles.KEPT_RENDER
)


@command(FOLDER, opt.QUIET, opt.VERBOSE, opt.DEBUG)
def resume(values: Values) -> None:
    """Continue a render that was stopped, from its work folder."""
    from tilestyle.cli.app import main
    from tilestyle.pipeline.workdir import MANIFEST, load_manifest, printable

    folder = values[FOLDER]
    if not folder.is_dir():
        raise WorkError(f"there is no folder {folder}", hint="give the work folder of a render")
    manifest = load_manifest(folder)
    if manifest is None:
        raise WorkError(f"{folder} has no checkpoint", hint="give the work folder of a render that was stopped")
    path = folder.resolve()
    own = (opt.RESTART, opt.YES, opt.QUIET, opt.VERBOSE, opt.WORK_DIR)
    words = without(manifest.words, *own)
    if not words:
        raise WorkError(f"{folder} was created from Python", hint="run that program again to resume")
    if words[0] not in KEPT_BY:
        raise WorkError(
            f"{folder} is damaged (its command cannot be resumed)", hint="run the original command again"
        )
    try:
        os.chdir(manifest.folder)
    except OSError as error:
        raise WorkError(
            f"cannot change to {printable(manifest.folder)}, where the render was started ({error.strerror})",
            hint="run the original command again",
        ) from error
    resume_options = ["--yes", *(each.flags[0] for each in (opt.QUIET, opt.VERBOSE, opt.DEBUG) if values[each])]
    sys.argv[1:] = with_options(words, "--work-dir", str(path), *resume_options)
    main(continues=lambda: f"tilestyle resume {folder}" if (path / MANIFEST).is_file() else "")
