"""`tilestyle info`."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.terminal import console, plain
from tilestyle.config.byte_size import size_of
from tilestyle.config.enums import Format, NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.errors import PictureError
from tilestyle.version import __version__

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "tifffile")
MEASURED = 100_000_000  # pixels of a picture whose strokes are measured without being asked: some seconds
DEFAULT = RenderConfig()


def info(
    file: Annotated[
        Path | None,
        typer.Argument(help="Picture to describe, and to plan a render of.", show_default=False),
        roles.DESCRIBED,
    ] = None,
    size: option.Size = None,
    network: option.Network = DEFAULT.network,
    weights: option.WeightsFile = None,
    quality: option.QualityOption = DEFAULT.quality,
    device: option.Device = DEFAULT.device,
    precision: option.PrecisionOption = DEFAULT.precision,
    patch: option.Patch = DEFAULT.patch,
    memory: option.Memory = None,
    host_memory: option.HostMemory = None,
    max_input_pixels: option.MaxInputPixels = None,
    debug: option.Debug = False,
) -> None:
    """Describe this machine; or a picture: what it is, what made it, what a render of it would need."""
    if file is None:
        machine()
        return
    config = RenderConfig(
        size=parsing.parsed_size(size),
        network=network,
        weights=weights,
        quality=quality,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
        host_memory=host_memory,
    )
    picture(file, config)


def machine() -> None:
    """Print device, memory, versions and networks."""
    from tilestyle.config.enums import Precision
    from tilestyle.networks.vgg_weights import weights_here
    from tilestyle.planning.memory_budget import find_device, find_dtype, free_bytes

    device = find_device("auto")
    table = _table()
    table.add_row("tilestyle", __version__)
    table.add_row("python", platform.python_version())
    for library in LIBRARIES:
        table.add_row(library, version(library))
    table.add_row("device", f"{device}, {size_of(free_bytes(device))} free")
    table.add_row("precision", str(find_dtype(Precision.AUTO, device)).removeprefix("torch."))
    table.add_row("network compact", "built in, the default: paints with trained features")
    table.add_row("network wavelet", "built in, no trained weights: for whoever wants none")
    for name in (NetworkName.VGG16, NetworkName.VGG19):
        file = weights_here(name)
        found = f"weights in {file}" if file else "weights not on this machine: downloaded at first use"
        table.add_row(f"network {name}", f"{found}; slower, several times the memory")
    console().print(table)


def picture(file: Path, config: RenderConfig) -> None:
    """Print what a picture is, the settings that made it, and what a render of it would need.

    Raises:
        PictureError: After what can be said, why a render would refuse the picture.
    """
    from tilestyle.images import check_pixels, inspect_picture, read_provenance

    found = inspect_picture(file)
    table = _table()
    table.add_row("picture", plain(f"{found.name}, {found.format}, {size_of(found.file_bytes)}"))
    table.add_row("size", f"{found.width} x {found.height}, {found.width * found.height / 1e6:.1f} MP")
    table.add_row("pixels", plain(f"{found.mode}, {found.depth} bits a channel"))
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
            check_pixels(found.name, found.height, found.width)
            table.add_row("strokes", strokes(file, found.height * found.width))
    except PictureError as error:
        refusal = error
    shown.print(table)
    if refusal:
        raise refusal
    if found.format != Format.DEEP_ZOOM.label:  # made to be looked at: nothing is rendered from it
        shown.print(plan(found.height, found.width, config))


def strokes(file: Path, pixels: int) -> str:
    """How wide the strokes of a picture are, were it a style. Raises PictureError where it cannot be read."""
    from tilestyle.images import open_source
    from tilestyle.recipes.stroke_width import measured_stroke

    if pixels > MEASURED:
        return "not measured, which would take a while"
    with open_source(file) as source:
        width = measured_stroke(source)
        if width is None:
            return "none: one colour"
        share = 100 * width / max(source.height, source.width)
    return f"about {width:.1f} pixels wide, {share:.2f} % of the long side"


def plan(height: int, width: int, config: RenderConfig) -> Table:
    """Levels, patches, memory and network passes of a render of a picture of this size."""
    from tilestyle.planning.inputs import ample_sides
    from tilestyle.planning.memory_budget import needed
    from tilestyle.planning.memory_model import Pictures
    from tilestyle.planning.resolve import planned, resolve
    from tilestyle.planning.schedule import patches_of, picture_size

    seen = resolve(config, with_content=True)
    # Of a style nothing is known here: one as large as the render counts.
    size = picture_size(config.size, (height, width))
    read = ample_sides((height, width), size)
    found = planned(replace(config, size=size), seen, Pictures((size,), read), files=True)
    table = Table("level", "picture", "canvas", "sweeps", "patches a sweep", title="a render would need")
    passes = 0
    pixels = 0
    for level in found.levels:
        box, count = level.extent.picture, patches_of(level.extent, min(found.side, level.side))
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
    files = f" and {size_of(found.need.disk)} on disk" if found.settled.mapped else ""
    table.caption = (
        f"patch {found.side}, {size_of(needed(found.need, device, found.home))} on {device}; "
        f"canvas {size_of(found.need.held)} in RAM{files}; {passes} patch passes over "
        f"{pixels / 1e6:.0f} MP, {work / 1e12:.1f} Tflop in convolutions"
    )
    return table


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
