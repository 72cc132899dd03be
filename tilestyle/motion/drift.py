"""Drift: apply styles in turn, each to the result of the one before, like a game of whispers.

Every step uses the previous picture as its content and starts at half the full size, so that the style changes
forms and not only the surface. Only what every style lets through survives.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from tilestyle.canvas.resize import resize
from tilestyle.config.render import DRIFT_DEFAULTS, RenderConfig
from tilestyle.config.settings import Settings, with_settings
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import SettingError
from tilestyle.files.paths import named_path
from tilestyle.geometry.boxes import Box
from tilestyle.images import open_source
from tilestyle.images.faces import check_detector
from tilestyle.motion.repeated_job import render_step, step_job, with_style_cache
from tilestyle.motion.series import Series, open_series, read_pixels
from tilestyle.pipeline.estimate import Repeated
from tilestyle.pipeline.events import Observer
from tilestyle.pipeline.fingerprint import content_hash, render_fingerprint
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.planning.content_map import detect_faces
from tilestyle.planning.job import Job
from tilestyle.planning.memory_limits import check_picture_fits
from tilestyle.planning.sizes import picture_size

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SeriesCallbacks:
    """Callbacks of a series.

    Attributes:
        observer: Receives the events of every render.
        on_step: Called with the series after every step.
        stop: Returns True to stop the series.
        on_begin: Called with the series before the first step, with the pictures of earlier runs.
    """

    observer: Observer | None = None
    on_step: Callable[[Series], None] = lambda output: None
    stop: Callable[[], bool] | None = None
    on_begin: Callable[[Series], None] = lambda output: None

    def __post_init__(self) -> None:
        """Guard the callbacks: one that fails is not called again, and the series continues."""
        object.__setattr__(self, "on_step", guard_callback(self.on_step, "the observer"))
        object.__setattr__(self, "on_begin", guard_callback(self.on_begin, "the observer"))
        if self.observer:
            object.__setattr__(self, "observer", guard_callback(self.observer, "the observer"))


NO_CALLBACKS = SeriesCallbacks()
SERIES_KEYWORDS = ("config", "callbacks", "progress")
"""Keywords of the functions that make a series that are not settings."""


@contextmanager
def showing_steps(callbacks: SeriesCallbacks, total: int, *, progress: bool) -> Iterator[SeriesCallbacks]:
    """Show the progress of a series inside the block, if asked.

    Args:
        callbacks: Callbacks of the series.
        total: Number of pictures of the series.
        progress: Whether to show a progress bar.

    Yields:
        Callbacks that also update the bar.
    """
    if not progress:
        yield callbacks
        return
    from tilestyle.pipeline.progress import ProgressBar

    with ProgressBar() as bar:

        def on_step(series: Series) -> None:
            bar.update(series.count / total, f"picture {series.count} of {total}")
            callbacks.on_step(series)

        bar.update(0.0, f"picture 1 of {total}")
        yield replace(callbacks, on_step=on_step)


@with_torch_state
def drift(  # noqa: PLR0913
    start: PathLike,
    styles: Sequence[PathLike],
    folder: PathLike,
    config: RenderConfig | None = None,
    cycles: int = 10,
    callbacks: SeriesCallbacks = NO_CALLBACKS,
    *,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Series:
    """Apply all styles in turn, `cycles` times, and write numbered pictures and statistics to a folder.

    The same call resumes a drift that was stopped; with more cycles it continues a finished one.

    Args:
        start: Picture to start from.
        styles: Style pictures, in the order of their steps.
        folder: Folder for the pictures 0001.png, 0002.png, ... and the statistics.
        config: Settings of every render, among them the `size` of the pictures; DRIFT_DEFAULTS in
            `config/render.py` if None.
        cycles: How many times to go through all the styles.
        callbacks: Called during the series.
        progress: Whether to show a progress bar.
        **settings: Fields of `RenderConfig` that replace those of `config`.

    Returns:
        The series, complete or as far as it was when it was stopped.

    Raises:
        SettingError: There is no style, or `cycles` is below 1.
        WorkError: The folder holds another series.
        TilestyleError: As in `render`.

    Example:
        >>> from tilestyle import drift
        >>> series = drift("photo.jpg", ["a.jpg", "b.jpg"], "drift", size=800, seed=3)
        >>> series.picture_paths[-1]
        PosixPath('drift/0020.png')
    """
    config = with_settings(config, settings, DRIFT_DEFAULTS, SERIES_KEYWORDS)
    if not styles or cycles < 1:
        raise SettingError(
            f"a drift with {cycles} cycles and {len(styles)} styles has no steps",
            hint="give at least one of each",
        )
    if config.keep_faces:
        check_detector()
    fingerprint = {"kind": "drift", **render_fingerprint(config, {"start": start})}
    fingerprint |= {"styles": [content_hash(style) for style in styles]}
    total = cycles * len(styles)
    with (
        open_series(named_path(folder, "the folder of the series"), fingerprint) as output,
        showing_steps(callbacks, total, progress=progress) as callbacks,
    ):
        callbacks.on_begin(output)
        first = resize_to(read_pixels(Path(start)), config.size)
        config = step_config(config, first.shape[1], first.shape[2])
        faces = detect_faces(first) if config.keep_faces else None  # painted faces are not found again
        jobs: dict[int, Job] = {}
        while output.count < total:
            index = output.count % len(styles)
            previous = output.last_pixels() if output.count else first
            if index not in jobs:
                jobs[index] = with_style_cache(prepare(styles[index], config, previous, faces=faces))
            result = render_step(
                step_job(jobs[index], output.count, previous, content=previous),
                callbacks.observer,
                callbacks.stop,
            )
            if result is None:
                break
            picture, terms = result
            row: dict[str, Any] = {"style": Path(styles[index]).name}
            output.add(picture, {**row, "style loss": terms.style, "content loss": terms.content})
            callbacks.on_step(output)
        return output


def step_config(config: RenderConfig, height: int, width: int) -> RenderConfig:
    """Return the settings of a step of a drift whose pictures have this size."""
    return replace(config, size=(width, height), coarsest=max(1, max(height, width) // 2))


def plan_drift(
    start: PathLike, styles: Sequence[PathLike], config: RenderConfig, cycles: int
) -> list[Repeated]:
    """Plan the renders of a drift. Nothing is rendered.

    Args:
        start: Picture to start from.
        styles: Style pictures.
        config: Settings of every render.
        cycles: How many times to go through all the styles.
    """
    with open_source(start) as source:
        config = step_config(config, *picture_size(config.size, (source.height, source.width)))
        return [
            Repeated(Path(style).name, outline(style, config, source), cycles, shares_style=True)
            for style in styles
        ]


def resize_to(pixels: Tensor, size: int | tuple[int, int] | None) -> Tensor:
    """Resize a picture [3, h, w].

    Args:
        pixels: Picture [3, h, w].
        size: Long side, or (width, height), in pixels; None keeps the size.

    Raises:
        MemoryLimit: The resized picture does not fit in memory.
    """
    height, width = picture_size(size, (pixels.shape[1], pixels.shape[2]))
    check_picture_fits(height, width)
    return resize(pixels, Box(0, 0, height, width)).clamp_(0, 1)
