"""Preview a large render: the whole picture small, and some crops at full size.

A crop follows its place down the levels that the full render would have. At each level, a window around the
place is rendered. It starts from the enlarged window of the level before, with the content under it, and with
the style at the size that it will have there. So a crop costs one window per level, however large the picture
is. What it does not know is the rest of the picture: the style is matched within the window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, cast

import numpy as np
import torch

from tilestyle.canvas.color import ColorMoments, color_moments
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Color
from tilestyle.config.render import RenderConfig
from tilestyle.config.validation import MAX_INT32, check_fields, setting_error
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box
from tilestyle.images import ImageSource, Picture, as_source, contact_sheet, crop_source, read_all
from tilestyle.images.faces import Face
from tilestyle.pipeline import api
from tilestyle.pipeline.events import Event, Finished, Observer, SweepDone
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.prepare import outline, prepare
from tilestyle.pipeline.run import render_job
from tilestyle.planning.content_map import faces_in
from tilestyle.planning.inputs import Style, load_planes
from tilestyle.planning.resolve import COARSEST_STYLE
from tilestyle.planning.schedule import Level, Pyramid, learning_rate_falloff, plan_levels
from tilestyle.recipes.printing import PreparedInputs, crop_masks

MIN_CROP_MARGIN = 128
"""Smallest margin rendered around a crop, pixels: near its edge a window lacks its surroundings."""

MIN_WINDOW = 768
"""Smallest side of a window, pixels: less of the picture is not enough to match the style."""

_RESAMPLE_MARGIN = 8  # pixels of a source around a window that resampling needs
_PALETTE_SIDE = 1024  # long side at which colors are measured, pixels
_CROP_CENTERS = ((0.5, 0.5), (0.25, 0.3), (0.75, 0.7), (0.75, 0.25), (0.25, 0.75), (0.5, 0.15), (0.5, 0.85))


@dataclass(frozen=True)
class PreviewRequest:
    """What to preview.

    Attributes:
        side: Long side of the small picture, pixels.
        crop: Side of the crops, pixels.
        at: Centers of the crops (down, across), as fractions of the picture.
    """

    side: int
    crop: int
    at: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SettingError: A size is out of range, or a crop lies outside the picture.
        """
        check_fields(self)
        for name, side, minimum in (("preview-size", self.side, 64), ("crop-size", self.crop, 16)):
            if not minimum <= side <= MAX_INT32:
                raise setting_error(name, side, f"pixels, {minimum} or more")
        for down, across in self.at:
            if not (0 <= down <= 1 and 0 <= across <= 1):
                raise SettingError(
                    f"a crop at {across},{down} lies outside the picture",
                    hint="give fractions from 0 to 1, such as 0.5,0.25",
                )


@dataclass(frozen=True)
class PreviewCrop:
    """A preview of a part of the finished picture, and the box where it lies."""

    box: Box
    picture: Picture


@dataclass(frozen=True)
class Preview:
    """The small picture, and crops at full size.

    Attributes:
        small: The whole picture at a small size.
        crops: Parts of it at full size; those that are finished, if the preview was stopped.
        height: Height of the finished picture, pixels.
        width: Width of the finished picture, pixels.
        stopped_at: Number of the crop, from 1, at which it was stopped; 0 for the small picture, which then is
            as far as it got. None if the preview is complete.
    """

    small: Picture
    crops: tuple[PreviewCrop, ...]
    height: int
    width: int
    stopped_at: int | None = None

    def sheet(self) -> Picture:
        """Return all in one picture: the small picture with numbered frames, and the crops below."""
        across, down = self.small.width / self.width, self.small.height / self.height
        frames = [
            (crop.box.top * down, crop.box.left * across, crop.box.height * down, crop.box.width * across)
            for crop in self.crops
        ]
        return contact_sheet(self.small, frames, [crop.picture for crop in self.crops])


@dataclass(frozen=True)
class PreviewStep:
    """The next render of a preview.

    Attributes:
        crop: Number of the crop, from 1; 0 for the small picture.
        levels_left: Levels of this crop that follow.
        height: Height of the render, pixels.
        width: Width of the render, pixels.
        number: Number of the render, from 0.
        pixels: Pixels of every render of the preview, in order.
    """

    crop: int
    levels_left: int
    height: int
    width: int
    number: int
    pixels: tuple[int, ...]


def crop_centers(count: int) -> tuple[tuple[float, float], ...]:
    """Return the centers of this many crops, spread over the picture.

    Raises:
        SettingError: There are too many.
    """
    if not 0 <= count <= len(_CROP_CENTERS):
        raise SettingError(
            f"{count} crops cannot be placed automatically",
            hint=f"give 0 to {len(_CROP_CENTERS)}, or --at for each",
        )
    return _CROP_CENTERS[:count]


@with_torch_state
def preview(
    inputs: PreparedInputs,
    request: PreviewRequest,
    on_render: Callable[[PreviewStep], None] = lambda step: None,
    stop: Callable[[], bool] | None = None,
    observer: Observer | None = None,
) -> Preview:
    """Preview a render.

    Args:
        inputs: The inputs of the full render.
        request: Sizes and places to preview.
        on_render: Called before each render.
        stop: Asked whether to stop, as for `api.render`.
        observer: Called with the events of every render.

    Returns:
        The small picture and the crops.

    Raises:
        TilestyleError: As in `api.render`; also if crops are asked for with locality.
    """
    if inputs.config.locality and request.at:
        raise SettingError(
            "crops cannot be previewed with locality, which depends on their place in the whole picture",
            hint="give --crops 0",
        )
    on_render = guard_callback(on_render, "the observer")
    long_side = max(inputs.height, inputs.width)
    share = min(1.0, request.side / long_side)
    height, width = (max(1, round(side * share)) for side in (inputs.height, inputs.width))
    finer_levels = _finer_levels(inputs, share)
    windows = [_windows(request, center, finer_levels) for center in request.at]
    renders = list(dict.fromkeys(window for crop_windows in windows for window in crop_windows))
    pixels = (height * width, *(box.height * box.width for _, box in renders))
    on_render(PreviewStep(0, 0, height, width, 0, pixels))
    watch = _Watch(observer, stop)
    styles = [Style(read_all(cast(ImageSource, style.picture)), style.mask) for style in inputs.styles]
    model = PreviewStyles(styles, _content_colors(inputs), _content_faces(inputs))
    small = _render(inputs, model, _small_config(inputs, (height, width)), None, watch)
    if watch.stopped:
        return Preview(small, (), inputs.height, inputs.width, 0)
    weight = watch.last_sweep.content_weight if watch.last_sweep else None
    if weight is not None:  # the windows get the weight of the whole
        inputs = replace(inputs, config=replace(inputs.config, content_weight=weight))
    crops: list[PreviewCrop] = []
    rendered_windows: dict[tuple[int, Box], RenderedWindow] = {}  # crops can share windows
    for number, (center, crop_windows) in enumerate(zip(request.at, windows, strict=True), 1):
        window = RenderedWindow(Box(0, 0, height, width), (height, width), small)
        for index, box in crop_windows:
            if (index, box) not in rendered_windows:
                finer_count, place = len(finer_levels) - index - 1, 1 + renders.index((index, box))
                on_render(PreviewStep(number, finer_count, box.height, box.width, place, pixels))
                rendered_windows[index, box] = _render_window(
                    inputs, model, finer_levels[index], window, box, watch
                )
                if watch.stopped:
                    return Preview(small, tuple(crops), inputs.height, inputs.width, number)
            window = rendered_windows[index, box]
        box = _box_around(center, (inputs.height, inputs.width), request.crop)
        crops.append(PreviewCrop(box, window.crop(box, (inputs.height, inputs.width))))
    return Preview(small, tuple(crops), inputs.height, inputs.width)


class _Watch:
    """The observer of each render of a preview.

    Attributes:
        stop: Asked whether to stop.
        stopped: Whether a render was stopped.
        last_sweep: The last sweep of the latest render.
    """

    def __init__(self, observer: Observer | None, stop: Callable[[], bool] | None) -> None:
        self._observer = guard_callback(observer, "the observer") if observer else None
        self.stop = stop
        self.stopped = False
        self.last_sweep: SweepDone | None = None

    def __call__(self, event: Event) -> None:
        """Note what happens."""
        if isinstance(event, SweepDone):
            self.last_sweep = event
        elif isinstance(event, Finished):
            self.stopped = not event.complete
        if self._observer:
            self._observer(event)


def _windows(
    request: PreviewRequest, center: tuple[float, float], levels: list[Level]
) -> list[tuple[int, Box]]:
    """Return the windows of a crop: the index of each level, and the box in the picture of that level."""
    side = max(request.crop + 2 * MIN_CROP_MARGIN, MIN_WINDOW)
    return [
        (index, _box_around(center, (level.extent.picture.height, level.extent.picture.width), side))
        for index, level in enumerate(levels)
    ]


def preview_outlines(inputs: PreparedInputs, request: PreviewRequest) -> list[Outline]:
    """Plan the renders of a preview: the small picture, then every window. Nothing is rendered.

    Args:
        inputs: The inputs of the full render.
        request: Sizes and places to preview.
    """
    share = min(1.0, request.side / max(inputs.height, inputs.width))
    small = max(1, round(inputs.height * share)), max(1, round(inputs.width * share))
    styles = inputs.styles or None
    outlines = [outline(styles, _small_config(inputs, small), inputs.content)]
    planned: set[tuple[int, Box]] = set()
    levels = _finer_levels(inputs, share)
    for center in request.at:
        for index, box in _windows(request, center, levels):
            if (index, box) in planned:
                continue
            planned.add((index, box))
            level = levels[index]
            size = level.extent.picture.height, level.extent.picture.width
            content_share = 1.0 if inputs.content is None else max(size) / max(box.height, box.width)
            config = replace(
                crop_masks(inputs.config, (box.top, box.left, box.height, box.width), size),
                size=(box.width, box.height),
                style_scale=inputs.config.style_scale
                * (level.size_ratio if inputs.content is None else content_share),
                coarsest=max(box.height, box.width),
                sweeps=level.sweeps,
                init=None,
                tileable=None,
            )
            outlines.append(outline(styles, config, inputs.content))
    return outlines


@dataclass(frozen=True)
class PreviewStyles:
    """What all windows share: the styles, and of the whole content its colors and faces, where they matter."""

    styles: list[Style]
    palette: ColorMoments | None
    faces: tuple[Face, ...] | None


@dataclass(frozen=True)
class RenderedWindow:
    """The pixels of a part of a picture.

    Attributes:
        box: The part.
        size: Height and width of the whole picture, pixels.
        picture: The pixels.
    """

    box: Box
    size: tuple[int, int]
    picture: Picture

    def crop(self, box: Box, size: tuple[int, int]) -> Picture:
        """Return the pixels under a box of the whole picture at another size."""
        return resample_box(as_source(self.picture), self.box, self.size, box, size)


def resample_box(
    source: ImageSource, place: Box, size: tuple[int, int], box: Box, target: tuple[int, int]
) -> Picture:
    """Return the pixels of a part of a picture at another size, exact to half a pixel.

    It reads no more of the source than lies under the box.

    Args:
        source: The pixels of the part `place` of a picture of size `size`.
        place: Where the source lies in that picture.
        size: Height and width of that picture.
        box: The part to return, in the picture at the size `target`.
        target: Height and width of the picture to return a part of.
    """
    rows, top, height = _span(place.top, source.height, target[0] / size[0], box.top, box.height)
    columns, left, width = _span(place.left, source.width, target[1] / size[1], box.left, box.width)
    part = crop_source(source, rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    if height <= part.height and width <= part.width:
        picture = part.downsample(height, width)
    else:
        read_part = read_all(part)
        pixels = _resize_array(read_part.pixels, height, width)
        alpha = (
            None
            if read_part.alpha is None
            else _resize_array(read_part.alpha[..., None], height, width)[..., 0]
        )
        picture = replace(read_part, pixels=pixels, alpha=alpha)
    inside = np.s_[top : top + box.height, left : left + box.width]
    alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha[inside])
    return replace(picture, pixels=np.ascontiguousarray(picture.pixels[inside]), alpha=alpha)


def _span(place: int, side: int, scale: float, start: int, length: int) -> tuple[slice, int, int]:
    """Compute one axis of `resample_box`.

    Args:
        place: Start of the source in its picture, pixels.
        side: Length of the source.
        scale: Length of the target picture over that of the source's.
        start: Start of the box in the target picture.
        length: Length of the box.

    Returns:
        Pixels of the source to read, the start of the box in them after scaling, and their scaled length.
    """
    first = max(0, floor(start / scale) - place - _RESAMPLE_MARGIN)
    last = min(side, ceil((start + length) / scale) - place + _RESAMPLE_MARGIN)
    offset = round(start - (place + first) * scale)
    count = max(round((last - first) * scale), offset + length)
    return slice(first, last), max(0, min(offset, count - length)), count


def _resize_array(values: Any, height: int, width: int) -> Any:
    """Resample an array [h, w, C]."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)  # [C, h, w]
    return resize(tensor, Box(0, 0, height, width)).clamp_(0, 1).permute(1, 2, 0).contiguous().numpy()


def _box_around(place: tuple[float, float], size: tuple[int, int], side: int) -> Box:
    """Return a box around a place, inside a picture.

    Args:
        place: Center of the box (down, across), as fractions of the picture.
        size: Height and width of the picture.
        side: Largest side of the box.
    """
    height, width = (min(side, picture_side) for picture_side in size)
    top, left = (
        min(max(0, round(share * picture_side - length / 2)), picture_side - length)
        for share, picture_side, length in zip(place, size, (height, width), strict=True)
    )
    return Box(top, left, height, width)


def _content_colors(inputs: PreparedInputs) -> ColorMoments | None:
    """Measure the colors of the whole content on a small copy; None if the color mode does not need them.

    A window on its own has other colors.
    """
    if inputs.content is None or inputs.config.color is Color.STYLE:
        return None
    share = min(1.0, _PALETTE_SIDE / max(inputs.content.height, inputs.content.width))
    sides = (max(1, round(side * share)) for side in (inputs.content.height, inputs.content.width))
    return color_moments(*load_planes(inputs.content.downsample(*sides), MemoryStore()))


def _content_faces(inputs: PreparedInputs) -> tuple[Face, ...] | None:
    """Find the faces in the whole content, with `keep_faces`; a window may show only a part of one."""
    if inputs.content is None or not inputs.config.keep_faces:
        return None
    return faces_in(inputs.content)


def _small_config(inputs: PreparedInputs, size: tuple[int, int]) -> RenderConfig:
    """Return the settings for the whole picture at a small size (height, width)."""
    scale = inputs.config.style_scale
    if inputs.content is None:  # a texture's scale refers to the style's own size, a render's to the picture
        scale *= max(size) / max(inputs.height, inputs.width)
    return replace(inputs.config, size=(size[1], size[0]), style_scale=scale)


def _finer_levels(inputs: PreparedInputs, share: float) -> list[Level]:
    """Return the levels of the full render that are clearly larger than the small picture.

    Args:
        inputs: The inputs of the full render.
        share: Size of the small picture relative to the full one.

    Returns:
        The levels, whose sizes and numbers of sweeps are used.
    """
    config, long_side = inputs.config, max(inputs.height, inputs.width)
    coarsest = float(config.coarsest)
    if inputs.content is None:
        style_side = config.style_scale * max(
            max(cast(ImageSource, style.picture).height, cast(ImageSource, style.picture).width)
            for style in inputs.styles
        )
        coarsest = max(coarsest, long_side * min(1.0, COARSEST_STYLE / style_side))
    rate_falloff = learning_rate_falloff(config, with_content=inputs.content is not None)
    pyramid = Pyramid(min(coarsest, long_side), long_side, 1, rate_falloff)
    min_ratio = share * config.level_ratio**0.5
    all_levels = plan_levels(inputs.height, inputs.width, config, pyramid)
    return [
        level
        for level in all_levels
        if share < level.size_ratio and (min_ratio < level.size_ratio or level.size_ratio == 1.0)
    ]


def _render_window(
    inputs: PreparedInputs,
    styles: PreviewStyles,
    level: Level,
    window: RenderedWindow,
    box: Box,
    watch: _Watch,
) -> RenderedWindow:
    """Render the window of the next level.

    Args:
        inputs: The inputs of the full render.
        styles: The styles, and the colors and faces of the whole content.
        level: The level.
        window: The window of the level before.
        box: The window to render, in the picture of this level.
        watch: Sees its events.
    """
    size = level.extent.picture.height, level.extent.picture.width
    content = None
    style_share = level.size_ratio
    if inputs.content is not None:
        content_size = inputs.content.height, inputs.content.width
        content = resample_box(inputs.content, Box(0, 0, *content_size), content_size, box, size)
        style_share = max(size) / max(box.height, box.width)
    config = replace(
        crop_masks(inputs.config, (box.top, box.left, box.height, box.width), size),
        size=(box.width, box.height),
        style_scale=inputs.config.style_scale * style_share,
        init=cast(Any, window.crop(box, size)),
        coarsest=max(box.height, box.width),
        sweeps=level.sweeps,
        learning_rate=inputs.config.learning_rate * level.learning_rate_factor,
        learning_rate_falloff=0.0,
        tileable=None,
    )
    if styles.faces is not None:
        place = box.top, box.left, box.height, box.width
        styles = replace(styles, faces=tuple(face.seen_in(place, size) for face in styles.faces))
    return RenderedWindow(box, size, _render(inputs, styles, config, content, watch))


def _render(
    inputs: PreparedInputs,
    styles: PreviewStyles,
    config: RenderConfig,
    content: Picture | None,
    watch: _Watch,
) -> Picture:
    """Render a picture with these settings.

    Args:
        inputs: The inputs of the full render.
        styles: The styles, and the colors and faces of the whole content.
        config: The settings.
        content: The content; None for the whole of it, or for a texture.
        watch: Sees its events.
    """
    if inputs.content is None:
        return api.texture(styles.styles, config, observer=watch, stop=watch.stop)
    if content is None:
        width, height = cast(tuple[int, int], config.size)
        smaller = height <= inputs.content.height and width <= inputs.content.width
        content = inputs.content.downsample(height, width) if smaller else read_all(inputs.content)
    job = prepare(styles.styles, config, content, palette=styles.palette, faces=styles.faces)
    return render_job(job, watch, watch.stop)
