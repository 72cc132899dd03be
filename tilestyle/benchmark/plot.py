"""Pictures of results, PNG and SVG: needs matplotlib, which is in the extra `benchmark`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.benchmark.environment import Row
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"tiled": "tab:blue", "untiled": "tab:red"}


def check_plot(plot: Path | None) -> None:
    """Refuse a plot that could not be drawn in the end, before anything is measured."""
    if plot is not None and find_spec("matplotlib") is None:
        raise SettingError(
            "a plot needs matplotlib", hint="pip install 'tilestyle[benchmark]', or leave out --plot"
        )


def plot_memory(rows: Sequence[Row], plot: Path) -> None:
    """Peak memory and time against megapixels, one line a method; a cross where one died."""
    figure, (above, below) = _figure(2)
    for method in COLOURS:
        alive = [row for row in rows if row["method"] == method and "died" not in row]
        if not alive:
            continue
        sizes, colour = [row["megapixels"] for row in alive], COLOURS[method]
        above.plot(sizes, [row["peak"] / 2**30 for row in alive], "o-", color=colour, label=method)
        below.plot(sizes, [row["seconds_per_megapixel"] for row in alive], "o-", color=colour, label=method)
        if method == "tiled" and any(row["beyond"] != row["peak"] for row in alive):
            beyond = [max(row["beyond"], 0) / 2**30 for row in alive]
            above.plot(sizes, beyond, "o:", color=colour, label="tiled, beyond canvas and pictures")
        for row in rows:
            if row["method"] == method and "died" in row:
                # At the memory of the last size that it survived, scaled up: where it would have been.
                guess = alive[-1]["peak"] / 2**30 * row["megapixels"] / alive[-1]["megapixels"]
                above.plot(
                    [sizes[-1], row["megapixels"]], [alive[-1]["peak"] / 2**30, guess], "--", color=colour
                )
                above.plot(row["megapixels"], guess, "x", color=colour, markersize=12, markeredgewidth=3)
    for axes, label in ((above, "peak memory, GiB"), (below, "seconds a megapixel and sweep")):
        _finish(axes, label)
        axes.set(xlabel="megapixels", xscale="log")
        axes.set_xticks(sorted({row["megapixels"] for row in rows}))
        axes.xaxis.set_major_formatter("{x:.2g}")
        axes.xaxis.minorticks_off()
    above.set_yscale("log", base=2)
    above.yaxis.set_major_formatter("{x:g}")
    below.set_ylim(0, 1.1 * below.get_ylim()[1])  # from nothing: what is chance looks small
    _save(figure, plot)


def plot_quality(rows: Sequence[Row], plot: Path) -> None:
    """Exact loss against passes of the network, one line a scheme."""
    figure, (axes,) = _figure(1)
    for name in dict.fromkeys(row["scheme"] for row in rows):
        line = [row for row in rows if row["scheme"] == name]
        axes.plot([row["passes"] for row in line], [row["loss"] for row in line], "o-", label=name)
    _finish(axes, "exact loss")
    axes.set(xlabel="passes of the network over the canvas", xscale="log", yscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted("{x:g}")
    _save(figure, plot)


def _figure(count: int) -> tuple[Any, Iterable[Axes]]:
    from matplotlib.figure import Figure  # not pyplot, which would look for a screen

    figure = Figure(figsize=(7, 4 * count), layout="constrained")
    return figure, figure.subplots(count, 1, squeeze=False)[:, 0]


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()


def _save(figure: Any, plot: Path) -> None:
    """Beside each other as .png and .svg, and as JPEG if that is what is asked for."""
    try:
        plot.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".svg", *{plot.suffix} & {".jpg", ".jpeg"}):
            with replacing(plot.with_suffix(suffix)) as file:
                figure.savefig(file, dpi=150, format=suffix.removeprefix("."))
    except OSError as error:
        raise OutputError(f"cannot write {plot}: {error.strerror}", hint="give another --plot") from error
