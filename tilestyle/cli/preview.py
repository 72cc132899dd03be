"""`tilestyle preview`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles, signals
from tilestyle.cli.chosen import chosen
from tilestyle.cli.job import Output, provenance, readied, tell_strokes
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Compression, Intent
from tilestyle.config.render import RenderConfig
from tilestyle.geometry.paper import Fit

if TYPE_CHECKING:
    from tilestyle.recipes.preview import Wanted
    from tilestyle.recipes.printing import Printing

DEFAULT = RenderConfig()
SCALE_ODDS = ",".join(f"{share:g}" for share in DEFAULT.scale_odds)


def preview(
    context: typer.Context,
    style: option.Styles,
    out: option.Out,
    content: Annotated[
        Path | None,
        typer.Argument(help="Picture to render; without one, a texture is previewed.", show_default=False),
        roles.CONTENT,
    ] = None,
    preview_size: Annotated[
        int, typer.Option(help="Long side of the small picture, pixels.", rich_help_panel=option.PREVIEW)
    ] = 1024,
    crops: Annotated[int, typer.Option(help="Crops at full size.", rich_help_panel=option.PREVIEW)] = 3,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Centre of a crop, X,Y as shares of the picture such as 0.5,0.25; repeatable.",
            show_default="spread out",
            rich_help_panel=option.PREVIEW,
        ),
    ] = None,
    crop_size: Annotated[
        int, typer.Option(help="Side of the crops, pixels.", rich_help_panel=option.PREVIEW)
    ] = 512,
    preset: option.Preset = None,
    config_file: option.ConfigFile = None,
    size: option.Size = None,
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
    style_blend: option.StyleBlend = None,
    mask: option.Mask = None,
    blend_map: option.BlendMap = None,
    locality: option.Locality = DEFAULT.locality,
    locality_window: option.LocalityWindow = DEFAULT.locality_window,
    color: option.ColorOption = DEFAULT.color,
    tileable: option.TileableOption = None,
    init: option.InitOption = None,
    seed: option.Seed = DEFAULT.seed,
    quality: option.QualityOption = DEFAULT.quality,
    sweeps: option.Sweeps = None,
    optimiser: option.OptimiserOption = DEFAULT.optimiser,
    history: option.History = None,
    network: option.Network = DEFAULT.network,
    weights: option.WeightsFile = None,
    pooling: option.PoolingOption = DEFAULT.pooling,
    device: option.Device = DEFAULT.device,
    precision: option.PrecisionOption = DEFAULT.precision,
    patch: option.Patch = DEFAULT.patch,
    memory: option.Memory = None,
    host_memory: option.HostMemory = None,
    max_input_pixels: option.MaxInputPixels = None,
    overlap: option.Overlap = DEFAULT.overlap,
    keep_content: option.KeepContent = None,
    sampler: option.SamplerOption = DEFAULT.sampler,
    scale_odds: option.ScaleOdds = SCALE_ODDS,
    paper: option.Print = None,
    dpi: option.Dpi = None,
    fit: option.FitOption = Fit.COVER,
    bleed: option.Bleed = "0mm",
    stroke: option.Stroke = None,
    proof: option.ProofOption = None,
    intent: option.IntentOption = Intent.RELATIVE,
    depth: option.Depth = 8,
    compression: option.CompressionOption = Compression.DEFLATE,
    form: option.FormatOption = None,
    jpeg_quality: option.JpegQuality = 95,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Show what a large render will look like: all of it small, and crops at full size, rendered alone.

    Takes the options of the render. Writes one sheet, and every crop beside it.
    """
    from tilestyle.recipes.preview import Wanted, places

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
        style_blend=parsing.parsed_blend(style_blend),
        mask=mask,
        blend_map=blend_map,
        locality=locality,
        locality_window=locality_window,
        color=color,
        tileable=tileable,
        init=parsing.parsed_init(init),
        seed=seed,
        quality=quality,
        sweeps=parsing.parsed_sweeps(sweeps),
        optimiser=optimiser,
        history=history,
        network=network,
        weights=weights,
        pooling=pooling,
        device=device,
        precision=precision,
        patch=patch,
        memory=memory,
        host_memory=host_memory,
        max_input_pixels=max_input_pixels,
        overlap=overlap,
        keep_content=keep_content,
        sampler=sampler,
        scale_odds=parsing.parsed_odds(scale_odds),
    )
    printing = parsing.parsed_printing(paper, dpi, fit, bleed, stroke, proof, intent)
    wanted = Wanted(preview_size, crop_size, parsing.parsed_places(at) or places(crops))
    output = Output(out, form, depth, jpeg_quality, compression, quiet=quiet)
    foresee(parsing.parsed_styles(style), config, output, printing, content, wanted)


def foresee(
    styles: list[parsing.StyleFile],
    config: RenderConfig,
    output: Output,
    printing: Printing,
    content: Path | None,
    wanted: Wanted,
) -> None:
    """Preview, say how it goes, write the sheet and the crops with their settings."""
    from tilestyle.cli.display import stop_on_interrupt
    from tilestyle.images import source_from
    from tilestyle.recipes.preview import Step, preview

    def begin(step: Step) -> None:
        to_go = f", then {step.left} more" if step.left else ""
        what = f"crop {step.crop}" if step.crop else "all of it"
        if not output.quiet:
            say(f"{what}: {step.width} x {step.height}{to_go}")

    with readied(styles, config, printing, content) as found:
        files = [beside(output.file, number) for number in range(1, len(wanted.at) + 1)]
        for file in (output.file, *files):
            output.check(file, wanted.side, wanted.side, found.dpi)
        with stop_on_interrupt() as stop:
            seen = preview(found, wanted, begin, stop)
        made = provenance(styles, found.config, content)
        if not output.quiet:
            tell_strokes(found, printing)
        output.write(found.printed(source_from(seen.sheet())), None, made)
        for file, crop in zip(files, seen.crops, strict=True):
            replace(output, path=file).write(found.printed(source_from(crop.picture)), found.dpi, made)
            signals.wrote(file)
            if not output.quiet:
                box = crop.box
                say(f"wrote {file}: {box.width} x {box.height} at {box.left},{box.top}")
    if not output.quiet:
        say(f"wrote {output.file}: of {seen.width} x {seen.height}")


def beside(file: Path, number: int) -> Path:
    """The file of a crop: out-crop-1.png beside out.png."""
    return file.with_name(f"{file.stem}-crop-{number}{file.suffix}")
