"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilestyle.cli import roles
from tilestyle.cli.chosen import take_up
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
    Optimiser,
    Pooling,
    Precision,
    Quality,
    Sampler,
    StyleLoss,
    Tileable,
)
from tilestyle.config.render import ARRANGEMENT, PALETTE_WEIGHT
from tilestyle.geometry.paper import DPI, Fit


def _allow_pixels(context: typer.Context, most: int | None) -> int | None:
    """Let pictures of so many pixels be read, by whatever reads them in this command."""
    if most is not None and not context.resilient_parsing:
        from tilestyle.images import pixel_limit

        context.with_resource(pixel_limit(most))
    return most


LOOK, COMPUTATION, OUTPUT, PRINT, PREVIEW = "Look", "Computation", "Output", "Print", "Preview"
FILM = "Film"
KEEPING, SETTINGS = "Keeping", "Settings in files"

Preset = Annotated[
    str | None,
    typer.Option(
        help="Settings of a known recipe; `tilestyle presets` lists them. Options that are given win.",
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file of settings, over those of a preset. Options that are given win.",
        is_eager=True,
        callback=take_up,
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
    roles.CONFIG,
]
SaveConfig = Annotated[
    Path | None,
    typer.Option(
        "--save-config",
        help="TOML file to write all settings of this run to: --config makes it again.",
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
    roles.SAVED,
]

Style = Annotated[
    Path,
    typer.Option("--style", "-s", help="Picture whose style is taken.", show_default=False),
    roles.STYLE_FILE,
]
Styles = Annotated[
    list[str],
    typer.Option(
        "--style",
        "-s",
        help="Picture whose style is taken; repeatable. STYLE:MASK has a mask of its parts, STYLE:#rrggbb the "
        "colour of its region.",
        show_default=False,
    ),
    roles.STYLE,
]
StyleBlend = Annotated[
    str | None,
    typer.Option(
        help="Weights of several styles, such as 0.3,0.7.", show_default="equal", rich_help_panel=LOOK
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        help="Picture of flat colours over the canvas: each is a region, with the style that has its colour.",
        show_default=False,
        rich_help_panel=LOOK,
    ),
    roles.MASK,
]
Locality = Annotated[
    float,
    typer.Option(
        help="0 takes the style as a whole; 1 gives every place what the style is like at its own place.",
        rich_help_panel=LOOK,
    ),
]
LocalityWindow = Annotated[
    float,
    typer.Option(
        help="With --locality: largest patch, as a share of the picture's long side.", rich_help_panel=LOOK
    ),
]
BlendMap = Annotated[
    Path | None,
    typer.Option(
        help="Grey picture over the canvas: black is the first style, white the last, grey between them.",
        show_default=False,
        rich_help_panel=LOOK,
    ),
    roles.BLEND_MAP,
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help=f"Picture to write: {' '.join(SUFFIXES)}.", show_default=False),
    roles.PICTURE,
]
OverwriteInput = Annotated[
    bool,
    typer.Option(
        "--overwrite-input",
        help="Let --out replace one of the inputs, once the picture is complete.",
        rich_help_panel=OUTPUT,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(help="Long side in pixels, or WIDTHxHEIGHT.", show_default=False, rich_help_panel=OUTPUT),
]
Depth = Annotated[int, typer.Option(help="Bits per channel: 8, or 16 (PNG, TIFF).", rich_help_panel=OUTPUT)]
JpegQuality = Annotated[
    int,
    typer.Option("--jpeg-quality", help="1 to 100: JPEG, WebP, and tiles of .dzi.", rich_help_panel=OUTPUT),
]
CompressionOption = Annotated[
    Compression, typer.Option("--compression", help="How a TIFF is packed.", rich_help_panel=OUTPUT)
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Format of --out.", show_default="by its ending", rich_help_panel=OUTPUT),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        help="Picture kept fresh while it runs: open it to watch.", show_default=False, rich_help_panel=OUTPUT
    ),
    roles.WATCHED,
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="On CPUs, the same picture to the byte, however many ranks render it; on GPUs, fixed kernels.",
        rich_help_panel=COMPUTATION,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=OUTPUT)]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error arose.", rich_help_panel=OUTPUT)]

Print = Annotated[
    str | None,
    typer.Option(
        "--print",
        help="Paper, width by height: 24x36in, 100x200cm, 594x841mm or A0 to A6; in place of --size.",
        show_default=False,
        rich_help_panel=PRINT,
    ),
]
Dpi = Annotated[
    float | None,
    typer.Option(help="Dots per inch.", show_default=f"{DPI:g} with --print", rich_help_panel=PRINT),
]
FitOption = Annotated[
    Fit,
    typer.Option(
        "--fit", help="Cover the paper, be contained in it, or stretch to it exactly.", rich_help_panel=PRINT
    ),
]
Bleed = Annotated[
    str, typer.Option(help="What is printed beyond every edge and cut off: 3mm.", rich_help_panel=PRINT)
]
Stroke = Annotated[
    str | None,
    typer.Option(
        help="Width of the style's strokes: 4mm on paper, or 0.5% of the long side; in place of --style-scale.",
        show_default=False,
        rich_help_panel=PRINT,
    ),
]
ProofOption = Annotated[
    Path | None,
    typer.Option(
        "--proof",
        help="ICC profile of the press: only colours that it can print are used.",
        show_default=False,
        rich_help_panel=PRINT,
    ),
    roles.PROFILE,
]
IntentOption = Annotated[
    Intent,
    typer.Option("--intent", help="How colours beyond the press are replaced.", rich_help_panel=PRINT),
]

Strength = Annotated[
    float,
    typer.Option(
        help="How much is left to the style: 0 is nearly the content, 1 barely shows it. The same on every "
        "network, size and picture.",
        rich_help_panel=LOOK,
    ),
]
ContentWeight = Annotated[
    float | None,
    typer.Option(
        help="Weight of the content, in place of --strength.",
        show_default="follows from --strength",
        rich_help_panel=LOOK,
    ),
]
ContentLossOption = Annotated[
    ContentLoss,
    typer.Option(
        "--content-loss",
        help="What is kept of the content: its features, or by self-similarity which of its places look alike, "
        "whatever their colours.",
        rich_help_panel=LOOK,
    ),
]
StyleWeight = Annotated[float, typer.Option(help="Weight of the style.", rich_help_panel=LOOK)]
PaletteWeight = Annotated[
    float | None,
    typer.Option(
        help="Weight of the style's palette: how strictly its colours are kept to. 0 leaves it out.",
        show_default=f"{PALETTE_WEIGHT:g} times the style's, 0 with lbfgs",
        rich_help_panel=LOOK,
    ),
]
TvWeight = Annotated[float, typer.Option(help="Weight of total variation: smooths.", rich_help_panel=LOOK)]
ArrangementWeight = Annotated[
    float | None,
    typer.Option(
        help="Weight of autocorrelations of coarse features: keep bricks in rows and threads in step.",
        show_default=f"{ARRANGEMENT:g} for textures, else 0",
        rich_help_panel=LOOK,
    ),
]
Finish = Annotated[
    bool,
    typer.Option(
        "--finish/--no-finish",
        help="In the last sweeps, take out coloured specks of single pixels that the style has not.",
        rich_help_panel=LOOK,
    ),
]
ContentLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--content-layer",
        help="Layer that content is compared at, NAME or NAME=WEIGHT; repeatable.",
        show_default="the network's own",
        rich_help_panel=LOOK,
    ),
]
StyleLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--style-layer",
        help="Layer that style is compared at, NAME or NAME=WEIGHT; repeatable.",
        show_default="the network's own",
        rich_help_panel=LOOK,
    ),
]
StyleLossOption = Annotated[
    StyleLoss,
    typer.Option(
        "--style-loss",
        help="Distance of moments: w2, gram, or gram-stats with means and deviations.",
        rich_help_panel=LOOK,
    ),
]
StyleScale = Annotated[
    float,
    typer.Option(
        help="Size of the style's forms: 1 shows the style as large as the picture (a texture's at its own "
        "size), 0.5 half as large. Enlarged beyond its own pixels by --stroke only.",
        rich_help_panel=LOOK,
    ),
]
TurnStyle = Annotated[
    bool,
    typer.Option(
        "--turn-style/--upright-style",
        help="See the style turned by quarters, too: its strokes may run any way.",
        rich_help_panel=LOOK,
    ),
]
ColorOption = Annotated[
    Color,
    typer.Option(
        "--color",
        help="Colours of the style; the style's made like the content's; or the content's own, and luminance "
        "alone rendered.",
        rich_help_panel=LOOK,
    ),
]
TileableOption = Annotated[
    Tileable | None,
    typer.Option(
        "--tileable",
        help="Repeat across (x), down (y) or both without a seam.",
        show_default="ends at its edges",
        rich_help_panel=LOOK,
    ),
]
InitOption = Annotated[
    str | None,
    typer.Option(
        "--init",
        help="What to begin with: content, noise of the style's colours, style, uniform, grey, or a file.",
        show_default="content if there is one",
        rich_help_panel=LOOK,
    ),
    roles.INIT,
]
OptimiserOption = Annotated[
    Optimiser,
    typer.Option(
        "--optimiser",
        help="adam, or lbfgs: fewer, dearer iterations with exact gradients; needs RAM for its history.",
        rich_help_panel=COMPUTATION,
    ),
]
History = Annotated[
    int | None,
    typer.Option(
        help="Pairs of vectors that L-BFGS remembers, 24 bytes a pixel each.",
        show_default="10, or what fits",
        rich_help_panel=COMPUTATION,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.", rich_help_panel=LOOK)]
QualityOption = Annotated[
    Quality, typer.Option("--quality", help="How many sweeps.", rich_help_panel=COMPUTATION)
]
Sweeps = Annotated[
    str | None,
    typer.Option(
        help="Sweeps of every level; or of each from the coarsest on, such as 40,20,10.",
        show_default="by quality",
        rich_help_panel=COMPUTATION,
    ),
]
Network = Annotated[NetworkName, typer.Option(help="Feature network.", rich_help_panel=COMPUTATION)]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Weights of the network, .safetensors or .pth.",
        show_default="its own; those of vgg16 and vgg19 are downloaded once",
        rich_help_panel=COMPUTATION,
    ),
    roles.WEIGHTS,
]
PoolingOption = Annotated[
    Pooling | None,
    typer.Option(
        "--pooling",
        help="How the network halves its features.",
        show_default="as it was trained",
        rich_help_panel=COMPUTATION,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=COMPUTATION)]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="Arithmetic of the network.", rich_help_panel=COMPUTATION)
]
Patch = Annotated[
    int | None,
    typer.Option(help="Largest patch side, pixels.", show_default="from memory", rich_help_panel=COMPUTATION),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Memory of the device to stay within, such as 2GiB; on a CPU, of all that is not the libraries.",
        show_default="half of what is free",
        rich_help_panel=COMPUTATION,
    ),
]
HostMemory = Annotated[
    str | None,
    typer.Option(
        help="RAM for canvas, optimiser and pictures to stay within, such as 4GiB.",
        show_default="no limit",
        rich_help_panel=COMPUTATION,
    ),
]
MaxInputPixels = Annotated[
    int | None,
    typer.Option(
        help="Pixels of the largest picture that is read: a small file can claim any number of them.",
        show_default=f"{MAX_INPUT_PIXELS}, a gigapixel",
        min=2,
        callback=_allow_pixels,
        rich_help_panel=COMPUTATION,
    ),
]
Overlap = Annotated[
    int,
    typer.Option(
        help="Pixels by which patches of a sweep see more than they change.", rich_help_panel=COMPUTATION
    ),
]
KeepContent = Annotated[
    bool | None,
    typer.Option(
        "--keep-content/--recompute-content",
        help="Keep content features in memory, or compute them with every patch.",
        show_default="where it saves much and fits",
        rich_help_panel=COMPUTATION,
    ),
]
SamplerOption = Annotated[
    Sampler,
    typer.Option(
        "--sampler",
        help="Patches on a random grid (sweep) or independent ones (windows).",
        rich_help_panel=COMPUTATION,
    ),
]
ScaleOdds = Annotated[
    str,
    typer.Option(
        help="Shares of the sweeps (or windows) at scales 1, 2, 4, ..., such as 0.9,0.1.",
        rich_help_panel=COMPUTATION,
    ),
]

Film = Annotated[
    Path | None,
    typer.Option(
        help="Film of the making: .mp4, .mov, .mkv, .webm, or a folder for PNG frames.",
        show_default=False,
        rich_help_panel=FILM,
    ),
    roles.FILM,
]
SeriesFilm = Annotated[
    Path | None,
    typer.Option(
        "--film",
        help="Film of all pictures: .mp4, .mov, .mkv, .webm, or a folder for PNG frames.",
        show_default=False,
        rich_help_panel=FILM,
    ),
    roles.FILM,
]
Between = Annotated[
    int, typer.Option(min=0, max=10_000, help="Frames between two pictures.", rich_help_panel=FILM)
]
StepSize = Annotated[
    str, typer.Option("--size", help="Long side in pixels, or WIDTHxHEIGHT.", rich_help_panel=OUTPUT)
]
StepSweeps = Annotated[
    str,
    typer.Option(
        "--sweeps", help="Sweeps of a step at every level; or of each: 10,5.", rich_help_panel=COMPUTATION
    ),
]
OutFolder = Annotated[
    Path,
    typer.Option("--out", "-o", help="Folder for the numbered pictures.", show_default=False),
    roles.NUMBERED,
]
Fps = Annotated[float, typer.Option(help="Frames a second.", rich_help_panel=FILM)]
CodecOption = Annotated[
    Codec | None,
    typer.Option("--codec", help="h264, h265 or av1.", show_default="by the ending", rich_help_panel=FILM),
]
FilmStep = Annotated[
    float,
    typer.Option(
        help="Change of the picture from frame to frame, of 1: less makes a longer film.", rich_help_panel=FILM
    ),
]

WorkDir = Annotated[
    Path | None,
    typer.Option(
        "--work-dir",
        help="Folder for checkpoints and for what memory does not hold; removed at the end.",
        show_default="OUT.work",
        rich_help_panel=KEEPING,
    ),
    roles.WORK,
]
CheckpointEvery = Annotated[
    float, typer.Option("--checkpoint-every", help="Minutes between checkpoints.", rich_help_panel=KEEPING)
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin anew, whatever was kept.", rich_help_panel=KEEPING)
]
Keep = Annotated[bool, typer.Option("--keep", help="Do not remove the work folder.", rich_help_panel=KEEPING)]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Go on with what was kept, without asking.", rich_help_panel=KEEPING)
]
