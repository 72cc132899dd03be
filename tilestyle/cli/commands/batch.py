"""`tilestyle batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.batch_config import load_render_settings
from tilestyle.cli.batch_run import Batch
from tilestyle.cli.commands import render
from tilestyle.cli.parameters import Parameter, Values, argument, command, optional

SOURCES = argument(
    "sources",
    list[str],
    "Folder of photos or other pictures, or a pattern such as 'photos/**/*.jpg'; can be repeated.",
    metavar="FOLDER",
)
STYLES = opt.STYLES.with_changes(
    help="Picture whose style is used, or the name of an included one. Can be repeated: every photo is "
    "rendered in each. With --style-blend, --mask or --blend-map, every photo is rendered once, in all of them."
)
OUT = opt.OUT.with_changes(
    help="Folder for the results, which are called PHOTO-STYLE.png. See --format for other formats.",
    metavar="FOLDER",
    shown="named after the folder and the styles",
    files=file_roles.BATCH,
)
REPORT = optional(
    "report",
    Path,
    "Table of all results to write, .csv or .json: what became of each photo, its time, and why it failed.",
    panel=opt.OUTPUT,
    basic=True,
    files=file_roles.REPORT,
    affects_result=False,
)


def _for_each(option: Parameter[Any], text: str) -> Parameter[Any]:
    """An option that names what is written for every result (batch_words.py), which is checked for each."""
    return option.with_changes(help=f"{option.help} {text}", files=file_roles.BATCH)


PER_PICTURE = {
    opt.CONFIG.name: opt.CONFIG.with_changes(callback=load_render_settings),
    opt.SAVE_CONFIG.name: _for_each(opt.SAVE_CONFIG, "One for each photo: RESULT-FILE."),
    opt.FILM_FILE.name: _for_each(opt.FILM_FILE, "One for each photo: RESULT-FILE."),
    opt.WORK_DIR.name: _for_each(opt.WORK_DIR, "One in it for each photo.").with_changes(shown="RESULT.work"),
    opt.DRY_RUN.name: opt.DRY_RUN.with_changes(
        help="Print what all renders will take (time, memory, disk) and what cannot be rendered, and stop."
    ),
    opt.OVERWRITE.name: opt.OVERWRITE.with_changes(
        help="Render results again that were made with other settings, and replace them."
    ),
    opt.OPEN.name: opt.OPEN.with_changes(help="Show the folder of the results in the system's viewer."),
}
"""Options of `render` as a batch has them."""
OPTIONS = tuple(PER_PICTURE.get(each.name, each) for each in render.SETTINGS if each is not opt.OVERWRITE_INPUT)


@command(SOURCES, STYLES, OUT, REPORT, *OPTIONS)
def batch(values: Values) -> None:
    """Repaint all pictures of a folder, in one style or in each of several.

    A picture that fails does not stop the others; what failed is listed at the end. Run the same command again
    to continue: finished results are kept. Exit code: 0 if all went well, 1 if a picture failed.
    """
    Batch(values, SOURCES, STYLES, OUT, REPORT).run()
