"""`tilestyle looks`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.cli import options as opt
from tilestyle.cli import signals
from tilestyle.cli.bundled import shown_name
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import plans, print_several
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.naming import work_folder
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.progress import Parts, open_display
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.cli.viewer import show
from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig
from tilestyle.pipeline.provenance import STOPPED

if TYPE_CHECKING:
    from tilestyle.images import Json
    from tilestyle.recipes.looks import LookSheet

STYLE = opt.STYLE.with_changes(
    help="Show this style only, in several strengths and stroke sizes. A file or a name.",
    shown="all looks and included styles",
)
BASE = RenderConfig(size=224, quality=Quality.DRAFT)  # all looks take about two minutes on two cores


@command(
    *(opt.CONTENT, STYLE, opt.OUT),
    opt.SIZE.with_changes(help="Size of each picture in pixels: the long side, or WIDTHxHEIGHT.", shown=False),
    *opt.SCHEDULE,
    *opt.HARDWARE,
    *(opt.MAX_INPUT_PIXELS_OPTION, opt.JPEG_QUALITY),
    *(opt.WORK_DIR, opt.KEEP, opt.RESTART),
    *(opt.OVERWRITE, opt.OPEN, opt.DRY_RUN, opt.QUIET, opt.VERBOSE, opt.DEBUG),
    base=BASE,
)
def looks(values: Values) -> None:
    """Choose by looking: see a photo in every look and style on one sheet.

    Above each picture is what to type to get it larger. If it is stopped, run the same command again to
    continue.
    """
    from tilestyle.recipes.comparison import discard_cells, has_cells
    from tilestyle.recipes.looks import every_look, one_style

    photo, style = values[opt.CONTENT], values[STYLE]
    config = config_of(values)
    sheet = every_look(photo, config) if style is None else one_style(photo, style, config)
    output = Output.of(values)
    if values[opt.DRY_RUN]:
        print_several(plans(sheet, [look.words for look in sheet.looks]), (), f"on the sheet {output.file}")
        return
    output = output.settled(lambda folder: has_cells(sheet, folder), values[opt.WORK_DIR])
    folder = values[opt.WORK_DIR] or work_folder(output.file)
    if values[opt.RESTART]:
        discard_cells(folder)
    provenance_json = provenance(Inputs([] if style is None else [StyleFile(style)], photo), config, output.run)
    named = "" if style is None else f" --style {shlex.quote(shown_name(style))}"
    example = f"tilestyle render {shlex.quote(shown_name(photo))}{named} {sheet.looks[0].words} -o large.png"
    title = f"To get one larger, type what is above it, such as:  {example}"
    draw(sheet, title, output, folder, provenance_json)
    if not values[opt.KEEP]:
        discard_cells(folder)


def draw(sheet: LookSheet, title: str, output: Output, folder: Path, provenance_json: dict[str, Json]) -> None:
    """Render the looks that are missing and write the sheet as far as it is.

    Raises:
        typer.Exit: It was stopped.
    """
    from tilestyle.cli.display import stop_on_interrupt, watcher
    from tilestyle.files.folders import created_folder
    from tilestyle.files.ownership import logging_temporaries
    from tilestyle.images import as_source
    from tilestyle.recipes.comparison import render_cells

    total = len(sheet.looks)
    output.check(output.file, 1, 1, None)
    signals.kept_in(folder, "cell-*.png")
    with created_folder(output.file.parent):
        with open_display(quiet=output.quiet, verbose=output.verbose) as display:
            parts = Parts(display, total)

            def begin(number: int, total: int) -> None:
                parts.begin(number - 1, f"look {number} of {total}")

            with stop_on_interrupt() as stop:
                pictures = render_cells(sheet, folder, begin, stop, watcher(parts, quiet=output.quiet))
        where = f"{len(pictures)} of {total} looks"
        if not pictures:
            say("stopped before the first look was finished: nothing was written")
            raise typer.Exit(signals.INTERRUPTED)
        picture = sheet.sheet(pictures, title)
        mark: dict[str, Json] = {} if len(pictures) == total else {STOPPED: f"after {where}"}
        with logging_temporaries(folder):
            written = output.write(as_source(picture), None, provenance_json | mark)
    signals.wrote(written)
    if mark:
        say(f"stopped: {written} shows {where}; to continue: run the same command again")
        raise typer.Exit(signals.INTERRUPTED)
    if not output.quiet:
        say(f"wrote {written}: {picture.width} x {picture.height}, {total} looks")
    if output.shown:
        show(written)
