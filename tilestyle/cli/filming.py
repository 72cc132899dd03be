"""What a command needs to film what it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.config import FilmConfig

if TYPE_CHECKING:
    from tilestyle.checkpoint import Checkpoints
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
def filmed(
    film: Film | None, height: int, width: int, checkpoints: Checkpoints | None
) -> Iterator[list[Observer]]:
    """Observers that make the film, if there is to be one, of a render of this size.

    A render that is gone on with goes on with its film, which is in its work folder.
    """
    if film is None:
        yield []
        return
    from tilestyle.film import filming, is_frames
    from tilestyle.splice import filming_on
    from tilestyle.timelapse import Timelapse

    config = film.config
    hold = 0 if is_frames(film.path) else round(config.hold * config.fps)
    with (
        filming_on(film.path, config, checkpoints.path, anew=checkpoints.left is None)
        if checkpoints
        else filming(film.path, config)
    ) as writer:
        yield [Timelapse(writer, config, height, width, hold)]
