"""What is stored in a finished picture: the version, the command, the inputs and the settings that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.config.render import FILE_FIELDS, RenderConfig
from tilestyle.config.size import stored_size
from tilestyle.pipeline.events import (
    Event,
    Finished,
    LevelStarted,
    Observer,
    PatchDone,
    PatchHalved,
    Resumed,
    Started,
    SweepDone,
)
from tilestyle.pipeline.observers import guard_callback
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.images import Json
    from tilestyle.planning.inputs import Style

IN_MEMORY = "(picture in memory)"
"""Stands for the file name of an array, a tensor or another picture that did not come from a file."""

STOPPED = "stopped"
"""Where a picture says that it was written before it was finished, and at which level."""


def provenance(
    config: RenderConfig, content: str | None, styles: Sequence[str], command: str
) -> dict[str, Json]:
    """Return what made a picture, as JSON. File names are without their folders.

    Args:
        config: The settings; stored are those that differ from the defaults, and the seed.
        content: File name of the content; None without one.
        styles: File names of the styles.
        command: The command line that made it, or one that corresponds to the Python call.
    """
    defaults = RenderConfig()
    settings = {
        field.name: _plain(field.name, getattr(config, field.name))
        for field in fields(config)
        if field.name == "seed" or not _equal(getattr(config, field.name), getattr(defaults, field.name))
    }
    return {
        "version": __version__,
        "command": command,
        "content": content,
        "style": styles[0] if len(styles) == 1 else list(styles) or None,
        "settings": settings,
    }


def call_provenance(config: RenderConfig, content: object, styles: Sequence[Style]) -> dict[str, Json]:
    """Return what made a picture in a call from Python, as `provenance`.

    Args:
        config: The settings.
        content: The content as it was given; None without one.
        styles: The styles; none for an inversion.
    """
    content_name = None if content is None else file_name(content)
    names = [file_name(style.picture) for style in styles]
    masked = [
        name if style.mask is None else f"{name}:{_mask_name(style.mask)}"
        for name, style in zip(names, styles, strict=True)
    ]
    if content_name is None:
        words = ["texture", *masked]
    elif not styles:
        words = ["invert", content_name]
    else:
        words = ["render", content_name, *(word for style in masked for word in ("--style", style))]
    return provenance(config, content_name, names, " ".join(["tilestyle", *words]))


def file_name(source: object) -> str:
    """Return the name of a picture's file, without folders; IN_MEMORY if it has none."""
    if isinstance(source, str | PathLike):
        return Path(source).name
    for attribute in ("name", "filename"):  # of sources and pictures, and of Pillow images
        name = getattr(source, attribute, None)
        if isinstance(name, str) and name:
            return Path(name).name
    return IN_MEMORY


@dataclass
class RenderFacts:
    """An observer that notes what a picture stores of its render in addition to the settings."""

    started: Started | None = None
    patch: int | None = None  # side of patches after memory ran out, pixels
    finished: Finished | None = None
    seconds_before: float = 0.0  # that earlier runs of the same render took
    level: str = ""  # the last one that was reached

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.finished is not None and self.finished.complete

    @property
    def stopped(self) -> bool:
        """Whether it ended before it was complete; only the process that writes the picture knows."""
        return self.finished is not None and not self.finished.complete

    @property
    def seconds(self) -> float:
        """The time of the render, with that of the runs that it continued."""
        return self.seconds_before + (self.finished.seconds if self.finished else 0.0)

    @property
    def machine(self) -> dict[str, Any]:
        """The settings that the machine decided, and the kind of machine, as JSON."""
        decided = dict(self.started.machine) if self.started else {}
        return decided | ({"patch": self.patch} if self.patch else {})

    @property
    def mark(self) -> dict[str, str]:
        """What a picture stores that was written before it was finished."""
        return {} if self.complete else {STOPPED: f"at {self.level}"}

    def then(self, observer: Observer | None) -> Observer:
        """Return an observer that notes, and then calls another one, which may fail."""
        guarded = guard_callback(observer, "the observer") if observer else None

        def observe(event: Event) -> None:
            self(event)
            if guarded is not None:
                guarded(event)

        return observe

    def __call__(self, event: Event) -> None:
        """Note what happens."""
        if isinstance(event, Resumed):
            self.seconds_before = event.seconds
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, PatchHalved):
            self.patch = event.side
        elif isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Resumed | LevelStarted | PatchDone | SweepDone):
            self.level = f"level {event.level.index + 1} of {event.levels}"


def _mask_name(mask: object) -> str:
    return mask if isinstance(mask, str) and mask.startswith("#") else file_name(mask)


def _equal(value: Any, default: Any) -> bool:
    """Whether a setting has its default; pictures in memory compare element by element, so by identity here."""
    return value is default or (isinstance(value, type(default)) and bool(value == default))


def _plain(name: str, value: Any) -> Json:
    """Return a setting as JSON."""
    if name == "size":
        return stored_size(value)
    if value is not None and name in FILE_FIELDS:
        return file_name(value)
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
