"""`tilestyle info`."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.parameters import Values, command, optional_argument
from tilestyle.cli.terminal import console, plain
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.enums import Format, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.errors import PictureError
from tilestyle.version import __version__

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "tifffile")
LARGEST_MEASURED = 100_000_000  # pixels of an image whose strokes are measured: takes some seconds


FILE = optional_argument(
    "file", Path, "Image to describe, and to plan a render of.", files=file_roles.DESCRIBED
)


@command(
    FILE,
    *(opt.SIZE, opt.NETWORK, opt.WEIGHTS, opt.QUALITY),
    *opt.HARDWARE,
    *(opt.HOST_MEMORY, opt.MAX_INPUT_PIXELS_OPTION, opt.DEBUG),
)
def info(values: Values) -> None:
    """Describe this machine; or an image, the settings that made it, and what rendering it would require."""
    file = values[FILE]
    if file is None:
        machine()
    else:
        picture(file, config_of(values))


def machine() -> None:
    """Print device, memory, versions and networks."""
    from tilestyle.config.enums import Precision
    from tilestyle.networks.vgg_weights import downloaded_file
    from tilestyle.planning.memory_budget import find_device, find_dtype, free_bytes

    device = find_device("auto")
    table = _table()
    table.add_row("tilestyle", __version__)
    table.add_row("python", platform.python_version())
    for library in LIBRARIES:
        table.add_row(library, version(library))
    table.add_row("device", f"{device}, {format_bytes(free_bytes(device))} free")
    table.add_row("precision", str(find_dtype(Precision.AUTO, device)).removeprefix("torch."))
    table.add_row("network compact", "built in, the default: trained features")
    table.add_row("network wavelet", "built in, without trained weights")
    for name in (NetworkName.VGG16, NetworkName.VGG19):
        file = downloaded_file(name)
        found = f"weights in {file}" if file else "weights are downloaded at first use"
        table.add_row(f"network {name}", f"{found}; slower, and needs several times the memory")
    console().print(table)


def picture(file: Path, config: RenderConfig) -> None:
    """Print the facts of an image, the settings that made it, and what a render of it would require.

    Raises:
        PictureError: After printing what is known, if a render would refuse the image.
    """
    from tilestyle.images import check_pixel_count, inspect_picture, read_provenance

    found = inspect_picture(file)
    table = _table()
    table.add_row("picture", plain(f"{found.name}, {found.format}, {format_bytes(found.file_bytes)}"))
    table.add_row("size", f"{found.width} x {found.height}, {found.width * found.height / 1e6:.1f} MP")
    table.add_row("pixels", plain(f"{found.mode}, {found.depth} bits per channel"))
    table.add_row("profile", plain(found.profile))
    if found.dpi:
        table.add_row("dpi", f"{found.dpi[0]:g} x {found.dpi[1]:g}")
    shown, refusal = console(), None
    try:
        made = read_provenance(file)
        for key, value in (made or {}).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.add_row(plain(f"made: {key}"), plain(text))
        if found.format != Format.DEEP_ZOOM.label:
            check_pixel_count(found.name, found.height, found.width)
            table.add_row("strokes", strokes(file, found.height * found.width))
    except PictureError as error:
        refusal = error
    shown.print(table)
    if refusal:
        raise refusal
    if found.format != Format.DEEP_ZOOM.label:  # cannot be rendered from
        shown.print(plan(found.height, found.width, config))


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


def plan(height: int, width: int, config: RenderConfig) -> Table:
    """Levels, patches, memory and network passes of a render of an image of this size."""
    from tilestyle.planning.inputs import oversampled_sides
    from tilestyle.planning.memory_budget import device_bytes
    from tilestyle.planning.memory_model import InputSizes
    from tilestyle.planning.resolve import plan_render, resolve_config
    from tilestyle.planning.schedule import patch_count, picture_size

    seen = resolve_config(config, with_content=True)
    # The style is unknown: assume that it is as large as the render.
    size = picture_size(config.size, (height, width))
    read = oversampled_sides((height, width), size)
    found = plan_render(replace(config, size=size), seen, InputSizes((size,), read), can_map=True)
    table = Table("level", "picture", "canvas", "sweeps", "patches per sweep", title="a render would require")
    passes = 0
    pixels = 0
    for level in found.levels:
        box, count = level.extent.picture, patch_count(level.extent, min(found.patch_side, level.patch_side))
        passes += count * level.sweeps
        pixels += level.extent.area * level.sweeps
        table.add_row(
            str(level.index + 1),
            f"{box.width} x {box.height}",
            f"{level.extent.width} x {level.extent.height}",
            str(level.sweeps),
            str(count),
        )
    device = seen.network.device
    work = 3 * 2 * seen.network.multiply_adds_per_pixel(seen.layers) * pixels
    files = f" and {format_bytes(found.memory_estimate.disk)} on disk" if found.decisions.mapped else ""
    table.caption = (
        f"patch {found.patch_side}, "
        f"{format_bytes(device_bytes(found.memory_estimate, device, found.canvas_device))} on {device}; "
        f"canvas {format_bytes(found.memory_estimate.resident)} in RAM{files}; {passes} patch passes over "
        f"{pixels / 1e6:.0f} MP, {work / 1e12:.1f} Tflop in convolutions"
    )
    return table


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
