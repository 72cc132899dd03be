"""Renders beside one another: content, style and result, or a grid over one or two settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tilestyle.config.render import RenderConfig
from tilestyle.config.variations import Variation
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import SettingError
from tilestyle.files import ownership
from tilestyle.files.atomic import replacing
from tilestyle.files.paths import content_of
from tilestyle.images import Picture, Row, captioned, gathered, open_source, read_picture
from tilestyle.pipeline import api
from tilestyle.pipeline.events import Event, Finished
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.workdir import CELLS, WorkFolder, translated
from tilestyle.planning.inputs import digest
from tilestyle.planning.resolve import resolve
from tilestyle.version import __version__

MOST = 2  # settings that a sheet has room for: across, and down


@dataclass(frozen=True)
class Comparison:
    """What is compared: a render of a content in a style with these settings, some of them varied."""

    content: Path
    style: Path
    config: RenderConfig
    variations: Sequence[Variation] = ()

    @isolated
    def __post_init__(self) -> None:
        """Refuse what cannot be shown, or not rendered, before anything is."""
        if len(self.variations) > MOST or len({each.setting for each in self.variations}) < len(
            self.variations
        ):
            raise SettingError(
                "a sheet varies one or two settings", hint="give --vary at most twice, for each once"
            )
        for config in self.configs():
            resolve(config, with_content=True)

    def configs(self) -> Iterator[RenderConfig]:
        """Settings of every cell, row by row; the first variation goes across."""
        across = self.variations[0] if self.variations else None
        down = self.variations[1] if len(self.variations) > 1 else None
        for row in range(len(down.values) if down else 1):
            settings = down.applied(self.config, row) if down else self.config
            for column in range(len(across.values) if across else 1):
                yield across.applied(settings, column) if across else settings

    def sheet(self, cells: Sequence[Picture]) -> Picture:
        """The finished cells, row by row, with captions, and what they were made from."""
        side = max(max(cell.height, cell.width) for cell in cells)
        shown = [("content", _small(self.content, side)), ("style", _small(self.style, side))]
        if not self.variations:
            return captioned([Row([*shown, ("result", cells[0])])])
        across = self.variations[0]
        count = len(across.values)
        captions = [across.caption(index) for index in range(count)]
        if len(self.variations) == 1:
            return captioned([Row(shown), Row(list(zip(captions, cells, strict=True)))])
        down = self.variations[1]
        rows = [
            Row(
                list(zip(captions if not row else [""] * count, cells[row * count :][:count], strict=True)),
                down.caption(row),
            )
            for row in range(len(down.values))
        ]
        return captioned([Row(shown), *rows])


@isolated
def cells(
    comparison: Comparison,
    folder: Path,
    begin: Callable[[int, int], None] = lambda number, count: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Picture]:
    """Render every cell; those that an earlier run finished in the folder are taken from there.

    `begin` is told the number of every cell that is rendered, from 1, and how many there are. Where `stop`
    answers True, what is finished is answered. Errors as in api.render.
    """
    begin = guarded(begin, "the observer")
    work = WorkFolder(folder, manifest=CELLS)
    found: list[Picture] = []
    try:
        with translated(folder):
            found = _cells(comparison, work, begin, stop)
        return found
    finally:
        work.close(remove=not work.keeps)


def _cells(
    comparison: Comparison, work: WorkFolder, begin: Callable[[int, int], None], stop: Callable[[], bool]
) -> list[Picture]:
    configs = list(comparison.configs())
    known = _digests(work.path)
    sources = {"style": comparison.style, "content": comparison.content}
    found: list[Picture] = []
    for number, config in enumerate(configs, 1):
        about = json.dumps([__version__, api.identity(config, sources)], sort_keys=True)
        file = work.path / f"cell-{hashlib.sha256(about.encode()).hexdigest()[:20]}.png"
        if not file.is_file() or known.get(file.name) != digest(file):
            begin(number, len(configs))
            picture = _rendered(sources, config, stop)
            if picture is None:
                break
            for made in (file, work.path / CELLS):
                ownership.claim(made, lasting=True)
            picture.save(file)
            known[file.name] = digest(file)
            with replacing(work.path / CELLS) as listed:
                listed.write(json.dumps(known).encode())
        found.append(read_picture(file))
    return found


def discard(folder: Path) -> None:
    """Remove the cells that are in a work folder, and the folder if nothing else is.

    Raises WorkError for a folder that is not one of ours.
    """
    WorkFolder(folder, manifest=CELLS).close(remove=True)


def _digests(folder: Path) -> dict[str, str]:
    """The digests of finished cells by name; a cell without is rendered again."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(content_of(folder / CELLS))
        if isinstance(found, dict):
            return found
    return {}


def _rendered(sources: Mapping[str, Path], config: RenderConfig, stop: Callable[[], bool]) -> Picture | None:
    """A cell; None if it was stopped."""
    ends: list[bool] = []

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            ends.append(event.complete)

    picture = api.render(sources["content"], sources["style"], config, observer=observe, stop=stop)
    return picture if ends[-1] else None


def _small(file: Path, side: int) -> Picture:
    """A picture at this long side, or its own."""
    with open_source(file) as source:
        share = side / max(source.height, source.width)
        if share >= 1:
            return gathered(source)
        return source.shrunk(*(max(1, round(length * share)) for length in (source.height, source.width)))
