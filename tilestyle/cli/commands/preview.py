"""`tilestyle preview`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import print_dry_run
from tilestyle.cli.inputs import Inputs, color_of, printing_of
from tilestyle.cli.output_options import Output
from tilestyle.cli.parameters import Values, command, option, optional, optional_argument
from tilestyle.cli.parsing import parse_positions, parse_styles
from tilestyle.cli.progress import Parts, open_display
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.cli.viewer import show
from tilestyle.config.render import RenderConfig
from tilestyle.pipeline.provenance import STOPPED

if TYPE_CHECKING:
    from tilestyle.images import ImageSource, Json, OutputColor, Picture
    from tilestyle.recipes.preview import PreviewRequest

CONTENT = optional_argument(
    "content",
    Path,
    "Photo to repaint; without one, a texture is previewed.",
    metavar="PHOTO",
    files=file_roles.CONTENT,
)
PREVIEW_SIZE = option(
    "preview_size", int, "Long side of the small picture, in pixels.", default=1024, panel=opt.PREVIEW
)
CROPS = option("crops", int, "Number of details at full size.", default=3, panel=opt.PREVIEW, basic=True)
AT = optional(
    "at",
    list[str],
    "Center of a detail as shares of width and height: 0.5,0.25 is in the middle, a quarter down. Can be "
    "repeated.",
    shown="spread out",
    panel=opt.PREVIEW,
    metavar="X,Y",
    basic=True,
)
CROP_SIZE = option("crop_size", int, "Side of the details, in pixels.", default=512, panel=opt.PREVIEW)

PROFILE = opt.PROFILE.with_changes(
    help="Show the colors of a file with this profile: srgb, adobe-rgb, display-p3, press (a CMYK profile of "
    "this computer), or an ICC file. The preview itself is for your screen, in sRGB.",
)


@command(
    *(CONTENT, opt.STYLE_WORDS, opt.STYLES, opt.OUT.with_changes(files=file_roles.CROPS)),
    *(PREVIEW_SIZE, CROPS, AT, CROP_SIZE),
    *(opt.PRESET, opt.CONFIG),
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
    *opt.PRINTING,
    *(PROFILE, opt.BLACK_POINT),
    *opt.FILE_FORMAT,
    *opt.PLANNING,
    *(opt.OVERWRITE, opt.OPEN, opt.QUIET, opt.DEBUG),
)
def preview(values: Values) -> None:
    """See a large picture before you make it: all of it small, and details at full size.

    Give the options of render. The result is one sheet, and a file for each detail next to it.
    """
    from tilestyle.recipes.preview import PreviewRequest, crop_centers

    config = config_of(values)
    inputs = Inputs(parse_styles(values[opt.STYLES]), values[CONTENT], printing_of(values))
    positions = parse_positions(values[AT]) or crop_centers(values[CROPS])
    request = PreviewRequest(values[PREVIEW_SIZE], values[CROP_SIZE], positions)
    if print_dry_run(values, inputs, config, request):
        return
    write_preview(inputs, config, Output.of(values).on_screen(), request, color_of(values))


def write_preview(
    inputs: Inputs, config: RenderConfig, output: Output, request: PreviewRequest, color: OutputColor | None
) -> None:
    """Preview, show progress, write the sheet and the crops with their settings.

    Args:
        inputs: The pictures.
        config: The settings of the render.
        output: Where the sheet goes.
        request: What is seen.
        color: Colors of the file that the render would write; None for those of the picture.

    Raises:
        typer.Exit: It was stopped. Then the sheet says so, and has the finished crops only.
    """
    from tilestyle.cli.display import stop_on_interrupt, watcher
    from tilestyle.files.folders import created_folder
    from tilestyle.images import as_source, shown_in
    from tilestyle.recipes.preview import PreviewStep, preview

    def printed(picture: Picture) -> ImageSource:
        proofed = prepared.soft_proof(as_source(picture))
        return proofed if color is None else shown_in(proofed, color)

    with inputs.opened(config) as prepared, ExitStack() as folders:
        crops = [output.named(beside(output.file, number)) for number in range(1, len(request.at) + 1)]
        for file in (output.file, *(each.file for each in crops)):
            output.check(file, request.side, request.side, prepared.dpi)
        if not output.quiet:
            inputs.say_crop(prepared)
            inputs.say_stroke_scale(prepared)
        with open_display(quiet=output.quiet, verbose=output.verbose) as display:
            parts = Parts(display)
            progress_observer = watcher(parts, quiet=output.quiet)

            def begin(step: PreviewStep) -> None:
                parts.weigh(step.pixels)
                part_name = f"crop {step.crop} of {len(crops)}" if step.crop else "whole image"
                parts.begin(step.number, part_name)

            with stop_on_interrupt() as stop:
                result = preview(prepared, request, begin, stop, progress_observer)
        where = f"crop {result.stopped_at} of {len(crops)}" if result.stopped_at else "the whole image"
        provenance_json = provenance(inputs, prepared.config, output.run)
        mark: dict[str, Json] = {} if result.stopped_at is None else {STOPPED: f"at {where}"}
        folders.enter_context(created_folder(output.file.parent))
        written = output.write(printed(result.sheet()), None, provenance_json | mark)
        signals.wrote(written)
        for crop_output, crop in zip(crops, result.crops, strict=False):  # fewer, if it was stopped
            file = crop_output.write(printed(crop.picture), prepared.dpi, provenance_json)
            signals.wrote(file)
            if not output.quiet:
                box = crop.box
                say(f"wrote {file}: {box.width} x {box.height} at {box.left},{box.top}")
    if result.stopped_at is not None:
        say(
            f"stopped at {where}: {written} is unfinished, with {len(result.crops)} of {len(crops)} crops; "
            "run the same command again to make all"
        )
        raise typer.Exit(signals.INTERRUPTED)
    if not output.quiet:
        say(f"wrote {written}: preview of {result.width} x {result.height}")
    if output.shown:
        show(written)


def beside(file: Path, number: int) -> Path:
    """The file of a crop: out-crop-1.png beside out.png."""
    return file.with_name(f"{file.stem}-crop-{number}{file.suffix}")
