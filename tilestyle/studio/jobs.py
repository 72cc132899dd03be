"""Jobs: their records on disk, the queue, and the one process that works on the first of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from itertools import count
from json import loads
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tilestyle.config.enums import FILM_SUFFIXES
from tilestyle.errors import TilestyleError, WorkError
from tilestyle.pictures import NAMES, picture_path
from tilestyle.studio import copies, models
from tilestyle.studio.child import Child, Message, describe_end
from tilestyle.studio.draft_sessions import DraftSessions
from tilestyle.studio.refusals import Refused, split_message, unusable
from tilestyle.studio.root import Root, link_or_copy, new_id, refusing_disk_errors, remove_folder, write_json
from tilestyle.studio.settings import JobSettings, command_words, resolve
from tilestyle.studio.sources import Chosen, Sources
from tilestyle.studio.uploads import Uploads

WORKER, CONVERTER = "tilestyle.studio.worker", "tilestyle.studio.convert"
RECORD, TASK, LOG, WORK = "job.json", "task.json", "log.txt", "work"
RESULT, FILM = "result.tif", "result.mp4"
PICTURE_FORMATS = ("png", "jpg", "tif", "webp")
FILM_FORMATS = tuple(suffix.removeprefix(".") for suffix in FILM_SUFFIXES)
FINISHED = ("done", "stopped", "failed")
TILE_SECONDS = 20.0
CLOSE_SECONDS = 25.0
EVENT_SECONDS = 0.5
QUIET_SECONDS = 15.0
RESULT_BYTES = 6  # of disk for a pixel: the picture, its tiles and a download
MAX_JOBS = 1000
PROGRESS = {name: each.default for name, each in models.Progress.model_fields.items()}


@dataclass
class Job:
    """A job, as it is kept on disk.

    Attributes:
        id: Its name in the studio.
        kind: What it makes.
        name: What its owner calls it.
        settings: As they were asked for.
        content: Name of the content for command lines; None without one.
        styles: Names of the styles.
        look_style: The included style of a look, if no other was chosen.
        width: Width of the result, pixels.
        height: Its height.
        dpi: Dots per inch; None without paper.
        created: Seconds since 1970.
        state: As in `models.State`.
        asked: What to do as soon as it can be: "stop" or "pause"; "" nothing.
        order: Its place among those that wait; the smallest is next.
        progress: As `models.Progress`.
        error: Why it failed.
        hint: What to do about it.
        revision: Rises when its picture changes.
        complete: Whether its result is finished, rather than stopped early.
        has_result: Whether there is a result, finished or not.
        crops: Details of a preview: left, top, width and height.
    """

    id: str
    kind: str
    name: str
    settings: dict[str, Any]
    content: str | None
    styles: list[str]
    look_style: str
    width: int
    height: int
    dpi: float | None
    created: float
    state: str = "queued"
    asked: str = ""
    order: float = 0.0
    progress: dict[str, Any] = field(default_factory=lambda: dict(PROGRESS))
    error: str | None = None
    hint: str | None = None
    revision: int = 0
    complete: bool = False
    has_result: bool = False
    crops: list[list[int]] = field(default_factory=list)

    def resolved_settings(self) -> JobSettings:
        """What it makes; raises TilestyleError if this version does not understand it."""
        weights = [style["weight"] for style in self.settings["styles"]]
        return resolve(self.kind, self.settings["options"], weights)


class Jobs:
    """All jobs of a studio."""

    def __init__(
        self,
        root: Root,
        sources: Sources,
        uploads: Uploads,
        drafts: DraftSessions,
        make_room: Callable[[int, Collection[str]], None],
        checkpoint_seconds: float,
    ) -> None:
        self._root, self._sources, self._uploads, self._drafts = root, sources, uploads, drafts
        self._make_room, self._checkpoint_seconds = make_room, checkpoint_seconds
        self._jobs: dict[str, Job] = {}
        self._versions: dict[str, int] = {}
        self._version = count(1)
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._running: Job | None = None
        self._child: Child | None = None
        self._has_canvas = False  # whether the job that runs has one to cut tiles from
        self._tiles: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count(1)
        self._task: asyncio.Task[None] | None = None
        self._converting = asyncio.Lock()
        self._closing = False
        self._load()

    # --- Records ---

    def _load(self) -> None:
        for folder in self._root.jobs.iterdir():
            if not (folder / RECORD).exists():
                remove_folder(folder)  # it was being discarded when the server ended
                continue
            try:
                content = loads((folder / RECORD).read_bytes())
                known = {each.name for each in fields(Job)}
                job = Job(**{name: value for name, value in content.items() if name in known})
                models.Settings.model_validate(job.settings)
                if job.id != folder.name:
                    raise ValueError
                self.info(job).model_dump_json()
                job.created, job.order = float(job.created), float(job.order)
            except (OSError, ValueError, TypeError, AttributeError):
                continue  # of another version, or damaged: it is left as it is
            if job.state in ("running", "stopping"):
                job.state = "queued"
            self._jobs[job.id] = job
            self._versions[job.id] = next(self._version)

    def folder(self, job: Job) -> Path:
        """Return the folder of a job."""
        return self._root.jobs / job.id

    def _save(self, job: Job) -> None:
        with refusing_disk_errors(self._root.path):
            write_json(self.folder(job) / RECORD, asdict(job))

    async def _change(self, job: Job, *, save: bool = True) -> None:
        """Note that a job has changed."""
        if save:
            with suppress(Refused):  # a full disk: the record is behind, and what is running continues
                self._save(job)
        if job.id in self._jobs:  # not discarded in the meantime
            self._versions[job.id] = next(self._version)
        async with self._changed:
            self._changed.notify_all()

    def get(self, job: str) -> Job:
        """Return a job; raises Refused if there is none."""
        if job not in self._jobs:
            raise Refused(404, f"there is no job {job}", "reload the page")
        return self._jobs[job]

    def all(self) -> list[Job]:
        """Return all jobs, the latest first."""
        return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def finished_oldest_first(self) -> list[Job]:
        """Return the jobs that may go when room is needed."""
        return [job for job in reversed(self.all()) if job.state in FINISHED]

    def remove(self, job: Job) -> None:
        """Remove a job that does not run, with its files."""
        self._jobs.pop(job.id, None)
        self._versions.pop(job.id, None)  # whoever follows its events is told that it is gone
        folder = self.folder(job)
        with suppress(OSError):
            (folder / RECORD).unlink()  # first: what is left of the rest goes at the next start
        remove_folder(folder)
        self._root.forget(folder)

    def _waiting(self) -> list[Job]:
        return sorted((job for job in self._jobs.values() if job.state == "queued"), key=lambda job: job.order)

    def info(self, job: Job) -> models.JobInfo:
        """Return a job as the interface shows it."""
        folder = self.folder(job)
        waiting = self._waiting()
        return models.JobInfo(
            id=job.id,
            kind=job.kind,  # type: ignore[arg-type]
            name=job.name,
            state=job.state,  # type: ignore[arg-type]
            created=job.created,
            settings=models.Settings.model_validate(job.settings),
            inputs=models.Inputs(content=job.content, styles=job.styles),
            width=job.width,
            height=job.height,
            dpi=job.dpi,
            progress=models.Progress(**job.progress),
            error=job.error,
            hint=job.hint,
            revision=job.revision,
            formats=self.formats(job),
            position=waiting.index(job) + 1 if job in waiting else None,
            can_resume=job.state == "paused" or (job.state in ("stopped", "failed") and not job.complete),
            has_tiles=self.is_live(job) or (folder / "tiles.dzi").is_file(),
            has_content=(folder / "content.dzi").is_file(),
            crops=[
                models.Crop(
                    url=f"/api/jobs/{job.id}/crops/{number}.jpg", left=left, top=top, width=width, height=height
                )
                for number, (left, top, width, height) in enumerate(job.crops, 1)
            ],
            bytes=self._root.bytes_of(folder) or None if job.state in FINISHED else None,
        )

    def formats(self, job: Job) -> list[str]:
        """Return the formats in which a result can be downloaded."""
        if not job.has_result or job is self._running:
            return []
        return list(FILM_FORMATS if job.kind == "video" else PICTURE_FORMATS)

    # --- What can be asked ---

    async def plan(self, kind: str, settings: models.Settings, *, measures: bool) -> Message:
        """Return what a job would take; raises TilestyleError if it is not possible."""
        job_settings = resolve(kind, settings.options, [style.weight for style in settings.styles])
        command, content, _ = await self._sources.command(kind, settings, job_settings.look_style)
        frames = 1
        if kind == "video" and content is not None:
            frames = max(1, round((content.facts.seconds or 1.0) * 25))
        return await self._drafts.plan(command | {"measures": measures, "frames": frames})

    async def add(self, request: models.JobRequest) -> Job:
        """Put a job into the queue; raises TilestyleError if it is not possible."""
        if len(self._jobs) >= MAX_JOBS:
            raise Refused(409, f"there are {MAX_JOBS} jobs, the most that are kept", "discard some of them")
        settings = request.settings
        job_settings = resolve(request.kind, settings.options, [style.weight for style in settings.styles])
        answer = await self.plan(request.kind, settings, measures=False)
        _, content, styles = await self._sources.command(request.kind, settings, job_settings.look_style)
        area = answer["width"] * answer["height"]
        inputs = [*([content] if content else []), *styles]
        own = sum(chosen.file.stat().st_size for chosen in inputs)
        keep = [chosen.facts.id for chosen in inputs]
        self._make_room(RESULT_BYTES * area + answer["disk_bytes"] + own, keep)
        job = Job(
            id=new_id(),
            kind=request.kind,
            name=request.name or _default_name(content, styles),
            settings=settings.model_dump(),
            content=content.name if content else None,
            styles=[chosen.name for chosen in styles],
            look_style=job_settings.look_style,
            width=answer["width"],
            height=answer["height"],
            dpi=answer["dpi"],
            created=time.time(),
        )
        job.order = job.created
        job.progress["memory_promised"] = answer["memory_bytes"]
        job.progress["seconds_left"] = answer["seconds"]
        self._begin_folder(job, content, styles)
        self._jobs[job.id] = job
        await self._change(job)
        self._wake.set()
        return job

    def _begin_folder(self, job: Job, content: Chosen | None, styles: list[Chosen] | Any) -> None:
        """Make the folder of a job, with inputs of its own, so that uploads can go."""
        temporary = self._root.temporary / job.id
        try:
            with refusing_disk_errors(self._root.path):
                temporary.mkdir()
                task: dict[str, Any] = {"content": None, "styles": []}
                if content is not None:
                    task["content"] = _keep(content, temporary / "content")
                task["styles"] = [
                    _keep(chosen, temporary / f"style-{number}") for number, chosen in enumerate(styles, 1)
                ]
                shown = content or (styles[0] if styles else None)
                if shown is not None:
                    link_or_copy(shown.folder / copies.THUMBNAIL, temporary / "input-thumbnail.jpg")
                write_json(temporary / TASK, task)
                write_json(temporary / RECORD, asdict(job))
                temporary.rename(self.folder(job))
        finally:
            remove_folder(temporary)

    async def pause(self, job: Job) -> None:
        """Save the work of a job and let others go on."""
        if job.state == "queued":
            job.state = "paused"
        elif job.state == "running":
            job.asked = "pause"
            self._tell(job, {"do": "pause"})
        elif job.state != "paused":
            raise _wrong_state(job, "paused")
        await self._change(job)

    async def resume(self, job: Job) -> None:
        """Go on with a job that was paused, stopped or has failed."""
        if job.state == "running" and job.asked == "pause":
            job.asked = "resume"  # as soon as it is paused
        elif job.state in ("paused", "stopped", "failed") and not job.complete:
            self._queue_again(job)
        elif job.state not in ("queued", "running"):
            raise _wrong_state(job, "resumed")
        await self._change(job)

    async def stop(self, job: Job) -> None:
        """End a job and write its picture as it is."""
        if job.state == "running":
            job.state, job.asked = "stopping", "stop"
            self._tell(job, {"do": "stop"})
        elif job.state in ("paused", "queued") and self._has_work(job):
            self._queue_again(job)
            job.asked = "stop"
        elif job.state in ("paused", "queued"):
            raise Refused(409, f"{job.name} has not begun: there is no picture to write", "discard it instead")
        elif job.state != "stopping":
            raise _wrong_state(job, "stopped")
        await self._change(job)

    async def discard(self, job: Job) -> None:
        """Remove a job, whatever it does."""
        if job is self._running:
            job.asked = "discard"
            if self._child is not None:
                self._child.kill()
                await self._child.wait()
            for _ in range(200):
                if self._running is not job:
                    break
                await asyncio.sleep(0.02)
        if job.id in self._jobs:
            self.remove(job)
        async with self._changed:
            self._changed.notify_all()

    def _queue_again(self, job: Job) -> None:
        job.state, job.asked, job.error, job.hint = "queued", "", None, None
        job.order = min(
            [waiting.order for waiting in self._waiting() if waiting is not job], default=time.time()
        )
        job.order -= 1
        self._wake.set()

    def _has_work(self, job: Job) -> bool:
        folder = self.folder(job)
        return (folder / WORK / "manifest.json").is_file() or any((folder / "frames").glob("*.png"))

    def _tell(self, job: Job, message: Message) -> None:
        if job is self._running and self._child is not None:
            self._child.tell(message)

    # --- The queue ---

    async def start(self) -> None:
        """Start to work through the queue."""
        self._wake.set()
        self._task = asyncio.create_task(self._work())

    async def end_streams(self) -> None:
        """End the streams of events, because the server ends."""
        self._closing = True
        async with self._changed:
            self._changed.notify_all()

    async def close(self) -> None:
        """Let the job that runs save its work; it continues at the next start."""
        self._closing = True
        self._wake.set()
        if self._child is not None:
            self._child.hang_up()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            if not done:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    async def _work(self) -> None:
        while not self._closing:
            waiting = self._waiting()
            if not waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            job = waiting[0]
            try:
                await self._run(job)
            except (TilestyleError, OSError) as error:
                known = error if isinstance(error, TilestyleError) else unusable(error)
                problem, hint = split_message(known)
                job.state, job.error, job.hint = "failed", problem, hint
                await self._change(job)
            finally:
                self._running = self._child = None
                self._has_canvas = False
                self._fail_tiles()

    async def _run(self, job: Job) -> None:
        """Work on a job until it is finished, paused, or has failed."""
        folder = self.folder(job)
        self._running = job
        mode = "stop" if job.asked == "stop" else "run"
        job.state, job.error, job.hint = ("stopping" if mode == "stop" else "running"), None, None
        await self._change(job)
        words = (str(folder), mode, str(self._checkpoint_seconds))
        self._child = child = await Child.start(WORKER, *words, folder=folder, log=folder / LOG)
        if job.asked in ("pause", "stop") and mode == "run":  # asked for in the meantime
            child.tell({"do": job.asked})
        end: Message = {}
        async for message, payload in child.messages():
            kind = message.pop("do", "")
            if kind == "progress":
                await self._note_progress(job, message)
            elif kind == "tile":
                self._take_tile(message, payload)
            elif kind == "end":
                end = message
        code = await child.wait()
        if job.asked == "discard" or job.id not in self._jobs:
            return
        if self._closing and not end.get("finished"):
            return  # its record says that it runs: it continues at the next start
        self._note_end(job, end or {"state": "failed", "error": describe_end(code), "hint": _end_hint(code)})
        await asyncio.to_thread(self._root.used, fresh=True)
        await self._change(job)

    def _note_end(self, job: Job, end: Message) -> None:
        asked, job.asked = job.asked, ""
        job.state = end["state"]
        job.error, job.hint = end.get("error"), end.get("hint")
        job.complete = bool(end.get("complete"))
        job.has_result = bool(end.get("has_result", job.has_result))
        job.crops = end.get("crops", job.crops)
        job.revision += 1
        for file in self.folder(job).glob("download.*"):  # of an earlier result, however the clock was set
            with suppress(OSError):
                file.unlink()
        if job.state == "done":
            job.progress |= {"share": 1.0, "seconds_left": 0.0, "step": ""}
            job.width, job.height = end.get("width", job.width), end.get("height", job.height)
        if asked == "resume" and job.state == "paused":
            self._queue_again(job)

    async def _note_progress(self, job: Job, message: Message) -> None:
        if message.pop("changed", False):
            job.revision += 1
            self._has_canvas = job.kind in ("render", "texture")
        job.progress |= {name: value for name, value in message.items() if name in PROGRESS}
        await self._change(job, save=False)

    # --- Tiles ---

    async def live_tile(self, job: Job, level: int, x: int, y: int) -> bytes | None:
        """Return a tile of the canvas as it is; None if no canvas can be read now."""
        child = self._child
        if child is None or not self.is_live(job):
            return None
        number = next(self._numbers)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._tiles[number] = future
        try:
            child.tell({"do": "tile", "id": number, "level": level, "x": x, "y": y})
            return await asyncio.wait_for(future, TILE_SECONDS) or None
        except TimeoutError:
            return None
        finally:
            self._tiles.pop(number, None)

    def is_live(self, job: Job) -> bool:
        """Whether the tiles of a job come from its canvas."""
        return job is self._running and self._has_canvas

    def _take_tile(self, message: Message, payload: bytes) -> None:
        future = self._tiles.get(message.get("id", 0))
        if future is not None and not future.done():
            future.set_result(payload)

    def _fail_tiles(self) -> None:
        for future in self._tiles.values():
            if not future.done():
                future.set_result(b"")

    # --- Downloads ---

    async def download(self, job: Job, form: str) -> Path:
        """Return the result in a format; it is converted at the first time."""
        if form not in self.formats(job):
            if form in {*PICTURE_FORMATS, *FILM_FORMATS}:
                known = self.formats(job)
                hint = f"there are {', '.join(known)}" if known else "wait until it is done, or stop it"
                raise Refused(409, f"{job.name} cannot be downloaded as {form}", hint)
            raise Refused(422, "this format is unknown", f"there are {', '.join(PICTURE_FORMATS)}")
        own = FILM if job.kind == "video" else RESULT
        folder = self.folder(job)
        if own.endswith(f".{form}"):
            return folder / own
        file = folder / f"download.{form}"
        async with self._converting:
            if file.is_file() and file.stat().st_mtime_ns >= (folder / own).stat().st_mtime_ns:
                return file
            needed = 4 * job.width * job.height if job.kind != "video" else (folder / own).stat().st_size
            self._make_room(needed, [job.id])
            child = await Child.start(CONVERTER, str(folder), form, folder=folder, log=folder / LOG)
            answer: Message = {}
            try:
                async for message, _ in child.messages():
                    answer = message
            finally:
                child.kill()
                code = await child.wait()
            if "error" in answer:
                raise Refused(422, answer["error"], answer["hint"])
            if not answer.get("done"):
                raise Refused(500, f"{job.name} could not be converted: {describe_end(code)}", "try again")
        return file

    def command(self, job: Job) -> list[str]:
        """Return the words of the command that makes the same."""
        return command_words(job.resolved_settings(), job.content, job.styles)

    async def again(self, job: Job) -> models.Settings:
        """Return the settings of a job, with uploads that exist."""
        try:
            settings = models.Settings.model_validate(job.settings)
        except ValidationError as error:
            raise Refused(
                409,
                f"{job.name} was made by another version of tilestyle",
                "choose pictures and settings again",
            ) from error
        try:
            task = loads((self.folder(job) / TASK).read_bytes())
            content_stored, styles_stored = task["content"], list(task["styles"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                409, f"the record of {job.name} is damaged", "choose pictures and settings again"
            ) from error
        content = settings.content
        if content is not None and content_stored is not None:
            content = await self._source_again(content, content_stored, job)
        styles = []
        for choice, stored in zip(settings.styles, styles_stored, strict=False):
            source = await self._source_again(choice.source, stored, job)
            styles.append(models.StyleChoice(source=source, weight=choice.weight))
        return models.Settings(content=content, styles=styles, options=settings.options)

    async def _source_again(self, source: models.Source, stored: dict[str, str], job: Job) -> models.Source:
        if source.upload is None or self._uploads.find(source.upload) is not None:
            return source
        facts = await self._uploads.adopt(self.folder(job) / stored["file"], stored["name"], link_or_copy)
        return models.Source(upload=facts.id)

    # --- Events ---

    async def events(self, only: Job | None = None) -> AsyncIterator[tuple[str, Message] | None]:
        """Yield jobs as they change, at most twice a second: first all. None means that all is quiet."""
        sent: dict[str, int] = {}
        while not self._closing:
            present = {id_: v for id_, v in self._versions.items() if only is None or id_ == only.id}
            fresh = [id_ for id_, version in present.items() if sent.get(id_) != version]
            gone = [id_ for id_ in sent if id_ not in present]
            for id_ in fresh:
                sent[id_] = present[id_]
                if id_ in self._jobs:
                    yield "job", self.info(self._jobs[id_]).model_dump()
            for id_ in gone:
                del sent[id_]
                yield "gone", {"id": id_}
            if only is not None and only.id not in self._versions:
                return
            if fresh or gone:
                await asyncio.sleep(EVENT_SECONDS)
                continue
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), QUIET_SECONDS)
                except TimeoutError:
                    yield None


def task_files(folder: Path) -> tuple[tuple[Path, str] | None, list[tuple[Path, str]]]:
    """Return the inputs of a job: files, and names for settings and command lines."""
    task = loads((folder / TASK).read_bytes())
    content, styles = task["content"], task["styles"]
    return (
        None if content is None else (_kept_file(content, folder), content["name"]),
        [(_kept_file(style, folder), style["name"]) for style in styles],
    )


def _kept_file(stored: dict[str, str], folder: Path) -> Path:
    return (
        picture_path(stored["name"])
        if stored["file"] == "" and stored["name"] in NAMES
        else folder / stored["file"]
    )


def _keep(chosen: Chosen, place: Path) -> dict[str, str]:
    """Keep an input of a job in its folder; included pictures stay where they are."""
    if chosen.included:
        return {"file": "", "name": chosen.name}
    link_or_copy(chosen.file, place)
    return {"file": place.name, "name": chosen.name}


def _default_name(content: Chosen | None, styles: list[Chosen] | Any) -> str:
    names = [Path(chosen.name).stem for chosen in [*([content] if content else []), *styles]]
    return "-".join(names)[:80] or "picture"


def _wrong_state(job: Job, action: str) -> Refused:
    return Refused(409, f"{job.name} is {job.state} and cannot be {action}", "reload the page")


def _end_hint(code: int | None) -> str:
    if code == -9:
        return "memory may have run out: resume it, or make a smaller picture"
    return "resume it to go on from the last checkpoint"


def still_running() -> WorkError:
    """Return the error of a job whose earlier process does not end."""
    return WorkError(
        "an earlier process of this job still runs", hint="wait until it has ended, then resume the job"
    )
