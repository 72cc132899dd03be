"""`tilestyle render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import parsing, roles
from tilestyle.cli.chosen import chosen, kept
from tilestyle.cli.filming import Film
from tilestyle.cli.job import Output, produce
from tilestyle.cli.keeping import Keeping
from tilestyle.config.enums import Compression, Intent
from tilestyle.config.render import FilmConfig, RenderConfig
from tilestyle.geometry.paper import Fit

DEFAULT, FILM = RenderConfig(), FilmConfig()
SCALE_ODDS = ",".join(f"{share:g}" for share in DEFAULT.scale_odds)


def render(
    context: typer.Context,
    content: Annotated[
        Path,
        typer.Argument(help="Picture to render.", show_default=False),
        roles.CONTENT,
    ],
    style: option.Styles,
    out: option.Out,
    preset: option.Preset = None,
    config_file: option.ConfigFile = None,
    save_config: option.SaveConfig = None,
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
    deterministic: option.Deterministic = DEFAULT.deterministic,
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
    preview: option.Preview = None,
    film: option.Film = None,
    fps: option.Fps = FILM.fps,
    codec: option.CodecOption = FILM.codec,
    film_step: option.FilmStep = FILM.step,
    work_dir: option.WorkDir = None,
    checkpoint_every: option.CheckpointEvery = 10.0,
    keep: option.Keep = False,
    restart: option.Restart = False,
    yes: option.Yes = False,
    overwrite_input: option.OverwriteInput = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> None:
    """Render a picture in the style of another."""
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
        deterministic=deterministic,
    )
    printing = parsing.parsed_printing(paper, dpi, fit, bleed, stroke, proof, intent)
    filmed = None if film is None else Film(film, FilmConfig(fps=fps, codec=codec, step=film_step))
    output = Output(
        out,
        form,
        depth,
        jpeg_quality,
        compression,
        preview,
        quiet=quiet,
        settings=kept(context, save_config),
        film=filmed,
    )
    keeping = Keeping(work_dir, checkpoint_every, restart, keep, yes)
    produce(parsing.parsed_styles(style), config, output, keeping, printing, content)
