"""`tilestyle video`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.chosen import given_twice
from tilestyle.cli.stepping import conduct
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Codec, FlowName
from tilestyle.config.render import FilmConfig, RenderConfig, VideoConfig
from tilestyle.errors import SettingError

DEFAULT, VIDEO = RenderConfig(), VideoConfig()


def video(
    clip: Annotated[
        Path,
        typer.Argument(help="Film, or folder of pictures.", show_default=False),
        roles.CLIP,
    ],
    style: option.Style,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Film (.mp4, .mov, .mkv, .webm) or folder of PNG.", show_default=False
        ),
        roles.VIDEO,
    ],
    size: option.Size = None,
    strength: option.Strength = DEFAULT.strength,
    content_weight: option.ContentWeight = DEFAULT.content_weight,
    content_loss: option.ContentLossOption = DEFAULT.content_loss,
    style_scale: option.StyleScale = DEFAULT.style_scale,
    seed: option.Seed = DEFAULT.seed,
    quality: option.QualityOption = DEFAULT.quality,
    sweeps: Annotated[
        int,
        typer.Option(help="Sweeps of every frame after the first.", rich_help_panel=option.COMPUTATION),
    ] = VIDEO.sweeps,
    anchor_weight: Annotated[
        float,
        typer.Option(help="How closely a frame keeps to the one before.", rich_help_panel=option.LOOK),
    ] = VIDEO.anchor_weight,
    flow: Annotated[
        FlowName, typer.Option("--flow", help="How motion is found.", rich_help_panel=option.COMPUTATION)
    ] = VIDEO.flow,
    network: option.Network = DEFAULT.network,
    weights: option.WeightsFile = None,
    device: option.Device = DEFAULT.device,
    precision: option.PrecisionOption = DEFAULT.precision,
    patch: option.Patch = DEFAULT.patch,
    memory: option.Memory = None,
    max_input_pixels: option.MaxInputPixels = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second.", show_default="the clip's", rich_help_panel=option.FILM),
    ] = None,
    codec: Annotated[
        Codec | None,
        typer.Option(help="h264, h265 or av1.", show_default="by the ending", rich_help_panel=option.FILM),
    ] = None,
    overwrite_input: option.OverwriteInput = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Stylise a film frame by frame, so that the frames stay together; sound is kept.

    The same command goes on with a video that was stopped. Frames are kept in a folder beside the film until
    it is written.
    """
    from tilestyle.motion.clip import footage
    from tilestyle.motion.film import check_film, is_frames
    from tilestyle.motion.film_sound import check_sound, written
    from tilestyle.motion.optical_flow import opencv
    from tilestyle.motion.series import discard
    from tilestyle.motion.video import stylise

    if content_weight is not None and strength != DEFAULT.strength:
        raise given_twice()
    found = footage(clip)
    film = FilmConfig(fps=fps or found.fps or FilmConfig().fps, codec=codec)
    opencv()
    if is_frames(out) and out.suffix:
        raise SettingError(f"{out} is no folder", hint="give a folder for the frames, or a film")
    check_film(out, film)
    folder = out
    if not is_frames(out):
        check_sound(found.path, out)
        folder = out.with_name(f"{out.name}.frames")
    config = replace(
        DEFAULT,
        size=parsing.parsed_size(size),
        strength=strength,
        content_weight=content_weight,
        content_loss=content_loss,
        style_scale=style_scale,
        seed=seed,
        quality=quality,
        network=network,
        weights=weights,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
    )
    after = VideoConfig(sweeps=sweeps, anchor_weight=anchor_weight, flow=flow)
    total = found.count
    done = conduct(
        lambda watch: stylise(found, style, folder, config, after, watch), total, folder, quiet=quiet
    )
    if is_frames(out) or done.count < total:
        return
    written(done.files, out, film, found.path)
    discard(done)
    if not quiet:
        say(f"wrote {out}")
