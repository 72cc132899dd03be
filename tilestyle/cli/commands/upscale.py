"""`tilestyle upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, argument, command, option, optional, setting
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.render_to_file import render_to_file
from tilestyle.cli.terminal import say
from tilestyle.config.render import UPSCALE_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilestyle.images import Picture
    from tilestyle.recipes.printing import PreparedInputs
    from tilestyle.recipes.upscale import UpscaleResult

LOW = argument("low", Path, "Image to enlarge.", files=file_roles.LOW)
REFERENCE = option(
    "reference", Path, "Image of a similar subject that has the missing detail.", files=file_roles.REFERENCE
)
FACTOR = option("factor", int, "Enlargement factor.", default=4)
SHEET = optional(
    "sheet",
    Path,
    "Also write an image of the result next to bicubic and Lanczos enlargements.",
    files=file_roles.COMPARED,
)
ANCHOR_WEIGHT = setting(
    "anchor_weight", float, "Weight of agreement with the input during the optimization.", panel=opt.LOOK
)


@command(
    *(LOW, REFERENCE, opt.OUT, FACTOR, SHEET),
    *(opt.PRESET, opt.CONFIG),
    ANCHOR_WEIGHT,
    opt.CONTENT_WEIGHT.but(help="Weight of the content loss, which keeps the lines of the input."),
    opt.STYLE_SCALE.but(help="Scale of the reference image; 1 is its own size, which is the maximum."),
    *(opt.TURN_STYLE, opt.SEED, opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION),
    *opt.FILE_FORMAT,
    opt.PREVIEW_FILE,
    *opt.TIMELAPSE,
    *opt.CHECKPOINTING,
    *(opt.OVERWRITE_INPUT, opt.QUIET, opt.DEBUG),
    base=UPSCALE_DEFAULTS,
)
def upscale(values: Values) -> None:
    """Enlarge an image with the detail of a reference image.

    Averaged down to its original size, the result equals the input.
    """
    from tilestyle.images import check_writable
    from tilestyle.recipes.upscale import (
        GAP_PIXELS,
        interpolation_baselines,
        side_by_side,
        sides_of,
        upscale_config,
    )
    from tilestyle.recipes.upscale import upscale as make_upscaled

    low, reference, factor, sheet = values[LOW], values[REFERENCE], values[FACTOR], values[SHEET]
    config = config_of(values)
    height, width = sides_of(low)
    full = upscale_config(config, (height, width), sides_of(reference), factor, low)
    if sheet is not None:
        check_writable(sheet, height * factor, 3 * (width * factor + GAP_PIXELS))
    results: list[UpscaleResult] = []

    def make(ready: PreparedInputs, *, save: Callable[[Picture], None], **how: Any) -> None:
        def finish(result: UpscaleResult) -> None:
            save(result.picture)
            if sheet is not None:
                side_by_side([*interpolation_baselines(low, factor).values(), result.picture]).save(sheet)

        results.append(make_upscaled(low, reference, factor, config, save=finish, **how))

    inputs = Inputs([StyleFile(reference)], low)
    render_to_file(make, inputs, full, Output.of(values), CheckpointOptions.of(values))
    if not values[opt.QUIET]:
        say(
            f"averaged down, it agrees with {low.name} to {results[0].psnr:.1f} dB "
            f"({results[0].rendered_psnr:.1f} before projection)"
        )
