"""What a render will take, before it starts and without starting: `--dry-run`, and `tilestyle info`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tilestyle.cli import learning
from tilestyle.cli import options as opt
from tilestyle.cli.output_options import Output
from tilestyle.cli.terminal import console, plain
from tilestyle.cli.times import duration
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.readable import format_megapixels, format_number, format_percent

if TYPE_CHECKING:
    from tilestyle.cli.inputs import Inputs
    from tilestyle.cli.parameters import Values
    from tilestyle.config.render import RenderConfig
    from tilestyle.pipeline.outline import Outline
    from tilestyle.recipes.preview import PreviewRequest
    from tilestyle.recipes.printing import PreparedInputs

MILLIMETERS_PER_INCH = 25.4


@dataclass(frozen=True)
class Needs:
    """What a command will take.

    Attributes:
        outlines: Its renders.
        seconds: Time, in total; None if it could not be measured.
        levels: Seconds of each level of the first render.
        result_bytes: Disk space of the result, at most; 0 if it is not known where it goes.
    """

    outlines: Sequence[Outline]
    seconds: float | None
    levels: Sequence[float]
    result_bytes: int = 0


def print_dry_run(
    values: Values, inputs: Inputs, config: RenderConfig, preview: PreviewRequest | None = None
) -> bool:
    """With --dry-run, print what a command will take.

    Args:
        values: The options of the command.
        inputs: Its pictures.
        config: Its settings.
        preview: What to preview, if the command is a preview.

    Returns:
        Whether that was asked for: the command then has nothing more to do.

    Raises:
        TilestyleError: The command would raise it before it renders.
    """
    if not values[opt.DRY_RUN]:
        return False
    output = Output.of(values) if preview is None else Output.of(values).on_screen()
    with inputs.opened(config) as prepared:
        output.check(output.file, prepared.height, prepared.width, prepared.dpi)
        print_needs(inputs, prepared, output, preview, verbose=values[opt.VERBOSE])
    return True


def print_needs(
    inputs: Inputs,
    prepared: PreparedInputs,
    output: Output | None,
    preview: PreviewRequest | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Print what a render or a preview will take, as tables of at most 80 columns."""
    outlines = _outlines(prepared, preview)
    needs = _needs(prepared, outlines, output)
    shown = console()
    shown.print(_summary(inputs, prepared, output, needs, is_preview=preview is not None))
    shown.print(_renders(outlines) if preview else _levels(needs, verbose=verbose))
    if verbose:
        shown.print(_computation(outlines))


def _outlines(prepared: PreparedInputs, preview: PreviewRequest | None) -> list[Outline]:
    """Plan the renders of a command."""
    from tilestyle.pipeline.prepare import outline
    from tilestyle.recipes.preview import preview_outlines

    if preview is not None:
        return preview_outlines(prepared, preview)
    return [outline(prepared.styles or None, prepared.config, prepared.content)]


def needs_of(prepared: PreparedInputs, output: Output) -> Needs:
    """What one of many renders will take, without the start of the program."""
    return _needs(prepared, _outlines(prepared, None), output, starts=False)


def print_total(needs: Sequence[Needs], out: Path, count: int, *, done: int) -> None:
    """Print what the renders of a batch will take.

    Args:
        needs: What each of them takes.
        out: The output folder.
        count: Number of all results.
        done: Number of results that are finished.
    """
    table = grid()
    finished = f", {done} are finished" if done else ""
    table.add_row("pictures", f"{len(needs)} of {count} to render into {plain(out)}{finished}")
    pixels = sum(each.outlines[0].job.size.area for each in needs)
    table.add_row("size", f"{format_megapixels(pixels)} in all")
    known = [each.seconds for each in needs if each.seconds is not None]
    if len(known) == len(needs):
        table.add_row("time", f"about {duration(sum(known))}")
    else:
        table.add_row("time", "unknown: it could not be measured")
    if needs:
        add_memory(table, [outline for each in needs for outline in each.outlines])
        work = max(work_bytes(each.outlines[0]) for each in needs)
        table.add_row("disk", f"about {format_bytes(work)} while it runs; results up to {_largest(needs)}")
    console().print(table)


def _largest(needs: Sequence[Needs]) -> str:
    """The disk space of all results, at most."""
    return format_bytes(sum(each.result_bytes for each in needs))


def _needs(
    prepared: PreparedInputs, outlines: Sequence[Outline], output: Output | None, *, starts: bool = True
) -> Needs:
    """Estimate the time of everything, from starting the program to writing the picture.

    Args:
        prepared: The inputs.
        outlines: The renders.
        output: Where the picture goes.
        starts: Whether the start of the program counts.
    """
    from tilestyle.images import max_disk_bytes
    from tilestyle.pipeline import timings
    from tilestyle.pipeline.estimate import estimate_outline, known_forecast
    from tilestyle.planning.time_model import START, WRITING, StageModel

    device = outlines[0].job.network.device
    samples = timings.recall(learning.starting_kind(device)).get(START, ())
    other_seconds = StageModel(START, samples).seconds(learning.starting_amounts(prepared)) if starts else 0.0
    result = 0
    if output is not None:
        result = max_disk_bytes(output.file, prepared.height, prepared.width, 3, output.depth)
        samples = timings.recall(learning.writing_kind(output, device)).get(WRITING, ())
        written = sum(each.job.size.area for each in outlines) / 1e6
        other_seconds += StageModel(WRITING, samples).seconds((1.0, written))
    seconds = [estimate_outline(each) for each in outlines]
    known = [each for each in seconds if each is not None]
    total = other_seconds + sum(known) if len(known) == len(seconds) else None
    levels = [] if total is None else [level.seconds for level in known_forecast(outlines[0]).levels]
    return Needs(outlines, total, levels, result)


def _summary(
    inputs: Inputs, prepared: PreparedInputs, output: Output | None, needs: Needs, *, is_preview: bool
) -> Table:
    """Size, time, memory and disk."""
    table = grid()
    pixels = format_megapixels(prepared.width * prepared.height)
    size = f"{prepared.width} x {prepared.height} pixels, {pixels}"
    table.add_row("picture", f"preview of {size}" if is_preview else size)
    if prepared.dpi:
        table.add_row("print", _print_size(prepared, inputs))
    if crop := _crop(inputs, prepared):
        table.add_row("crop", crop)
    if prepared.config.keep_faces and prepared.content is not None:
        from tilestyle.images.faces import describe_count
        from tilestyle.planning.content_map import faces_in

        table.add_row("faces", describe_count(len(faces_in(prepared.content))))
    if warning := inputs.enlargement_warning(prepared):
        table.add_row("strokes", f"Warning: {warning}")
    elif prepared.config.enlarge_style and prepared.style_enlargement > 1:
        table.add_row("strokes", f"style enlarged {prepared.style_enlargement:.1f} times beyond its own pixels")
    time = "unknown: it could not be measured"
    table.add_row("time", time if needs.seconds is None else f"about {duration(needs.seconds)}")
    add_memory(table, needs.outlines)
    if output is not None:
        from tilestyle.images import max_disk_bytes

        work = 0 if is_preview else work_bytes(needs.outlines[0])
        largest = max_disk_bytes(
            output.file,
            prepared.height,
            prepared.width,
            output.paper.channels,
            output.depth,
            flat=output.paper.flat,
        )
        folder = f"about {format_bytes(work)} while it runs; " if work else ""
        if not is_preview:
            table.add_row("disk", f"{folder}{plain(output.file.name)} up to {format_bytes(largest)}")
    return table


def add_memory(table: Table, outlines: Sequence[Outline]) -> None:
    """Add the memory of the device and of the machine; on a CPU they are one."""
    device = outlines[0].job.network.device
    on_device = max(each.job.device_bytes for each in outlines)
    if device.type == "cpu":
        table.add_row("memory", f"about {format_bytes(on_device)} of RAM")
    else:
        table.add_row("GPU memory", f"about {format_bytes(on_device)} on {device}")
        in_ram = max(each.job.memory_estimate.host_total for each in outlines)
        table.add_row("RAM", f"about {format_bytes(in_ram)}")


def work_bytes(outline: Outline) -> int:
    """Bytes of the work folder: the canvas and the pictures if they are kept there, or a checkpoint."""
    from tilestyle.planning.memory_model import CANVAS_BYTES

    if outline.mapped:
        return outline.job.memory_estimate.disk
    return CANVAS_BYTES * outline.job.levels[-1].extent.area


def _print_size(prepared: PreparedInputs, inputs: Inputs) -> str:
    """The size on paper."""
    assert prepared.dpi is not None, "asked for"
    width, height = prepared.width / prepared.dpi, prepared.height / prepared.dpi
    bleed = inputs.printing.bleed if inputs.printing else 0.0
    return (
        f"{format_number(width, 4)} x {format_number(height, 4)} in "
        f"({width * MILLIMETERS_PER_INCH:.0f} x {height * MILLIMETERS_PER_INCH:.0f} mm) "
        f"at {format_number(prepared.dpi)} dpi"
        + (f", with a bleed of {format_number(bleed)} mm" if bleed else "")
    )


def _crop(inputs: Inputs, prepared: PreparedInputs) -> str:
    """What the paper cuts off the content; "" without paper or content."""
    from tilestyle.images import open_source

    if (
        inputs.content is None
        or prepared.content is None
        or inputs.printing is None
        or not inputs.printing.paper
    ):
        return ""
    with open_source(inputs.content) as source:
        lost = {
            "width": 1 - prepared.content.width / source.width,
            "height": 1 - prepared.content.height / source.height,
        }
    losses = [f"{format_percent(share)} of the {side}" for side, share in lost.items() if share >= 0.0005]
    if not losses:
        return "none: all of the photograph is shown"
    advice = inputs.crop_advice(prepared)
    return f"the photograph loses {' and '.join(losses)}{f'; {advice}' if advice else ''}"


def _levels(needs: Needs, *, verbose: bool) -> Table:
    """The levels of a render: sizes, sweeps and time."""
    from tilestyle.planning.schedule import patch_count

    outline = needs.outlines[0]
    table = Table(box=None, padding=(0, 2, 0, 0), title="Levels, from coarse to fine", title_justify="left")
    for name in ("level", "picture", "sweeps", "time", *(("canvas", "patches") if verbose else ())):
        table.add_column(name, justify="left" if name == "picture" else "right", no_wrap=True)
    for number, level in enumerate(outline.job.levels):
        box, extent = level.extent.picture, level.extent
        row = [str(number + 1), f"{box.width} x {box.height}", str(level.sweeps)]
        row.append(duration(needs.levels[number]) if needs.levels else "")
        if verbose:
            count = patch_count(extent, outline.job.patch_side_at(level))
            row += [f"{extent.width} x {extent.height}", str(count)]
        table.add_row(*row)
    return table


def _renders(outlines: Sequence[Outline]) -> Table:
    """The renders of a preview; those of the same size and sweeps, at other places, in one row."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="Renders", title_justify="left")
    for name in ("", "picture", "count", "sweeps"):
        table.add_column(name, justify="right" if name in ("count", "sweeps") else "left", no_wrap=True)
    whole, *windows = (
        (f"{each.job.size.width} x {each.job.size.height}", str(sum(level.sweeps for level in each.job.levels)))
        for each in outlines
    )
    table.add_row("whole picture", whole[0], "1", whole[1])
    for (size, sweeps), count in Counter(windows).items():
        table.add_row("around the details", size, str(count), sweeps)
    return table


def _computation(outlines: Sequence[Outline]) -> Table:
    """For those who know the method: patches and arithmetic."""
    from tilestyle.planning.schedule import patch_count

    job = outlines[0].job
    levels = [(each.job, level) for each in outlines for level in each.job.levels]
    pixels = sum(level.sweeps * level.extent.area for _, level in levels)
    passes = sum(level.sweeps * patch_count(level.extent, each.patch_side_at(level)) for each, level in levels)
    work = 3 * 2 * job.network.multiply_adds_per_pixel(job.weights.layer_names) * pixels
    table = grid()
    table.add_row("patch", f"{job.patch_side} pixels a side")
    table.add_row("patch passes", f"{passes:,} over {pixels / 1e6:,.0f} megapixels")
    table.add_row("convolutions", f"{work / 1e12:,.1f} Tflop")
    table.add_row("canvas", f"{format_bytes(job.memory_estimate.resident)}, with optimizer and pictures")
    return table


def grid() -> Table:
    """A table of names and what is said of them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
