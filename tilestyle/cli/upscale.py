"""`tilestyle upscale`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.filming import Film
from tilestyle.cli.job import Output, produce
from tilestyle.cli.keeping import Keeping
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Compression
from tilestyle.config.render import UPSCALE, FilmConfig

if TYPE_CHECKING:
    from tilestyle.images import Picture

FILM = FilmConfig()


def upscale(
    low: Annotated[
        Path,
        typer.Argument(help="Picture to enlarge.", show_default=False),
        roles.LOW,
    ],
    reference: Annotated[
        Path,
        typer.Option(help="Picture of something alike, with the detail that is lacking.", show_default=False),
        roles.REFERENCE,
    ],
    out: option.Out,
    factor: Annotated[int, typer.Option(help="How many times as large.")] = 4,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Picture of the result beside bicubic and Lanczos enlargements.", show_default=False),
        roles.COMPARED,
    ] = None,
    anchor_weight: Annotated[
        float,
        typer.Option(help="How closely the result keeps to the input while made.", rich_help_panel=option.LOOK),
    ] = UPSCALE.anchor_weight,
    content_weight: Annotated[
        float, typer.Option(help="How much of the input's lines is kept.", rich_help_panel=option.LOOK)
    ] = UPSCALE.content_weight or 0.0,
    style_scale: Annotated[
        float,
        typer.Option(help="Scale of the reference, 1 its own; not above.", rich_help_panel=option.LOOK),
    ] = UPSCALE.style_scale,
    turn_style: option.TurnStyle = UPSCALE.turn_style,
    seed: option.Seed = UPSCALE.seed,
    sweeps: option.StepSweeps = str(UPSCALE.sweeps),
    network: option.Network = UPSCALE.network,
    weights: option.WeightsFile = None,
    device: option.Device = UPSCALE.device,
    precision: option.PrecisionOption = UPSCALE.precision,
    patch: option.Patch = UPSCALE.patch,
    memory: option.Memory = None,
    host_memory: option.HostMemory = None,
    max_input_pixels: option.MaxInputPixels = None,
    depth: option.Depth = 8,
    compression: option.CompressionOption = Compression.DEFLATE,
    form: option.FormatOption = None,
    jpeg_quality: option.JpegQuality = 95,
    preview: option.Preview = None,
    film: option.Film = None,
    fps: option.Fps = FILM.fps,
    codec: option.CodecOption = FILM.codec,
    film_step: option.FilmStep = FILM.step,
    work_dir: option.WorkDir = None,
    checkpoint_every: option.CheckpointEvery = 10.0,
    keep: option.Keep = False,
    restart: option.Restart = False,
    yes: option.Yes = False,
    overwrite_input: option.OverwriteInput = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Enlarge a picture with the detail of another; averaged down again, it is the picture it was."""
    from tilestyle.images import check_writable, inspect_picture, read_picture
    from tilestyle.recipes.upscale import LINE, Upscaled, finished, interpolated, side_by_side, upscaling

    config = replace(
        UPSCALE,
        anchor_weight=anchor_weight,
        content_weight=content_weight,
        style_scale=style_scale,
        turn_style=turn_style,
        seed=seed,
        sweeps=parsing.parsed_sweeps(sweeps),
        network=network,
        weights=weights,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
        host_memory=host_memory,
    )
    given, other = inspect_picture(low), inspect_picture(reference)
    sizes = (given.height, given.width), (other.height, other.width)
    config = upscaling(config, *sizes, factor, low)
    if sheet is not None:
        check_writable(sheet, given.height * factor, 3 * (given.width * factor + LINE))
    ends: list[Upscaled] = []

    def finish(picture: Picture) -> Picture:
        ends.append(finished(picture, read_picture(low), factor))
        return ends[0].picture

    filmed = None if film is None else Film(film, FilmConfig(fps=fps, codec=codec, step=film_step))
    output = Output(out, form, depth, jpeg_quality, compression, preview, quiet=quiet, film=filmed)
    keeping = Keeping(work_dir, checkpoint_every, restart, keep, yes)

    def show() -> None:
        if sheet is not None:
            side_by_side([*interpolated(low, factor).values(), ends[0].picture]).save(sheet)

    produce([parsing.StyleFile(reference)], config, output, keeping, content=low, finish=finish, after=show)
    if not quiet:
        say(
            f"averaged down, it agrees with {low.name} to {ends[0].agreement:.1f} dB "
            f"({ends[0].rendered:.1f} before projection)"
        )
