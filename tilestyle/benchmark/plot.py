"""Plot results as PNG and SVG. This needs matplotlib, from the extra `benchmark`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.benchmark.environment import Row
from tilestyle.config.readable import format_number
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"tiled": "tab:blue", "untiled": "tab:red"}


def check_plot(plot: Path | None) -> None:
    """Raise SettingError for a plot if matplotlib is missing, before anything is measured."""
    if plot is not None and find_spec("matplotlib") is None:
        raise SettingError(
            "a plot needs matplotlib, which is not installed",
            hint="pip install 'tilestyle[benchmark]', or leave out --plot",
        )


def plot_memory(rows: Sequence[Row], plot: Path) -> None:
    """Plot peak memory and time against megapixels, a line per method; a cross where memory ran out.

    Args:
        rows: Rows of `measure_memory`.
        plot: File to write.

    Raises:
        OutputError: The file cannot be written.
    """
    figure, (memory_axes, time_axes) = _figure(2)
    for method in COLORS:
        completed = [row for row in rows if row["method"] == method and "died" not in row]
        if not completed:
            continue
        sizes, color = [row["megapixels"] for row in completed], COLORS[method]
        memory_axes.plot(sizes, [row["peak"] / 2**30 for row in completed], "o-", color=color, label=method)
        time_axes.plot(
            sizes, [row["seconds_per_megapixel"] for row in completed], "o-", color=color, label=method
        )
        if method == "tiled" and any(row["beyond"] != row["peak"] for row in completed):
            beyond = [max(row["beyond"], 0) / 2**30 for row in completed]
            memory_axes.plot(sizes, beyond, "o:", color=color, label="tiled, without canvas and pictures")
        for row in rows:
            if row["method"] == method and "died" in row:
                # Where it would have been: the memory of the last completed size, scaled up.
                estimate = completed[-1]["peak"] / 2**30 * row["megapixels"] / completed[-1]["megapixels"]
                memory_axes.plot(
                    [sizes[-1], row["megapixels"]],
                    [completed[-1]["peak"] / 2**30, estimate],
                    "--",
                    color=color,
                )
                memory_axes.plot(
                    row["megapixels"], estimate, "x", color=color, markersize=12, markeredgewidth=3
                )
    for axes, label in ((memory_axes, "peak memory, GiB"), (time_axes, "seconds per megapixel and sweep")):
        _finish(axes, label)
        axes.set(xlabel="megapixels", xscale="log")
        axes.set_xticks(sorted({row["megapixels"] for row in rows}))
        axes.xaxis.set_major_formatter(lambda x, _: format_number(x, 2))
        axes.xaxis.minorticks_off()
    memory_axes.set_yscale("log", base=2)
    memory_axes.yaxis.set_major_formatter(lambda y, _: format_number(y))
    time_axes.set_ylim(0, 1.1 * time_axes.get_ylim()[1])  # from 0, so that noise looks small
    _save(figure, plot)


def plot_quality(rows: Sequence[Row], plot: Path) -> None:
    """Plot the exact loss against passes of the network, a line per scheme.

    Args:
        rows: Rows of `measure_quality`.
        plot: File to write.

    Raises:
        OutputError: The file cannot be written.
    """
    figure, (axes,) = _figure(1)
    for name in dict.fromkeys(row["scheme"] for row in rows):
        line = [row for row in rows if row["scheme"] == name]
        axes.plot([row["passes"] for row in line], [row["loss"] for row in line], "o-", label=name)
    _finish(axes, "exact loss")
    axes.set(xlabel="passes of the network over the canvas", xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(lambda x, _: format_number(x))
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda y, _: format_number(y))
    _save(figure, plot)


def _figure(count: int) -> tuple[Any, Iterable[Axes]]:
    """A figure of `count` axes, one below the other."""
    from matplotlib.figure import Figure  # not pyplot, which needs a display

    figure = Figure(figsize=(7, 4 * count), layout="constrained")
    return figure, figure.subplots(count, 1, squeeze=False)[:, 0]


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()


def _save(figure: Any, plot: Path) -> None:
    """Write a figure as .png and .svg, and as JPEG if `plot` has its suffix."""
    try:
        plot.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".svg", *{plot.suffix} & {".jpg", ".jpeg"}):
            with atomic_write(plot.with_suffix(suffix)) as file:
                figure.savefig(file, dpi=150, format=suffix.removeprefix("."))
    except OSError as error:
        raise OutputError(f"cannot write {plot}: {error.strerror}", hint="use another --plot") from error
