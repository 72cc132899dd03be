"""`tilestyle drift`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.chosen import given_twice
from tilestyle.cli.filming import Film
from tilestyle.cli.stepping import conduct, shoot
from tilestyle.config.render import DRIFT, FilmConfig

if TYPE_CHECKING:
    from tilestyle.motion.film import Frame
    from tilestyle.motion.series import Series

FILM = FilmConfig()


def drift(
    start: Annotated[
        Path,
        typer.Argument(help="Picture to begin with.", show_default=False),
        roles.START,
    ],
    style: Annotated[
        list[Path],
        typer.Option(
            "--style", "-s", help="Picture whose style is taken; repeatable, taken in turn.", show_default=False
        ),
        roles.STYLE_FILE,
    ],
    out: option.OutFolder,
    cycles: Annotated[int, typer.Option(help="Times through all the styles.")] = 10,
    size: option.StepSize = str(DRIFT.size),
    strength: Annotated[
        float | None,
        typer.Option(
            help="How much is left to the style, from 0 to 1: in place of --content-weight.",
            show_default=False,
            rich_help_panel=option.LOOK,
        ),
    ] = None,
    content_weight: Annotated[
        float | None,
        typer.Option(
            help="How much of the picture before is kept.",
            show_default=f"{DRIFT.content_weight:g}, unless --strength is given",
            rich_help_panel=option.LOOK,
        ),
    ] = None,
    style_scale: option.StyleScale = DRIFT.style_scale,
    seed: option.Seed = DRIFT.seed,
    sweeps: option.StepSweeps = str(DRIFT.sweeps),
    network: option.Network = DRIFT.network,
    weights: option.WeightsFile = None,
    device: option.Device = DRIFT.device,
    precision: option.PrecisionOption = DRIFT.precision,
    patch: option.Patch = DRIFT.patch,
    memory: option.Memory = None,
    max_input_pixels: option.MaxInputPixels = None,
    film: option.SeriesFilm = None,
    between: option.Between = 11,
    fps: option.Fps = FILM.fps,
    codec: option.CodecOption = FILM.codec,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Apply styles in turn, each to what the one before has left; every picture is kept.

    The same command goes on with a drift that was stopped, and with more cycles beyond its end.
    """
    from tilestyle.motion.drift import drift as run
    from tilestyle.motion.optical_flow import opencv

    if None not in (strength, content_weight):
        raise given_twice()
    config = replace(
        DRIFT,
        size=parsing.parsed_size(size),
        strength=DRIFT.strength if strength is None else strength,
        content_weight=DRIFT.content_weight if content_weight is None and strength is None else content_weight,
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
    filmed = None if film is None else Film(film, FilmConfig(fps=fps, codec=codec))
    if filmed:
        filmed.check()
        opencv()
    total = cycles * len(style)
    done = conduct(lambda watch: run(start, style, out, config, cycles, watch), total, out, quiet=quiet)
    shoot(filmed, frames(done, between), complete=done.count >= total, quiet=quiet)


def frames(done: Series, count: int) -> Iterator[Frame]:
    """All pictures, `count` frames between two."""
    from tilestyle.images import read_picture
    from tilestyle.motion.film import frame_of
    from tilestyle.motion.optical_flow import between

    before = None
    shares = [number / (count + 1) for number in range(1, count + 1)]
    for file in done.files:
        now = read_picture(file).pixels
        if before is not None:
            yield from map(frame_of, between(before, now, shares))
        yield frame_of(now)
        before = now
