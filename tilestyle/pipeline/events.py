"""Events that a render sends to its observer while it runs.

Nothing here displays anything. An observer is any function that takes one event:

    >>> from tilestyle import SweepDone, render
    >>> def show(event):
    ...     if isinstance(event, SweepDone):
    ...         print(f"level {event.level.index + 1} of {event.levels}: {event.seconds_left:.0f} s left")
    >>> picture = render("photo.jpg", "painting.jpg", observer=show)

The order of events is `Started`, `Resumed` if a checkpoint is continued, then for each level `LevelStarted` and
one `SweepDone` a sweep, with a `PatchDone` after every patch of it, and in the end `Finished`. `PatchHalved` or
`CanvasMoved` can come between; `Stopped` comes before `Finished` if the render was asked to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilestyle.images import Picture
    from tilestyle.pipeline.live_canvas import LiveCanvas
    from tilestyle.planning.schedule import Level
    from tilestyle.planning.time_model import Sample


@dataclass(frozen=True, slots=True)
class Started:
    """The render has been planned. Sizes in bytes are upper bounds from the memory model.

    Attributes:
        side: Patch side, pixels.
        device: Kind of the device, such as "cpu" or "cuda".
        need: Bytes needed on the device; on a CPU, all but the loaded libraries.
        limit: Limit set for `need`, bytes; None if there is none.
        held: Bytes of RAM that canvas, optimizer and pictures take while patches are computed.
        host_limit: Limit set for `held`, bytes; None if there is none.
        disk: Bytes on disk that canvas, optimizer and pictures take if they are memory-mapped, else 0.
        seconds: Call it for the seconds that the render will take. For a kind of render that is new on this
            machine, a few seconds of measurement come first. None means that it was not possible.
        settled: Settings that were left to the machine, as its kind and its free memory decided them.
        machine: The same, and what else of the machine affects the pixels, as JSON.
        faces: Number of faces that were found in the content, with `keep_faces`; None without.
    """

    side: int
    device: str
    need: int
    limit: int | None
    held: int
    host_limit: int | None
    disk: int
    seconds: Callable[[], float | None]
    settled: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    faces: int | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """The render continues from the checkpoint of an earlier run.

    Attributes:
        level: The level it continues in.
        levels: Number of levels of the render.
        sweep: The next sweep, counted from 0.
        seconds: Time that earlier runs took.
        live: The canvas from here to the end of the render, any part of which can be seen at full detail.
    """

    level: Level
    levels: int
    sweep: int
    seconds: float
    live: LiveCanvas | None = None


@dataclass(frozen=True, slots=True)
class LevelStarted:
    """A level of the pyramid starts.

    Attributes:
        level: The level.
        levels: Number of levels of the render.
        live: The canvas from here to the end of the render, any part of which can be seen at full detail.
    """

    level: Level
    levels: int
    live: LiveCanvas | None = None


@dataclass(frozen=True, slots=True)
class PatchDone:
    """A patch has been updated. L-BFGS, whose sweeps have no patches, does not send this.

    Attributes:
        level: The level.
        levels: Number of levels of the render.
        sweep: The current sweep, counted from 0.
        share: Fraction of the sweep that is done; of several processes, estimated from the first one's.
    """

    level: Level
    levels: int
    sweep: int
    share: float


@dataclass(frozen=True, slots=True)
class SweepDone:
    """A sweep has ended: every pixel of the level has been updated once more.

    The losses do not include their weights. They are relative: about 1 for a canvas without any of the style or
    content, 0 for a perfect match.

    Attributes:
        level: The level.
        levels: Number of levels of the render.
        sweep: The sweep, counted from 0.
        style: Style loss.
        content: Content loss.
        tv: Total variation.
        seconds: Time since the render started.
        seconds_left: Estimated time to the end. It rises only where it has been too short for some time.
        megapixels_per_second: Speed of this sweep.
        picture: Call it for the current picture, at the size of the level or smaller.
        anchor: Anchor loss; 0 without an anchor.
        palette: Palette loss; 0 without a palette term.
        content_weight: Weight of the content in this sweep; None if it is fixed.
    """

    level: Level
    levels: int
    sweep: int
    style: float
    content: float
    tv: float
    seconds: float
    seconds_left: float
    megapixels_per_second: float
    picture: Callable[[], Picture]
    anchor: float = 0.0
    palette: float = 0.0
    content_weight: float | None = None


@dataclass(frozen=True, slots=True)
class PatchHalved:
    """The device ran out of memory; the render continues with smaller patches.

    Attributes:
        side: New patch side, pixels.
    """

    side: int


@dataclass(frozen=True, slots=True)
class CanvasMoved:
    """The device ran out of memory; the render continues with its canvas in RAM."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The render stops early, as asked. A checkpoint has been saved if there is a work folder.

    The picture is made next, as far as the render has got; then comes `Finished`.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """The render has ended.

    Attributes:
        complete: False if it was stopped early.
        seconds: Time since the render started.
        kind: What kind of render it was, as far as its speed is concerned, as JSON (pipeline/timings.py).
        taken: The work that was timed, by stage of the time model.
    """

    complete: bool
    seconds: float
    kind: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, Sequence[Sample]] = field(default_factory=dict)


Event = (
    Started | Resumed | LevelStarted | PatchDone | SweepDone | PatchHalved | CanvasMoved | Stopped | Finished
)

# Called between patches and sweeps, while the render waits. Its exceptions become a warning (observers.py).
Observer = Callable[[Event], None]
