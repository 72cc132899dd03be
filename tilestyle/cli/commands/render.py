"""`tilestyle render`."""

from __future__ import annotations

from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import print_dry_run
from tilestyle.cli.inputs import Inputs, color_of, printing_of
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command
from tilestyle.cli.parsing import parse_styles
from tilestyle.cli.render_to_file import make_render, render_to_file

SETTINGS = (
    *(opt.PRESET, opt.CONFIG, opt.SAVE_CONFIG),
    opt.SIZE,
    *opt.STRENGTHS,
    *opt.STYLE_TERMS,
    *(opt.CONTENT_LAYERS, opt.STYLE_LAYERS),
    *opt.STROKE_SHAPE,
    *opt.REGIONS,
    *(opt.COLOR, opt.TILEABLE, opt.INIT, opt.SEED),
    *opt.PRINT_SCHEDULE,
    *opt.OPTIMIZATION,
    *(opt.NETWORK, opt.WEIGHTS, opt.POOLING),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION, opt.OVERLAP, opt.KEEP_CONTENT),
    *opt.SAMPLING,
    opt.DETERMINISTIC,
    *opt.PRINTING,
    *opt.PAPER_FILE,
    *opt.FILE_FORMAT,
    opt.PREVIEW_FILE,
    *opt.TIMELAPSE,
    *opt.CHECKPOINTING,
    *opt.PLANNING,
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.DEBUG),
)
"""All options but the inputs and the output; `batch` has them, too."""


@command(*(opt.CONTENT, opt.STYLE_WORDS, opt.STYLES, opt.OUT), *SETTINGS)
def render(values: Values) -> None:
    """Repaint a photo in the style of another picture."""
    config = config_of(values)
    inputs = Inputs(
        parse_styles(values[opt.STYLES]), values[opt.CONTENT], printing_of(values), color_of(values)
    )
    if print_dry_run(values, inputs, config):
        return
    render_to_file(make_render, inputs, config, Output.of(values), CheckpointOptions.of(values))
