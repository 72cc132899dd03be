"""The routes of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from tilestyle.studio import models
from tilestyle.studio.deep_zoom import OVERLAP, TILE, level_count, stored_tile, stored_tiles
from tilestyle.studio.jobs import Job
from tilestyle.studio.refusals import Refused
from tilestyle.studio.root import refusing_disk_errors
from tilestyle.studio.settings import command_line, write_toml
from tilestyle.studio.stored_file import stored_file
from tilestyle.studio.streams import NO_STORE, sse
from tilestyle.studio.studio import Studio
from tilestyle.studio.uploads import display_name

Id = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$")]
Level = Annotated[int, PathParameter(ge=0, le=40)]
Place = Annotated[int, PathParameter(ge=0, le=2**24)]
FormatName = Annotated[str, Query(alias="format", pattern=r"^[a-z0-9]{2,5}$")]
KEPT = {"cache-control": "private, max-age=86400"}


def job_routes(studio: Studio) -> APIRouter:
    """Return the routes of the jobs of a studio."""
    routes = APIRouter(prefix="/api")

    _tiles(routes, studio)
    _small_pictures(routes, studio)
    _results(routes, studio)
    _records(routes, studio)  # last: its actions would match what the others are called
    return routes


def _records(routes: APIRouter, studio: Studio) -> None:
    jobs = studio.jobs

    @routes.post("/jobs", status_code=201)
    async def add(request: models.JobRequest) -> models.JobInfo:
        """Put a job into the queue."""
        return jobs.info(await jobs.add(request))

    @routes.get("/jobs")
    async def all_jobs() -> list[models.JobInfo]:
        """Return all jobs, the latest first."""
        return [jobs.info(job) for job in jobs.all()]

    @routes.get("/events", response_class=StreamingResponse)
    async def all_events() -> StreamingResponse:
        """Stream all jobs as they change: `job`, and `gone` for those that are discarded."""
        return StreamingResponse(sse(jobs.events()), media_type="text/event-stream", headers=NO_STORE)

    @routes.get("/jobs/{job}")
    async def one(job: Id) -> models.JobInfo:
        """Return a job."""
        return jobs.info(jobs.get(job))

    @routes.get("/jobs/{job}/events", response_class=StreamingResponse)
    async def events(job: Id) -> StreamingResponse:
        """Stream a job as it changes."""
        return StreamingResponse(
            sse(jobs.events(jobs.get(job))), media_type="text/event-stream", headers=NO_STORE
        )

    @routes.post("/jobs/{job}/{action}")
    async def act(job: Id, action: Literal["pause", "resume", "stop", "discard"]) -> models.JobInfo:
        """Pause or resume a job, stop it and write its picture, or discard it with all its files."""
        chosen = jobs.get(job)
        info = jobs.info(chosen)
        await getattr(jobs, action)(chosen)
        return info if action == "discard" else jobs.info(chosen)


def _tiles(routes: APIRouter, studio: Studio) -> None:
    jobs = studio.jobs

    @routes.get("/jobs/{job}/tiles")
    async def tiles(job: Id) -> models.Tiles:
        """Describe the picture of a job as tiles: the canvas as it is while it runs, or the result."""
        chosen = jobs.get(job)
        if jobs.is_live(chosen):
            return _description(chosen, chosen.width, chosen.height, live=True)
        stored = stored_tiles(jobs.folder(chosen) / "tiles.dzi")
        if stored is None:
            raise Refused(404, f"{chosen.name} has no picture yet", "wait until it has begun")
        return _description(chosen, stored.width, stored.height)

    @routes.get("/jobs/{job}/tiles/{level}/{x}_{y}.jpg", response_class=Response)
    async def tile(job: Id, level: Level, x: Place, y: Place, revision: int | None = None) -> Response:
        """Return a tile; `revision` only tells caches apart."""
        chosen = jobs.get(job)
        if jobs.is_live(chosen):
            content = await jobs.live_tile(chosen, level, x, y)
            if content is not None:
                return Response(content, media_type="image/jpeg", headers=NO_STORE)
        return _stored(jobs.folder(chosen) / "tiles.dzi", level, x, y, fresh=chosen.state != "done")

    @routes.get("/jobs/{job}/content/tiles")
    async def content_tiles(job: Id) -> models.Tiles:
        """Describe the photograph as tiles, cropped as it is used, in its own size."""
        chosen = jobs.get(job)
        stored = stored_tiles(jobs.folder(chosen) / "content.dzi")
        if stored is None:
            raise Refused(
                404, f"{chosen.name} has no photograph to compare with yet", "wait until it has begun"
            )
        return _description(chosen, stored.width, stored.height)

    @routes.get("/jobs/{job}/content/tiles/{level}/{x}_{y}.jpg", response_class=Response)
    async def content_tile(job: Id, level: Level, x: Place, y: Place) -> Response:
        """Return a tile of the photograph."""
        return _stored(jobs.folder(jobs.get(job)) / "content.dzi", level, x, y, fresh=False)


def _small_pictures(routes: APIRouter, studio: Studio) -> None:
    jobs = studio.jobs

    @routes.get("/jobs/{job}/thumbnail", response_class=FileResponse)
    async def thumbnail(job: Id) -> FileResponse:
        """Return the picture of a job, small; its photograph as long as there is none."""
        folder = jobs.folder(jobs.get(job))
        for name in ("thumbnail.jpg", "input-thumbnail.jpg"):
            if (folder / name).is_file():
                return stored_file(
                    folder / name, media_type="image/jpeg", headers={"cache-control": "no-cache"}
                )
        raise Refused(404, "there is no picture yet", "wait until it has begun")

    @routes.get("/jobs/{job}/crops/{number}.jpg", response_class=FileResponse)
    async def crop(job: Id, number: Annotated[int, PathParameter(ge=1, le=99)]) -> FileResponse:
        """Return a detail of a preview at full size."""
        file = jobs.folder(jobs.get(job)) / f"crop-{number}.jpg"
        if not file.is_file():
            raise Refused(404, "there is no such detail", "reload the page")
        return stored_file(file, media_type="image/jpeg", headers=KEPT)


def _results(routes: APIRouter, studio: Studio) -> None:
    jobs = studio.jobs

    @routes.get("/jobs/{job}/download", response_class=FileResponse)
    async def download(job: Id, form: FormatName = "png") -> FileResponse:
        """Return the result as a file in a format."""
        chosen = jobs.get(job)
        file = await jobs.download(chosen, form)
        name = f"{display_name(chosen.name)}.{form}"
        return stored_file(file, filename=name, headers={"cache-control": "no-cache"})

    @routes.get("/jobs/{job}/settings.toml", response_class=PlainTextResponse)
    async def settings(job: Id) -> PlainTextResponse:
        """Return the settings as a file for `--config`."""
        chosen = jobs.get(job)
        file = studio.root.temporary / f"{chosen.id}.toml"
        with refusing_disk_errors(studio.root.path):
            write_toml(file, chosen.resolved_settings(), chosen.content, chosen.styles)
            text = file.read_text(encoding="utf-8")
        file.unlink(missing_ok=True)
        return PlainTextResponse(text, headers=NO_STORE)

    @routes.get("/jobs/{job}/command", response_class=PlainTextResponse)
    async def command(job: Id) -> PlainTextResponse:
        """Return the command line that makes the same picture."""
        return PlainTextResponse(command_line(jobs.command(jobs.get(job))), headers=NO_STORE)

    @routes.post("/jobs/{job}/again")
    async def again(job: Id) -> models.Settings:
        """Return the settings of a job, to make more like it."""
        return await jobs.again(jobs.get(job))


def _description(job: Job, width: int, height: int, *, live: bool = False) -> models.Tiles:
    return models.Tiles(
        width=width,
        height=height,
        tile=TILE,
        overlap=OVERLAP,
        levels=level_count(width, height),
        revision=job.revision,
        live=live,
    )


def _stored(descriptor: Path, level: int, x: int, y: int, *, fresh: bool) -> Response:
    file = stored_tile(descriptor, level, x, y)
    if file is None:
        raise Refused(404, "there is no such tile", "reload the page")
    kind = "image/png" if file.suffix == ".png" else "image/jpeg"
    return stored_file(file, media_type=kind, headers=NO_STORE if fresh else KEPT)
