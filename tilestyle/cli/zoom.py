"""`tilestyle zoom`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.filming import Film
from tilestyle.cli.stepping import conduct, shoot
from tilestyle.config.render import ZOOM, FilmConfig

FILM = FilmConfig()


def zoom(
    style: Annotated[
        Path,
        typer.Argument(help="Picture whose style is taken.", show_default=False),
        roles.STYLE_FILE,
    ],
    out: option.OutFolder,
    start: Annotated[
        Path | None,
        typer.Option(help="Picture to begin with.", show_default="a texture of the style"),
        roles.START,
    ] = None,
    steps: Annotated[int, typer.Option(help="Pictures to make.")] = 100,
    factor: Annotated[float, typer.Option(help="Enlargement from one picture to the next.")] = 1.05,
    loop: Annotated[bool, typer.Option("--loop", help="Let the last steps lead to the first.")] = False,
    size: option.StepSize = str(ZOOM.size),
    style_scale: option.StyleScale = ZOOM.style_scale,
    seed: option.Seed = ZOOM.seed,
    sweeps: option.StepSweeps = str(ZOOM.sweeps),
    network: option.Network = ZOOM.network,
    weights: option.WeightsFile = None,
    device: option.Device = ZOOM.device,
    precision: option.PrecisionOption = ZOOM.precision,
    patch: option.Patch = ZOOM.patch,
    memory: option.Memory = None,
    max_input_pixels: option.MaxInputPixels = None,
    film: option.SeriesFilm = None,
    between: option.Between = 2,
    fps: option.Fps = FILM.fps,
    codec: option.CodecOption = FILM.codec,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Zoom into a style without end: enlarge, let the style put in detail, again and again.

    The same command goes on with a zoom that was stopped, and with more steps beyond its end.
    """
    from tilestyle.motion.zoom import zoom as run
    from tilestyle.motion.zoom_path import Path as Way

    config = replace(
        ZOOM,
        size=parsing.parsed_size(size),
        style_scale=style_scale,
        seed=seed,
        sweeps=parsing.parsed_sweeps(sweeps),
        network=network,
        weights=weights,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
    )
    way = Way(steps, factor, loop)
    filmed = None if film is None else Film(film, FilmConfig(fps=fps, codec=codec))
    if filmed:
        filmed.check()
    done = conduct(lambda watch: run(style, out, config, way, start, watch), steps, out, quiet=quiet)
    shoot(filmed, way.frames(done, between), complete=done.count >= steps, quiet=quiet)
