"""`tilestyle invert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.filming import Film
from tilestyle.cli.job import Output, produce
from tilestyle.cli.keeping import Keeping
from tilestyle.config.consistency import inverting
from tilestyle.config.enums import Compression
from tilestyle.config.render import FilmConfig, RenderConfig

DEFAULT, FILM = RenderConfig(), FilmConfig()


def invert(
    content: Annotated[
        Path,
        typer.Argument(help="Picture whose activations are taken.", show_default=False),
        roles.CONTENT,
    ],
    out: option.Out,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Layer whose activations the picture is made from, NAME or NAME=WEIGHT; repeatable.",
            show_default="those that the network compares content at",
            rich_help_panel=option.LOOK,
        ),
    ] = None,
    size: option.Size = None,
    tv_weight: option.TvWeight = DEFAULT.tv_weight,
    seed: option.Seed = DEFAULT.seed,
    quality: option.QualityOption = DEFAULT.quality,
    sweeps: option.Sweeps = None,
    coarsest: Annotated[
        int,
        typer.Option(
            help="Long side of the first level, pixels; as large as the picture, there is one level.",
            rich_help_panel=option.COMPUTATION,
        ),
    ] = DEFAULT.coarsest,
    network: option.Network = DEFAULT.network,
    weights: option.WeightsFile = None,
    pooling: option.PoolingOption = DEFAULT.pooling,
    device: option.Device = DEFAULT.device,
    precision: option.PrecisionOption = DEFAULT.precision,
    patch: option.Patch = DEFAULT.patch,
    memory: option.Memory = None,
    host_memory: option.HostMemory = None,
    max_input_pixels: option.MaxInputPixels = None,
    overlap: option.Overlap = DEFAULT.overlap,
    depth: option.Depth = 8,
    compression: option.CompressionOption = Compression.DEFLATE,
    form: option.FormatOption = None,
    jpeg_quality: option.JpegQuality = 95,
    preview: option.Preview = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Folder for numbered pictures of how it comes about, evenly in what changes.",
            show_default=False,
            rich_help_panel=option.OUTPUT,
        ),
        roles.FRAMES,
    ] = None,
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
    """Make a picture from its activations in some layers of a network alone: what they see of it."""
    config = RenderConfig(
        size=parsing.parsed_size(size),
        content_layers=parsing.parsed_layers(layer),
        tv_weight=tv_weight,
        seed=seed,
        quality=quality,
        sweeps=parsing.parsed_sweeps(sweeps),
        coarsest=coarsest,
        network=network,
        weights=weights,
        pooling=pooling,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
        host_memory=host_memory,
        max_input_pixels=max_input_pixels,
        overlap=overlap,
    )
    filmed = None if film is None else Film(film, FilmConfig(fps=fps, codec=codec, step=film_step))
    output = Output(out, form, depth, jpeg_quality, compression, preview, frames, quiet=quiet, film=filmed)
    keeping = Keeping(work_dir, checkpoint_every, restart, keep, yes)
    produce([], inverting(config), output, keeping, content=content)
