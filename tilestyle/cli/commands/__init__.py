"""All commands, one module each, and the app that they make up."""

from __future__ import annotations

from typing import Annotated

import typer

from tilestyle.cli.commands import (
    again,
    batch,
    benchmark,
    demo,
    drift,
    help_command,
    info,
    invert,
    looks,
    paper,
    pictures,
    presets,
    preview,
    render,
    resume,
    sheet,
    studio,
    texture,
    upscale,
    video,
    zoom,
)
from tilestyle.cli.typer_app import Commands, ForwardingCommand
from tilestyle.config.torchrun import world_size
from tilestyle.errors import SettingError
from tilestyle.version import __version__

MAKE, SERIES = "Make pictures", "Films and series"
COMPARE, MACHINE = "Look and compare", "Machine and settings"
"""Groups of commands in `tilestyle --help`, in the order in which they first appear below."""

app = Commands(
    help="Repaint photos in the style of other pictures, and make textures, at any size.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("render", rich_help_panel=MAKE)(render.render)
app.command("batch", rich_help_panel=MAKE)(batch.batch)
app.command("texture", rich_help_panel=MAKE)(texture.texture)
app.command("upscale", rich_help_panel=MAKE)(upscale.upscale)
app.command("again", cls=ForwardingCommand, rich_help_panel=MAKE)(again.again)
app.command("resume", rich_help_panel=MAKE)(resume.resume)
app.command("demo", rich_help_panel=MAKE)(demo.demo)
app.command("paper", rich_help_panel=MAKE)(paper.paper)
app.command("preview", rich_help_panel=COMPARE)(preview.preview)
app.command("studio", rich_help_panel=COMPARE)(studio.studio)
app.command("looks", rich_help_panel=COMPARE)(looks.looks)
app.command("sheet", rich_help_panel=COMPARE)(sheet.sheet)
app.command("info", rich_help_panel=COMPARE)(info.info)
app.command("invert", rich_help_panel=COMPARE)(invert.invert)
app.command("video", rich_help_panel=SERIES)(video.video)
app.command("drift", rich_help_panel=SERIES)(drift.drift)
app.command("zoom", rich_help_panel=SERIES)(zoom.zoom)
app.command("pictures", rich_help_panel=MACHINE)(pictures.pictures)
app.command("presets", rich_help_panel=MACHINE)(presets.presets)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel=MACHINE)
app.command("help", rich_help_panel=MACHINE)(help_command.help_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tilestyle {__version__}")
        raise typer.Exit


# Commands that torchrun can start as several processes.
MULTIPLE_PROCESSES = ("render", "texture", "invert", "again", "resume")


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if world_size() > 1 and context.invoked_subcommand not in MULTIPLE_PROCESSES:
        raise SettingError(
            f"{context.invoked_subcommand} does not support multiple processes", hint="run it without torchrun"
        )
