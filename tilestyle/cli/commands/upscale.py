"""`tilestyle upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import print_dry_run
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, argument, command, option, optional, setting
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.progress import Remembered
from tilestyle.cli.render_to_file import render_to_file
from tilestyle.cli.terminal import say
from tilestyle.config.render import UPSCALE_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilestyle.images import Picture
    from tilestyle.recipes.printing import PreparedInputs
    from tilestyle.recipes.upscale import UpscaleResult

LOW = argument("low", Path, "Picture to enlarge.", metavar="PICTURE", files=file_roles.LOW)
REFERENCE = option(
    "reference",
    Path,
    "Sharp picture of something similar, from which detail is taken.",
    default=opt.UNSET,
    basic=True,
    files=file_roles.REFERENCE,
)
REFERENCE_WORD = opt.STYLE_WORDS.with_changes(
    name="references", help="The same as --reference.", stands_for="reference", metavar="REFERENCE"
)
FACTOR = option("factor", int, "How many times larger, as a whole number.", default=4, basic=True)
SHEET = optional(
    "sheet",
    Path,
    "Also write a picture of the result next to usual ways to enlarge: bicubic and Lanczos.",
    files=file_roles.COMPARED,
    basic=True,
)
ANCHOR_WEIGHT = setting(
    "anchor_weight", float, "Weight of agreement with PICTURE while the result is made.", panel=opt.LOOK
)


@command(
    *(LOW, REFERENCE_WORD, REFERENCE, opt.OUT, FACTOR, SHEET),
    *(opt.PRESET, opt.CONFIG),
    ANCHOR_WEIGHT,
    opt.CONTENT_WEIGHT.with_changes(
        help="Weight of the content loss: larger keeps the lines of PICTURE better."
    ),
    *(opt.CONTENT_MAP, opt.KEEP_FACES),
    opt.STYLE_SCALE.with_changes(
        help="Scale of the reference: 1 is its own size and the largest, 0.5 half of that."
    ),
    *(opt.TURN_STYLE, opt.SEED, opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION),
    *opt.FILE_FORMAT,
    opt.PREVIEW_FILE,
    *opt.TIMELAPSE,
    *opt.CHECKPOINTING,
    *opt.PLANNING,
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.DEBUG),
    base=UPSCALE_DEFAULTS,
)
def upscale(values: Values) -> None:
    """Enlarge a small picture, with detail from a sharp picture of something similar.

    Reduced to its size again, the result is the small picture.
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

    def make(
        prepared: PreparedInputs,
        *,
        save: Callable[[Picture], None],
        stop: Callable[[], bool],
        **call_options: Any,
    ) -> None:
        stop_request = Remembered(stop)

        def finish(result: UpscaleResult) -> None:
            save(result.picture)
            if sheet is not None and not stop_request.answer:  # compares finished pictures
                side_by_side([*interpolation_baselines(low, factor).values(), result.picture]).save(sheet)

        results.append(
            make_upscaled(low, reference, factor, config, save=finish, stop=stop_request, **call_options)
        )

    inputs = Inputs([StyleFile(reference)], low)
    if print_dry_run(values, inputs, full):
        return
    render_to_file(make, inputs, full, Output.of(values), CheckpointOptions.of(values))
    if not values[opt.QUIET]:
        say(
            f"averaged down, it agrees with {low.name} to {results[0].psnr:.1f} dB "
            f"({results[0].rendered_psnr:.1f} before projection)"
        )
