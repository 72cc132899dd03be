"""`tilestyle upscale`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing
from tilestyle.config import UPSCALE


def upscale(
    low: Annotated[Path, typer.Argument(help="Picture to enlarge.", show_default=False)],
    reference: Annotated[
        Path,
        typer.Option(help="Picture of something alike, with the detail that is lacking.", show_default=False),
    ],
    out: option.Out,
    factor: Annotated[int, typer.Option(help="How many times as large.")] = 4,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Picture of the result beside bicubic and Lanczos enlargements.", show_default=False),
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
    seed: option.Seed = UPSCALE.seed,
    sweeps: option.StepSweeps = str(UPSCALE.sweeps),
    network: option.Network = UPSCALE.network,
    weights: option.WeightsFile = None,
    device: option.Device = UPSCALE.device,
    precision: option.PrecisionOption = UPSCALE.precision,
    patch: option.Patch = UPSCALE.patch,
    memory: option.Memory = None,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Enlarge a picture with the detail of another; averaged down again, it is the picture it was."""
    from tilestyle.budget import find_device
    from tilestyle.cli.display import stop_on_interrupt, watcher
    from tilestyle.images import check_writable, inspect_picture
    from tilestyle.peak import Peak
    from tilestyle.upscale import interpolated, side_by_side
    from tilestyle.upscale import upscale as run

    config = replace(
        UPSCALE,
        anchor_weight=anchor_weight,
        content_weight=content_weight,
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
    found = inspect_picture(low)
    for file in (out, sheet):
        if file is not None:
            check_writable(file, found.height * factor, found.width * factor)
    watch = watcher(quiet=quiet, preview=None, peak=Peak(find_device(device)).bytes)
    with stop_on_interrupt() as stop:
        made = run(low, reference, factor, config, watch, stop)
    made.picture.save(out)
    if sheet is not None:
        side_by_side([*interpolated(low, factor).values(), made.picture]).save(sheet)
    if not quiet:
        size = f"{made.picture.width} x {made.picture.height}"
        print(
            f"wrote {out}: {size}; averaged down, it agrees with {low.name} to {made.agreement:.1f} dB "
            f"({made.rendered:.1f} before projection)",
            file=sys.stderr,
        )
