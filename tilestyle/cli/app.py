"""The commands together, and the one place where errors become messages."""

from __future__ import annotations

import os
import sys
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
from tilestyle.errors import SettingError, TilestyleError
from tilestyle.shortage import is_out_of_memory, reason_of
from tilestyle.version import __version__

app = typer.Typer(
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


def main() -> None:
    """Run the command line; the user's mistakes end in one line and exit code 2."""
    # torch keeps what oneDNN has compiled for 1024 shapes of bfloat16 tensors: hundreds of MiB. It reads how
    # many when it is loaded, and nothing has loaded it yet.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "8")
    if "WORLD_SIZE" in os.environ:  # one of several ranks: that another has died is said in one line, too
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        app()
    except TilestyleError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"tilestyle: {error}", err=True)
        sys.exit(2)
    except (MemoryError, RuntimeError, OSError) as error:  # outside of what is rescued: in writing, say
        if "--debug" in sys.argv or not is_out_of_memory(error):
            raise
        typer.echo(f"tilestyle: memory ran out ({reason_of(error)}); close other programs", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("tilestyle: interrupted, nothing was written", err=True)
        sys.exit(130)
