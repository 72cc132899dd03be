"""The commands together."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tilestyle.cli import (
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
from tilestyle.cli.command import Commands
from tilestyle.errors import SettingError
from tilestyle.version import __version__

app = Commands(
    help="Render style at any resolution: pictures in the style of others, textures of any size.",
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


# Commands that processes started by torchrun run together.
TOGETHER = ("render", "texture", "invert", "resume")


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and context.invoked_subcommand not in TOGETHER:
        raise SettingError(f"{context.invoked_subcommand} is for one process", hint="call it without torchrun")
