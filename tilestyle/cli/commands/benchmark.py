"""`tilestyle benchmark`: memory, speed, scaling, quality, multiple processes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.benchmark_report import show, shown
from tilestyle.cli.parameters import Values, command, option, optional
from tilestyle.cli.progress import Steps, open_display
from tilestyle.cli.terminal import say, warn
from tilestyle.cli.typer_app import Commands
from tilestyle.config.byte_size import parse_bytes
from tilestyle.config.enums import BUILT_IN, NetworkName, Precision
from tilestyle.errors import OutputError, SettingError, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilestyle.benchmark.environment import OnRow, Progress, Result, Row
    from tilestyle.benchmark.workload import Workload

app = Commands(
    help="Measure how fast tilestyle is on this computer, and how much memory it needs.", no_args_is_help=True
)

SMALLEST, LARGEST = 32, 100_000  # pixels per side
NETWORK = opt.NETWORK.with_changes(field=None, default=NetworkName.COMPACT)
NETWORKS = option(
    "network",
    list[NetworkName],
    "Feature network: compact, wavelet, vgg16 or vgg19; can be repeated.",
    default=[NetworkName.COMPACT],
)
WEIGHTS = optional(
    "weights",
    str,
    "Weights of a VGG, .safetensors or .pth; random: random weights, for time and memory only.",
    shown="torchvision's",
    metavar="FILE",
    files=file_roles.NAMED_WEIGHTS,
)
PRECISION = opt.PRECISION.with_changes(field=None, default=Precision.AUTO)
PRECISIONS = option(
    "precision",
    list[Precision],
    "Precision of the network: auto, fp32 or bf16; can be repeated.",
    default=[Precision.AUTO],
)
DEVICE = opt.DEVICE.with_changes(field=None, default="auto")
MEGAPIXELS = option(
    "megapixels", str, "Sizes of the square canvas, e.g. 1,4,16.", default="4,16,64", metavar="NUMBERS"
)
PATCH = option("patch", int, "Side of a patch, in pixels.", default=256, limits=(1, LARGEST))
PATCHES = option(
    "patch", list[int], "Side of a patch, in pixels; can be repeated.", default=[512], limits=(1, LARGEST)
)
SWEEPS = option("sweeps", int, "Sweeps of each render; the first is not timed.", default=3, limits=(2, None))
KEEP = optional("keep", Path, "Write the result to a JSON file.", files=file_roles.RESULT)
PLOT = optional(
    "plot",
    Path,
    "Plot the result, as .png and .svg; give .jpg to also write that.",
    files=file_roles.PLOT,
)
LIMIT = optional(
    "memory",
    str,
    "Memory limit that decides the patch size of this renderer, instead of --patch.",
    metavar="SIZE",
)
WALL = optional(
    "limit",
    str,
    "Memory that a method can use before it is stopped, e.g. 4GiB.",
    shown="all memory",
    metavar="SIZE",
)


@app.command()
@command(
    *(
        NETWORK,
        WEIGHTS,
        PRECISION,
        DEVICE,
        MEGAPIXELS.with_changes(default="0.25,1,4,16"),
        PATCH,
        LIMIT,
        SWEEPS,
        WALL,
    ),
    *(KEEP, PLOT, opt.DEBUG),
)
def memory(values: Values) -> None:
    """Peak memory and time by resolution: this renderer, and the untiled method until it runs out."""
    from tilestyle.benchmark import memory as benchmark
    from tilestyle.benchmark.plot import check_plot, plot_memory
    from tilestyle.benchmark.single_run import RunSpec

    plot, limit = values[PLOT], values[WALL]
    check_plot(plot)
    wall = None if limit is None else parse_bytes(limit, "limit")
    memory = values[LIMIT]
    if memory is not None:
        parse_bytes(memory, "memory")  # refused before the first measurement
    tiled = RunSpec(0, values[SWEEPS], values[PATCH], memory, wall)
    workload, sizes = workload_of(values), parse_sizes(values[MEGAPIXELS])
    with measuring("memory", values[KEEP]) as (tell, progress):
        result = benchmark.measure_memory(workload, sizes, tiled, tell, progress)
    conclude(result, values[KEEP])
    if plot:
        plot_memory(result.rows, plot)


SIZE_OF_SPEED = option("megapixels", float, "Size of the square canvas.", default=1.0)


@app.command()
@command(
    *(
        NETWORKS,
        WEIGHTS,
        PRECISIONS,
        DEVICE,
        PATCHES,
        SIZE_OF_SPEED,
        SWEEPS.with_changes(default=6),
        KEEP,
        opt.DEBUG,
    )
)
def speed(values: Values) -> None:
    """Megapixels per second, next to the bare network, the untiled step and plain matrix products."""
    from tilestyle.benchmark import speed as benchmark

    megapixels, patches = values[SIZE_OF_SPEED], values[PATCHES]
    parse_sizes(str(megapixels))
    workloads = [
        make_workload(network, values[WEIGHTS], precision, values[DEVICE])
        for network in values[NETWORKS]
        for precision in values[PRECISIONS]
    ]
    with measuring("speed", values[KEEP]) as (tell, progress):
        result = benchmark.measure_speed(workloads, patches, megapixels, values[SWEEPS], tell, progress)
    conclude(result, values[KEEP])


REPEATS = option("repeats", int, "Times that all sizes are measured, in turn.", default=1, limits=(1, None))


@app.command()
@command(
    *(
        NETWORK,
        WEIGHTS,
        PRECISION,
        DEVICE,
        MEGAPIXELS.with_changes(default="1,4,16,64"),
        PATCH.with_changes(default=512),
    ),
    SWEEPS.with_changes(
        help="Sweeps of the largest size; smaller sizes get more, for the same amount of work."
    ),
    *(REPEATS, KEEP, opt.DEBUG),
)
def scaling(values: Values) -> None:
    """Time and memory of a sweep by resolution, and the exponent of the time (1 is linear)."""
    from tilestyle.benchmark import scaling as benchmark
    from tilestyle.benchmark.single_run import RunSpec

    spec, sizes = RunSpec(0, values[SWEEPS], values[PATCH]), parse_sizes(values[MEGAPIXELS])
    workload, repeats = workload_of(values), values[REPEATS]
    with measuring("scaling", values[KEEP]) as (tell, progress):
        result = benchmark.measure_scaling(workload, sizes, spec, repeats, tell, progress)
    conclude(result, values[KEEP])


SIZE_OF_QUALITY = option(
    "size", int, "Long side of the image, in pixels.", default=512, limits=(SMALLEST, LARGEST)
)
SWEEPS_OF_QUALITY = optional(
    "sweeps", int, "Sweeps per level.", shown="those of normal quality", limits=(1, None)
)


@app.command()
@command(
    *(NETWORK, WEIGHTS, DEVICE, SIZE_OF_QUALITY, PATCH.with_changes(default=128), SWEEPS_OF_QUALITY),
    *(KEEP, PLOT, opt.DEBUG),
)
def quality(values: Values) -> None:
    """Exact loss of the whole canvas by network passes: tiled, untiled, halos, windows, bf16."""
    from tilestyle.benchmark import quality as benchmark
    from tilestyle.benchmark.plot import check_plot, plot_quality

    plot = values[PLOT]
    check_plot(plot)
    workload = make_workload(values[NETWORK], values[WEIGHTS], Precision.FP32, values[DEVICE])
    size, patch, sweeps = values[SIZE_OF_QUALITY], values[PATCH], values[SWEEPS_OF_QUALITY]
    with measuring("quality", values[KEEP]) as (tell, progress):
        result = benchmark.measure_quality(workload, size, patch, sweeps, tell, progress)
    conclude(result, values[KEEP])
    if plot:
        plot_quality(result.rows, plot)


RANKS = option(
    "ranks", str, "Numbers of processes to measure; the first is 1.", default="1,2", metavar="NUMBERS"
)
MEASURED = option("measured", float, "Megapixels of the canvas that they render.", default=1.0)


@app.command()
@command(
    *(NETWORK, WEIGHTS, PRECISION, DEVICE, RANKS, MEASURED),
    MEGAPIXELS.with_changes(help="Sizes of the canvases in the model."),
    *(PATCH, SWEEPS.with_changes(default=6), KEEP, opt.DEBUG),
)
def distributed(values: Values) -> None:
    """Speedup and communication of several processes, and a model of both for larger machines."""
    from tilestyle.benchmark import distributed as benchmark

    ranks, measured = values[RANKS], values[MEASURED]
    counts = [round(number) for number in parse_sizes(ranks, "ranks")]
    if counts[0] != 1:
        raise SettingError(f"ranks {ranks} must start with 1", hint="give, for example, 1,2,4")
    parse_sizes(str(measured), "measured")
    sizes = parse_sizes(values[MEGAPIXELS])
    spec = benchmark.DistributedSpec(counts, measured, sizes, values[PATCH], values[SWEEPS])
    workload = workload_of(values)
    with measuring("processes", values[KEEP]) as (tell, progress):
        result = benchmark.measure_distributed(workload, spec, tell, progress)
    conclude(result, values[KEEP])


def workload_of(values: Values) -> Workload:
    """The workload, from the options of a command."""
    return make_workload(values[NETWORK], values[WEIGHTS], values[PRECISION], values[DEVICE])


def make_workload(network: NetworkName, weights: str | None, precision: Precision, device: str) -> Workload:
    """The workload; built-in networks do not use weights."""
    from tilestyle.benchmark.workload import Workload

    return Workload(network, None if network in BUILT_IN else weights, precision, device)


def parse_sizes(text: str, name: str = "megapixels") -> list[float]:
    """Sizes or counts, from numbers separated by commas. Raises SettingError, with the name of the option."""
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(0 < size < 1e6 for size in sizes):
        raise SettingError(
            f"invalid {name} {excerpt(text)}", hint="give numbers above 0 and below 1 million, such as 1,4,16"
        )
    return sizes


@contextmanager
def measuring(what: str, keep: Path | None) -> Iterator[tuple[OnRow, Progress]]:
    """Show how far a benchmark is, and keep what is measured so far.

    Args:
        what: What is measured.
        keep: File to write after every measurement; None: only print.

    Yields:
        A function to call with every row and the result so far, and one with the fraction that is done.
    """
    kept = 0  # rows in the file

    def so_far() -> str:
        return f"what was measured so far ({kept} row{'s' if kept > 1 else ''})"

    def tell(row: Row, result: Result) -> None:
        nonlocal kept
        say(", ".join(f"{key} {shown(value, key)}" for key, value in row.items()))
        if keep is None:
            return
        try:
            result.save(keep, command_line())
        except OutputError as error:  # perhaps the next one can be written; the last one has to be
            warn(str(error))
            return
        kept = len(result.rows)
        signals.wrote_part(keep, so_far)

    with open_display() as display:
        try:
            yield tell, Steps(display, f"measuring {what}").at
        except Exception:
            if kept:
                warn(f"{keep} has {so_far()}")
            raise


def conclude(result: Result, keep: Path | None) -> None:
    """Print the result, and write it to a file if there is one."""
    show(result, command_line())
    if keep:
        result.save(keep, command_line())
        signals.wrote(keep)


def command_line() -> list[str]:
    """The command, for the record."""
    return ["tilestyle", *sys.argv[1:]]
