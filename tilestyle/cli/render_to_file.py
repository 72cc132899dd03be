"""A render from its inputs to the written file, with progress, signals and checkpoints.

What `render`, `texture`, `invert`, `upscale` and `demo` have in common. Each hands over the public function of
the library that makes its picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

import tilestyle
from tilestyle.cli import learning, signals
from tilestyle.cli.checkpoint_options import CheckpointOptions
from tilestyle.cli.config_options import SaveRequest
from tilestyle.cli.file_checks import replaces_input
from tilestyle.cli.film_options import recording
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.naming import holds_render
from tilestyle.cli.output_options import Output
from tilestyle.cli.progress import Display, Parts, Position, open_display
from tilestyle.cli.provenance import provenance
from tilestyle.cli.terminal import say
from tilestyle.cli.times import elapsed
from tilestyle.cli.viewer import show
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.render import RenderConfig
from tilestyle.errors import TilestyleError
from tilestyle.files.folders import created_folder
from tilestyle.pipeline.events import Event, Resumed, Started
from tilestyle.pipeline.provenance import STOPPED, RenderFacts

if TYPE_CHECKING:
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.images import ImageSource, Picture
    from tilestyle.pipeline.events import Observer
    from tilestyle.pipeline.workdir import Work
    from tilestyle.recipes.printing import PreparedInputs


class Make(Protocol):
    """Makes a picture of prepared inputs, by a public function of the library such as tilestyle.render."""

    def __call__(
        self,
        prepared: PreparedInputs,
        *,
        observer: Observer,
        stop: Callable[[], bool],
        work: Work | None,
        save: Callable[[Picture], None],
    ) -> object:
        """Make it, and call `save` with it."""


def make_render(prepared: PreparedInputs, **call_options: Any) -> Picture:
    """Render a content in a style."""
    assert prepared.content is not None, "the command has a content"
    return tilestyle.render(prepared.content, prepared.styles, prepared.config, **call_options)


def make_texture(prepared: PreparedInputs, **call_options: Any) -> Picture:
    """Make a texture of a style."""
    return tilestyle.texture(prepared.styles, prepared.config, **call_options)


def make_inversion(prepared: PreparedInputs, **call_options: Any) -> Picture:
    """Make a picture of the activations of a content."""
    assert prepared.content is not None, "the command has a content"
    return tilestyle.invert(prepared.content, prepared.config, **call_options)


@dataclass
class RenderRecord(RenderFacts):
    """What was seen of a render, and what was written of it."""

    since_start: float | None = None  # seconds from the start of the process to that of the render
    size: tuple[int, int] | None = None  # width and height of the written picture
    file: Path | None = None  # of the written picture, or that it would have had

    def __call__(self, event: Event) -> None:
        """Note what happens."""
        super().__call__(event)
        if isinstance(event, Started):
            self.since_start = learning.seconds_since_start()
        elif isinstance(event, Resumed):
            self.since_start = None  # the user may have been asked


def render_to_file(
    make: Make,
    inputs: Inputs,
    config: RenderConfig,
    output: Output,
    checkpoints: CheckpointOptions,
) -> None:
    """Do what `render_part` does, for a command that makes one picture.

    Raises:
        typer.Exit: The render was stopped, and the picture is not finished.
    """
    with open_display(quiet=output.quiet, verbose=output.verbose) as display:
        record, work = render_part(make, inputs, config, output, checkpoints, Parts(display))
    if record.stopped:
        say_stopped(record.file or output.file, record, work)
        raise typer.Exit(signals.INTERRUPTED)


def _announce(inputs: Inputs, prepared: PreparedInputs, output: Output, work: Work | None) -> None:
    """Print what the user should know before a render begins, and set the advice on how to continue it."""
    signals.kept_by(lambda: resume_command(work))
    if not output.quiet:
        inputs.say_stroke_scale(prepared)
        inputs.say_crop(prepared)


def render_part(
    make: Make,
    inputs: Inputs,
    config: RenderConfig,
    output: Output,
    checkpoints: CheckpointOptions,
    parts: Parts,
    *,
    in_batch: bool = False,
) -> tuple[RenderRecord, Work | None]:
    """Render, show progress, write the picture with its settings, and say what was done.

    Of several processes that torchrun has started, the first one writes and prints.

    Args:
        make: Makes the picture.
        inputs: Its pictures.
        config: Its settings.
        output: Where it goes.
        checkpoints: Where its work is kept.
        parts: The renders of the command; this is the one that has begun.
        in_batch: Whether it is one of many alike: its plan is not printed, and Ctrl-C saves a checkpoint
            instead of writing it unfinished.

    Returns:
        What happened, and the work folder.
    """
    from tilestyle.cli.display import combined, note_phase, stop_on_interrupt
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.distributed import process_group
    from tilestyle.images import as_source
    from tilestyle.planning.device_choice import find_device

    with process_group() as ranks:
        if not ranks.is_rank_zero:
            output = output.silent()
            parts = Parts(Display())
        peak, record = PeakMemory(find_device(config.device)), RenderRecord()
        with inputs.opened(config) as prepared, ExitStack() as folders:
            output = output.settled(
                lambda folder: holds_render(folder, lambda: inputs.identity(config)), checkpoints.folder, ranks
            )
            if ranks.is_rank_zero:  # before a folder is made
                output.check(output.file, prepared.height, prepared.width, prepared.dpi)
                folders.enter_context(created_folder(output.file.parent))
            record.file = output.file
            name = output.path if output.name else None
            work = checkpoints.work(output.file, ranks, lambda: inputs.identity(config), name)
            work = work and replace(
                work, agree=lambda resume_point: parts.hidden(lambda: checkpoints.agree(resume_point))
            )
            if not in_batch:
                _announce(inputs, prepared, output, work)

            def save(picture: Picture) -> None:
                if not record.complete and replaces_input(output.file, inputs.files(config)):
                    return  # a partial picture does not replace an original
                provenance_json = (
                    provenance(inputs, prepared.config, output.run) | record.mark | {"machine": record.machine}
                )
                start = time.monotonic()
                finished: ImageSource = as_source(picture)
                if output.paper.color is None:  # else the file has the colors of the print itself
                    finished = prepared.soft_proof(finished)
                record.file = output.write(finished, prepared.dpi, provenance_json)
                learning.note_writing(output, config, (picture.height, picture.width), time.monotonic() - start)
                record.size = picture.width, picture.height
                signals.wrote(record.file)

            with (
                stop_on_interrupt(
                    quiet=not ranks.is_rank_zero, keeps=work is not None, writes=not in_batch
                ) as stop,
                advice_on_failure(work, record),
                recording(output.film, prepared.height, prepared.width, work.path if work else None) as film,
            ):
                observers: list[Observer] = [
                    record,
                    progress_display(
                        output, (prepared.height, prepared.width), config, peak, parts, announces=not in_batch
                    ),
                ]
                observers += [film.watch, note_phase, film.finish] if film else [note_phase]
                parts.show(Position("reading the images"))
                make(prepared, observer=combined(observers), stop=stop, work=work, save=save)
    if ranks.is_rank_zero:
        learning.note_render(record.finished, prepared, record.since_start)
        if not output.quiet and record.size:
            report(output, record, peak.bytes())
        if output.shown and record.complete and record.size and record.file:
            show(record.file)
    return record, work


def progress_display(
    output: Output,
    size: tuple[int, int],
    config: RenderConfig,
    peak: PeakMemory,
    parts: Parts,
    *,
    announces: bool,
) -> Observer:
    """What shows a render and writes files on its way: progress, preview, frames and settings."""
    from tilestyle.cli.display import combined, watcher
    from tilestyle.cli.terminal import warn
    from tilestyle.motion.snapshots import SnapshotRecorder
    from tilestyle.pipeline.observers import guard_callback

    observers = [
        watcher(parts, quiet=output.quiet, preview=output.preview, peak=peak.bytes, announces=announces)
    ]
    if output.frames:
        frames = SnapshotRecorder(output.frames, *size)
        observers.append(guard_callback(frames, f"writing frames into {output.frames}", warn))
    if output.settings:
        saver = SettingsSaver(output.settings, config)
        observers.append(guard_callback(saver, f"writing {output.settings.file}", warn))
    return combined(observers)


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


def report(output: Output, record: RenderRecord, peak: int) -> None:
    """Say what was written."""
    assert record.finished is not None and record.size is not None, "a picture was rendered"
    took = elapsed(record.seconds)
    if record.seconds_before:
        took += f" in all, {elapsed(record.finished.seconds)} since it was continued"
    width, height = record.size
    stopped = "" if record.complete else "stopped early, "
    memory = f", peak {format_bytes(peak)}" if output.verbose else ""
    say(f"wrote {record.file}: {width} x {height}, {stopped}{took}{memory}")


def say_stopped(file: Path, record: RenderRecord, work: Work | None) -> None:
    """Say how far a render is that was stopped, and how to continue it."""
    state = "is unfinished" if record.size else "is an input and was not replaced"
    say(f"stopped {record.mark[STOPPED]}: {file} {state}; {how_to_continue(work)}")


def how_to_continue(work: Work | None) -> str:
    """What to do about a render that was stopped."""
    command = resume_command(work)
    return f"to continue: {command}" if command else "run the same command again to finish it"


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
        if manifest := load_manifest(work.path):
            if manifest.finished:
                return f"nothing is lost: tilestyle resume {work.path} writes the picture"
            return f"tilestyle resume {work.path} continues from the last checkpoint"
    return ""


def resume_command(work: Work | None) -> str:
    """The command that continues from what a work folder keeps; "" if it keeps nothing."""
    from tilestyle.pipeline.workdir import MANIFEST

    return f"tilestyle resume {work.path}" if work and (work.path / MANIFEST).is_file() else ""
