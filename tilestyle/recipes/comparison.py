"""Comparison sheets: content, style and result side by side, or a grid of renders over one or two settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tilestyle.config.render import RenderConfig
from tilestyle.config.variations import Variation
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import SettingError
from tilestyle.files import ownership
from tilestyle.files.atomic import atomic_write
from tilestyle.files.paths import read_limited
from tilestyle.images import CaptionedRow, Picture, draw_captioned_rows, open_source, read_all, read_picture
from tilestyle.pipeline import api
from tilestyle.pipeline.events import Event, Finished, Observer
from tilestyle.pipeline.fingerprint import content_hash, render_fingerprint
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.workdir import CELLS_MANIFEST, LockedWorkDir, translating_errors
from tilestyle.planning.resolve import resolve_config
from tilestyle.version import __version__

MAX_VARIATIONS = 2  # settings that a sheet can vary: one across, one down


@dataclass(frozen=True)
class Cell:
    """One render of a sheet: a content in a style."""

    content: Path
    style: Path
    config: RenderConfig

    @property
    def file_name(self) -> str:
        """The name of its file: the same for renders with the same settings and inputs."""
        sources = {"style": self.style, "content": self.content}
        fingerprint = json.dumps([__version__, render_fingerprint(self.config, sources)], sort_keys=True)
        return f"cell-{hashlib.sha256(fingerprint.encode()).hexdigest()[:20]}.png"


class Sheet(Protocol):
    """A sheet of renders."""

    def cells(self) -> Iterable[Cell]:
        """The renders, row by row."""


@dataclass(frozen=True)
class Comparison:
    """Renders to compare: of one content in one style, with some of the settings varied.

    Attributes:
        content: File of the content.
        style: File of the style.
        config: The settings that all renders share.
        variations: Settings to vary; the first across the sheet, the second down.
    """

    content: Path
    style: Path
    config: RenderConfig
    variations: Sequence[Variation] = ()

    @with_torch_state
    def __post_init__(self) -> None:
        """Check all settings before anything is rendered.

        Raises:
            TilestyleError: Too many settings vary, or one of the renders is not possible.
        """
        if len(self.variations) > MAX_VARIATIONS or len(
            {variation.setting for variation in self.variations}
        ) < len(self.variations):
            raise SettingError(
                "a sheet varies one or two settings",
                hint="give --vary at most twice, for different settings",
            )
        for config in self.configs():
            resolve_config(config, with_content=True)

    def configs(self) -> Iterator[RenderConfig]:
        """Yield the settings of every cell, row by row."""
        across = self.variations[0] if self.variations else None
        down = self.variations[1] if len(self.variations) > 1 else None
        for row in range(len(down.values) if down else 1):
            settings = down.apply(self.config, row) if down else self.config
            for column in range(len(across.values) if across else 1):
                yield across.apply(settings, column) if across else settings

    def cells(self) -> Iterator[Cell]:
        """Yield the renders, row by row."""
        for config in self.configs():
            yield Cell(self.content, self.style, config)

    def sheet(self, cells: Sequence[Picture]) -> Picture:
        """Assemble the sheet.

        Args:
            cells: The rendered cells, row by row.

        Returns:
            Content, style and cells, with captions.
        """
        side = max(max(cell.height, cell.width) for cell in cells)
        inputs = [
            ("content", read_downsampled(self.content, side)),
            ("style", read_downsampled(self.style, side)),
        ]
        if not self.variations:
            return draw_captioned_rows([CaptionedRow([*inputs, ("result", cells[0])])])
        across = self.variations[0]
        count = len(across.values)
        captions = [across.caption(index) for index in range(count)]
        if len(self.variations) == 1:
            return draw_captioned_rows(
                [CaptionedRow(inputs), CaptionedRow(list(zip(captions, cells, strict=True)))]
            )
        down = self.variations[1]
        rows = [
            CaptionedRow(
                list(zip(captions if not row else [""] * count, cells[row * count :][:count], strict=True)),
                down.caption(row),
            )
            for row in range(len(down.values))
        ]
        return draw_captioned_rows([CaptionedRow(inputs), *rows])


@with_torch_state
def render_cells(
    sheet: Sheet,
    folder: Path,
    on_cell: Callable[[int, int], None] = lambda number, count: None,
    stop: Callable[[], bool] = lambda: False,
    observer: Observer | None = None,
) -> list[Picture]:
    """Render every cell; those that an earlier run finished in the folder are read from there.

    Args:
        sheet: What to render.
        folder: Work folder, where finished cells are kept.
        on_cell: Called before each cell that is rendered, with its number from 1 and the number of cells.
        stop: Asked whether to stop, as for `api.render`.
        observer: Called with the events of every render.

    Returns:
        The finished cells; fewer than all if it was stopped.

    Raises:
        TilestyleError: As in `api.render`.
    """
    on_cell = guard_callback(on_cell, "the observer")
    watch = guard_callback(observer, "the observer") if observer else (lambda event: None)
    work = LockedWorkDir(folder, manifest_name=CELLS_MANIFEST)
    pictures: list[Picture] = []
    try:
        with translating_errors(folder):
            pictures = _render_cells(sheet, work, on_cell, stop, watch)
        return pictures
    finally:
        work.close(remove=not work.has_checkpoint)


def _render_cells(
    sheet: Sheet,
    work: LockedWorkDir,
    on_cell: Callable[[int, int], None],
    stop: Callable[[], bool],
    watch: Observer,
) -> list[Picture]:
    """Do what `render_cells` does, in an open work folder."""
    cells = list(sheet.cells())
    digests = _read_digests(work.path)
    pictures: list[Picture] = []
    for number, cell in enumerate(cells, 1):
        file = work.path / cell.file_name
        if not file.is_file() or digests.get(file.name) != content_hash(file):
            on_cell(number, len(cells))
            picture = _render_cell(cell, stop, watch)
            if picture is None:
                break
            for claimed in (file, work.path / CELLS_MANIFEST):
                ownership.claim(claimed, sync=True)
            picture.save(file)
            digests[file.name] = content_hash(file)
            with atomic_write(work.path / CELLS_MANIFEST) as cells_file:
                cells_file.write(json.dumps(digests).encode())
        pictures.append(read_picture(file))
    return pictures


def has_cells(sheet: Sheet, folder: Path) -> bool:
    """Whether a work folder has finished cells of a sheet."""
    digests = _read_digests(folder)
    return bool(digests) and any(cell.file_name in digests for cell in sheet.cells())


def discard_cells(folder: Path) -> None:
    """Remove the cells in a work folder, and the folder if nothing else is in it.

    Raises:
        WorkError: It is not a work folder of tilestyle.
    """
    LockedWorkDir(folder, manifest_name=CELLS_MANIFEST).close(remove=True)


def _read_digests(folder: Path) -> dict[str, str]:
    """Return the digests of finished cells by file name; a cell without one is rendered again."""
    with suppress(OSError, ValueError, RecursionError):
        digests = json.loads(read_limited(folder / CELLS_MANIFEST))
        if isinstance(digests, dict):
            return digests
    return {}


def _render_cell(cell: Cell, stop: Callable[[], bool], watch: Observer) -> Picture | None:
    """Render a cell; None if it was stopped."""
    completed: list[bool] = []

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            completed.append(event.complete)
        watch(event)

    picture = api.render(cell.content, cell.style, cell.config, observer=observe, stop=stop)
    return picture if completed[-1] else None


def read_downsampled(file: Path, side: int) -> Picture:
    """Read a picture, downsampled to this long side if it is larger."""
    with open_source(file) as source:
        share = side / max(source.height, source.width)
        if share >= 1:
            return read_all(source)
        return source.downsample(*(max(1, round(length * share)) for length in (source.height, source.width)))
