"""What a command needs to film what it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.config import FilmConfig

if TYPE_CHECKING:
    from tilestyle.progress import Observer


@dataclass(frozen=True)
class Film:
    """What was asked for."""

    path: Path
    config: FilmConfig

    def check(self) -> None:
        """Raise what writing the film would, before anything is rendered."""
        from tilestyle.film import check_film

        check_film(self.path, self.config)


@contextmanager
def filmed(film: Film | None, height: int, width: int, *, resumed: bool) -> Iterator[list[Observer]]:
    """Observers that make the film, if there is to be one, of a render of this size.

    The film of a render that is gone on with gets a name of its own; frames in a folder are gone on with.
    """
    if film is None:
        yield []
        return
    from tilestyle.film import filming, is_frames
    from tilestyle.timelapse import Timelapse

    path = film.path
    if resumed and not is_frames(path):
        path = unused(path)
        print(f"the film of what is left is {path}", file=sys.stderr)
    with filming(path, film.config) as writer:
        timelapse = Timelapse(writer, film.config, height, width)
        yield [timelapse]
        if not is_frames(path):
            timelapse.hold(round(film.config.hold * film.config.fps))


def unused(path: Path) -> Path:
    """The name, or that with the first number that is not taken."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found
