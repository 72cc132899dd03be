"""`tilestyle benchmark`: memory, speed, scaling, quality, many processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli import roles
from tilestyle.cli.command import Commands
from tilestyle.cli.results import show, shown
from tilestyle.cli.terminal import say
from tilestyle.config.byte_size import bytes_of
from tilestyle.config.enums import BUILT_IN, NetworkName, Precision
from tilestyle.errors import SettingError, excerpt

if TYPE_CHECKING:
    from tilestyle.benchmark.environment import Result, Row
    from tilestyle.benchmark.workload import Scene

app = Commands(
    help="Measure memory, speed, scaling, quality and many processes on this machine.", no_args_is_help=True
)

LARGEST = 100_000  # pixels a side: more is no benchmark
WEIGHTS_HELP = "Weights of a VGG, .safetensors or .pth; random: made up, for time and memory alone."
Weights = Annotated[
    str | None,
    typer.Option("--weights", help=WEIGHTS_HELP, show_default="torchvision's"),
    roles.NAMED_WEIGHTS,
]
Networks = Annotated[list[NetworkName], typer.Option("--network", help="Feature network; repeatable.")]
Precisions = Annotated[list[Precision], typer.Option("--precision", help="Arithmetic; repeatable.")]
Patches = Annotated[
    list[int], typer.Option("--patch", min=1, max=LARGEST, help="Patch side, pixels; repeatable.")
]
Patch = Annotated[int, typer.Option("--patch", min=1, max=LARGEST, help="Patch side, pixels.")]
Megapixels = Annotated[str, typer.Option(help="Sizes of the square canvas, such as 1,4,16.")]
Sweeps = Annotated[int, typer.Option(min=2, help="Sweeps of each; the first is not timed.")]
Keep = Annotated[
    Path | None,
    typer.Option(help="JSON file for the result.", show_default=False),
    roles.RESULT,
]
Plot = Annotated[
    Path | None,
    typer.Option(help="Picture of the result, as .png and .svg; give .jpg for one more.", show_default=False),
    roles.PLOT,
]


@app.command()
def memory(
    network: option.Network = NetworkName.COMPACT,
    weights: Weights = None,
    precision: option.PrecisionOption = Precision.AUTO,
    device: option.Device = "auto",
    megapixels: Megapixels = "0.25,1,4,16",
    patch: Patch = 256,
    memory: Annotated[
        str | None, typer.Option(help="Limit to choose this renderer's patch by, instead of --patch.")
    ] = None,
    sweeps: Sweeps = 3,
    limit: Annotated[
        str | None,
        typer.Option(
            help="Memory that a method may take before it dies, such as 4GiB.", show_default="all there is"
        ),
    ] = None,
    keep: Keep = None,
    plot: Plot = None,
    debug: option.Debug = False,
) -> None:
    """Peak memory and time against resolution: this renderer, and the untiled method until it dies."""
    from tilestyle.benchmark import memory as benchmark
    from tilestyle.benchmark.plot import check_plot, plot_memory
    from tilestyle.benchmark.single_run import Point

    check_plot(plot)
    scene = scene_of(network, weights, precision, device)
    wall = None if limit is None else bytes_of(limit, "limit")
    tiled = Point(0, sweeps, patch, memory, wall)
    result = benchmark.memory(scene, parsed_sizes(megapixels), tiled, tell)
    conclude(result, keep)
    if plot:
        plot_memory(result.rows, plot)


@app.command()
def speed(
    network: Networks = [NetworkName.COMPACT],  # noqa: B006 - typer reads it, nobody changes it
    weights: Weights = None,
    precision: Precisions = [Precision.AUTO],  # noqa: B006
    device: option.Device = "auto",
    patch: Patches = [512],  # noqa: B006
    megapixels: Annotated[float, typer.Option(help="Size of the square canvas.")] = 1.0,
    sweeps: Sweeps = 6,
    keep: Keep = None,
    debug: option.Debug = False,
) -> None:
    """Megapixels a second, beside the bare network, the untiled step and the machine's matrix products."""
    from tilestyle.benchmark import speed as benchmark

    parsed_sizes(str(megapixels))
    scenes = [scene_of(each, weights, kind, device) for each in network for kind in precision]
    conclude(benchmark.speed(scenes, patch, megapixels, sweeps, tell), keep)


@app.command()
def scaling(
    network: option.Network = NetworkName.COMPACT,
    weights: Weights = None,
    precision: option.PrecisionOption = Precision.AUTO,
    device: option.Device = "auto",
    megapixels: Megapixels = "1,4,16,64",
    patch: Patch = 512,
    sweeps: Annotated[
        int,
        typer.Option(min=2, help="Sweeps of the largest; more of smaller ones, for as much work."),
    ] = 3,
    repeats: Annotated[int, typer.Option(min=1, help="Times that all sizes are measured, in turn.")] = 1,
    keep: Keep = None,
    debug: option.Debug = False,
) -> None:
    """Cost and memory of a sweep against resolution, and the exponent of the cost: 1 is linear."""
    from tilestyle.benchmark import scaling as benchmark
    from tilestyle.benchmark.single_run import Point

    scene = scene_of(network, weights, precision, device)
    point = Point(0, sweeps, patch)
    conclude(benchmark.scaling(scene, parsed_sizes(megapixels), point, repeats, tell), keep)


@app.command()
def quality(
    network: option.Network = NetworkName.COMPACT,
    weights: Weights = None,
    device: option.Device = "auto",
    size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Long side of the picture, pixels.")] = 512,
    patch: Patch = 128,
    sweeps: Annotated[
        int | None, typer.Option(min=1, help="Sweeps of every level.", show_default="by quality")
    ] = None,
    keep: Keep = None,
    plot: Plot = None,
    debug: option.Debug = False,
) -> None:
    """Exact loss of the whole canvas against passes of the network: tiled, untiled, halos, windows, bf16."""
    from tilestyle.benchmark import quality as benchmark
    from tilestyle.benchmark.plot import check_plot, plot_quality

    check_plot(plot)
    scene = scene_of(network, weights, Precision.FP32, device)
    result = benchmark.quality(scene, size, patch, sweeps, tell)
    conclude(result, keep)
    if plot:
        plot_quality(result.rows, plot)


@app.command()
def distributed(
    network: option.Network = NetworkName.COMPACT,
    weights: Weights = None,
    precision: option.PrecisionOption = Precision.AUTO,
    device: option.Device = "auto",
    ranks: Annotated[str, typer.Option(help="Numbers of processes to measure with, the first 1.")] = "1,2",
    measured: Annotated[float, typer.Option(help="Megapixels of the canvas that they render.")] = 1.0,
    megapixels: Annotated[str, typer.Option(help="Sizes of canvases that are counted.")] = "4,16,64",
    patch: Patch = 256,
    sweeps: Sweeps = 6,
    keep: Keep = None,
    debug: option.Debug = False,
) -> None:
    """What several processes gain, what they send each other, and a model of both for larger machines."""
    from tilestyle.benchmark import distributed as benchmark

    scene = scene_of(network, weights, precision, device)
    counts = [round(number) for number in parsed_sizes(ranks, "ranks")]
    if counts[0] != 1:
        raise SettingError(f"ranks {ranks} do not begin with 1", hint="give what is compared with first: 1,2,4")
    parsed_sizes(str(measured), "measured")
    asked = benchmark.Asked(counts, measured, parsed_sizes(megapixels), patch, sweeps)
    conclude(benchmark.distributed(scene, asked, tell), keep)


def scene_of(network: NetworkName, weights: str | None, precision: Precision, device: str) -> Scene:
    """What is rendered with; networks that are built in have no use for weights."""
    from tilestyle.benchmark.workload import Scene

    return Scene(network, None if network in BUILT_IN else weights, precision, device)


def parsed_sizes(text: str, name: str = "megapixels") -> list[float]:
    """Sizes or counts, from numbers with commas between them; raises SettingError by the name of the option."""
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(0 < size < 1e6 for size in sizes):
        raise SettingError(
            f"{name} cannot be {excerpt(text)}", hint="give numbers above 0, below a million, such as 1,4,16"
        )
    return sizes


def tell(row: Row) -> None:
    """One line a measurement, while the next is on its way."""
    say(", ".join(f"{key} {shown(value)}" for key, value in row.items()))


def conclude(result: Result, keep: Path | None) -> None:
    """Print the result, and keep it."""
    command = ["tilestyle", *sys.argv[1:]]
    show(result, command)
    if keep:
        result.keep(keep, command)
