"""`tilestyle preview`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.inputs import Inputs, printing_of
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, option, optional, optional_argument
from tilestyle.cli.parsing import parse_positions, parse_styles
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.config.render import RenderConfig

if TYPE_CHECKING:
    from tilestyle.recipes.preview import PreviewRequest

CONTENT = optional_argument(
    "content", Path, "Content image; without one, a texture is previewed.", files=file_roles.CONTENT
)
PREVIEW_SIZE = option(
    "preview_size", int, "Long side of the small image, in pixels.", default=1024, panel=opt.PREVIEW
)
CROPS = option("crops", int, "Number of crops at full size.", default=3, panel=opt.PREVIEW)
AT = optional(
    "at",
    list[str],
    "Center of a crop, X,Y as fractions of the image, e.g. 0.5,0.25; can be repeated.",
    shown="spread out",
    panel=opt.PREVIEW,
    metavar="X,Y",
)
CROP_SIZE = option("crop_size", int, "Side of the crops, in pixels.", default=512, panel=opt.PREVIEW)


@command(
    *(opt.STYLES, opt.OUT.but(files=file_roles.CROPS), CONTENT),
    *(PREVIEW_SIZE, CROPS, AT, CROP_SIZE),
    *(opt.PRESET, opt.CONFIG),
    opt.SIZE,
    *opt.STRENGTHS,
    *opt.STYLE_TERMS,
    *(opt.CONTENT_LAYERS, opt.STYLE_LAYERS),
    *opt.STYLE_SHAPE,
    *opt.REGIONS,
    *(opt.COLOR, opt.TILEABLE, opt.INIT, opt.SEED),
    *opt.SCHEDULE,
    *opt.OPTIMIZATION,
    *(opt.NETWORK, opt.WEIGHTS, opt.POOLING),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION, opt.OVERLAP, opt.KEEP_CONTENT),
    *opt.SAMPLING,
    *opt.PRINTING,
    *opt.FILE_FORMAT,
    *(opt.QUIET, opt.DEBUG),
)
def preview(values: Values) -> None:
    """Preview a large render: the whole image at a small size, and crops at full size.

    Takes the options of render. Writes one sheet, and each crop next to it.
    """
    from tilestyle.recipes.preview import PreviewRequest, crop_centers

    config = config_of(values)
    inputs = Inputs(parse_styles(values[opt.STYLES]), values[CONTENT], printing_of(values))
    at = parse_positions(values[AT]) or crop_centers(values[CROPS])
    write_preview(
        inputs, config, Output.of(values), PreviewRequest(values[PREVIEW_SIZE], values[CROP_SIZE], at)
    )


def write_preview(inputs: Inputs, config: RenderConfig, output: Output, wanted: PreviewRequest) -> None:
    """Preview, show progress, write the sheet and the crops with their settings."""
    from tilestyle.cli.display import stop_on_interrupt
    from tilestyle.images import as_source
    from tilestyle.recipes.preview import PreviewStep, preview

    def begin(step: PreviewStep) -> None:
        to_go = f" ({step.levels_left} more to go)" if step.levels_left else ""
        what = f"crop {step.crop}" if step.crop else "whole image"
        if not output.quiet:
            say(f"{what}: {step.width} x {step.height}{to_go}")

    with inputs.opened(config) as found:
        files = [beside(output.file, number) for number in range(1, len(wanted.at) + 1)]
        for file in (output.file, *files):
            output.check(file, wanted.side, wanted.side, found.dpi)
        with stop_on_interrupt() as stop:
            seen = preview(found, wanted, begin, stop)
        made = provenance(inputs, found.config)
        if not output.quiet:
            inputs.say_stroke_scale(found)
        output.write(found.soft_proof(as_source(seen.sheet())), None, made)
        for file, crop in zip(files, seen.crops, strict=True):
            replace(output, path=file).write(found.soft_proof(as_source(crop.picture)), found.dpi, made)
            signals.wrote(file)
            if not output.quiet:
                box = crop.box
                say(f"wrote {file}: {box.width} x {box.height} at {box.left},{box.top}")
    if not output.quiet:
        say(f"wrote {output.file}: preview of {seen.width} x {seen.height}")


def beside(file: Path, number: int) -> Path:
    """The file of a crop: out-crop-1.png beside out.png."""
    return file.with_name(f"{file.stem}-crop-{number}{file.suffix}")
