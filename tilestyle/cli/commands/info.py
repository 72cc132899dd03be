"""`tilestyle info`."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run import grid, print_needs
from tilestyle.cli.inputs import Inputs, printing_of
from tilestyle.cli.parameters import Values, command, optional, optional_argument
from tilestyle.cli.parsing import StyleFile, parse_styles
from tilestyle.cli.terminal import console, plain
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.enums import Format, NetworkName
from tilestyle.config.readable import format_number
from tilestyle.config.render import RenderConfig
from tilestyle.errors import PictureError, SettingError
from tilestyle.version import __version__

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "tifffile")
LARGEST_MEASURED = 100_000_000  # pixels of an image whose strokes are measured: takes some seconds


FILE = optional_argument(
    "file",
    Path,
    "Picture to describe; without one, the computer is described.",
    metavar="PICTURE",
    files=file_roles.DESCRIBED,
)
STYLES = optional(
    "style",
    list[str],
    "Style picture of the render to plan; as --style of render.",
    "--style",
    "-s",
    files=file_roles.STYLE,
)
VERBOSE = opt.VERBOSE.with_changes(help="Print more about the computation.")


@command(
    FILE,
    STYLES,
    opt.SIZE.with_changes(
        help="Size of the render in pixels: the long side, or WIDTHxHEIGHT.", shown="that of the picture"
    ),
    *(opt.NETWORK, opt.WEIGHTS),
    *opt.PRINT_SCHEDULE,
    *(opt.STYLE_SCALE, opt.STROKE),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION),
    *opt.PRINTING,
    VERBOSE,
    opt.DEBUG,
)
def info(values: Values) -> None:
    """Show how a picture was made and what a render of it would need, or what this computer has."""
    file, config = values[FILE], config_of(values)
    if file is None:
        typed = [each.label for each in values.parameters if values.given(each)]
        typed = [label for label in typed if label not in (VERBOSE.label, opt.DEBUG.label)]
        if typed:
            raise SettingError(f"info without a picture takes no {', '.join(typed)}", hint="give a picture")
        machine()
    else:
        styles = values[STYLES]
        inputs = Inputs(parse_styles(styles or []), file, printing_of(values))
        picture(file, config, inputs, verbose=values[VERBOSE])


def machine() -> None:
    """Print device, memory, versions and networks."""
    from tilestyle.config.enums import Precision
    from tilestyle.devices.device_memory import free_bytes
    from tilestyle.networks.vgg_files import downloaded_file
    from tilestyle.planning.device_choice import DTYPES, choose_precision, find_device

    device = find_device("auto")
    table = grid()
    table.add_row("tilestyle", __version__)
    table.add_row("python", platform.python_version())
    for library in LIBRARIES:
        table.add_row(library, version(library))
    table.add_row("device", f"{device}, {format_bytes(free_bytes(device))} free")
    table.add_row("precision", str(DTYPES[choose_precision(Precision.AUTO, device)]).removeprefix("torch."))
    table.add_row("network compact", "built in, the default: trained features")
    table.add_row("network wavelet", "built in, without trained weights")
    for name in (NetworkName.VGG16, NetworkName.VGG19):
        file = downloaded_file(name)
        weights = f"weights in {file}" if file else "weights are downloaded at first use"
        table.add_row(f"network {name}", f"{weights}; slower, and needs several times the memory")
    console().print(table)


def picture(file: Path, config: RenderConfig, inputs: Inputs, *, verbose: bool = False) -> None:
    """Print the facts of an image, the settings that made it, and what a render of it would require.

    Raises:
        PictureError: After printing what is known, if a render would refuse the image.
    """
    from tilestyle.images import check_pixel_count, inspect_picture, read_provenance

    facts = inspect_picture(file)
    table = grid()
    table.add_row("picture", plain(f"{facts.name}, {facts.format}, {format_bytes(facts.file_bytes)}"))
    table.add_row("size", f"{facts.width} x {facts.height}, {facts.width * facts.height / 1e6:.1f} MP")
    table.add_row("pixels", plain(f"{facts.mode}, {facts.depth} bits per channel"))
    table.add_row("profile", plain(facts.profile))
    if facts.dpi:
        table.add_row("dpi", f"{format_number(facts.dpi[0])} x {format_number(facts.dpi[1])}")
    shown, refusal = console(), None
    try:
        provenance_json = read_provenance(file)
        for key, value in (provenance_json or {}).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.add_row(plain(f"made: {key}"), plain(text))
        if facts.format != Format.DEEP_ZOOM.label:
            check_pixel_count(facts.name, facts.height, facts.width)
            table.add_row("strokes", strokes(file, facts.height * facts.width))
    except PictureError as error:
        refusal = error
    shown.print(table)
    if refusal:
        raise refusal
    if facts.format == Format.DEEP_ZOOM.label:  # cannot be rendered from
        return
    shown.print()
    style = "this style" if inputs.styles else "a style of the same size"
    shown.print(f"A render of this picture in {style} would take:")
    # Without a style, assume that it is as large as the picture.
    inputs = inputs if inputs.styles else replace(inputs, styles=[StyleFile(file)])
    with inputs.opened(config) as prepared:
        print_needs(inputs, prepared, None, verbose=verbose)


def strokes(file: Path, pixels: int) -> str:
    """The stroke width of an image, as a style. Raises PictureError if it cannot be read."""
    from tilestyle.images import open_source
    from tilestyle.recipes.stroke_width import measure_stroke_width

    if pixels > LARGEST_MEASURED:
        return "not measured: the image is large"
    with open_source(file) as source:
        width = measure_stroke_width(source)
        if width is None:
            return "none: a single color"
        share = 100 * width / max(source.height, source.width)
    return f"about {width:.1f} pixels wide, {share:.2f} % of the long side"
