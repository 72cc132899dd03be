"""`--dry-run` of commands that make several pictures: sheets, the demo, films and series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from tilestyle.cli.dry_run import add_memory, grid
from tilestyle.cli.terminal import console, plain
from tilestyle.cli.times import duration
from tilestyle.config.byte_size import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tilestyle.pipeline.estimate import Repeated
    from tilestyle.recipes.comparison import Comparison, Sheet


def print_several(renders: Sequence[Repeated], rows: Iterable[tuple[str, str]], purpose: str) -> None:
    """Print what the renders of a command will take, as tables of at most 80 columns.

    Args:
        renders: The renders.
        rows: What else to say, after the pictures.
        purpose: What the renders become, such as "on one sheet".
    """
    seconds = [each.seconds() for each in renders]
    # What one could not measure, a later one of the same kind may have.
    seconds = [each.seconds() if known is None else known for each, known in zip(renders, seconds, strict=True)]
    measured = [each for each in seconds if each is not None]
    sizes = dict.fromkeys(size(each) for each in renders)
    table = grid()
    count = sum(each.count for each in renders)
    table.add_row("renders", f"{count} of {', '.join(sizes)} pixels, {purpose}")
    for name, text in rows:
        table.add_row(name, plain(text))
    is_known = len(measured) == len(seconds)
    time = f"about {duration(sum(measured))}" if is_known else "unknown: it could not be measured"
    table.add_row("time", time)
    add_memory(table, [each.outline for each in renders])
    shown = console()
    shown.print(table)
    shown.print(_list(renders, seconds))


def size(render: Repeated) -> str:
    """The size of the pictures of a render."""
    return f"{render.outline.job.size.width} x {render.outline.job.size.height}"


def folder_row(folder: Path, renders: Sequence[Repeated], count: int) -> tuple[str, str]:
    """What a folder of numbered pictures may take on the disk, at most."""
    from tilestyle.images import max_disk_bytes

    picture = renders[-1].outline.job.size
    largest = count * max_disk_bytes(folder / "0001.png", picture.height, picture.width, 3, 8)
    return "disk", f"{folder} up to {format_bytes(largest)}"


def captions_of(comparison: Comparison) -> list[str]:
    """What is above and beside the pictures of a sheet."""
    captions = [
        [variation.caption(index) for index in range(len(variation.values))]
        for variation in comparison.variations
    ]
    across = captions[0] if captions else ["result"]
    return [f"{column}, {row}" if row else column for row in (captions[1:] or [[""]])[0] for column in across]


def plans(sheet: Sheet, names: Sequence[str]) -> list[Repeated]:
    """The renders of a sheet, by their names."""
    from tilestyle.pipeline.estimate import Repeated
    from tilestyle.pipeline.prepare import outline

    return [
        Repeated(name, outline(cell.style, cell.config, cell.content))
        for name, cell in zip(names, sheet.cells(), strict=True)
    ]


def _list(renders: Sequence[Repeated], seconds: Sequence[float | None]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title="Renders", title_justify="left")
    for name in ("", "picture", "count", "sweeps", "time"):
        table.add_column(name, justify="left" if name in ("", "picture") else "right", no_wrap=bool(name))
    for each, time in zip(renders, seconds, strict=True):
        sweeps = str(sum(level.sweeps for level in each.outline.job.levels))
        time_text = "" if time is None else duration(time)
        table.add_row(plain(each.name), size(each), str(each.count), sweeps, time_text)
    return table
