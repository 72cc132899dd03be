"""`tilestyle demo`."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.job import Output, produce
from tilestyle.cli.keeping import Keeping
from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError

DEFAULT = RenderConfig()
NOTHING = Keeping(none=True)
SIZE = 512  # long side of the renders, pixels: what two cores finish in 90 s


def demo(
    out: Annotated[
        Path,
        typer.Option(help="Folder for the pictures; made if it is not there."),
        roles.DEMONSTRATED,
    ] = Path("demo"),
    size: Annotated[int, typer.Option(help="Long side of the renders, pixels.")] = SIZE,
    quality: option.QualityOption = Quality.DRAFT,
    device: option.Device = DEFAULT.device,
    memory: option.Memory = None,
    host_memory: option.HostMemory = None,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Render and synthesise with the pictures that come along: nothing is downloaded."""
    config = RenderConfig(size=size, quality=quality, device=device, memory=memory, host_memory=host_memory)
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {out}: {error.strerror}", hint="give another --out") from error
    try:
        demonstrate(out, config, quiet=quiet)
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def demonstrate(out: Path, config: RenderConfig, *, quiet: bool) -> None:
    """Render and synthesise into a folder."""
    from tilestyle.pictures import path_of

    for content, style in RENDERED:
        complete = produce(
            [parsing.StyleFile(path_of(style))],
            config,
            Output(out / f"{content}-{style}.png", quiet=quiet),
            NOTHING,
            content=path_of(content),
        )
        if not complete:  # Ctrl-C is meant for all of them
            return
    assert isinstance(config.size, int)
    config = dataclasses.replace(config, size=(config.size, config.size))
    exemplar = parsing.StyleFile(path_of(SYNTHESISED))
    produce([exemplar], config, Output(out / f"texture-{SYNTHESISED}.png", quiet=quiet), NOTHING)


# Pairs of content and style, and the style that a texture is made of.
RENDERED = (("raccoon", "swirls"), ("pagoda", "impasto"))
SYNTHESISED = "mosaic"
