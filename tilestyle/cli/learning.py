"""What commands took, noted for the time estimates of later ones (pipeline/timings.py)."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from tilestyle.cli.output_options import Output
    from tilestyle.config.render import RenderConfig
    from tilestyle.pipeline.events import Event, Finished
    from tilestyle.recipes.printing import PreparedInputs

_begun = False  # whether a render of this process has begun: a second one does not start the process


def seconds_since_start() -> float | None:
    """Seconds since the start of the process, the first time this is called; then, or if unknown, None."""
    global _begun
    import psutil

    if _begun:
        return None
    _begun = True
    with suppress(psutil.Error, OSError):
        return max(0.0, time.time() - psutil.Process().create_time())
    return None


def starting_kind(device: torch.device) -> dict[str, Any]:
    """What the time before a render depends on."""
    from tilestyle.pipeline.timings import this_machine

    return {**this_machine(device), "stage": "start"}


def writing_kind(output: Output, device: torch.device) -> dict[str, Any]:
    """What the time of writing a picture depends on."""
    from tilestyle.pipeline.timings import this_machine

    format_facts = [output.file.suffix.lower(), output.depth, str(output.compression)]
    return {**this_machine(device), "stage": "writing", "format": format_facts}


def starting_amounts(prepared: PreparedInputs) -> tuple[float, ...]:
    """Amounts of the stage before a render: megapixels that are read."""
    from tilestyle.images import ImageSource

    read = [prepared.content, *(style.picture for style in prepared.styles)]
    return (1.0, sum(each.height * each.width for each in read if isinstance(each, ImageSource)) / 1e6)


def note_writing(output: Output, config: RenderConfig, size: tuple[int, int], seconds: float) -> None:
    """Note what writing a picture of this height and width took."""
    from tilestyle.pipeline import timings
    from tilestyle.planning.device_choice import find_device
    from tilestyle.planning.time_model import WRITING, Sample

    kind = writing_kind(output, find_device(config.device))
    timings.remember(kind, {WRITING: [Sample((1.0, size[0] * size[1] / 1e6), seconds)]})


def note_part(event: Event) -> None:
    """Note what a render took that is one of several."""
    from tilestyle.pipeline import timings
    from tilestyle.pipeline.events import Finished

    if isinstance(event, Finished):
        timings.remember(event.kind, event.taken)


def note_render(finished: Finished | None, prepared: PreparedInputs, since_start: float | None) -> None:
    """Note what a render took, and what came before it."""
    from tilestyle.pipeline import timings
    from tilestyle.planning.device_choice import find_device
    from tilestyle.planning.time_model import START, Sample

    if finished is None:
        return
    timings.remember(finished.kind, finished.taken)
    if since_start is not None:
        kind = starting_kind(find_device(prepared.config.device))
        timings.remember(kind, {START: [Sample(starting_amounts(prepared), since_start)]})
