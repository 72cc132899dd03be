"""`tilestyle demo`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import print_several
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, option, setting
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.progress import Parts, open_display
from tilestyle.cli.render_to_file import Make, make_render, make_texture, render_part
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError

if TYPE_CHECKING:
    from tilestyle.images import Picture
    from tilestyle.pipeline.estimate import Repeated

RENDERS = (("raccoon", "swirls"), ("pagoda", "impasto"))
"""Content and style of each render."""

TEXTURE = "mosaic"
"""The style of the texture."""

SHEET = "sheet.png"
"""The picture that shows all others."""

SHEET_SIDE = 320  # long side of the pictures on it, in pixels

NEXT = (
    "looks raccoon -o looks.jpg",
    "render raccoon --preset ink -o ink.png",
    "texture mosaic --size 1024 --tileable both -o tile.png",
)
"""Commands to try next. Photographs of one's own go where the names of bundled pictures are."""

OUT = option(
    "out",
    Path,
    "Folder for the pictures; created if it does not exist.",
    default=Path("demo"),
    metavar="FOLDER",
    files=file_roles.DEMONSTRATED,
)
SIZE = setting("size", int, "Long side of the pictures, in pixels.")
BASE = RenderConfig(size=512, quality=Quality.DRAFT)  # what two cores finish in 90 s


@command(
    *(OUT, SIZE, opt.QUALITY, opt.DEVICE, opt.MEMORY, opt.HOST_MEMORY),
    *(opt.DRY_RUN, opt.QUIET, opt.VERBOSE, opt.DEBUG),
    base=BASE,
)
def demo(values: Values) -> None:
    """Make three example pictures, and a sheet of all, from included pictures. Nothing is downloaded."""
    config = config_of(values)
    out = values[OUT]
    if values[opt.DRY_RUN]:
        print_several(plans(config), (), f"and a sheet of all, in the folder {out}")
        return
    is_new_folder = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create the folder {out}: {error.strerror}", hint="give another --out"
        ) from error
    try:
        demonstrate(out, config, quiet=values[opt.QUIET], verbose=values[opt.VERBOSE])
    finally:
        if is_new_folder:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def renders_of(config: RenderConfig) -> list[tuple[Make, Inputs, RenderConfig, str]]:
    """The renders: what makes them, from what, with what settings, and the names of their files."""
    from tilestyle.pictures import picture_path

    assert isinstance(config.size, int)
    texture_config = replace(config, size=(config.size, config.size))
    renders: list[tuple[Make, Inputs, RenderConfig, str]] = [
        (make_render, Inputs([StyleFile(picture_path(style))], picture_path(content)), config, name)
        for content, style in RENDERS
        if (name := f"{content}-{style}.png")
    ]
    inputs = Inputs([StyleFile(picture_path(TEXTURE))])
    return [*renders, (make_texture, inputs, texture_config, f"texture-{TEXTURE}.png")]


def plans(config: RenderConfig) -> list[Repeated]:
    """What --dry-run tells of."""
    from tilestyle.pipeline.estimate import Repeated
    from tilestyle.pipeline.prepare import outline

    planned = []
    for _, inputs, settings, name in renders_of(config):
        with inputs.opened(settings) as prepared:
            planned.append(Repeated(name, outline(prepared.styles, prepared.config, prepared.content)))
    return planned


def demonstrate(out: Path, config: RenderConfig, *, quiet: bool, verbose: bool) -> None:
    """Render and synthesize into a folder.

    Raises:
        typer.Exit: It was stopped.
    """
    renders = renders_of(config)
    names = [name for *_, name in renders]
    with open_display(quiet=quiet, verbose=verbose) as display:
        parts = Parts(display, len(renders))
        for number, (make, inputs, settings, name) in enumerate(renders):
            signals.more_to_do()
            parts.begin(number, f"picture {number + 1} of {len(renders)}")
            output = Output(out / name, quiet=quiet, verbose=verbose)
            record, _ = render_part(make, inputs, settings, output, CheckpointOptions(enabled=False), parts)
            if record.stopped:  # Ctrl-C is meant for all of them
                break
    if record.stopped:
        state = f"{number} of {len(names)} pictures in {out} are finished, {names[number]} is unfinished"
        missing = f", {' and '.join(names[number + 1 :])} missing" if names[number + 1 :] else ""
        say(f"stopped: {state}{missing}; run the same command again to make them")
        raise typer.Exit(signals.INTERRUPTED)
    signals.more_to_do()
    signals.writes(out / SHEET)
    write_sheet(out)
    if not quiet:
        say(f"all in one picture: {out / SHEET}")
        say("to try next, also with pictures of your own:")
        for words in NEXT:
            say(f"  tilestyle {words}")


def write_sheet(out: Path) -> None:
    """Write one picture that shows what was made, and from what."""
    from tilestyle.images import CaptionedRow, draw_captioned_rows, write_picture
    from tilestyle.pictures import picture_path
    from tilestyle.recipes.comparison import read_downsampled

    def cell(file: Path) -> tuple[str, Picture]:
        return file.name, read_downsampled(file, SHEET_SIDE)

    rows = [
        [picture_path(content), picture_path(style), out / f"{content}-{style}.png"]
        for content, style in RENDERS
    ]
    rows.append([picture_path(TEXTURE), out / f"texture-{TEXTURE}.png"])
    write_picture(
        out / SHEET, draw_captioned_rows([CaptionedRow([cell(file) for file in row]) for row in rows])
    )
