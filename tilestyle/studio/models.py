"""Requests and responses of the HTTP interface; FastAPI checks them and describes them in the OpenAPI file."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
SessionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
OptionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Kind = Literal["render", "texture", "video", "preview"]
State = Literal["queued", "running", "paused", "stopping", "done", "stopped", "failed"]
MAX_STYLES, MAX_OPTIONS, MAX_CELLS = 8, 64, 24
MAX_WHOLE, MAX_DEPTH = 2**64, 3  # of values of options


def _check_value(value: Any) -> Any:
    """Refuse a value of an option that no option has, and that the studio could not give out again.

    Options that have no effect on what is made are not looked at later.
    """
    pending = [(value, 0)]
    while pending:
        each, depth = pending.pop()
        if isinstance(each, str) and any("\ud800" <= letter <= "\udfff" for letter in each):
            raise ValueError("Input should be text, without halves of surrogate pairs")
        if isinstance(each, float) and not isfinite(each):
            raise ValueError("Input should be a finite number")
        if isinstance(each, int) and abs(each) > MAX_WHOLE:
            raise ValueError("Input is too large a number")
        if isinstance(each, list | dict):
            if depth == MAX_DEPTH:
                raise ValueError("Input is nested too deeply")
            inner = [*each, *each.values()] if isinstance(each, dict) else each
            pending += [(part, depth + 1) for part in inner]
    return value


Value = Annotated[Any, AfterValidator(_check_value)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Source(_Request):
    """A picture: one that was uploaded, or one that comes with tilestyle."""

    upload: Id | None = None
    included: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if (self.upload is None) == (self.included is None):  # neither or both
            raise ValueError("give either upload or included")
        return self


class StyleChoice(_Request):
    """A style, and its share among several."""

    source: Source
    weight: float = Field(default=1.0, ge=0, le=1e6, allow_inf_nan=False)


class Settings(_Request):
    """What to make: the pictures, and options as the command line has them, with underscores."""

    content: Source | None = None
    styles: list[StyleChoice] = Field(default_factory=list, max_length=MAX_STYLES)
    options: dict[OptionName, Value] = Field(default_factory=dict, max_length=MAX_OPTIONS)


class DraftRequest(_Request):
    """Ask for drafts. The session is a name that the client chooses; it has one draft at a time."""

    session: SessionName
    settings: Settings


class SheetRequest(DraftRequest):
    """Ask for several drafts side by side: every combination of the values of some options."""

    vary: dict[OptionName, list[Value]] = Field(min_length=1, max_length=3)


class EstimateRequest(_Request):
    """Ask what a job would take."""

    kind: Kind = "render"
    settings: Settings


class JobRequest(EstimateRequest):
    """Ask for a job."""

    name: Name | None = None


class Problem(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="What is wrong, in one line.")
    hint: str = Field(default="", description="What to do about it.")


class Upload(BaseModel):
    """An uploaded file."""

    id: str
    name: str
    kind: Literal["picture", "clip"]
    width: int
    height: int
    seconds: float | None = None


class DraftAccepted(BaseModel):
    """The number of a draft; its pictures come as events of the session."""

    session: str
    revision: int


class Cell(BaseModel):
    """A draft of a sheet, and the options in which it differs."""

    index: int
    options: dict[str, Any]


class SheetAccepted(DraftAccepted):
    """The drafts of a sheet; their pictures come as `cell` events of the session."""

    cells: list[Cell]


class Estimate(BaseModel):
    """What a job would take."""

    width: int
    height: int
    seconds: float | None = Field(description="Time; null if it could not be measured.")
    memory_bytes: int
    disk_bytes: int
    warnings: list[str] = []
    dpi: float | None = None


class Progress(BaseModel):
    """How far a job is."""

    share: float = 0.0
    level: int = Field(default=0, description="From 1; 0 before the first.")
    levels: int = 0
    sweep: int = 0
    sweeps: int = 0
    seconds: float = Field(default=0.0, description="Time that it has taken.")
    seconds_left: float | None = None
    memory_bytes: int = Field(default=0, description="The most memory that it has used.")
    memory_promised: int = Field(default=0, description="The most memory that it will use.")
    step: str = Field(default="", description="What it does, in words.")


class Crop(BaseModel):
    """A detail of a preview at full size: where it lies in the finished picture."""

    url: str
    left: int
    top: int
    width: int
    height: int


class Inputs(BaseModel):
    """What the pictures of a job are called."""

    content: str | None
    styles: list[str]


class JobInfo(BaseModel):
    """A job."""

    id: str
    kind: Kind
    name: str
    state: State
    created: float = Field(description="Seconds since 1970.")
    settings: Settings
    inputs: Inputs
    width: int
    height: int
    dpi: float | None = None
    progress: Progress
    error: str | None = None
    hint: str | None = None
    revision: int = Field(description="Rises when the picture changes.")
    formats: list[str] = Field(description="Formats in which the result can be downloaded; empty: none yet.")
    position: int | None = Field(default=None, description="Place in the queue, from 1.")
    can_resume: bool = False
    has_tiles: bool = False
    has_content: bool = False
    crops: list[Crop] = []
    bytes: int | None = Field(default=None, description="Disk space that it takes, once it has ended.")


class Tiles(BaseModel):
    """A picture as tiles, as Deep Zoom numbers them: level 0 is one pixel, the last level full size."""

    width: int
    height: int
    tile: int = Field(description="Side of a tile without overlap, pixels.")
    overlap: int
    levels: int
    revision: int
    live: bool = Field(default=False, description="Whether it still changes.")


class Storage(BaseModel):
    """Disk space of the studio's folder, bytes."""

    used: int
    cap: int


class Limits(BaseModel):
    """The largest upload, and how many there can be."""

    bytes: int
    pixels: int
    files: int


class Pictures(BaseModel):
    """Pictures that come with tilestyle."""

    photographs: list[str]
    styles: list[str]


class Look(BaseModel):
    """Settings by name, with a style of their own."""

    name: str
    about: str
    style: str
    options: dict[str, Any]


class PaperSize(BaseModel):
    """A paper."""

    name: str
    width_mm: float
    height_mm: float


class Status(BaseModel):
    """What this studio has."""

    version: str
    device: str
    memory_bytes: int
    root: str
    storage: Storage
    limits: Limits
    pictures: Pictures
    looks: list[Look]
    papers: list[PaperSize]
    formats: list[str]
    film_formats: list[str]
    video: bool
    drafts_ready: bool = Field(description="Whether the process of the drafts has loaded its libraries.")
