"""The film of a render: what was asked for, and the recorder that makes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import options
from tilestyle.config.render import FilmConfig
from tilestyle.pipeline.events import Event, Finished, Resumed, Started
from tilestyle.pipeline.observers import guard_callback

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.pipeline.events import Observer


@dataclass(frozen=True)
class FilmOptions:
    """Where the film goes, and how it is encoded."""

    path: Path
    config: FilmConfig

    @classmethod
    def of(cls, values: Values) -> FilmOptions | None:
        """From the options of a command; None if no film was asked for."""
        path = values[options.FILM_FILE]
        config = FilmConfig(
            fps=values[options.FPS], codec=values[options.CODEC], step=values[options.FILM_STEP]
        )
        return None if path is None else cls(path, config)

    def check(self) -> None:
        """Raise what writing the film would, before anything is rendered."""
        from tilestyle.motion.film import check_film

        check_film(self.path, self.config)


class FilmRecorder:
    """Two observers of a render that make its film: `watch` adds frames, `finish` ends it."""

    def __init__(self, film: FilmOptions, height: int, width: int, folder: Path | None) -> None:
        """`height` and `width` are those of the finished picture, `folder` is the work folder."""
        from tilestyle.cli.terminal import warn

        self._film, self._size, self._folder = film, (height, width), folder
        self._stack = ExitStack()
        self._resumed = False
        self._timelapse: Observer | None = None
        self._warned = False

        def warn_once(text: str) -> None:  # a film that has failed cannot be ended well, either
            if not self._warned:
                warn(text)
            self._warned = True

        name = f"the film {film.path}"
        self.watch: Observer = guard_callback(self._watch, name, warn_once)
        self._close = guard_callback(lambda: self._stack.pop_all().close(), f"ending {name}", warn_once)

    def finish(self, event: Event) -> None:
        """End the film with the render."""
        if isinstance(event, Finished):
            self._close()

    def abandon(self) -> None:
        """Close the film because of an exception that is being handled, which is what will be reported."""
        exception_info = sys.exc_info()
        with suppress(Exception):
            self._stack.pop_all().__exit__(*exception_info)

    def _watch(self, event: Event) -> None:
        if isinstance(event, Resumed):
            self._resumed = True
        if isinstance(event, Started | Resumed):
            return
        self._timelapse = self._timelapse or self._opened()
        self._timelapse(event)

    def _opened(self) -> Observer:
        """A resumed render continues its film, whose parts are in the work folder."""
        from tilestyle.motion.film import is_frame_output, open_film
        from tilestyle.motion.film_parts import open_resumable_film
        from tilestyle.motion.timelapse import Timelapse

        path, config = self._film.path, self._film.config
        writer = self._stack.enter_context(
            open_resumable_film(path, config, self._folder, restart=not self._resumed)
            if self._folder
            else open_film(path, config)
        )
        hold = 0 if is_frame_output(path) else round(config.hold * config.fps)
        return Timelapse(writer, config, *self._size, hold)


@contextmanager
def recording(
    film: FilmOptions | None, height: int, width: int, folder: Path | None
) -> Iterator[FilmRecorder | None]:
    """The recorder of a render's film, if there is to be one.

    A film that fails does not end the render: a warning says so, and what there is of it becomes the film.
    """
    recorder = None if film is None else FilmRecorder(film, height, width, folder)
    try:
        yield recorder
    except BaseException:
        if recorder:
            recorder.abandon()
        raise
