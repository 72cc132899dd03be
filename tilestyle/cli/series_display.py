"""Progress of a series of images, and its film: what `drift`, `zoom` and `video` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import signals
from tilestyle.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilestyle.cli.film_options import FilmOptions
    from tilestyle.motion.drift import SeriesCallbacks
    from tilestyle.motion.film import Frame
    from tilestyle.motion.series import Series


def run_series(work: Callable[[SeriesCallbacks], Series], total: int, folder: Path, *, quiet: bool) -> Series:
    """Run a series and print a line for every step; Ctrl-C stops it, the same command resumes it."""
    from tilestyle.cli.display import approximately, stop_on_interrupt
    from tilestyle.motion.drift import SeriesCallbacks

    last = time.monotonic()
    times: list[float] = []

    def tell(done: Series) -> None:
        nonlocal last
        now = time.monotonic()
        times.append(now - last)
        last = now
        if not quiet:
            row = done.rows[-1]
            left = approximately((total - done.count) * sorted(times)[len(times) // 2])
            style = f"{row['style']} " if "style" in row else ""
            say(f"step {done.count}/{total} {style}style {row['style loss']:.4f}, {left} left")

    signals.kept_in(folder, "[0-9]*.png")
    with stop_on_interrupt() as stop:
        done = work(SeriesCallbacks(None, tell, stop))
    if not quiet:
        say(f"{folder}: {done.count} of {total} images")
        if done.count < total:
            say("run the same command again to resume")
    return done


def write_film(film: FilmOptions | None, frames: Iterable[Frame], *, complete: bool, quiet: bool) -> None:
    """Write the film of a series that is complete."""
    from tilestyle.motion.film import open_film

    if film is None or not complete:
        return
    with open_film(film.path, film.config) as writer:
        for frame in islice(frames, writer.count, None):  # pictures in a folder are not written again
            writer.add(frame)
    if not quiet:
        say(f"wrote {film.path}")
