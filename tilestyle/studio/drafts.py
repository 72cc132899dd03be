"""The warm process of the drafts: libraries and network loaded once, styles measured once.

A draft is refined in stages, each a little larger and starting from the picture of the one before. A new
command stops the stage that runs; a session's new draft replaces its earlier one. Plans of jobs are made here
as well, because the libraries are loaded.

Commands (child.py): `draft`, `sheet`, `plan` and `forget`. Messages: `ready`, `picture`, `problem`, `planned`.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from tilestyle.config.enums import BUILT_IN
from tilestyle.config.paper import fit_to_paper
from tilestyle.config.readable import format_percent
from tilestyle.config.render import RenderConfig
from tilestyle.errors import TilestyleError
from tilestyle.images import Picture, jpeg_bytes
from tilestyle.networks.vgg_files import downloaded_file
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.pipeline.run import render_job
from tilestyle.planning.device_choice import find_device
from tilestyle.planning.sizes import picture_size
from tilestyle.recipes.printing import PreparedInputs, prepare_inputs
from tilestyle.studio.child import Channel, Message
from tilestyle.studio.refusals import Refused, split_message
from tilestyle.studio.settings import JobSettings, cells_of, draft_settings, preview_options, resolve
from tilestyle.studio.stand_in import SmallPicture

STAGES = ((128, 36), (192, 24), (288, 18), (416, 14), (576, 12))
"""Long side in pixels and sweeps of each stage; those after the first start from the one before."""

FIRST_LOOK = 8  # sweeps of the first stage after which it is shown for the first time
FIRST_LOOK_SECONDS = 1.2  # after which it is shown in any case: some settings make sweeps slow
SHEET_STAGE = (144, 40)
CACHED_STYLES = 48  # sets of measurements
MAX_ENLARGEMENT = 2.0  # of a style, beyond which it looks soft
# Settings that do not affect the measurements of the styles.
WITHOUT_EFFECT_ON_STYLES = (
    *("strength", "content_weight", "content_loss", "content_layers", "seed", "tv_weight", "palette_weight"),
    *("style_weight", "learning_rate", "finish", "sweeps", "quality", "init"),
)


@dataclass
class Task:
    """What a session wants: pictures, made one after the other."""

    session: str
    revision: int
    steps: Iterator[None]


class Drafts:
    """The loop of the process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._commands: deque[Message] = deque()
        self._arrived = threading.Condition()
        self._ended = False
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._style_caches: OrderedDict[str, dict[Any, Any]] = OrderedDict()

    def listen(self) -> None:
        """Take commands, in a thread of its own."""
        for command in self._channel.commands():
            with self._arrived:
                self._commands.append(command)
                self._arrived.notify()
        os._exit(0)  # the server is gone, and nothing here needs saving

    def run(self) -> None:
        """Work, until the server is gone."""
        if not self._commands:  # otherwise the first draft does it
            self._warm_up()
        self._channel.send({"do": "ready", "device": str(find_device("auto"))})
        while True:
            with self._arrived:
                while not self._commands and not self._tasks:
                    self._arrived.wait()
                commands = list(self._commands)
                self._commands.clear()
            for command in commands:
                self._begin(command)
            self._step()

    def _warm_up(self) -> None:
        """Load what the first draft needs."""
        noise = Picture(_gradient())
        with suppress(TilestyleError):
            job = prepare(as_job_input(noise), RenderConfig(size=64, sweeps=2), as_job_input(noise))
            render_job(job)

    def _begin(self, command: Message) -> None:
        """Answer a command, or begin the task that it asks for."""
        kind, session = command.get("do"), str(command.get("session", ""))
        try:
            if kind == "forget":
                self._tasks.pop(session, None)
            elif kind == "plan":
                self._channel.send({"do": "planned", "id": command["id"], **plan(command)})
            elif kind in ("draft", "sheet"):
                steps = self._draft(command) if kind == "draft" else self._sheet(command)
                self._tasks.pop(session, None)
                self._tasks[session] = Task(session, command["revision"], steps)
        except TilestyleError as error:
            self._refuse(command, error)

    def _refuse(self, command: Message, error: TilestyleError) -> None:
        problem, hint = split_message(error)
        answer: Message = {key: command[key] for key in ("id", "session", "revision") if key in command}
        self._channel.send({"do": "problem", **answer, "error": problem, "hint": hint})

    def _step(self) -> None:
        """Do one step of the session that was served least recently."""
        if not self._tasks:
            return
        session, task = next(iter(self._tasks.items()))
        try:
            next(task.steps)
            self._tasks.move_to_end(session)
        except StopIteration:
            self._tasks.pop(session, None)
        except TilestyleError as error:
            self._tasks.pop(session, None)
            self._refuse({"session": session, "revision": task.revision}, error)

    def _interrupted(self) -> bool:
        return bool(self._commands)

    def _draft(self, command: Message) -> Iterator[None]:
        """Make the pictures of a draft, one stage at each step."""
        start, job_settings = time.monotonic(), _job_settings(command)
        content, styles = _pictures(command)
        picture: Picture | None = None
        largest = _largest_side(job_settings, content)
        stages = [stage for stage in STAGES if stage[0] < largest]
        if len(stages) < len(STAGES):
            stages.append((largest, STAGES[len(stages)][1]))
        number = 0
        for index, stage in enumerate(stages):
            final = index == len(stages) - 1

            def show(shown: Picture, *, last: bool) -> None:
                nonlocal number
                message = {"session": command["session"], "revision": command["revision"], "n": number}
                message |= {"width": shown.width, "height": shown.height, "final": last}
                message |= {"seconds": round(time.monotonic() - start, 3)}
                self._channel.send({"do": "picture", **message}, jpeg_bytes(shown, 90))
                number += 1

            early = None if picture else lambda shown: show(shown, last=False)
            while (draft := self._render(job_settings, content, styles, stage, picture, early)) is None:
                yield
            picture = draft
            show(picture, last=final)
            yield

    def _sheet(self, command: Message) -> Iterator[None]:
        """Make the drafts of a sheet, one at each step."""
        content, styles = _pictures(command)
        for index, options in enumerate(cells_of(command["vary"])):
            message = {"session": command["session"], "revision": command["revision"], "index": index}
            try:
                job_settings = _job_settings(command, options)
                while (draft := self._render(job_settings, content, styles, SHEET_STAGE)) is None:
                    yield
            except TilestyleError as error:
                problem, hint = split_message(error)
                self._channel.send({"do": "problem", **message, "error": problem, "hint": hint})
                continue
            message |= {"width": draft.width, "height": draft.height}
            self._channel.send({"do": "picture", **message}, jpeg_bytes(draft, 88))
            yield

    def _render(
        self,
        job_settings: JobSettings,
        content: SmallPicture | None,
        styles: list[SmallPicture],
        stage: tuple[int, int],
        previous: Picture | None = None,
        early: Callable[[Picture], None] | None = None,
    ) -> Picture | None:
        """Render a stage; None if it was interrupted."""
        side, sweeps = stage
        prepared = small_inputs(job_settings, content, styles, side)
        config = replace(draft_settings(prepared.config), size=(prepared.width, prepared.height), sweeps=sweeps)
        if previous is not None:
            config = replace(config, init=as_job_input(previous), coarsest=max(prepared.width, prepared.height))
        job = prepare(list(prepared.styles), config, prepared.content)
        job = replace(job, style_cache=self._style_cache(config, content, styles))
        shown, start = False, time.monotonic()

        def observe(event: Event) -> None:
            nonlocal shown
            if not isinstance(event, SweepDone) or shown or early is None:
                return
            if event.sweep + 1 >= FIRST_LOOK or time.monotonic() - start > FIRST_LOOK_SECONDS:
                shown = True
                early(event.picture())

        stopped = False

        def stop() -> bool:
            nonlocal stopped
            stopped = stopped or self._interrupted()
            return stopped

        picture = render_job(job, observe, stop)
        return None if stopped else picture

    def _style_cache(
        self, config: RenderConfig, content: SmallPicture | None, styles: list[SmallPicture]
    ) -> dict[Any, Any]:
        """Return the measurements of these styles with these settings."""
        of_style = [
            (each.name, str(getattr(config, each.name)))
            for each in fields(RenderConfig)
            if each.name not in WITHOUT_EFFECT_ON_STYLES
        ]
        # With colors of the content, the styles are recolored like it.
        colors = (content and content.file) if config.color != "style" else None
        key = repr((of_style, [style.file for style in styles], content is None, colors))
        cache = self._style_caches.pop(key, {})
        self._style_caches[key] = cache
        while len(self._style_caches) > CACHED_STYLES:
            self._style_caches.popitem(last=False)
        return cache


def as_job_input(picture: Picture) -> Any:
    """Return a picture as `prepare` takes it."""
    return picture


def small_inputs(
    job_settings: JobSettings, content: SmallPicture | None, styles: list[SmallPicture], side: int
) -> PreparedInputs:
    """Return the inputs of a draft: crops, strokes and proportions as in the full picture.

    Args:
        job_settings: What is made.
        content: The content; None for a texture.
        styles: The styles.
        side: Long side of the draft, pixels.
    """
    from tilestyle.images import as_source
    from tilestyle.planning.inputs import Style

    height, width = full_size(job_settings, content)
    share = min(1.0, side / max(height, width))
    printing = job_settings.printing
    config = job_settings.config
    if printing.paper is not None:
        dpi = max(1.0, (printing.dpi or 300.0) * share)  # the library refuses less
        printing = replace(printing, dpi=dpi)
        config = replace(config, size=None)
    else:
        printing = replace(printing, dpi=None if printing.dpi is None else max(1.0, printing.dpi * share))
        small = max(1, round(width * share)), max(1, round(height * share))
        config = replace(config, size=small)
    if styles and printing.stroke is None:
        config = replace(config, style_scale=_style_scale(config, content, styles[0], (height, width), share))
    return prepare_inputs(
        config,
        [Style(as_source(style.picture)) for style in styles] or None,
        None if content is None else as_source(content.picture),
        printing.options,
    )


def _style_scale(
    config: RenderConfig,
    content: SmallPicture | None,
    style: SmallPicture,
    full: tuple[int, int],
    share: float,
) -> float:
    """Return the scale at which a small style has the share of the draft that it has of the full picture."""
    own, copy = max(style.width, style.height), max(style.picture.width, style.picture.height)
    if content is None:
        return config.style_scale * own * share / copy
    shown = config.style_scale * max(full)  # long side of the style in the full picture
    return config.style_scale if config.enlarge_style or shown <= own else own / max(full)


def full_size(job_settings: JobSettings, content: SmallPicture | None) -> tuple[int, int]:
    """Return height and width of the full picture."""
    size = None if content is None else (content.height, content.width)
    printing = job_settings.printing
    if printing.paper is not None:
        layout = fit_to_paper(printing.paper, printing.dpi or 300.0, size, printing.fit, printing.bleed)
        return layout.height, layout.width
    return picture_size(job_settings.config.size, size)


def plan(command: Message) -> Message:
    """Return size, time, memory and disk of a job, and what to warn of."""
    from tilestyle.canvas.storage import MappedStore
    from tilestyle.pipeline.estimate import estimate_outline
    from tilestyle.planning.inputs import Style
    from tilestyle.recipes.preview import PreviewRequest, crop_centers, preview_outlines

    job_settings = _job_settings(command)
    content, styles = _pictures(command)
    prepared = prepare_inputs(
        job_settings.config,
        [Style(style.stand_in()) for style in styles] or None,
        None if content is None else content.stand_in(),
        job_settings.printing.options,
    )
    if job_settings.kind == "preview":
        sizes = preview_options(job_settings)
        request = PreviewRequest(sizes["preview_size"], sizes["crop_size"], crop_centers(sizes["crops"]))
        outlines = preview_outlines(prepared, request)
    else:
        outlines = [outline(list(prepared.styles) or None, prepared.config, prepared.content)]
    seconds = [estimate_outline(each, measures=bool(command.get("measures"))) for each in outlines]
    known = [each for each in seconds if each is not None]
    device = outlines[0].job.network.device
    memory = max(each.job.device_bytes for each in outlines)
    total = sum(known) if len(known) == len(seconds) else None
    if total is not None and job_settings.kind == "video":
        total *= max(1, command.get("frames", 1))
    remarks = []
    if prepared.config.enlarge_style and prepared.style_enlargement > MAX_ENLARGEMENT:
        remarks.append(
            f"the strokes are enlarged {prepared.style_enlargement:.1f} times beyond the style's own pixels "
            "and will look soft: use a larger scan of the style, or smaller strokes"
        )
    if prepared.cropped > 0.03:
        remarks.append(
            f"the paper crops {format_percent(prepared.cropped)} of the photograph: "
            "choose contain to keep all of it"
        )
    mapped = outlines[0].mapped or isinstance(outlines[0].job.store, MappedStore)
    return {
        "width": prepared.width,
        "height": prepared.height,
        "dpi": prepared.dpi,
        "seconds": total,
        "memory_bytes": memory,
        "disk_bytes": outlines[0].job.memory_estimate.disk if mapped else 0,
        "warnings": remarks,
        "device": str(device),
    }


def _largest_side(job_settings: JobSettings, content: SmallPicture | None) -> int:
    return max(full_size(job_settings, content))


def _job_settings(command: Message, more: dict[str, Any] | None = None) -> JobSettings:
    options = command["options"] | (more or {})
    job_settings = resolve(command["kind"], options, [style["weight"] for style in command["styles"]])
    network = job_settings.config.network
    if network not in BUILT_IN and downloaded_file(network) is None:
        raise Refused(
            422,
            f"the weights of {network} are not on this machine",
            f"choose another network, or download them once: tilestyle render --network {network}",
        )
    return job_settings


def _pictures(command: Message) -> tuple[SmallPicture | None, list[SmallPicture]]:
    content = command.get("content")
    return (SmallPicture.of(content) if content else None), [SmallPicture.of(s) for s in command["styles"]]


def _gradient() -> Any:
    import numpy as np

    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    return np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.float32(0.5)), axis=2).copy()


def main() -> None:
    """Work as the process of the drafts."""
    warnings.simplefilter("ignore")
    channel = Channel()
    drafts = Drafts(channel)
    threading.Thread(target=drafts.listen, daemon=True).start()
    drafts.run()


if __name__ == "__main__":
    main()
