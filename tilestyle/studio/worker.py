"""The process of one job: it renders with the functions of the library, and shows its canvas on the way.

It is started as `python -m tilestyle.studio.worker FOLDER MODE SECONDS`. The mode is "run", or "stop" to
write what an earlier run has left. Commands (child.py): `pause`, `stop` and `tile`; the end of the input means
`leave`. Messages: `progress`, `tile`, and in the end `end`, with the state of the job.

A process that is killed leaves its work folder; the next one continues from its last checkpoint.
"""

from __future__ import annotations

import errno
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any

import filelock

import tilestyle
from tilestyle.canvas.mapped_pages import releasing_mapped_pages
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.errors import TilestyleError
from tilestyle.images import (
    FloatArray,
    ImageSource,
    Picture,
    PictureAccumulator,
    WriteOptions,
    as_source,
    check_writable,
    jpeg_bytes,
    max_disk_bytes,
    open_source,
    picture_from,
    write_stream,
)
from tilestyle.images.disk_space import check_disk_space
from tilestyle.pipeline.events import Event, Finished, LevelStarted, PatchDone, Resumed, Started, SweepDone
from tilestyle.pipeline.live_canvas import LiveCanvas, StillCanvas
from tilestyle.pipeline.provenance import RenderFacts, provenance
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.device_choice import find_device
from tilestyle.planning.inputs import Style
from tilestyle.recipes.printing import PreparedInputs, prepare_inputs
from tilestyle.studio import copies, intake, jobs
from tilestyle.studio.child import Channel, Message
from tilestyle.studio.deep_zoom import tile_box
from tilestyle.studio.jobs import Job
from tilestyle.studio.refusals import split_message
from tilestyle.studio.settings import command_line, command_words, preview_options, run_options

LOCK_SECONDS = 900.0  # for an earlier process of this job to save its work
PROGRESS_SECONDS, PICTURE_SECONDS = 0.5, 3.0  # between two messages, and between two changes of the picture
TILE_QUALITY, STORED_QUALITY = 88, 92
CANVAS_SECONDS = 5.0  # that a tile waits for the next canvas
NICENESS = 5  # drafts go first: somebody waits for them
TILES, CONTENT, THUMBNAIL = "tiles.dzi", "content.dzi", "thumbnail.jpg"


@dataclass
class Orders:
    """What the server has asked for."""

    mode: str
    request: str = ""
    tiles: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)

    def listen(self, channel: Channel) -> None:
        """Take commands until the server is gone."""
        for command in channel.commands():
            if command.get("do") == "tile":
                self.tiles.put(command)
            elif command.get("do") in ("pause", "stop"):
                self.request = command["do"]
        self.request = self.request or "leave"

    def stop(self) -> bool:
        """Whether the render should stop."""
        return bool(self.request) or self.mode == "stop"

    @property
    def writes(self) -> bool:
        """Whether an unfinished picture is a result."""
        return self.request == "stop" or (self.mode == "stop" and not self.request)


class Reporter:
    """The observer of a render: it sends progress, and has the canvas that tiles are cut from."""

    def __init__(self, channel: Channel, peak: PeakMemory) -> None:
        self._channel, self._peak = channel, peak
        self._progress: Message = {}
        self._sent = self._shown = 0.0
        self._finish_time: float | None = None
        self._start = time.monotonic()
        self._before = 0.0  # seconds of earlier runs
        self.live: LiveCanvas | StillCanvas | None = None
        self.facts = RenderFacts()

    def __call__(self, event: Event) -> None:
        """Note an event of the render, and send progress if it is time."""
        self.facts(event)
        if isinstance(event, Started):
            self._progress["memory_promised"] = event.need
        elif isinstance(event, Resumed):
            self._before, self.live = event.seconds, event.live
            self._progress |= {"level": event.level.index + 1, "levels": event.levels, "sweep": event.sweep}
        elif isinstance(event, LevelStarted):
            self.live = event.live
            self._progress |= {"level": event.level.index + 1, "levels": event.levels, "sweep": 0}
            self._progress |= {"sweeps": event.level.sweeps, "step": "preparing the level"}
        elif isinstance(event, PatchDone | SweepDone):
            self._progress |= {"level": event.level.index + 1, "levels": event.levels, "step": ""}
            self._progress |= {"sweep": event.sweep + 1, "sweeps": event.level.sweeps}
            if isinstance(event, SweepDone):
                self._finish_time = time.monotonic() + event.seconds_left
        elif isinstance(event, Finished):
            self.live = None
        self.send(force=isinstance(event, Started | LevelStarted | Finished))

    def step(self, text: str, **more: Any) -> None:
        """Say what is done before and after the render."""
        self._progress |= {"step": text, **more}
        self.send(force=True)

    def send(self, *, force: bool = False) -> None:
        """Send how far it is, if it is time."""
        now = time.monotonic()
        if not force and now - self._sent < PROGRESS_SECONDS:
            return
        self._sent = now
        message = {**self._progress, "seconds": round(self._before + now - self._start, 1)}
        message["memory_bytes"] = self._peak.bytes()
        if self._finish_time is not None and "share" not in message:
            seconds_left = max(0.0, self._finish_time - now)
            message["seconds_left"] = round(seconds_left, 1)
            message["share"] = message["seconds"] / max(message["seconds"] + seconds_left, 1e-9)
        if self.live is not None and now - self._shown >= PICTURE_SECONDS:
            self._shown, message["changed"] = now, True
        self._channel.send({"do": "progress", **message})


@dataclass
class JobRun:
    """One run of a job.

    Attributes:
        job: The job.
        folder: Its folder.
        orders: What the server asks for.
        channel: To the server.
        report: The observer.
        checkpoint_seconds: Seconds between checkpoints.
    """

    job: Job
    folder: Path
    orders: Orders
    channel: Channel
    report: Reporter
    checkpoint_seconds: float

    def run(self) -> Message:
        """Do the job, and return how it ended."""
        self.job_settings = self.job.resolved_settings()
        if self.job.kind == "video":
            return self._video()
        with ExitStack() as stack:
            prepared = self._open(stack)
            return self._preview(prepared) if self.job.kind == "preview" else self._render(prepared)

    def _open(self, stack: ExitStack) -> PreparedInputs:
        self.report.step("reading the pictures")
        content, styles = jobs.task_files(self.folder)
        return prepare_inputs(
            self.job_settings.config,
            [Style(stack.enter_context(open_source(file))) for file, _ in styles] or None,
            None if content is None else stack.enter_context(open_source(content[0])),
            self.job_settings.printing.options,
        )

    def _render(self, prepared: PreparedInputs) -> Message:
        result = self.folder / jobs.RESULT
        check_writable(result, prepared.height, prepared.width, self.job_settings.depth)
        needed = max_disk_bytes(result, prepared.height, prepared.width, 3, self.job_settings.depth)
        check_disk_space(self.folder, needed, "the picture")
        if prepared.content is not None:
            self._write_content(prepared.content)
        threading.Thread(target=self._serve_tiles, args=(prepared.height, prepared.width), daemon=True).start()
        call_options: dict[str, Any] = {
            "observer": self.report,
            "stop": self.orders.stop,
            "work": Work(self.folder / jobs.WORK, every=self.checkpoint_seconds),
            "save": lambda picture: self._save(picture, prepared),
        }
        if self.job.kind == "texture":
            tilestyle.texture(list(prepared.styles), prepared.config, **call_options)
        else:
            assert prepared.content is not None, "checked before it was queued"
            tilestyle.render(prepared.content, list(prepared.styles), prepared.config, **call_options)
        return self._end(prepared.width, prepared.height, complete=self.report.facts.complete)

    def _save(self, picture: Picture, prepared: PreparedInputs) -> None:
        """Write what was rendered: a result, or what is shown while the job waits."""
        complete = self.report.facts.complete
        self.report.live = StillCanvas(picture)
        if complete or self.orders.writes:
            self.report.step("writing the picture")
            self._write_result(as_source(picture), prepared.dpi, self._made(prepared))
        if self.orders.request != "leave" or complete:
            self._write_shown(as_source(picture))

    def _write_result(self, source: ImageSource, dpi: float | None, provenance_json: Any) -> None:
        options = WriteOptions(depth=self.job_settings.depth, dpi=dpi, provenance=provenance_json)
        strips = releasing_mapped_pages(source.strips())
        write_stream(self.folder / jobs.RESULT, source.height, source.width, strips, options=options)

    def _write_shown(self, source: ImageSource) -> None:
        """Write the tiles and the thumbnail of a picture, which is read once."""
        self.report.step("writing the tiles")
        small = intake.sides_within(source, copies.THUMBNAIL_SIDE)
        mean = PictureAccumulator((source.height, source.width), small)

        def strips() -> Iterator[FloatArray]:
            for strip in releasing_mapped_pages(source.strips()):
                mean.add(strip)
                yield strip

        options = WriteOptions(quality=STORED_QUALITY)
        write_stream(self.folder / TILES, source.height, source.width, strips(), options=options)
        (self.folder / THUMBNAIL).write_bytes(jpeg_bytes(mean.picture()))

    def _write_content(self, content: ImageSource) -> None:
        if (self.folder / CONTENT).is_file():
            return
        options = WriteOptions(quality=STORED_QUALITY)
        write_stream(self.folder / CONTENT, content.height, content.width, content.strips(), options=options)

    def _made(self, prepared: PreparedInputs) -> Any:
        content, styles = self.job.content, self.job.styles
        words = command_line(command_words(self.job_settings, content, styles))
        provenance_json = provenance(prepared.config, content, styles, words)
        provenance_json |= {"run": run_options(self.job_settings, content, styles)}
        return provenance_json | self.report.facts.mark | {"machine": self.report.facts.machine}

    def _end(self, width: int, height: int, *, complete: bool, **more: Any) -> Message:
        if complete:
            return {"state": "done", "complete": True, "finished": True, "has_result": True} | {
                "width": width,
                "height": height,
                **more,
            }
        if self.orders.writes:
            return {"state": "stopped", "finished": True, "has_result": True, **more}
        return {"state": "paused", "finished": self.orders.request == "pause"}

    # --- Tiles of the canvas ---

    def _serve_tiles(self, height: int, width: int) -> None:
        """Cut the tiles that are asked for, in a thread of its own."""
        while True:
            command = self.orders.tiles.get()
            content = b""
            with suppress(Exception):  # a tile must not end the render
                content = self._tile(height, width, command)
            self.channel.send({"do": "tile", "id": command["id"]}, content)

    def _tile(self, height: int, width: int, command: Message) -> bytes:
        box = tile_box(width, height, command["level"], command["x"], command["y"])
        if box is None:
            return b""
        picture, patience = None, time.monotonic() + CANVAS_SECONDS
        while picture is None and time.monotonic() < patience:
            live = self.report.live
            if live is not None:
                place = box.top, box.left, box.height, box.width
                picture = live.window(place, box.rows, box.columns)
            if picture is None:
                time.sleep(0.1)
        return b"" if picture is None else jpeg_bytes(picture, TILE_QUALITY)

    # --- Previews ---

    def _preview(self, prepared: PreparedInputs) -> Message:
        from tilestyle.recipes.preview import PreviewRequest, PreviewStep, crop_centers, preview

        sizes = preview_options(self.job_settings)
        request = PreviewRequest(sizes["preview_size"], sizes["crop_size"], crop_centers(sizes["crops"]))

        def begin(step: PreviewStep) -> None:
            part_name = f"detail {step.crop} of {len(request.at)}" if step.crop else "the whole picture"
            self.report.step(part_name, share=sum(step.pixels[: step.number]) / sum(step.pixels))

        result = preview(prepared, request, begin, self.orders.stop, self.report)
        if result.stopped_at is not None and not self.orders.writes:
            return {"state": "paused", "finished": self.orders.request == "pause"}
        sheet = as_source(result.sheet())
        self._write_result(sheet, None, self._made(prepared))
        self._write_shown(as_source(result.small))
        crops = []
        for number, crop in enumerate(result.crops, 1):
            (self.folder / f"crop-{number}.jpg").write_bytes(jpeg_bytes(crop.picture, 95))
            crops.append([crop.box.left, crop.box.top, crop.box.width, crop.box.height])
        complete = result.stopped_at is None
        return self._end(result.width, result.height, complete=complete, crops=crops)

    # --- Films ---

    def _video(self) -> Message:
        from tilestyle.motion.clip import open_clip
        from tilestyle.motion.drift import SeriesCallbacks
        from tilestyle.motion.series import Series
        from tilestyle.motion.video import stylize_video

        content, styles = jobs.task_files(self.folder)
        assert content is not None, "checked before it was queued"
        clip = open_clip(content[0])
        total = clip.count
        first: list[tuple[float, int]] = []

        def step(series: Series) -> None:
            if not first:
                first.append((time.monotonic(), series.count))
            pace = (time.monotonic() - first[0][0]) / max(1, series.count - first[0][1])
            time_left = (
                {"seconds_left": round(pace * (total - series.count), 1)} if series.count > first[0][1] else {}
            )
            share = series.count / max(1, total)
            self.report.step(f"frame {series.count} of {total}", share=share, changed=True, **time_left)
            if series.count:
                with suppress(TilestyleError, OSError):
                    self._film_thumbnail(series)

        done = stylize_video(
            clip,
            styles[0][0],
            self.folder / "frames",
            self.job_settings.config,
            self.job_settings.video,
            SeriesCallbacks(self.report, step, self.orders.stop, step),
        )
        complete = done.count >= total
        if not complete and not (self.orders.writes and done.count):
            return {"state": "paused", "finished": self.orders.request == "pause"}
        self.report.step("writing the film")
        write_job_film(self.folder, self.folder / jobs.FILM)
        size = {"width": self.job.width, "height": self.job.height}
        return self._end(**size, complete=complete)

    def _film_thumbnail(self, series: Any) -> None:
        last = list(series.picture_paths)[-1]
        picture = as_source(picture_from(last))
        (self.folder / THUMBNAIL).write_bytes(jpeg_bytes(intake.shrunk(picture, copies.THUMBNAIL_SIDE)))


def write_job_film(folder: Path, out: Path) -> None:
    """Write the frames of a job as a film, with the sound of its clip."""
    from tilestyle.config.render import FilmConfig
    from tilestyle.motion.clip import open_clip
    from tilestyle.motion.film_sound import write_film

    content, _ = jobs.task_files(folder)
    assert content is not None, "a video has a clip"
    clip = open_clip(content[0])
    frames = sorted((folder / "frames").glob("[0-9]*.png"))
    write_film(frames, out, FilmConfig(fps=clip.fps or FilmConfig().fps), clip.path)


def main(folder: Path, mode: str, checkpoint_seconds: float) -> None:
    """Do a job."""
    warnings.simplefilter("ignore")
    channel = Channel()
    with suppress(AttributeError, OSError):
        os.nice(NICENESS)
    orders = Orders(mode)
    threading.Thread(target=orders.listen, args=(channel,), daemon=True).start()
    job = Job(**loads((folder / jobs.RECORD).read_bytes()))
    lock = filelock.FileLock(folder / "worker.lock")
    end: Message
    try:
        _wait_for(
            lock, orders, lambda: channel.send({"do": "progress", "step": "waiting for an earlier process"})
        )
        report = Reporter(channel, PeakMemory(find_device(job.resolved_settings().config.device)))
        end = JobRun(job, folder, orders, channel, report, checkpoint_seconds).run()
    except TilestyleError as error:
        problem, hint = split_message(error)
        if os.strerror(errno.ENOSPC) in problem:
            hint = "free some space, then resume it"
        end = {"state": "failed", "finished": True, "error": problem, "hint": hint}
    except MemoryError:
        end = {"state": "failed", "finished": True, "error": "memory ran out", "hint": "make a smaller picture"}
    finally:
        lock.release()
    channel.send({"do": "end", **end})


def _wait_for(lock: filelock.FileLock, orders: Orders, say: Callable[[], None]) -> None:
    """Wait until an earlier process of the job, whose server was killed, has saved its work."""
    patience = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            lock.acquire(timeout=1.0)
            return
        except filelock.Timeout:
            if orders.request or time.monotonic() > patience:
                raise jobs.still_running() from None
            say()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
