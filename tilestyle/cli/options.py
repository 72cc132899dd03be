"""Every option that more than one command has, each declared once.

A command chooses from them by a list (parameters.py). What only one command has is declared beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from tilestyle.cli import file_roles, parsing
from tilestyle.cli.config_options import load_config_file
from tilestyle.cli.parameters import Parameter, argument, option, optional, setting, switch
from tilestyle.config.enums import (
    MAX_INPUT_PIXELS,
    SUFFIXES,
    Codec,
    Color,
    Compression,
    ContentLoss,
    Format,
    Intent,
    NetworkName,
    Optimizer,
    Pooling,
    Precision,
    Quality,
    Sampler,
    StyleLoss,
    Tileable,
)
from tilestyle.config.render import ARRANGEMENT_WEIGHT, PALETTE_WEIGHT, FilmConfig
from tilestyle.errors import SettingError
from tilestyle.geometry.paper import DPI, Fit

CONFIG_FILES, OUTPUT, LOOK, COMPUTATION = "Configuration files", "Output", "Look", "Computation"
PRINT, PREVIEW, FILM, CHECKPOINTS = "Print", "Preview", "Film", "Checkpoints"
FILM_DEFAULTS = FilmConfig()


def _limit_input_pixels(context: typer.Context, limit: int | None) -> int | None:
    """Apply the limit to every picture that the command reads."""
    if limit is not None and limit < 2:
        raise SettingError(f"invalid max-input-pixels {limit}", hint="give 2 or more")
    if limit is not None and not context.resilient_parsing:
        from tilestyle.images import pixel_limit

        context.with_resource(pixel_limit(limit))
    return limit


def _nothing(value: Any) -> None:
    """What an option that may be repeated has as its default."""


# --- Inputs ---

CONTENT = argument("content", Path, "Content image.", files=file_roles.CONTENT)
STYLE = option("style", Path, "Style image.", "--style", "-s", files=file_roles.STYLE_FILE)
STYLES = option(
    "style",
    list[str],
    "Style image; can be repeated. STYLE:MASK limits it to parts of the image, STYLE:#rrggbb applies it to "
    "the region of that color in --mask.",
    "--style",
    "-s",
    files=file_roles.STYLE,
)

# --- Configuration files ---

PRESET = optional(
    "preset",
    str,
    "Named settings; `tilestyle presets` lists them. --config and options override them.",
    panel=CONFIG_FILES,
)
CONFIG = optional(
    "config_file",
    Path,
    "TOML file of settings. Options override it.",
    "--config",
    panel=CONFIG_FILES,
    callback=load_config_file,
    eager=True,
    files=file_roles.CONFIG,
)
SAVE_CONFIG = optional(
    "save_config",
    Path,
    "Write all settings of this run to a TOML file, for --config.",
    panel=CONFIG_FILES,
    files=file_roles.SAVED,
    affects_result=False,
)

# --- Output ---

OUT = option(
    "out",
    Path,
    f"Output image: {', '.join(SUFFIXES)}.",
    "--out",
    "-o",
    files=file_roles.PICTURE,
)
OUT_FOLDER = option(
    "out", Path, "Folder for the numbered images.", "--out", "-o", metavar="FOLDER", files=file_roles.NUMBERED
)
SIZE = setting(
    "size",
    str,
    "Size in pixels: the long side, or WIDTHxHEIGHT.",
    parse=parsing.parse_size,
    unparse=parsing.format_size,
    panel=OUTPUT,
    metavar="SIZE",
)
DEPTH = option("depth", int, "Bits per channel: 8, or 16 (PNG and TIFF).", default=8, panel=OUTPUT)
COMPRESSION = option(
    "compression",
    Compression,
    "TIFF compression: deflate, zstd, lzw, jpeg or none.",
    default=Compression.DEFLATE,
    panel=OUTPUT,
)
FORMAT = optional(
    "form",
    Format,
    "Output format: png, jpeg, webp, tiff or dzi.",
    "--format",
    shown="from the file name",
    panel=OUTPUT,
)
JPEG_QUALITY = option(
    "jpeg_quality", int, "Quality of JPEG, WebP and the tiles of .dzi: 1 to 100.", default=95, panel=OUTPUT
)
PREVIEW_FILE = optional(
    "preview",
    Path,
    "Image file that is updated during the render.",
    panel=OUTPUT,
    files=file_roles.WATCHED,
    affects_result=False,
)
FRAMES = optional(
    "frames",
    Path,
    "Folder for numbered intermediate images, spaced evenly by how much the image changes.",
    panel=OUTPUT,
    metavar="FOLDER",
    files=file_roles.FRAMES,
    affects_result=False,
)
OVERWRITE_INPUT = switch(
    "overwrite_input",
    "Allow --out to replace an input once the image is complete.",
    panel=OUTPUT,
    affects_result=False,
)
QUIET = switch("quiet", "Print only errors.", "--quiet", "-q", panel=OUTPUT, affects_result=False)
DEBUG = switch("debug", "Show the full traceback on errors.", panel=OUTPUT, affects_result=False)

# --- Look ---

STRENGTH = setting(
    "strength",
    float,
    "How strongly the style replaces the content, from 0 (almost only content) to 1 (almost only style).",
    panel=LOOK,
)
CONTENT_WEIGHT = setting(
    "content_weight",
    float,
    "Weight of the content loss; replaces --strength.",
    shown="from --strength",
    panel=LOOK,
)
CONTENT_LOSS = setting(
    "content_loss",
    ContentLoss,
    "What to keep of the content: features, or self-similarity, which ignores its colors.",
    panel=LOOK,
)
STYLE_WEIGHT = setting("style_weight", float, "Weight of the style loss.", panel=LOOK)
PALETTE_WEIGHT_OPTION = setting(
    "palette_weight",
    float,
    "Weight of matching the style's color distribution; 0 turns it off.",
    shown=f"{PALETTE_WEIGHT:g} x --style-weight; 0 with lbfgs",
    panel=LOOK,
)
TV_WEIGHT = setting("tv_weight", float, "Weight of total variation; higher values smooth more.", panel=LOOK)
ARRANGEMENT_TERM = setting(
    "arrangement_weight",
    float,
    "Weight of matching the autocorrelation of coarse features, which preserves regular arrangements such as "
    "rows of bricks.",
    shown=f"{ARRANGEMENT_WEIGHT:g} for textures, else 0",
    panel=LOOK,
)
FINISH = setting(
    "finish",
    bool,
    "Remove isolated colored pixels in the last sweeps.",
    "--finish/--no-finish",
    panel=LOOK,
)
CONTENT_LAYERS = setting(
    "content_layer",
    list[str],
    "Layer of the content loss, NAME or NAME=WEIGHT; can be repeated.",
    field="content_layers",
    parse=parsing.parse_layers,
    unparse=_nothing,
    shown="from the network",
    panel=LOOK,
    metavar="LAYER",
)
STYLE_LAYERS = setting(
    "style_layer",
    list[str],
    "Layer of the style loss, NAME or NAME=WEIGHT; can be repeated.",
    field="style_layers",
    parse=parsing.parse_layers,
    unparse=_nothing,
    shown="from the network",
    panel=LOOK,
    metavar="LAYER",
)
STYLE_LOSS = setting(
    "style_loss",
    StyleLoss,
    "Style loss: w2 (Wasserstein-2 distance between Gaussians), gram (Gram matrices), or gram-stats (Gram "
    "matrices, means and standard deviations).",
    panel=LOOK,
)
STYLE_SCALE = setting(
    "style_scale",
    float,
    "Size of the style's features. 1 scales the style image to the long side of the output (textures: keeps "
    "its own size), 0.5 to half of that. The style is never enlarged; use --stroke for that.",
    panel=LOOK,
)
TURN_STYLE = setting(
    "turn_style",
    bool,
    "Also use the style rotated by 90, 180 and 270 degrees, so that strokes can run in any direction.",
    "--turn-style/--upright-style",
    panel=LOOK,
)
STYLE_BLEND = setting(
    "style_blend",
    str,
    "Weights of several styles, e.g. 0.3,0.7.",
    parse=parsing.parse_blend,
    unparse=lambda weights: ",".join(f"{weight:g}" for weight in weights) or None,
    shown="equal",
    panel=LOOK,
    metavar="WEIGHTS",
)
MASK = setting(
    "mask",
    Path,
    "Image of flat colors over the canvas. Each color is a region, with the style of the same color.",
    panel=LOOK,
    files=file_roles.MASK,
)
BLEND_MAP = setting(
    "blend_map",
    Path,
    "Grayscale image over the canvas: black selects the first style, white the last, gray a blend.",
    panel=LOOK,
    files=file_roles.BLEND_MAP,
)
LOCALITY = setting(
    "locality",
    float,
    "0: match the statistics of the whole style image. 1: match each area to the same area of the style image.",
    panel=LOOK,
)
LOCALITY_WINDOW = setting(
    "locality_window",
    float,
    "Largest patch with --locality, as a fraction of the long side.",
    panel=LOOK,
)
COLOR = setting(
    "color",
    Color,
    "style: use the style's colors. content: recolor the style to match the content. luminance: transfer "
    "luminance only.",
    aliases=("--colour",),
    panel=LOOK,
)
TILEABLE = setting(
    "tileable",
    Tileable,
    "Repeat without a seam: horizontally (x), vertically (y), or both.",
    shown="not tileable",
    panel=LOOK,
)
INIT = setting(
    "init",
    str,
    "Starting image: content, noise (shuffled style pixels), style, uniform (noise of all colors), gray, or an "
    "image file.",
    parse=parsing.parse_init,
    shown="content, or noise for textures",
    panel=LOOK,
    metavar="INIT",
    files=file_roles.INIT,
)
SEED = setting("seed", int, "Random seed.", panel=LOOK)

# --- Computation ---

QUALITY = setting("quality", Quality, "Number of sweeps: draft, normal or best.", panel=COMPUTATION)
SWEEPS = setting(
    "sweeps",
    str,
    "Sweeps per level; or a number for each level from coarse to fine, e.g. 40,20,10.",
    parse=parsing.parse_sweeps,
    unparse=parsing.format_sweeps,
    shown="from --quality",
    panel=COMPUTATION,
    metavar="COUNTS",
)
OPTIMIZER = setting(
    "optimizer",
    Optimizer,
    "adam, or lbfgs: fewer but more expensive iterations on exact gradients, and more RAM.",
    "--optimizer",
    aliases=("--optimiser",),
    panel=COMPUTATION,
)
HISTORY = setting(
    "history",
    int,
    "Number of vector pairs that L-BFGS stores, 24 bytes per pixel each.",
    shown="10, or what fits",
    panel=COMPUTATION,
)
NETWORK = setting(
    "network", NetworkName, "Feature network: compact, wavelet, vgg16 or vgg19.", panel=COMPUTATION
)
WEIGHTS = setting(
    "weights",
    Path,
    "Weights of the network, .safetensors or .pth.",
    shown="built in; downloaded once for vgg16 and vgg19",
    panel=COMPUTATION,
    files=file_roles.WEIGHTS,
)
POOLING = setting(
    "pooling", Pooling, "Pooling of a VGG: max or average.", shown="as trained", panel=COMPUTATION
)
DEVICE = setting("device", str, "auto, cpu, cuda, cuda:1 or mps.", panel=COMPUTATION, metavar="DEVICE")
PRECISION = setting("precision", Precision, "Precision of the network: auto, fp32 or bf16.", panel=COMPUTATION)
PATCH = setting(
    "patch",
    int,
    "Largest side of a patch, in pixels.",
    shown="from memory",
    panel=COMPUTATION,
)
MEMORY = setting(
    "memory",
    str,
    "Device memory limit, e.g. 2GiB. On a CPU: RAM of the process, excluding loaded libraries.",
    shown="half of free memory",
    panel=COMPUTATION,
    metavar="SIZE",
)
HOST_MEMORY = setting(
    "host_memory",
    str,
    "RAM limit for the canvas, the optimizer and the input images, e.g. 4GiB.",
    shown="no limit",
    panel=COMPUTATION,
    metavar="SIZE",
)
MAX_INPUT_PIXELS_OPTION = setting(
    "max_input_pixels",
    int,
    "Largest number of pixels of an input image; protects against decompression bombs.",
    shown=str(MAX_INPUT_PIXELS),
    callback=_limit_input_pixels,
    panel=COMPUTATION,
)
OVERLAP = setting("overlap", int, "Overlap between patches, in pixels.", panel=COMPUTATION)
KEEP_CONTENT = setting(
    "keep_content",
    bool,
    "Cache the content features in memory, or recompute them for every patch.",
    "--keep-content/--recompute-content",
    shown="automatic",
    panel=COMPUTATION,
)
SAMPLER = setting(
    "sampler",
    Sampler,
    "sweep: patches on a randomly shifted grid. windows: independent random patches.",
    panel=COMPUTATION,
)
SCALE_ODDS = setting(
    "scale_odds",
    str,
    "Probabilities of the scales 1, 2, 4, ... of a sweep or window, e.g. 0.9,0.1.",
    parse=parsing.parse_odds,
    unparse=lambda odds: ",".join(f"{share:g}" for share in odds),
    panel=COMPUTATION,
    metavar="ODDS",
)
DETERMINISTIC = setting(
    "deterministic",
    bool,
    "CPU: byte-identical output for any number of processes. GPU: deterministic kernels.",
    "--deterministic",
    panel=COMPUTATION,
)

# --- Print ---

PAPER = optional(
    "paper",
    str,
    "Paper size, width x height: 24x36in, 100x200cm, 594x841mm, or A0 to A6. Replaces --size.",
    "--print",
    panel=PRINT,
    metavar="PAPER",
)
RESOLUTION = optional("dpi", float, "Dots per inch.", shown=f"{DPI:g} with --print", panel=PRINT)
FIT = option(
    "fit",
    Fit,
    "How the content fits the paper: cover it (crop), contain it (smaller output), or exact (stretch).",
    default=Fit.COVER,
    panel=PRINT,
)
BLEED = option(
    "bleed",
    str,
    "Extra margin beyond each edge, to be cut off, e.g. 3mm.",
    default="0mm",
    panel=PRINT,
    metavar="LENGTH",
)
STROKE = optional(
    "stroke",
    str,
    "Width of the style's brush strokes: 4mm on paper, or 0.5% of the long side. Replaces --style-scale.",
    panel=PRINT,
    metavar="LENGTH",
)
PROOF = optional(
    "proof",
    Path,
    "ICC profile of the printer or press; only printable colors are used.",
    panel=PRINT,
    files=file_roles.PROFILE,
)
INTENT = option(
    "intent",
    Intent,
    "Rendering intent for colors that cannot be printed: perceptual or relative.",
    default=Intent.RELATIVE,
    panel=PRINT,
)

# --- Film ---

FILM_FILE = optional(
    "film",
    Path,
    "Film of the optimization: .mp4, .mov, .mkv, .webm, or a folder for PNG frames.",
    panel=FILM,
    files=file_roles.FILM,
    affects_result=False,
)
FPS = option("fps", float, "Frames per second.", default=FILM_DEFAULTS.fps, panel=FILM, affects_result=False)
CODEC = optional(
    "codec",
    Codec,
    "Video codec: h264, h265 or av1.",
    shown="from the file name",
    panel=FILM,
    affects_result=False,
)
FILM_STEP = option(
    "film_step",
    float,
    "Mean change of the image between frames, on a scale of 0 to 1. Smaller steps make a longer film.",
    default=FILM_DEFAULTS.step,
    panel=FILM,
    affects_result=False,
)
SERIES_FILM = FILM_FILE.but(help="Film of all images: .mp4, .mov, .mkv, .webm, or a folder for PNG frames.")
BETWEEN = option(
    "between",
    int,
    "Frames interpolated between two images.",
    default=0,
    limits=(0, 10_000),
    panel=FILM,
)

# --- Checkpoints ---

WORK_DIR = optional(
    "work_dir",
    Path,
    "Folder for checkpoints and for data that does not fit in memory; removed when the output is written.",
    shown="OUT.work",
    panel=CHECKPOINTS,
    metavar="FOLDER",
    files=file_roles.WORK,
    affects_result=False,
)
CHECKPOINT_EVERY = option(
    "checkpoint_every",
    float,
    "Minutes between checkpoints.",
    default=10.0,
    panel=CHECKPOINTS,
    metavar="MINUTES",
    affects_result=False,
)
KEEP = switch("keep", "Do not remove the work folder.", panel=CHECKPOINTS, affects_result=False)
RESTART = switch("restart", "Discard the checkpoint and start over.", panel=CHECKPOINTS, affects_result=False)
YES = switch("yes", "Resume without asking.", "--yes", "-y", panel=CHECKPOINTS, affects_result=False)

# --- Options that belong together ---

STRENGTHS = (STRENGTH, CONTENT_WEIGHT, CONTENT_LOSS)
STYLE_TERMS = (STYLE_WEIGHT, PALETTE_WEIGHT_OPTION, TV_WEIGHT, ARRANGEMENT_TERM, FINISH)
STYLE_SHAPE = (STYLE_LOSS, STYLE_SCALE, TURN_STYLE)
REGIONS = (STYLE_BLEND, MASK, BLEND_MAP, LOCALITY, LOCALITY_WINDOW)
SCHEDULE = (QUALITY, SWEEPS)
OPTIMIZATION = (OPTIMIZER, HISTORY)
HARDWARE = (DEVICE, PRECISION, PATCH, MEMORY)
SAMPLING = (SAMPLER, SCALE_ODDS)
PRINTING = (PAPER, RESOLUTION, FIT, BLEED, STROKE, PROOF, INTENT)
FILE_FORMAT = (DEPTH, COMPRESSION, FORMAT, JPEG_QUALITY)
TIMELAPSE = (FILM_FILE, FPS, CODEC, FILM_STEP)
CHECKPOINTING = (WORK_DIR, CHECKPOINT_EVERY, KEEP, RESTART, YES)

ALL: tuple[Parameter[Any], ...] = tuple(
    each for each in list(globals().values()) if isinstance(each, Parameter)
)
"""Every option of this module."""
