"""Progress of a series of images, and its film: what `drift`, `zoom` and `video` have in common."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.cli import signals
from tilestyle.cli.progress import Parts, Remembered, Steps, open_display
from tilestyle.cli.terminal import say
from tilestyle.errors import FolderTakenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilestyle.cli.film_options import FilmOptions
    from tilestyle.motion.drift import SeriesCallbacks
    from tilestyle.motion.film import Frame
    from tilestyle.motion.series import Series


def run_series(
    work: Callable[[Path, SeriesCallbacks], Series],
    total: int,
    folders: Iterable[Path],
    *,
    quiet: bool,
    verbose: bool,
) -> Series:
    """Run a series and show how far it is; Ctrl-C stops it, the same command resumes it.

    Args:
        work: Makes the series in a folder.
        total: Number of images.
        folders: Where to make it: the first of them that is not taken by something else.
        quiet: Whether to print nothing.
        verbose: Whether to show more.

    Raises:
        typer.Exit: It was stopped.
    """
    from tilestyle.cli.display import stop_on_interrupt, watcher
    from tilestyle.motion.drift import SeriesCallbacks
    from tilestyle.motion.series import STATISTICS

    folder_error: FolderTakenError | None = None
    with open_display(quiet=quiet, verbose=verbose) as display:
        parts = Parts(display, total)

        def begin(series: Series) -> None:
            if series.count + 1 == total:  # the series is complete when its last image is counted
                signals.writes(series.path / STATISTICS)
            if series.count < total:
                parts.begin(series.count, f"picture {series.count + 1} of {total}")

        with stop_on_interrupt() as stop:
            stop_request = Remembered(stop)
            callbacks = SeriesCallbacks(watcher(parts, quiet=quiet), begin, stop_request, begin)
            for folder in folders:
                signals.kept_in(folder, "[0-9]*.png")
                try:
                    finished_series = work(folder, callbacks)
                    break
                except FolderTakenError as error:
                    folder_error = folder_error or error
            else:
                assert folder_error is not None, "there is at least one folder"
                raise folder_error
    state = f"{finished_series.path}: {finished_series.count} of {total} pictures"
    if stop_request.answer and finished_series.count < total:
        say(f"stopped: {state}; to continue: run the same command again")
        raise typer.Exit(signals.INTERRUPTED)
    if not quiet:
        say(state)
    return finished_series


def write_film(
    film: FilmOptions | None, frames: Iterable[Frame], count: int, *, complete: bool, quiet: bool
) -> None:
    """Write the film of a series that is complete; `count` is the number of its frames."""
    from tilestyle.motion.film import is_frame_output, open_film

    if film is None or not complete:
        return
    signals.more_to_do()
    if not is_frame_output(film.path):  # a folder of frames is there before its last frame is
        signals.writes(film.path)
    with open_display(quiet=quiet) as display, open_film(film.path, film.config) as writer:
        tracked = Steps(display, f"writing {film.path.name}").track(frames, count)
        for frame in islice(tracked, writer.count, None):  # pictures in a folder are not written again
            writer.add(frame)
    if not quiet:
        say(f"wrote {film.path}")
