"""The routes of the studio: what is asked of its parts, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from tilestyle.config.enums import FILM_SUFFIXES
from tilestyle.config.paper_names import PAPERS
from tilestyle.config.presets import look_names
from tilestyle.config.toml import load_preset
from tilestyle.devices.host_memory import available_memory
from tilestyle.errors import TilestyleError
from tilestyle.pictures import PHOTOGRAPHS, STYLES
from tilestyle.studio import copies, models
from tilestyle.studio.access import Access, AccessMiddleware, problem_response
from tilestyle.studio.job_routes import job_routes
from tilestyle.studio.refusals import Refused, split_message, unusable
from tilestyle.studio.settings import cell_count, cells_of, resolve
from tilestyle.studio.stored_file import stored_file
from tilestyle.studio.streams import NO_STORE, sse
from tilestyle.studio.studio import Studio
from tilestyle.version import __version__

PICTURE_FORMATS = ("png", "jpg", "tif", "webp")
ABOUT = """What the page of the studio uses, and any program may.

Errors are `{"error": "what is wrong", "hint": "what to do"}`. Where the studio asks for a token, send it as
`Authorization: Bearer TOKEN`. `examples/studio_client.py` is a client."""
Id = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$")]
SessionName = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Number = Annotated[int, PathParameter(ge=0, le=2**31)]
Side = Annotated[int, Query(ge=1, le=4096)]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Problem} for status in (400, 401, 403, 404, 409, 413, 415, 421, 422, 507)
}


def create_app(studio: Studio, access: Access) -> FastAPI:
    """Return the application of a studio.

    Args:
        studio: Its parts.
        access: Who may send requests.
    """

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        await studio.start()
        try:
            yield
        finally:
            await studio.close()

    app = FastAPI(
        title="tilestyle studio",
        version=__version__,
        description=ABOUT,
        lifespan=running,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/api/openapi.json",
        responses=PROBLEMS,
    )
    app.add_middleware(AccessMiddleware, access=access, max_upload_bytes=studio.uploads.limits.bytes)
    _handle_errors(app)
    _page(app)
    _status(app, studio)
    _uploads(app, studio)
    _drafts(app, studio)
    app.include_router(job_routes(studio))
    return app


class _PageFiles(StaticFiles):
    """Files of the page; browsers ask whether they have changed, because a new version has the same names."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        response = super().file_response(*args, **more)
        response.headers["cache-control"] = "no-cache"
        return response


def _page(app: FastAPI) -> None:
    folder = Path(str(files("tilestyle.studio").joinpath("page")))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(folder / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/page", _PageFiles(directory=folder), name="page")


def _status(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/status")
    def status() -> models.Status:
        """Say what this studio has."""
        limits = studio.uploads.limits
        return models.Status(
            version=__version__,
            device=studio.drafts.device,
            memory_bytes=available_memory(),
            root=str(studio.root.path),
            storage=models.Storage(used=studio.root.used(), cap=studio.root.cap),
            limits=models.Limits(bytes=limits.bytes, pixels=limits.pixels, files=limits.files),
            pictures=models.Pictures(photographs=list(PHOTOGRAPHS), styles=list(STYLES)),
            looks=list(_looks()),
            papers=[
                models.PaperSize(name=name, width_mm=short, height_mm=long)
                for name, (short, long) in PAPERS.items()
            ],
            formats=list(PICTURE_FORMATS),
            film_formats=[suffix.removeprefix(".") for suffix in FILM_SUFFIXES],
            video=has_video(),
            drafts_ready=studio.drafts.ready,
        )

    @app.get("/api/pictures/{name}/thumbnail", response_class=FileResponse)
    async def thumbnail(name: str, size: Side = copies.THUMBNAIL_SIDE) -> FileResponse:
        """Return an included picture, small."""
        chosen = await studio.sources.included(name)
        return _picture(chosen.folder, size)


def _uploads(app: FastAPI, studio: Studio) -> None:
    form = {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }

    @app.post("/api/uploads", openapi_extra={"requestBody": form})
    async def upload(request: Request) -> models.Upload:
        """Upload a photograph, a style or a film."""
        length = request.headers.get("content-length")
        facts = await studio.uploads.receive(
            request.headers.get("content-type", ""), request.stream(), int(length) if length else None
        )
        return models.Upload(
            id=facts.id,
            name=facts.name,
            kind=facts.kind,  # type: ignore[arg-type]  # checked when it is shown
            width=facts.width,
            height=facts.height,
            seconds=facts.seconds,
        )

    @app.get("/api/uploads/{upload}/thumbnail", response_class=FileResponse)
    async def upload_thumbnail(upload: Id, size: Side = copies.THUMBNAIL_SIDE) -> FileResponse:
        """Return an uploaded picture, small."""
        return _picture(studio.uploads.folder(studio.uploads.get(upload)), size)

    @app.delete("/api/uploads/{upload}", status_code=204)
    async def remove(upload: Id) -> None:
        """Remove an upload. Jobs keep their own copies."""
        studio.uploads.remove(upload)


def _drafts(app: FastAPI, studio: Studio) -> None:
    @app.post("/api/drafts")
    async def draft(request: models.DraftRequest) -> models.DraftAccepted:
        """Begin a draft. It replaces the session's earlier one; its pictures come as events."""
        command = await _command(studio, request.settings)
        revision = await studio.drafts.ask(request.session, command | {"do": "draft"})
        return models.DraftAccepted(session=request.session, revision=revision)

    @app.post("/api/sheets")
    async def sheet(request: models.SheetRequest) -> models.SheetAccepted:
        """Begin drafts of several settings, in place of the session's draft. They come as `cell` events."""
        count = cell_count(request.vary)
        if not 1 <= count <= models.MAX_CELLS:
            raise Refused(422, f"the sheet would have {count} cells", f"give 1 to {models.MAX_CELLS}")
        cells = cells_of(request.vary)
        for options in cells:
            resolve(
                "render", request.settings.options | options, [each.weight for each in request.settings.styles]
            )
        command = await _command(studio, request.settings)
        revision = await studio.drafts.ask(request.session, command | {"do": "sheet", "vary": request.vary})
        return models.SheetAccepted(
            session=request.session,
            revision=revision,
            cells=[models.Cell(index=index, options=options) for index, options in enumerate(cells)],
        )

    @app.get("/api/drafts/{session}/events", response_class=StreamingResponse)
    async def events(session: SessionName) -> StreamingResponse:
        """Stream the events of a session: `draft`, `cell` and `problem` (server-sent events)."""
        return StreamingResponse(
            sse(studio.drafts.events(session)), media_type="text/event-stream", headers=NO_STORE
        )

    @app.get("/api/drafts/{session}/{revision}/{number}.jpg", response_class=Response)
    def picture(session: SessionName, revision: Number, number: Number) -> Response:
        """Return a draft."""
        return Response(
            studio.drafts.picture(session, revision, number), media_type="image/jpeg", headers=NO_STORE
        )

    @app.post("/api/estimate")
    async def estimate(request: models.EstimateRequest) -> models.Estimate:
        """Say what a job would take."""
        answer = await studio.jobs.plan(request.kind, request.settings, measures=True)
        return models.Estimate(**{name: answer[name] for name in models.Estimate.model_fields})


async def _command(studio: Studio, settings: models.Settings) -> dict[str, Any]:
    """Return settings as the process of the drafts takes them; a texture if there is no photograph."""
    kind = "texture" if settings.content is None else "render"
    job_settings = resolve(kind, settings.options, [each.weight for each in settings.styles])
    command, _, _ = await studio.sources.command(kind, settings, job_settings.look_style, clips=True)
    return command


def _picture(folder: Path, size: int) -> FileResponse:
    """Return the copy of a picture that has at least so many pixels on its long side, or the largest."""
    file = folder / (copies.THUMBNAIL if size <= copies.THUMBNAIL_SIDE else copies.SMALL)
    if not file.is_file():
        raise Refused(404, "there is no such picture", "reload the page")
    kind = "image/jpeg" if file.suffix == ".jpg" else "image/png"
    return stored_file(file, media_type=kind, headers={"cache-control": "private, max-age=3600"})


def has_video() -> bool:
    """Whether films can be read and written here."""
    return find_spec("av") is not None and find_spec("cv2") is not None


@cache
def _looks() -> tuple[models.Look, ...]:
    presets = [(name, load_preset(name)) for name in look_names()]
    return tuple(
        models.Look(name=name, about=preset.about, style=preset.style, options=_plain(preset.settings))
        for name, preset in presets
    )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that JSON can hold."""
    kinds = (bool, int, float, str, tuple, dict)
    return {name: value for name, value in settings.items() if isinstance(value, kinds)}


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(TilestyleError)
    async def refused(request: Request, error: TilestyleError) -> JSONResponse:
        if not isinstance(error, Refused):
            error = Refused(422, *split_message(error))
        return problem_response(error)

    @app.exception_handler(OSError)
    async def lost(request: Request, error: OSError) -> JSONResponse:
        return problem_response(unusable(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(Refused(422, *_first_mistake(error)))

    @app.exception_handler(StarletteHTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        hint = "see /api/openapi.json for what there is" if error.status_code in (404, 405) else ""
        return problem_response(Refused(error.status_code, str(error.detail), hint))


def _first_mistake(error: RequestValidationError) -> tuple[str, str]:
    with suppress(IndexError, KeyError, TypeError):
        first = error.errors()[0]
        if first["type"] == "json_invalid":  # its place is a number of letters
            return "the request is not JSON", "see /api/openapi.json for what is expected"
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        text = str(first["msg"]).removeprefix("Value error, ")
        return f"{where or 'the request'}: {text}"[:300], "see /api/openapi.json for what is expected"
    return "the request cannot be read", "see /api/openapi.json for what is expected"
