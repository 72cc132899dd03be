"""What a large render will look like, without it: all of it small, and some places at full size.

A place is followed down the levels that the render would have. At each, a window around it is rendered that
starts from the enlarged window before, against the content under it and the style as large as it will be there:
a crop costs a window a level however large the picture. What it cannot know is the rest of the picture: the
style is matched within the window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, cast

import numpy as np
import torch

from tilestyle.canvas.canvas import resized
from tilestyle.canvas.color import Palette, palette_of
from tilestyle.canvas.storage import Memory
from tilestyle.config.enums import Color
from tilestyle.config.render import RenderConfig
from tilestyle.config.validation import LARGEST, check, refused
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture, Source, contact_sheet, cropped, gathered, source_from
from tilestyle.pipeline import api
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.run import run
from tilestyle.planning.inputs import Style, planes_of
from tilestyle.planning.resolve import COARSEST_STYLE
from tilestyle.planning.schedule import Level, Pyramid, falloff, levels
from tilestyle.recipes.printing import Ready, with_guides

SURROUNDINGS = 128
"""Pixels rendered around a crop at the least: near its edge a window has no neighbours."""

LEAST_WINDOW = 768
"""Smallest side of a window, pixels: less of a picture is too little to hold the style."""

_AROUND = 8  # pixels of a source beyond a window that resampling looks at
_SEEN = 1024  # long side at which colours are counted, pixels
_PLACES = ((0.5, 0.5), (0.25, 0.3), (0.75, 0.7), (0.75, 0.25), (0.25, 0.75), (0.5, 0.15), (0.5, 0.85))


@dataclass(frozen=True)
class Wanted:
    """What to show: sides in pixels, ``at`` the centres of crops as shares (down, across) of the picture."""

    side: int
    crop: int
    at: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        check(self)
        for name, side, least in (("preview-size", self.side, 64), ("crop-size", self.crop, 16)):
            if not least <= side <= LARGEST:
                raise refused(name, side, f"pixels, {least} or more")
        for down, across in self.at:
            if not (0 <= down <= 1 and 0 <= across <= 1):
                raise SettingError(
                    f"a crop at {across},{down} lies outside the picture",
                    hint="give shares from 0 to 1, such as 0.5,0.25",
                )


@dataclass(frozen=True)
class Crop:
    """A part of the finished picture as it is expected, and where it lies there."""

    box: Box
    picture: Picture


@dataclass(frozen=True)
class Preview:
    """The picture small, and crops of it at full size."""

    small: Picture
    crops: tuple[Crop, ...]
    height: int  # of the finished picture, pixels
    width: int

    def sheet(self) -> Picture:
        """All in one picture: crops below, numbered, and frames where they lie."""
        across, down = self.small.width / self.width, self.small.height / self.height
        frames = [
            (crop.box.top * down, crop.box.left * across, crop.box.height * down, crop.box.width * across)
            for crop in self.crops
        ]
        return contact_sheet(self.small, frames, [crop.picture for crop in self.crops])


@dataclass(frozen=True)
class Step:
    """What is rendered next: ``crop`` from 1 (0: the small picture), levels ``left`` after it, and its size."""

    crop: int
    left: int
    height: int
    width: int


def places(count: int) -> tuple[tuple[float, float], ...]:
    """Centres of so many crops, spread over the picture. Raises SettingError for too many."""
    if not 0 <= count <= len(_PLACES):
        raise SettingError(
            f"{count} crops cannot be placed", hint=f"give 0 to {len(_PLACES)}, or --at for each"
        )
    return _PLACES[:count]


@isolated
def preview(
    ready: Ready,
    wanted: Wanted,
    begin: Callable[[Step], None] = lambda step: None,
    stop: Callable[[], bool] | None = None,
) -> Preview:
    """Predict the render of what is ready; ``begin`` is told of every render. Errors as in api.render."""
    if ready.config.locality and wanted.at:
        raise SettingError(
            "crops cannot be foreseen with locality: rendered alone, they are not where they belong",
            hint="give --crops 0",
        )
    begin = guarded(begin, "the observer")
    long_side = max(ready.height, ready.width)
    share = min(1.0, wanted.side / long_side)
    height, width = (max(1, round(side * share)) for side in (ready.height, ready.width))
    begin(Step(0, 0, height, width))
    styles = [Style(gathered(cast(Source, style.picture)), style.mask) for style in ready.styles]
    model = Model(styles, _palette(ready))
    seen: list[SweepDone] = []
    small = _rendered(ready, model, _small(ready, (height, width)), None, stop, seen)
    if seen and seen[-1].content_weight is not None:  # windows are parts of it: they have its weight
        ready = replace(ready, config=replace(ready.config, content_weight=seen[-1].content_weight))
    finer = _finer(ready, share)
    crops = []
    known: dict[tuple[int, Box], Window] = {}  # windows that crops share
    for number, place in enumerate(wanted.at, 1):
        window = Window(Box(0, 0, height, width), (height, width), small)
        for index, level in enumerate(finer):
            size = level.extent.picture.height, level.extent.picture.width
            box = _around(place, size, max(wanted.crop + 2 * SURROUNDINGS, LEAST_WINDOW))
            if (index, box) not in known:
                begin(Step(number, len(finer) - index - 1, box.height, box.width))
                known[index, box] = _refined(ready, model, level, window, box, stop)
            window = known[index, box]
        box = _around(place, (ready.height, ready.width), wanted.crop)
        crops.append(Crop(box, window.part(box, (ready.height, ready.width))))
    return Preview(small, tuple(crops), ready.height, ready.width)


@dataclass(frozen=True)
class Model:
    """What every window is rendered after: the styles, and the whole content's colours where they matter."""

    styles: list[Style]
    palette: Palette | None


@dataclass(frozen=True)
class Window:
    """Pixels of a part of a picture: ``box`` of it at ``size`` (height, width)."""

    box: Box
    size: tuple[int, int]
    picture: Picture

    def part(self, box: Box, size: tuple[int, int]) -> Picture:
        """What lies under a box of the whole at another size."""
        return resampled(source_from(self.picture), self.box, self.size, box, size)


def resampled(source: Source, place: Box, size: tuple[int, int], box: Box, target: tuple[int, int]) -> Picture:
    """The pixels under ``box`` of a whole at ``target`` pixels; the source is its part ``place`` at ``size``.

    True to half a pixel. Reads no more of the source than lies under the box.
    """
    rows, top, height = _span(place.top, source.height, target[0] / size[0], box.top, box.height)
    columns, left, width = _span(place.left, source.width, target[1] / size[1], box.left, box.width)
    part = cropped(source, rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    if height <= part.height and width <= part.width:
        picture = part.shrunk(height, width)
    else:
        seen = gathered(part)
        pixels = _resized(seen.pixels, height, width)
        alpha = None if seen.alpha is None else _resized(seen.alpha[..., None], height, width)[..., 0]
        picture = replace(seen, pixels=pixels, alpha=alpha)
    inside = np.s_[top : top + box.height, left : left + box.width]
    alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha[inside])
    return replace(picture, pixels=np.ascontiguousarray(picture.pixels[inside]), alpha=alpha)


def _span(place: int, side: int, scale: float, start: int, length: int) -> tuple[slice, int, int]:
    """One axis: pixels of the source to read, where the box begins in them scaled, and how many these are."""
    first = max(0, floor(start / scale) - place - _AROUND)
    last = min(side, ceil((start + length) / scale) - place + _AROUND)
    before = round(start - (place + first) * scale)
    count = max(round((last - first) * scale), before + length)
    return slice(first, last), max(0, min(before, count - length)), count


def _resized(values: Any, height: int, width: int) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)
    return resized(tensor, Box(0, 0, height, width)).clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()


def _around(place: tuple[float, float], size: tuple[int, int], side: int) -> Box:
    """A box of at most ``side`` pixels a side around a place, inside a picture of ``size``."""
    height, width = (min(side, whole) for whole in size)
    top, left = (
        min(max(0, round(share * whole - length / 2)), whole - length)
        for share, whole, length in zip(place, size, (height, width), strict=True)
    )
    return Box(top, left, height, width)


def _palette(ready: Ready) -> Palette | None:
    """Colours of the whole content, from a small copy: a window's own are others."""
    if ready.content is None or ready.config.color is Color.STYLE:
        return None
    share = min(1.0, _SEEN / max(ready.content.height, ready.content.width))
    sides = (max(1, round(side * share)) for side in (ready.content.height, ready.content.width))
    return palette_of(*planes_of(ready.content.shrunk(*sides), Memory()))


def _small(ready: Ready, size: tuple[int, int]) -> RenderConfig:
    """Settings of the whole picture at a smaller size."""
    scale = ready.config.style_scale
    if ready.content is None:  # of its own size; a render's is a share of the picture
        scale *= max(size) / max(ready.height, ready.width)
    return replace(ready.config, size=size, style_scale=scale)


def _finer(ready: Ready, share: float) -> list[Level]:
    """The levels of the full render that are well above a share of its size; size and sweeps count."""
    config, long_side = ready.config, max(ready.height, ready.width)
    coarsest = float(config.coarsest)
    if ready.content is None:
        shown = config.style_scale * max(
            max(cast(Source, style.picture).height, cast(Source, style.picture).width) for style in ready.styles
        )
        coarsest = max(coarsest, long_side * min(1.0, COARSEST_STYLE / shown))
    fall = falloff(config, with_content=ready.content is not None)
    pyramid = Pyramid(min(coarsest, long_side), long_side, 1, fall)
    worth = share * config.level_ratio**0.5
    ladder = levels(ready.height, ready.width, config, pyramid)
    return [level for level in ladder if share < level.share and (worth < level.share or level.share == 1.0)]


def _refined(
    ready: Ready, model: Model, level: Level, window: Window, box: Box, stop: Callable[[], bool] | None
) -> Window:
    """The next window, rendered as a part of this level."""
    size = level.extent.picture.height, level.extent.picture.width
    content = None
    shown = level.share
    if ready.content is not None:
        whole = ready.content.height, ready.content.width
        content = resampled(ready.content, Box(0, 0, *whole), whole, box, size)
        shown = max(size) / max(box.height, box.width)
    config = replace(
        with_guides(ready.config, (box.top, box.left, box.height, box.width), size),
        size=(box.height, box.width),
        style_scale=ready.config.style_scale * shown,
        init=cast(Any, window.part(box, size)),
        coarsest=max(box.height, box.width),
        sweeps=level.sweeps,
        learning_rate=ready.config.learning_rate * level.rate,
        learning_rate_falloff=0.0,
        tileable=None,
    )
    return Window(box, size, _rendered(ready, model, config, content, stop))


def _rendered(
    ready: Ready,
    model: Model,
    config: RenderConfig,
    content: Picture | None,
    stop: Callable[[], bool] | None,
    seen: list[SweepDone] | None = None,
) -> Picture:
    """The picture of these settings; its last sweep is noted in `seen`."""

    def watch(event: Event) -> None:
        if seen is not None and isinstance(event, SweepDone):
            seen[:] = [event]

    if ready.content is None:
        return api.texture(model.styles, config, stop=stop)
    if content is None:
        height, width = cast(tuple[int, int], config.size)
        smaller = height <= ready.content.height and width <= ready.content.width
        content = ready.content.shrunk(height, width) if smaller else gathered(ready.content)
    return run(prepare(model.styles, config, content, palette=model.palette), watch, stop)
