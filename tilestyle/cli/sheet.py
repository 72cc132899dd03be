"""`tilestyle sheet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles, signals
from tilestyle.cli.chosen import chosen
from tilestyle.cli.guarding import check_files
from tilestyle.cli.job import Output, provenance
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Compression
from tilestyle.config.render import RenderConfig

if TYPE_CHECKING:
    from tilestyle.recipes.comparison import Comparison

DEFAULT = RenderConfig()
SIZE = "384"  # of a cell, long side in pixels: what a grid can be looked at in


def sheet(
    context: typer.Context,
    content: Annotated[
        Path,
        typer.Argument(help="Picture to render.", show_default=False),
        roles.CONTENT,
    ],
    style: option.Style,
    out: option.Out,
    preset: option.Preset = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting to compare, NAME=VALUE,VALUE,... by the names of render's options, such as "
            "content-weight=0.03,0.3; layers, sweeps and odds that belong to one value are joined by +. The "
            "first goes across, a second down.",
            show_default="content, style and result",
            rich_help_panel=option.LOOK,
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            help="Size of a cell: long side in pixels, or WIDTHxHEIGHT.", rich_help_panel=option.OUTPUT
        ),
    ] = SIZE,
    strength: option.Strength = DEFAULT.strength,
    content_weight: option.ContentWeight = DEFAULT.content_weight,
    content_loss: option.ContentLossOption = DEFAULT.content_loss,
    style_weight: option.StyleWeight = DEFAULT.style_weight,
    palette_weight: option.PaletteWeight = DEFAULT.palette_weight,
    tv_weight: option.TvWeight = DEFAULT.tv_weight,
    arrangement_weight: option.ArrangementWeight = DEFAULT.arrangement_weight,
    finish: option.Finish = DEFAULT.finish,
    content_layer: option.ContentLayers = None,
    style_layer: option.StyleLayers = None,
    style_loss: option.StyleLossOption = DEFAULT.style_loss,
    style_scale: option.StyleScale = DEFAULT.style_scale,
    turn_style: option.TurnStyle = DEFAULT.turn_style,
    color: option.ColorOption = DEFAULT.color,
    init: option.InitOption = None,
    seed: option.Seed = DEFAULT.seed,
    quality: option.QualityOption = DEFAULT.quality,
    sweeps: option.Sweeps = None,
    network: option.Network = DEFAULT.network,
    weights: option.WeightsFile = None,
    pooling: option.PoolingOption = DEFAULT.pooling,
    device: option.Device = DEFAULT.device,
    precision: option.PrecisionOption = DEFAULT.precision,
    patch: option.Patch = DEFAULT.patch,
    memory: option.Memory = None,
    max_input_pixels: option.MaxInputPixels = None,
    jpeg_quality: option.JpegQuality = 95,
    work_dir: option.WorkDir = None,
    keep: option.Keep = False,
    restart: option.Restart = False,
    overwrite_input: option.OverwriteInput = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Compare: content, style and result beside one another, or a grid over one or two settings."""
    from tilestyle.config.variations import parsed_variation
    from tilestyle.recipes.comparison import Comparison, discard

    config = chosen(
        context,
        size=parsing.parsed_size(size),
        strength=strength,
        content_weight=content_weight,
        content_loss=content_loss,
        style_weight=style_weight,
        palette_weight=palette_weight,
        tv_weight=tv_weight,
        arrangement_weight=arrangement_weight,
        finish=finish,
        content_layers=parsing.parsed_layers(content_layer),
        style_layers=parsing.parsed_layers(style_layer),
        style_loss=style_loss,
        style_scale=style_scale,
        turn_style=turn_style,
        color=color,
        init=parsing.parsed_init(init),
        seed=seed,
        quality=quality,
        sweeps=parsing.parsed_sweeps(sweeps),
        network=network,
        weights=weights,
        pooling=pooling,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
    )
    comparison = Comparison(content, style, config, [parsed_variation(text) for text in vary or []])
    check_files(context, *comparison.configs())
    output = Output(out, None, 8, jpeg_quality, Compression.DEFLATE, quiet=quiet)
    folder = work_dir or output.file.with_name(f"{output.file.name}.work")
    if restart:
        discard(folder)
    compare(comparison, output, folder, keep=keep)


def compare(comparison: Comparison, output: Output, folder: Path, *, keep: bool) -> None:
    """Render the cells that are not finished, write the sheet, say what was done."""
    from tilestyle.cli.display import stop_on_interrupt
    from tilestyle.files.ownership import noting
    from tilestyle.images import source_from
    from tilestyle.recipes.comparison import cells, discard

    def begin(number: int, count: int) -> None:
        if not output.quiet:
            say(f"cell {number} of {count}")

    count = len(list(comparison.configs()))
    output.check(output.file, 1, 1, None)
    signals.kept_in(folder, "cell-*.png")
    with stop_on_interrupt() as stop:
        found = cells(comparison, folder, begin, stop)
    if len(found) < count:
        say(f"{len(found)} of {count} cells are in {folder}: run the same command to continue")
        raise typer.Exit(130)
    picture = comparison.sheet(found)
    made = provenance([parsing.StyleFile(comparison.style)], comparison.config, comparison.content)
    with noting(folder):
        output.write(source_from(picture), None, made)
    signals.wrote(output.file)
    if not keep:
        discard(folder)
    if not output.quiet:
        say(f"wrote {output.file}: {picture.width} x {picture.height}")
