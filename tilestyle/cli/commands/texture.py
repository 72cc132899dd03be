"""`tilestyle texture`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import config_of, settings_given
from tilestyle.cli.dry_run import print_dry_run
from tilestyle.cli.file_checks import check_files
from tilestyle.cli.inputs import Inputs, color_of, printing_of
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, optional, optional_argument
from tilestyle.cli.parsing import StyleFile, parse_styles
from tilestyle.cli.render_to_file import make_texture, render_to_file
from tilestyle.cli.terminal import say
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.pipeline.provenance import STOPPED

STYLES = optional_argument(
    "style",
    list[str],
    "Picture to make a texture of, such as a photo of fabric; several are mixed.",
    metavar="PICTURE",
    files=file_roles.STYLE,
)
LIKE = optional(
    "like",
    Path,
    "Make more of a texture that tilestyle wrote: take picture and settings from it. Replaces PICTURE.",
    panel=opt.LOOK,
    basic=True,
    files=file_roles.LIKE,
)

SIZE = opt.SIZE.with_changes(
    help="Both sides of the result in pixels, or WIDTHxHEIGHT; 2k, 4k or 8k (1920, 3840 or 7680); 50% or 2x of "
    "the sample; 12MP (megapixels), in its proportions. To make a texture again larger, see `tilestyle again`.",
    shown="512",
)


@command(
    *(opt.OUT, STYLES, LIKE),
    *(opt.PRESET, opt.CONFIG, opt.SAVE_CONFIG),
    SIZE,
    *opt.STYLE_TERMS,
    opt.STYLE_LAYERS,
    *opt.SAMPLE_SHAPE,
    *opt.REGIONS,
    *(opt.TILEABLE.with_changes(basic=True), opt.INIT, opt.SEED),
    *opt.PRINT_SCHEDULE,
    *opt.OPTIMIZATION,
    *(opt.NETWORK, opt.WEIGHTS, opt.POOLING),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION, opt.OVERLAP),
    *opt.SAMPLING,
    opt.DETERMINISTIC,
    *(opt.PAPER, opt.RESOLUTION, opt.BLEED, opt.PROOF, opt.INTENT),
    *opt.PAPER_FILE,
    *opt.FILE_FORMAT,
    opt.PREVIEW_FILE,
    *opt.TIMELAPSE,
    *opt.CHECKPOINTING,
    *opt.PLANNING,
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.DEBUG),
)
def texture(values: Values) -> None:
    """Make a texture of any size from a sample, such as fabric, stone or paint."""
    config = config_of(values)
    like = values[LIKE]
    styles = style_files(values[STYLES], like)
    if like is not None:
        config = config_like(like, config, settings_given(values), quiet=values[opt.QUIET])
        check_files(values.context, config)
    inputs = Inputs(styles, printing=printing_of(values), color=color_of(values))
    if print_dry_run(values, inputs, config):
        return
    render_to_file(make_texture, inputs, config, Output.of(values), CheckpointOptions.of(values))


def style_files(styles: list[str] | None, like: Path | None) -> list[StyleFile]:
    """The images that a texture is made from."""
    if bool(styles) == (like is not None):
        raise SettingError(
            "no picture to make a texture of" if like is None else "PICTURE and --like cannot be combined",
            hint="give one, such as weave, or --like FILE",
        )
    return parse_styles(styles or []) if like is None else [StyleFile(like)]


def config_like(like: Path, config: RenderConfig, given_names: set[str], *, quiet: bool) -> RenderConfig:
    """The settings stored in an image, except for those that were given."""
    from tilestyle.config.reuse import look_of
    from tilestyle.config.stored import stored_settings
    from tilestyle.images import read_provenance

    stored = read_provenance(like)
    if stored is None:
        if not quiet:
            say(f"{like} has no stored settings; using it as a plain style")
        return config
    if STOPPED in stored and not quiet:
        say(f"{like} is unfinished (stopped {stored[STOPPED]}); using it as it is")
    return replace(config, **look_of(stored_settings(stored, like), vars(RenderConfig()), given_names))
