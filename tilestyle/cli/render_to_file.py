"""A render from its inputs to the written file, with progress, signals and checkpoints.

What `render`, `texture`, `invert`, `upscale` and `demo` have in common. Each hands over the public function of
the library that makes its picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

import tilestyle
from tilestyle.cli import signals
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import SaveRequest
from tilestyle.cli.file_checks import over_input
from tilestyle.cli.film_options import recording
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.output_options import Output
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.render import RenderConfig
from tilestyle.errors import TilestyleError
from tilestyle.pipeline.events import Event, Finished, PatchHalved, Started

if TYPE_CHECKING:
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.images import Picture
    from tilestyle.pipeline.events import Observer
    from tilestyle.pipeline.workdir import Work
    from tilestyle.recipes.printing import PreparedInputs


class Make(Protocol):
    """Makes a picture of inputs that are ready, by a public function of the library (tilestyle.render)."""

    def __call__(
        self,
        ready: PreparedInputs,
        *,
        observer: Observer,
        stop: Callable[[], bool],
        work: Work | None,
        save: Callable[[Picture], None],
    ) -> object:
        """Make it, and call `save` with it."""


def make_render(ready: PreparedInputs, **how: Any) -> Picture:
    """A content in a style."""
    assert ready.content is not None, "the command has a content"
    return tilestyle.render(ready.content, ready.styles, ready.config, **how)


def make_texture(ready: PreparedInputs, **how: Any) -> Picture:
    """A texture of a style."""
    return tilestyle.texture(ready.styles, ready.config, **how)


def make_inversion(ready: PreparedInputs, **how: Any) -> Picture:
    """A picture of the activations of a content."""
    assert ready.content is not None, "the command has a content"
    return tilestyle.invert(ready.content, ready.config, **how)


@dataclass
class RenderRecord:
    """What was seen of a render that matters after it."""

    started: Started | None = None
    patch: int | None = None  # side of patches after memory ran out, pixels
    finished: Finished | None = None
    size: tuple[int, int] | None = None  # width and height of what was written

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.finished is not None and self.finished.complete

    def __call__(self, event: Event) -> None:
        """Note what happens."""
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, PatchHalved):
            self.patch = event.side
        elif isinstance(event, Finished):
            self.finished = event

    @property
    def machine(self) -> dict[str, Any]:
        """What the machine decided, as JSON."""
        found = dict(self.started.machine) if self.started else {}
        return found | ({"patch": self.patch} if self.patch else {})


def render_to_file(
    make: Make, inputs: Inputs, config: RenderConfig, output: Output, checkpoints: CheckpointOptions
) -> bool:
    """Render, show progress, write the picture with its settings, and say what was done.

    Of several processes that torchrun has started, the first one writes and prints.

    Returns:
        Whether the render ran to its end.
    """
    from tilestyle.cli.display import obey, stop_on_interrupt, together
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.distributed import process_group
    from tilestyle.images import as_source
    from tilestyle.planning.memory_budget import find_device

    with process_group() as ranks:
        if not ranks.is_rank_zero:
            output = output.silent()
        peak, record = PeakMemory(find_device(config.device)), RenderRecord()
        with inputs.opened(config) as ready:
            if ranks.is_rank_zero:  # before a folder is made
                output.check(output.file, ready.height, ready.width, ready.dpi)
            work = checkpoints.work(output.file, ranks, lambda: inputs.identity(config))
            signals.kept_by(lambda: resume_command(work))
            if not output.quiet:
                inputs.say_stroke_scale(ready)

            def save(picture: Picture) -> None:
                if not record.complete and over_input(output.file, inputs.files(config)):
                    return  # a partial picture does not replace an original
                made = provenance(inputs, ready.config) | {"machine": record.machine}
                output.write(ready.soft_proof(as_source(picture)), ready.dpi, made)
                record.size = picture.width, picture.height
                signals.wrote(output.file)

            with (
                stop_on_interrupt(
                    quiet=not ranks.is_rank_zero, keeps=work is not None and ranks.world_size == 1
                ) as stop,
                advice_on_failure(work, record),
                recording(output.film, ready.height, ready.width, work.path if work else None) as film,
            ):
                observers: list[Observer] = [
                    record,
                    progress_display(output, (ready.height, ready.width), config, peak),
                ]
                observers += [film.watch, obey, film.finish] if film else [obey]
                make(ready, observer=together(observers), stop=stop, work=work, save=save)
        if not ranks.is_rank_zero:
            return True
    if record.size is None or not output.quiet:
        report(output.file, record, peak.bytes(), work)
    if record.size is None:
        raise typer.Exit(130)
    return record.complete


def progress_display(output: Output, size: tuple[int, int], config: RenderConfig, peak: PeakMemory) -> Observer:
    """What shows a render and writes files on its way: progress, preview, frames and settings."""
    from tilestyle.cli.display import together, warn, watcher
    from tilestyle.motion.snapshots import SnapshotRecorder
    from tilestyle.pipeline.observers import guard_callback

    observers = [watcher(quiet=output.quiet, preview=output.preview, peak=peak.bytes)]
    if output.frames:
        frames = SnapshotRecorder(output.frames, *size)
        observers.append(guard_callback(frames, f"writing frames into {output.frames}", warn))
    if output.settings:
        saver = SettingsSaver(output.settings, config)
        observers.append(guard_callback(saver, f"writing {output.settings.file}", warn))
    return together(observers)


@dataclass(frozen=True)
class SettingsSaver:
    """An observer that writes the settings of the command, with those that were left to this machine."""

    request: SaveRequest
    config: RenderConfig

    def __call__(self, event: Event) -> None:
        """Write them when the render begins."""
        if isinstance(event, Started):
            from tilestyle.config.toml import save_settings

            config = replace(self.config, **{"keep_content": None, "history": None, **event.settled})
            save_settings(self.request.file, config, self.request.command, self.request.run)


def report(file: Path, record: RenderRecord, peak: int, work: Work | None) -> None:
    """Say what was written, or why nothing was; and how to continue a render that was stopped."""
    from tilestyle.cli.display import clock

    if record.size is None:
        say(f"stopped early: {file} is an input and was not replaced")
    else:
        assert record.finished is not None, "a picture was rendered"
        seconds = record.finished.seconds
        stopped = "" if record.complete else "stopped early, "
        unit = "h" if round(seconds) >= 3600 else "min"
        width, height = record.size
        say(f"wrote {file}: {width} x {height}, {stopped}{clock(seconds)} {unit}, peak {format_bytes(peak)}")
    if not record.complete and (command := resume_command(work)):
        say(f"to continue: {command}")


@contextmanager
def advice_on_failure(work: Work | None, record: RenderRecord) -> Iterator[None]:
    """Where the block fails after a checkpoint, say which command continues from it."""
    try:
        yield
    except BaseException as error:
        advice = how_to_finish(work) if work is not None and record.started else ""
        if advice and isinstance(error, TilestyleError):
            if record.finished:  # writing failed
                error.args = (f"{error}; {advice}",)
        elif advice and not isinstance(error, signals.Interrupted):  # which says it itself
            say(f"tilestyle: {advice}")
        raise


def how_to_finish(work: Work) -> str:
    """The command that finishes a render that failed; "" without a checkpoint."""
    from tilestyle.pipeline.workdir import load_manifest

    with suppress(TilestyleError):
        if kept := load_manifest(work.path):
            if kept.finished:
                return f"nothing is lost: tilestyle resume {work.path} writes the picture"
            return f"tilestyle resume {work.path} continues from the last checkpoint"
    return ""


def resume_command(work: Work | None) -> str:
    """The command that continues from what a work folder keeps; "" if it keeps nothing."""
    from tilestyle.pipeline.workdir import MANIFEST

    return f"tilestyle resume {work.path}" if work and (work.path / MANIFEST).is_file() else ""
