"""Every option that more than one command has, each declared once.

A command chooses from them by a list (parameters.py). What only one command has is declared beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from tilestyle.cli import file_roles, parsing, signals
from tilestyle.cli.config_options import load_config_file
from tilestyle.cli.parameters import (
    Parameter,
    argument,
    option,
    optional,
    optional_argument,
    setting,
    switch,
)
from tilestyle.cli.sizes import parse_any_size
from tilestyle.config.enums import (
    FILM_SUFFIXES,
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
from tilestyle.config.paper import DPI, Fit
from tilestyle.config.presets import preset_names
from tilestyle.config.render import ARRANGEMENT_WEIGHT, PALETTE_WEIGHT, FilmConfig
from tilestyle.config.size import format_size
from tilestyle.errors import SettingError, excerpt
from tilestyle.pictures import STYLES as STYLE_NAMES

CONFIG_FILES, OUTPUT, LOOK, COMPUTATION = "Configuration files", "Output", "Look", "Computation"
PRINT, PREVIEW, FILM, CHECKPOINTS = "Print", "Preview", "Film", "Checkpoints"
FILM_DEFAULTS = FilmConfig()
BUNDLED = ", ".join(STYLE_NAMES)
FILM_NAMES = f"{', '.join(FILM_SUFFIXES)}, or a folder for PNG frames"


def _limit_input_pixels(context: typer.Context, limit: int | None) -> int | None:
    """Apply the limit to every picture that the command reads."""
    if limit is not None and limit < 2:
        raise SettingError(f"invalid max-input-pixels {limit}", hint="give 2 or more")
    if limit is not None and not context.resilient_parsing:
        from tilestyle.images import pixel_limit

        context.with_resource(pixel_limit(limit))
    return limit


def _check_device(context: typer.Context, name: str | None) -> str | None:
    """Refuse what is no device before anything is done; whether this machine has it is seen when it is used."""
    if name is not None and not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", name):
        raise SettingError(f"--device {excerpt(name)} is unknown", hint="give auto, cpu, cuda, cuda:1 or mps")
    return name


def _set_grace(context: typer.Context, seconds: float) -> float:
    """Apply the grace to every signal from here on."""
    if not context.resilient_parsing:
        signals.allow(seconds)
    return seconds


def _nothing(value: Any) -> None:
    """What an option that may be repeated has as its default."""


# --- Inputs ---

UNSET: Any = None
"""The default of an option whose value a command needs, but which may come from elsewhere."""

CONTENT = argument(
    "content",
    Path,
    "Photo or other picture to repaint, or the name of an included one. Some options call it the content.",
    metavar="PHOTO",
    files=file_roles.CONTENT,
)
STYLE = option(
    "style",
    Path,
    f"Picture whose style is used, such as a painting, or the name of an included one: {BUNDLED}.",
    "--style",
    "-s",
    default=UNSET,
    shown="that of the preset",
    basic=True,
    files=file_roles.STYLE_FILE,
)
STYLES = option(
    "style",
    list[str],
    f"Picture whose style is used, such as a painting, or the name of an included one: {BUNDLED}. Can be "
    "repeated to mix several. With --mask, FILE:#rrggbb or FILE:MASK says where it is used.",
    "--style",
    "-s",
    metavar="FILE",
    default=UNSET,
    shown="that of the preset",
    basic=True,
    files=file_roles.STYLE,
)
STYLE_WORDS = optional_argument(
    "styles",
    list[str],
    "Picture whose style is used: the same as --style.",
    stands_for="style",
    metavar="STYLE",
)

# --- Configuration files ---

PRESET = optional(
    "preset",
    str,
    "Settings by name: a look, which has a style of its own, or those of a known program. `tilestyle presets` "
    "lists them. --config and other "
    "options override them.",
    panel=CONFIG_FILES,
    metavar="NAME",
    complete=lambda _: preset_names(),
    basic=True,
)
CONFIG = optional(
    "config_file",
    Path,
    "Settings to use: a file from render --save-config, or a picture that tilestyle made. Other options "
    "override them.",
    "--config",
    panel=CONFIG_FILES,
    basic=True,
    callback=load_config_file,
    eager=True,
    files=file_roles.CONFIG,
)
SAVE_CONFIG = optional(
    "save_config",
    Path,
    "Write all settings of this picture to a file, for --config (TOML).",
    panel=CONFIG_FILES,
    files=file_roles.SAVED,
    affects_result=False,
)

# --- Output ---

OUT = option(
    "out",
    Path,
    f"Picture to write. The ending of its name chooses the format: {', '.join(SUFFIXES)}.",
    "--out",
    "-o",
    default=UNSET,
    basic=True,
    shown="named after the inputs, in the working directory",
    files=file_roles.PICTURE,
)
OUT_FOLDER = OUT.with_changes(
    help="Folder for the numbered pictures.", metavar="FOLDER", files=file_roles.NUMBERED
)
OVERWRITE = switch("overwrite", "Replace an output that exists.", panel=OUTPUT, affects_result=False)
OPEN = switch("open", "Show the result in the system's viewer.", panel=OUTPUT, affects_result=False)
SIZE = setting(
    "size",
    str,
    "Long side of the result in pixels, or WIDTHxHEIGHT; 2k, 4k or 8k (1920, 3840 or 7680 on the long side); "
    "50% or 2x of the photo; 12MP (megapixels), in its proportions. To make a picture again larger, see "
    "`tilestyle again`.",
    parse=parse_any_size,
    unparse=format_size,
    shown="that of the photo",
    panel=OUTPUT,
    metavar="SIZE",
    basic=True,
)
SERIES_SIZE = SIZE.with_changes(help="Size of the pictures in pixels: the long side, or WIDTHxHEIGHT.")
DEPTH = option("depth", int, "Bits per color channel: 8, or 16 (PNG, TIFF and PDF).", default=8, panel=OUTPUT)
COMPRESSION = option(
    "compression",
    Compression,
    "Compression: deflate, zstd, lzw, jpeg or none for TIFF; deflate or jpeg for PDF.",
    default=Compression.DEFLATE,
    panel=OUTPUT,
)
FORMAT = optional(
    "form",
    Format,
    "Format of the file: png, jpeg, webp, tiff, dzi or pdf.",
    "--format",
    shown="from the file name",
    panel=OUTPUT,
)
JPEG_QUALITY = option(
    "jpeg_quality",
    int,
    "Quality of JPEG and WebP files and of the tiles of .dzi, from 1 to 100.",
    default=95,
    panel=OUTPUT,
)
PREVIEW_FILE = optional(
    "preview",
    Path,
    "Picture file that shows the result so far, updated while you wait.",
    panel=OUTPUT,
    files=file_roles.WATCHED,
    affects_result=False,
)
FRAMES = optional(
    "frames",
    Path,
    "Folder for numbered pictures of the result so far, spaced evenly by how much it changes.",
    panel=OUTPUT,
    metavar="FOLDER",
    files=file_roles.FRAMES,
    affects_result=False,
)
OVERWRITE_INPUT = switch(
    "overwrite_input",
    "Allow --out to replace an input, once the result is complete.",
    panel=OUTPUT,
    affects_result=False,
)
DRY_RUN = switch(
    "dry_run",
    "Print what the render will take (size, time, memory, disk), and stop. Nothing is written.",
    panel=OUTPUT,
    basic=True,
    affects_result=False,
)
QUIET = switch("quiet", "Print only errors.", "--quiet", "-q", panel=OUTPUT, affects_result=False)
VERBOSE = switch(
    "verbose",
    "Show more, such as losses, speed and peak memory.",
    "--verbose",
    "-v",
    panel=OUTPUT,
    affects_result=False,
)
DEBUG = switch(
    "debug", "Show where in the program an error came from (traceback).", panel=OUTPUT, affects_result=False
)

# --- Look ---

STRENGTH = setting(
    "strength",
    float,
    "How much style: 0 is nearly the photo, 1 nearly only the style. Lower it to keep more of the photo.",
    panel=LOOK,
    basic=True,
)
CONTENT_WEIGHT = setting(
    "content_weight",
    float,
    "Weight of the content loss: larger keeps more of the photo. Replaces --strength.",
    shown="from --strength",
    panel=LOOK,
)
CONTENT_LOSS = setting(
    "content_loss",
    ContentLoss,
    "What to keep of the photo: its features, or its self-similarity, which ignores colors.",
    panel=LOOK,
)
CONTENT_MAP = setting(
    "content_map",
    Path,
    "Gray picture that covers the photo: how much of it stays, place by place. White keeps as much as without "
    "a map, black nothing.",
    panel=LOOK,
    files=file_roles.CONTENT_MAP,
)
KEEP_FACES = setting(
    "keep_faces",
    bool,
    "Find the faces in the photo, and keep them recognizable.",
    "--keep-faces",
    panel=LOOK,
    basic=True,
)
STYLE_WEIGHT = setting("style_weight", float, "Weight of the style loss.", panel=LOOK)
PALETTE_WEIGHT_OPTION = setting(
    "palette_weight",
    float,
    "Weight of matching the colors of the style; 0 turns it off.",
    shown=f"{PALETTE_WEIGHT:g} x --style-weight; 0 with lbfgs",
    panel=LOOK,
)
TV_WEIGHT = setting(
    "tv_weight", float, "Weight of smoothness (total variation): larger values smooth more.", panel=LOOK
)
ARRANGEMENT_TERM = setting(
    "arrangement_weight",
    float,
    "Weight of regular arrangements, such as rows of bricks: matches the autocorrelation of coarse features.",
    shown=f"{ARRANGEMENT_WEIGHT:g} for textures, else 0",
    panel=LOOK,
)
FINISH = setting(
    "finish",
    bool,
    "Remove single pixels of odd colors in the last sweeps.",
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
    "Size of strokes and shapes: 0.5 makes them half as large. 1 scales the style to the long side of the "
    "result, but never enlarges it.",
    panel=LOOK,
    basic=True,
)
SAMPLE_SCALE = STYLE_SCALE.with_changes(
    help="Size of strokes and shapes: 1 is that of the sample and the largest, 0.5 makes them half as large."
)
TURN_STYLE = setting(
    "turn_style",
    bool,
    "Also use the style turned by 90, 180 and 270 degrees, so that strokes can run in any direction.",
    "--turn-style/--upright-style",
    panel=LOOK,
)
STYLE_BLEND = setting(
    "style_blend",
    str,
    "Shares of several styles, such as 0.3,0.7.",
    parse=parsing.parse_blend,
    unparse=lambda weights: ",".join(f"{weight:g}" for weight in weights) or None,
    shown="equal",
    panel=LOOK,
    metavar="WEIGHTS",
)
MASK = setting(
    "mask",
    Path,
    "Picture of flat colors that covers the result. Each color is a region, with the style of the same color.",
    panel=LOOK,
    files=file_roles.MASK,
)
BLEND_MAP = setting(
    "blend_map",
    Path,
    "Gray picture that covers the result: the first style where it is black, the last where it is white, a "
    "blend where it is gray.",
    panel=LOOK,
    files=file_roles.BLEND_MAP,
)
LOCALITY = setting(
    "locality",
    float,
    "From 0 to 1. 0: every area may look like any part of the style. 1: like the same area of the style.",
    panel=LOOK,
)
LOCALITY_WINDOW = setting(
    "locality_window",
    float,
    "Largest patch with --locality, as a share of the long side, 0 to 1.",
    panel=LOOK,
)
COLOR = setting(
    "color",
    Color,
    "Colors of the result. style: those of the style. content: similar to the photo. luminance: every pixel "
    "keeps the color of the photo, only light and dark change.",
    aliases=("--colour",),
    panel=LOOK,
    basic=True,
)
TILEABLE = setting(
    "tileable",
    Tileable,
    "Copies side by side join without a seam: left and right (x), above and below (y), or both.",
    shown="not tileable",
    panel=LOOK,
)
INIT = setting(
    "init",
    str,
    "Picture to start from: content (the photo), noise (shuffled pixels of the style), style, uniform (noise "
    "of all colors), gray, or a picture.",
    parse=parsing.parse_init,
    shown="content, or noise for textures",
    panel=LOOK,
    metavar="INIT",
    files=file_roles.INIT,
)
SEED = setting(
    "seed",
    int,
    "Number of the variation: another number gives another version, the same number the same picture.",
    panel=LOOK,
    basic=True,
)

# --- Computation ---

QUALITY = setting(
    "quality",
    Quality,
    "How long to work on it: draft (fast), normal or best (slow).",
    shown="normal",
    panel=COMPUTATION,
    basic=True,
)
SWEEPS = setting(
    "sweeps",
    str,
    "Sweeps per level; or a number for each level from coarse to fine, such as 40,20,10.",
    parse=parsing.parse_sweeps,
    unparse=parsing.format_sweeps,
    shown="from --quality",
    panel=COMPUTATION,
    metavar="COUNTS",
)
OPTIMIZER = setting(
    "optimizer",
    Optimizer,
    "adam, or lbfgs: fewer but slower iterations on exact gradients, and more memory.",
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
DEVICE = setting(
    "device",
    str,
    "Where to compute: auto, cpu, cuda (NVIDIA, or AMD with ROCm), cuda:1 (a second one) or mps (Apple).",
    panel=COMPUTATION,
    metavar="DEVICE",
    callback=_check_device,
    complete=lambda _: ("auto", "cpu", "cuda", "mps"),
    basic=True,
)
PRECISION = setting("precision", Precision, "Precision of the network: auto, fp32 or bf16.", panel=COMPUTATION)
PATCH = setting(
    "patch",
    int,
    "Largest side of a patch, in pixels.",
    shown="what fits in memory",
    panel=COMPUTATION,
)
MEMORY = setting(
    "memory",
    str,
    "Limit of the GPU's memory, such as 2GiB; on a CPU, of the program's own memory.",
    shown="half of free memory",
    panel=COMPUTATION,
    basic=True,
    metavar="SIZE",
)
HOST_MEMORY = setting(
    "host_memory",
    str,
    "Limit of RAM for the canvas, the optimizer and the input pictures, such as 4GiB.",
    shown="no limit",
    panel=COMPUTATION,
    metavar="SIZE",
)
MAX_INPUT_PIXELS_OPTION = setting(
    "max_input_pixels",
    int,
    "Largest number of pixels of an input picture; protects against files made to exhaust memory.",
    shown=f"{MAX_INPUT_PIXELS / 1e6:,.0f} million",
    callback=_limit_input_pixels,
    panel=COMPUTATION,
)
OVERLAP = setting("overlap", int, "Overlap between patches, in pixels.", panel=COMPUTATION)
KEEP_CONTENT = setting(
    "keep_content",
    bool,
    "Keep the features of the photo in memory, or compute them again for every patch.",
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
    "Probabilities of the scales 1, 2, 4, ... of a sweep or window, such as 0.9,0.1.",
    parse=parsing.parse_odds,
    unparse=lambda odds: ",".join(f"{share:g}" for share in odds),
    panel=COMPUTATION,
    metavar="ODDS",
)
DETERMINISTIC = setting(
    "deterministic",
    bool,
    "On CPUs: the same bytes with any number of processes. On GPUs: deterministic kernels.",
    "--deterministic",
    panel=COMPUTATION,
)

# --- Print ---

PAPER = optional(
    "paper",
    str,
    "Paper: A0 to A6, B0 to B6, A3+, letter, legal, tabloid, a photo size such as 4x6 or 10x15, or width x "
    "height: 60x90cm, 24x36in. A named paper turns like the photo. Replaces --size.",
    "--print",
    panel=PRINT,
    basic=True,
    metavar="PAPER",
)
RESOLUTION = optional("dpi", float, "Dots per inch of the print.", shown=f"{DPI:g} with --print", panel=PRINT)
FIT = option(
    "fit",
    Fit,
    "If photo and paper differ in shape: cover (fill the paper, crop the photo), contain (print smaller than "
    "the paper), or exact (stretch the photo).",
    default=Fit.COVER,
    panel=PRINT,
)
BLEED = option(
    "bleed",
    str,
    "Extra margin beyond each edge, to be cut off, such as 3mm.",
    default="0mm",
    panel=PRINT,
    metavar="LENGTH",
)
STROKE = optional(
    "stroke",
    str,
    "Width of the brush strokes: 1% of the long side, or 4mm on paper (with --print). Larger widths give "
    "bigger strokes. Replaces --style-scale.",
    shown="from --style-scale",
    panel=LOOK,
    basic=True,
    metavar="LENGTH",
)
PROOF = optional(
    "proof",
    Path,
    "ICC profile of the printer or press: only colors that it can print are used.",
    panel=PRINT,
    files=file_roles.PROFILE,
)
PROFILE = optional(
    "profile",
    Path,
    "Colors of the file: srgb, adobe-rgb, display-p3, press (a CMYK profile of this computer), or the ICC file "
    "that your lab or print shop gives you.",
    panel=PRINT,
    shown="srgb",
    metavar="NAME|FILE",
    basic=True,
    complete=lambda _: ("srgb", "adobe-rgb", "display-p3", "press"),
    files=file_roles.OUTPUT_PROFILE,
)
BLACK_POINT = option(
    "black_point",
    bool,
    "With --profile: black becomes the darkest that can be printed, and shadows keep their differences.",
    "--black-point/--no-black-point",
    default=True,
    panel=PRINT,
)
INK_LIMIT = option(
    "ink_limit",
    float,
    "Warn if a pixel of a CMYK file has more ink than this, all four inks together, in percent.",
    default=320.0,
    panel=PRINT,
    affects_result=False,
)
DISTANCE = optional(
    "distance",
    str,
    "Distance from which the print is seen, such as 2m; sets the dots per inch: 180 at one meter, 90 at two.",
    shown="--dpi",
    panel=PRINT,
    metavar="LENGTH",
)
SCALE = option(
    "scale",
    str,
    "Scale of the page in the file: with 1:10 the shop prints it ten times as large.",
    default="1:1",
    panel=PRINT,
    metavar="SCALE",
)
MARKS = switch("marks", "Crop marks outside the bleed (PDF).", panel=PRINT)
FLAT = switch("flat", "TIFF: one plain page, without smaller copies for viewers.", panel=OUTPUT)
MAX_FILE_SIZE = optional(
    "max_file_size",
    str,
    "Largest file, such as 2GB. If it could become larger, refuse it before the render and say what would fit.",
    panel=OUTPUT,
    metavar="SIZE",
    affects_result=False,
)
INTENT = option(
    "intent",
    Intent,
    "How to replace colors that cannot be printed: perceptual or relative.",
    default=Intent.RELATIVE,
    panel=PRINT,
)

# --- Film ---

FILM_FILE = optional(
    "film",
    Path,
    f"Film of the picture being made: {FILM_NAMES}.",
    panel=FILM,
    files=file_roles.FILM,
    affects_result=False,
)
FPS = option(
    "fps",
    float,
    "Frames per second; GIF: at most 50.",
    default=FILM_DEFAULTS.fps,
    panel=FILM,
    affects_result=False,
)
CODEC = optional(
    "codec",
    Codec,
    "Compression of the video: h264, h265 or av1.",
    shown="from the file name",
    panel=FILM,
    affects_result=False,
)
FILM_STEP = option(
    "film_step",
    float,
    "How much the picture changes between two frames, from 0 to 1. Smaller steps make a longer film.",
    default=FILM_DEFAULTS.step,
    panel=FILM,
    affects_result=False,
)
SERIES_FILM = FILM_FILE.with_changes(help=f"Film of all pictures: {FILM_NAMES}.", basic=True)
BETWEEN = option(
    "between",
    int,
    "Frames added between two pictures, for a smoother film.",
    default=0,
    limits=(0, 10_000),
    panel=FILM,
)

# --- Checkpoints ---

WORK_DIR = optional(
    "work_dir",
    Path,
    "Folder for unfinished work, from which a render is resumed; removed when the result is written.",
    shown="OUT.work",
    panel=CHECKPOINTS,
    metavar="FOLDER",
    files=file_roles.WORK,
    affects_result=False,
)
CHECKPOINT_EVERY = option(
    "checkpoint_every",
    float,
    "Minutes after which unfinished work is saved again.",
    default=10.0,
    limits=(0, None),
    panel=CHECKPOINTS,
    metavar="MINUTES",
    affects_result=False,
)
KEEP = switch(
    "keep", "Keep the work folder when the result is written.", panel=CHECKPOINTS, affects_result=False
)
GRACE = option(
    "grace",
    float,
    "Seconds within which the command ends after SIGTERM or SIGHUP (Ctrl-Break on Windows): it saves its work "
    "if that can be done in this time.",
    default=signals.GRACE,
    limits=(1, 86_400),
    panel=CHECKPOINTS,
    metavar="SECONDS",
    callback=_set_grace,
    affects_result=False,
)
RESTART = switch("restart", "Discard unfinished work and start over.", panel=CHECKPOINTS, affects_result=False)
YES = switch(
    "yes", "Resume unfinished work without asking.", "--yes", "-y", panel=CHECKPOINTS, affects_result=False
)

# --- Options that belong together ---

STRENGTHS = (STRENGTH, CONTENT_WEIGHT, CONTENT_LOSS, CONTENT_MAP, KEEP_FACES)
STYLE_TERMS = (STYLE_WEIGHT, PALETTE_WEIGHT_OPTION, TV_WEIGHT, ARRANGEMENT_TERM, FINISH)
STYLE_SHAPE = (STYLE_LOSS, STYLE_SCALE, TURN_STYLE)
STROKE_SHAPE = (
    STYLE_LOSS,
    STYLE_SCALE.with_changes(help=f"{STYLE_SCALE.help[:-1]}: for bigger strokes use --stroke."),
    STROKE,
    TURN_STYLE,
)
SAMPLE_SHAPE = (STYLE_LOSS, SAMPLE_SCALE, STROKE, TURN_STYLE)
REGIONS = (STYLE_BLEND, MASK, BLEND_MAP, LOCALITY, LOCALITY_WINDOW)
SCHEDULE = (QUALITY, SWEEPS)
PRINT_SCHEDULE = (QUALITY.with_changes(shown="normal; with --print, less work on fine detail"), SWEEPS)
"""Of a command that has --print."""
OPTIMIZATION = (OPTIMIZER, HISTORY)
HARDWARE = (DEVICE, PRECISION, PATCH, MEMORY)
SAMPLING = (SAMPLER, SCALE_ODDS)
PRINTING = (PAPER, RESOLUTION, DISTANCE, FIT, BLEED, PROOF, INTENT)
PAPER_FILE = (PROFILE, BLACK_POINT, INK_LIMIT, SCALE, MARKS, FLAT, MAX_FILE_SIZE)
FILE_FORMAT = (DEPTH, COMPRESSION, FORMAT, JPEG_QUALITY)
TIMELAPSE = (FILM_FILE, FPS, CODEC, FILM_STEP)
PLANNING = (DRY_RUN, VERBOSE)
CHECKPOINTING = (WORK_DIR, CHECKPOINT_EVERY, GRACE, KEEP, RESTART, YES)

ALL: tuple[Parameter[Any], ...] = tuple(
    each for each in list(globals().values()) if isinstance(each, Parameter)
)
"""Every option of this module."""
