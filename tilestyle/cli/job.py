"""From settings to a written picture: what `render`, `texture` and `demo` have in common."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.config import RenderConfig
from tilestyle.memory_size import gib
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.images import Json


@dataclass(frozen=True)
class Output:
    """Where the picture goes and how."""

    path: Path
    depth: int = 8
    quality: int = 95
    preview: Path | None = None
    quiet: bool = False


def produce(style: Path, config: RenderConfig, output: Output, content: Path | None = None) -> None:
    """Render, show progress, write the picture with its settings, say what was done."""
    from tilestyle.api import prepare, run, save
    from tilestyle.budget import find_device
    from tilestyle.cli.display import clock, stop_on_interrupt, watcher
    from tilestyle.images import WriteOptions, check_writable
    from tilestyle.peak import Peak
    from tilestyle.progress import Event, Finished

    options = WriteOptions(
        depth=output.depth, quality=output.quality, provenance=provenance(style, config, content)
    )
    peak = Peak(find_device(config.device))
    job = prepare(style, config, content)
    size = job.levels[-1].extent.picture
    check_writable(output.path, size.height, size.width, output.depth)
    if output.preview:
        check_writable(output.preview, size.height, size.width)
    ends: list[Finished] = []
    watch = watcher(quiet=output.quiet, preview=output.preview, peak=peak.bytes)

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            ends.append(event)
        watch(event)

    with stop_on_interrupt() as stop:
        picture = run(job, observe, stop)
        save(picture, output.path, options)
    if not output.quiet:
        end = ends[-1]
        stopped = "" if end.complete else "stopped early, "
        print(
            f"wrote {output.path}: {size.width} x {size.height}, {stopped}"
            f"{clock(end.seconds)} min, peak {gib(peak.bytes())} GiB",
            file=sys.stderr,
        )


def provenance(style: Path, config: RenderConfig, content: Path | None) -> dict[str, Json]:
    """What made a picture: version, command and settings; file names without their folders."""
    defaults = RenderConfig()
    settings = {
        field.name: _plain(getattr(config, field.name))
        for field in fields(config)
        if getattr(config, field.name) != getattr(defaults, field.name) or field.name == "seed"
    }
    return {
        "version": __version__,
        "command": " ".join(["tilestyle", *map(_bare, sys.argv[1:])]),
        "content": None if content is None else content.name,
        "style": style.name,
        "settings": settings,
    }


def _bare(word: str) -> str:
    """A word of the command line without folders, also behind --option=."""
    option, equals, value = word.rpartition("=")
    return option + equals + (Path(value).name or value)


def _plain(value: Any) -> Json:
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    return Path(value).name if isinstance(value, PathLike) else value
