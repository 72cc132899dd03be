"""`tilestyle invert`."""

from __future__ import annotations

from dataclasses import replace

from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import print_dry_run
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, setting
from tilestyle.cli.render_to_file import make_inversion, render_to_file
from tilestyle.config.consistency import inversion_config

LAYER = opt.CONTENT_LAYERS.with_changes(
    name="layer",
    flags=("--layer",),
    help="Layer to look through, such as relu3_1, or NAME=WEIGHT; can be repeated.",
    shown="content layers of the network",
    basic=True,
)
COARSEST = setting(
    "coarsest",
    int,
    "Long side of the coarsest level, in pixels. At the size of the picture or more, there is one level.",
    panel=opt.COMPUTATION,
)


@command(
    *(opt.CONTENT.with_changes(help="Photo or other picture to look at."), opt.OUT),
    *(opt.PRESET, opt.CONFIG, opt.SAVE_CONFIG),
    *(LAYER, opt.SIZE, opt.TV_WEIGHT, opt.SEED),
    *opt.SCHEDULE,
    COARSEST,
    *(opt.NETWORK.with_changes(basic=True), opt.WEIGHTS, opt.POOLING),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION, opt.OVERLAP),
    *opt.FILE_FORMAT,
    *(opt.PREVIEW_FILE, opt.FRAMES),
    *opt.TIMELAPSE,
    *opt.CHECKPOINTING,
    *opt.PLANNING,
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.DEBUG),
)
def invert(values: Values) -> None:
    """Show what a layer of the network sees: make a picture from its activations alone."""
    # A preset may name style layers, which have no meaning here.
    config = inversion_config(replace(config_of(values), style_layers={}))
    inputs = Inputs(content=values[opt.CONTENT])
    if print_dry_run(values, inputs, config):
        return
    render_to_file(make_inversion, inputs, config, Output.of(values), CheckpointOptions.of(values))
