"""All commands, one module each, and the app that they make up."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tilestyle.cli.commands import (
    benchmark,
    demo,
    drift,
    info,
    invert,
    presets,
    preview,
    render,
    resume,
    sheet,
    texture,
    upscale,
    video,
    zoom,
)
from tilestyle.cli.typer_app import Commands
from tilestyle.errors import SettingError
from tilestyle.version import __version__

app = Commands(
    help="Style transfer and texture synthesis at any resolution.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("render")(render.render)
app.command("texture")(texture.texture)
app.command("invert")(invert.invert)
app.command("resume")(resume.resume)
app.command("preview")(preview.preview)
app.command("sheet")(sheet.sheet)
app.command("drift")(drift.drift)
app.command("zoom")(zoom.zoom)
app.command("upscale")(upscale.upscale)
app.command("video")(video.video)
app.command("demo")(demo.demo)
app.command("info")(info.info)
app.command("presets")(presets.presets)
app.add_typer(benchmark.app, name="benchmark")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tilestyle {__version__}")
        raise typer.Exit


# Commands that torchrun can start as several processes.
MULTIPLE_PROCESSES = ("render", "texture", "invert", "resume")


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and context.invoked_subcommand not in MULTIPLE_PROCESSES:
        raise SettingError(
            f"{context.invoked_subcommand} does not support multiple processes", hint="run it without torchrun"
        )
