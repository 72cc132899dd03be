"""What a command needs to film what it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.config.render import FilmConfig
from tilestyle.pipeline.observers import guarded

if TYPE_CHECKING:
    from tilestyle.pipeline.checkpoint import Checkpoints
    from tilestyle.pipeline.events import Observer


@dataclass(frozen=True)
class Film:
    """What was asked for."""

    path: Path
    config: FilmConfig

    def check(self) -> None:
        """Raise what writing the film would, before anything is rendered."""
        from tilestyle.motion.film import check_film

        check_film(self.path, self.config)


@contextmanager
def filmed(
    film: Film | None, height: int, width: int, checkpoints: Checkpoints | None
) -> Iterator[list[Observer]]:
    """Observers that make the film, if there is to be one, of a render of this size.

    A resumed render continues its film, whose parts are in its work folder. A film that fails does not end the
    render: it is warned of, and as much of it as there is becomes the film.
    """
    if film is None:
        yield []
        return
    from tilestyle.cli.display import warn
    from tilestyle.motion.film import filming, is_frames
    from tilestyle.motion.film_parts import filming_on
    from tilestyle.motion.timelapse import Timelapse

    config, name = film.config, f"the film {film.path}"
    said: list[str] = []

    def warn_once(text: str) -> None:  # a film that has failed cannot be ended well, either
        if not said:
            warn(text)
        said.append(text)

    hold = 0 if is_frames(film.path) else round(config.hold * config.fps)
    with ExitStack() as stack:
        writing = (
            filming_on(film.path, config, checkpoints.path, anew=checkpoints.left is None)
            if checkpoints
            else filming(film.path, config)
        )
        writer = stack.enter_context(writing)
        try:
            yield [guarded(Timelapse(writer, config, height, width, hold), name, warn_once)]
        except BaseException:
            # What ended the render is what is told, not that the film could not be ended, too.
            ends = sys.exc_info()
            with suppress(Exception):
                stack.pop_all().__exit__(*ends)
            raise
        guarded(stack.pop_all().close, f"ending {name}", warn_once)()
