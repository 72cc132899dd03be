"""`tilestyle demo`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, option, setting
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.render_to_file import make_render, make_texture, render_to_file
from tilestyle.config.enums import Quality
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError

RENDERS = (("raccoon", "swirls"), ("pagoda", "impasto"))
"""Content and style of each render."""

TEXTURE = "mosaic"
"""The style of the texture."""

OUT = option(
    "out",
    Path,
    "Folder for the images; created if it does not exist.",
    default=Path("demo"),
    metavar="FOLDER",
    files=file_roles.DEMONSTRATED,
)
SIZE = setting("size", int, "Long side of the images, in pixels.")
BASE = RenderConfig(size=512, quality=Quality.DRAFT)  # what two cores finish in 90 s


@command(*(OUT, SIZE, opt.QUALITY, opt.DEVICE, opt.MEMORY, opt.HOST_MEMORY, opt.QUIET, opt.DEBUG), base=BASE)
def demo(values: Values) -> None:
    """Render two images and a texture from the bundled images; nothing is downloaded."""
    config = config_of(values)
    out = values[OUT]
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create the folder {out}: {error.strerror}", hint="give another --out"
        ) from error
    try:
        demonstrate(out, config, quiet=values[opt.QUIET])
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def demonstrate(out: Path, config: RenderConfig, *, quiet: bool) -> None:
    """Render and synthesize into a folder."""
    from tilestyle.pictures import picture_path

    checkpoints = CheckpointOptions(enabled=False)
    for content, style in RENDERS:
        inputs = Inputs([StyleFile(picture_path(style))], picture_path(content))
        output = Output(out / f"{content}-{style}.png", quiet=quiet)
        if not render_to_file(make_render, inputs, config, output, checkpoints):
            return  # Ctrl-C is meant for all of them
    assert isinstance(config.size, int)
    config = replace(config, size=(config.size, config.size))
    inputs = Inputs([StyleFile(picture_path(TEXTURE))])
    render_to_file(
        make_texture, inputs, config, Output(out / f"texture-{TEXTURE}.png", quiet=quiet), checkpoints
    )
