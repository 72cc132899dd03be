"""`tilestyle sheet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.cli import options as opt
from tilestyle.cli import signals
from tilestyle.cli.config_options import config_of
from tilestyle.cli.file_checks import check_files
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, optional
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.config.render import RenderConfig

if TYPE_CHECKING:
    from tilestyle.recipes.comparison import Comparison

VARY = optional(
    "vary",
    list[str],
    "Setting to compare, NAME=VALUE,VALUE,...: an option of render without its dashes, e.g. "
    "content-weight=0.03,0.3. Join the numbers or layers of one value by +. The first setting varies across, a "
    "second one down.",
    shown="content, style and result",
    panel=opt.LOOK,
    metavar="LIST",
)


@command(
    *(opt.CONTENT, opt.STYLE, opt.OUT),
    *(opt.PRESET, opt.CONFIG),
    *(VARY, opt.SIZE.but(help="Size of a cell in pixels: the long side, or WIDTHxHEIGHT.")),
    *opt.STRENGTHS,
    *opt.STYLE_TERMS,
    *(opt.CONTENT_LAYERS, opt.STYLE_LAYERS),
    *opt.STYLE_SHAPE,
    *(opt.COLOR, opt.INIT, opt.SEED),
    *opt.SCHEDULE,
    *(opt.NETWORK, opt.WEIGHTS, opt.POOLING),
    *opt.HARDWARE,
    *(opt.MAX_INPUT_PIXELS_OPTION, opt.JPEG_QUALITY),
    *(opt.WORK_DIR, opt.KEEP, opt.RESTART),
    *(opt.OVERWRITE_INPUT, opt.QUIET, opt.DEBUG),
    base=RenderConfig(size=384),
)
def sheet(values: Values) -> None:
    """Compare content, style and result, or a grid of renders over one or two settings."""
    from tilestyle.config.variations import parse_variation
    from tilestyle.recipes.comparison import Comparison, discard_cells

    config = config_of(values)
    variations = [parse_variation(stored_spelling(text)) for text in values[VARY] or []]
    comparison = Comparison(values[opt.CONTENT], values[opt.STYLE], config, variations)
    check_files(values.context, *comparison.configs())
    output = Output.of(values)
    folder = values[opt.WORK_DIR] or output.file.with_name(f"{output.file.name}.work")
    if values[opt.RESTART]:
        discard_cells(folder)
    compare(comparison, output, folder, keep=values[opt.KEEP])


def stored_spelling(text: str) -> str:
    """NAME=VALUES with the name and the values as files of settings spell them."""
    name, equals, rest = text.partition("=")
    if name.removeprefix("--") == "optimiser":
        name = "optimizer"
    if name.removeprefix("--") == "colour":
        name = "color"
    if name.removeprefix("--") == "init":
        rest = ",".join("gray" if value.strip() == "grey" else value for value in rest.split(","))
    return f"{name}{equals}{rest}"


def compare(comparison: Comparison, output: Output, folder: Path, *, keep: bool) -> None:
    """Render the cells that are missing, write the sheet, and say what was done."""
    from tilestyle.cli.display import stop_on_interrupt
    from tilestyle.files.ownership import logging_temporaries
    from tilestyle.images import as_source
    from tilestyle.recipes.comparison import discard_cells, render_cells

    def begin(number: int, count: int) -> None:
        if not output.quiet:
            say(f"cell {number} of {count}")

    count = len(list(comparison.configs()))
    output.check(output.file, 1, 1, None)
    signals.kept_in(folder, "cell-*.png")
    with stop_on_interrupt() as stop:
        found = render_cells(comparison, folder, begin, stop)
    if len(found) < count:
        say(f"{len(found)} of {count} cells are in {folder}: run the same command again to resume")
        raise typer.Exit(130)
    picture = comparison.sheet(found)
    made = provenance(Inputs([StyleFile(comparison.style)], comparison.content), comparison.config)
    with logging_temporaries(folder):
        output.write(as_source(picture), None, made)
    signals.wrote(output.file)
    if not keep:
        discard_cells(folder)
    if not output.quiet:
        say(f"wrote {output.file}: {picture.width} x {picture.height}")
