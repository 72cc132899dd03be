"""`tilestyle sheet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.bundled import with_bundled
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import captions_of, plans, print_several
from tilestyle.cli.file_checks import check_files
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.naming import work_folder
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, optional
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.progress import Parts, open_display
from tilestyle.cli.provenance import provenance
from tilestyle.cli.sizes import in_pixels, parse_any_size
from tilestyle.cli.terminal import say
from tilestyle.cli.viewer import show
from tilestyle.config.render import RenderConfig
from tilestyle.config.size import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilestyle.recipes.comparison import Comparison

VARY = optional(
    "vary",
    list[str],
    "Option to compare, with its values: strength=0.3,0.5,0.7. Give a second one to vary it downwards. If a "
    "value is a list, join its parts with +, as in sweeps=40+20,80+40.",
    shown="photo, style and result side by side",
    panel=opt.LOOK,
    metavar="NAME=VALUES",
    basic=True,
)


@command(
    *(opt.CONTENT, opt.STYLE_WORDS, opt.STYLE, opt.OUT),
    *(opt.PRESET, opt.CONFIG),
    *(VARY, opt.SIZE.with_changes(help="Size of each picture, as --size of render.")),
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
    *(opt.DRY_RUN, opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.VERBOSE, opt.DEBUG),
    base=RenderConfig(size=384),
)
def sheet(values: Values) -> None:
    """Compare results side by side on one sheet, such as three strengths."""
    from tilestyle.config.variations import parse_variation
    from tilestyle.recipes.comparison import Comparison, discard_cells, has_cells

    config = config_of(values)
    variations = [
        parse_variation(sizes_in_pixels(stored_spelling(text), values.context.params))
        for text in values[VARY] or []
    ]
    comparison = Comparison(values[opt.CONTENT], values[opt.STYLE], config, variations)
    check_files(values.context, *comparison.configs())
    output = Output.of(values)
    if values[opt.DRY_RUN]:
        output.check(output.file, 1, 1, None)
        print_several(plans(comparison, captions_of(comparison)), (), f"on the sheet {output.file}")
        return
    output = output.settled(lambda folder: has_cells(comparison, folder), values[opt.WORK_DIR])
    folder = values[opt.WORK_DIR] or work_folder(output.file)
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
    role = file_roles.SETTINGS.get(name.strip().removeprefix("--").replace("-", "_"))
    if role is not None and role.bundled and rest:
        rest = ",".join(with_bundled(value.strip(), role.role) for value in rest.split(","))
    return f"{name}{equals}{rest}"


def sizes_in_pixels(text: str, params: Mapping[str, Any]) -> str:
    """NAME=VALUES with the sizes of size=4k,50% in pixels; other text as it is."""
    name, _, rest = text.partition("=")
    if name.strip().removeprefix("--") != "size" or not rest.strip():
        return text
    sizes = (format_size(in_pixels(parse_any_size(value), params)) for value in rest.split(","))
    return f"{name}={','.join(map(str, sizes))}"


def compare(comparison: Comparison, output: Output, folder: Path, *, keep: bool) -> None:
    """Render the cells that are missing, write the sheet, and say what was done."""
    from tilestyle.cli.display import stop_on_interrupt, watcher
    from tilestyle.files.folders import created_folder
    from tilestyle.files.ownership import logging_temporaries
    from tilestyle.images import as_source
    from tilestyle.recipes.comparison import discard_cells, render_cells

    count = len(list(comparison.configs()))
    output.check(output.file, 1, 1, None)
    signals.kept_in(folder, "cell-*.png")
    with (
        created_folder(output.file.parent),
        open_display(quiet=output.quiet, verbose=output.verbose) as display,
    ):
        parts = Parts(display, count)

        def begin(number: int, count: int) -> None:
            parts.begin(number - 1, f"cell {number} of {count}")

        with stop_on_interrupt() as stop:
            pictures = render_cells(comparison, folder, begin, stop, watcher(parts, quiet=output.quiet))
    if len(pictures) < count:
        state = f"{len(pictures)} of {count} cells are in {folder}" if pictures else "no cell is finished"
        say(f"stopped: {state}, {output.file} was not written; to continue: run the same command again")
        raise typer.Exit(signals.INTERRUPTED)
    picture = comparison.sheet(pictures)
    provenance_json = provenance(
        Inputs([StyleFile(comparison.style)], comparison.content), comparison.config, output.run
    )
    with logging_temporaries(folder):
        written = output.write(as_source(picture), None, provenance_json)
    signals.wrote(written)
    if not keep:
        discard_cells(folder)
    if not output.quiet:
        say(f"wrote {written}: {picture.width} x {picture.height}")
    if output.shown:
        show(written)
