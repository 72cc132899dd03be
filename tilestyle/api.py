"""Render and texture, from Python: pictures in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tilestyle import images
from tilestyle.agreement import check_colours, check_company, inverting
from tilestyle.allocator import release
from tilestyle.anchor import check_anchor
from tilestyle.budget import Limits, needed
from tilestyle.canvas import Canvas, resized
from tilestyle.checkpoint import Checkpoints, Left
from tilestyle.config import Color, Init, RenderConfig
from tilestyle.errors import SettingError
from tilestyle.estimate import seconds_for
from tilestyle.footprint import Pictures
from tilestyle.geometry import Box
from tilestyle.guides import guided, roled, roles
from tilestyle.images import Picture
from tilestyle.job import Job
from tilestyle.objective import Terms
from tilestyle.palette import Palette, palette_of
from tilestyle.plan import Level
from tilestyle.planes import Folder, Memory, Shared, Store
from tilestyle.progress import Clock, Finished, LevelStarted, Observer, PatchHalved, Resumed, Started, SweepDone
from tilestyle.ranks import ALONE
from tilestyle.recolour import recoloured
from tilestyle.rescue import persist
from tilestyle.resolved import planned, resolve
from tilestyle.sources import Style, check_visible, digest, opened, planes_of, style_list
from tilestyle.work import Work, WorkFolder

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | Image | np.ndarray[Any, Any] | Tensor | Picture | images.Source
    Styles = Source | Style | Sequence[Source | Style]

# Settings that JSON holds; the others are files and pictures.
PLAIN = (bool, int, float, str, tuple, dict)
# Settings that are pictures, whatever they are given as.
GUIDES = ("mask", "blend_map")
Anchor = tuple[Tensor | None, Tensor | None]
# Long side of the picture that a watcher is shown, pixels.
WATCHED = 1600


def render(
    content: Source,
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """The content in the style: a picture of `config.size`, by default the content's own.

    `content` and `style` are paths, PIL images, arrays [H, W(, C)] or tensors [C, H, W] (uint8, or
    floats in [0, 1]), or a Source that is read by windows (images). A list of styles is blended by
    `config.style_blend`; a `Style` has a mask, for the regions of `config.mask`. `observer` is told of every
    level and sweep (progress.py). `stop` is asked after every patch; once it answers True, the picture is
    returned as far as it got, at its full size.

    With `work`, a folder that is made, the render is kept there every ten minutes: killed, and called again in
    the same way, it goes on. What memory does not hold is there, too. It is removed at the end. Processes that
    render together (ranks.py) give the same folder, with their `ranks`; the picture is then the first one's.

    Raises TilestyleError (errors.py) when an input, a setting or a device cannot be used.
    """
    config = config or RenderConfig()
    sources = {**roles(style_list(style)), "content": content}
    with working(work, lambda: identity(config, sources)) as checkpoints:
        return run(prepare(style, config, content, checkpoints), observer, stop, checkpoints)


def texture(
    style: Styles,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """A picture of `config.size` (512 pixels square by default) with the style alone, from noise.

    Arguments and errors as in `render`. The style is seen at its own size times `config.style_scale`.
    """
    config = config or RenderConfig()
    with working(work, lambda: identity(config, roles(style_list(style)))) as checkpoints:
        return run(prepare(style, config, None, checkpoints), observer, stop, checkpoints)


def invert(
    content: Source,
    config: RenderConfig | None = None,
    *,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    work: Work | str | os.PathLike[str] | None = None,
) -> Picture:
    """The content made anew from its activations in `config.content_layers` alone, from noise.

    Mahendran and Vedaldi 2015 (arXiv 1412.0035): what a layer does not see is not in the picture;
    `config.tv_weight` smooths it. Arguments and errors as in `render`. The content's weight is 1 unless given.
    """
    config = inverting(config or RenderConfig())
    with working(work, lambda: identity(config, {"content": content})) as checkpoints:
        return run(prepare(None, config, content, checkpoints), observer, stop, checkpoints)


@contextmanager
def working(
    work: Work | str | os.PathLike[str] | None,
    about: Callable[[], Mapping[str, Any]],
    agree: Callable[[Left], bool] = lambda left: True,
) -> Iterator[Checkpoints | None]:
    """Checkpoints in a work folder, made or gone on from; None without a folder.

    `about` says what the render is of (`identity`), `agree` is asked whether to go on, else it begins anew.
    The folder is removed when the block ends with the render complete, or nothing kept. Raises WorkError when
    it is in use, damaged, or was left by another render.
    """
    if work is None:
        yield None
        return
    work = work if isinstance(work, Work) else Work(Path(work))
    ranks = work.ranks
    folder = WorkFolder(work.path, ranks)
    checkpoints = None
    try:
        facts = about() if ranks.first else {}
        if work.restart and ranks.first:
            folder.clear()
        checkpoints = Checkpoints(folder, facts, work)
        if checkpoints.left and not ranks.told(ranks.first and agree(checkpoints.left)):
            if ranks.first:
                folder.clear()
            checkpoints = Checkpoints(folder, facts, work)
        yield checkpoints
    finally:
        if checkpoints is not None:
            checkpoints.close()
        idle = checkpoints is not None and (checkpoints.complete or not checkpoints.any)
        folder.close(remove=idle and not work.keep)


def identity(config: RenderConfig, sources: Mapping[str, object]) -> dict[str, Any]:
    """What a render is of, as JSON: its settings, and digests of what comes in."""
    limits = ("memory", "host_memory")  # decide where things are, not what becomes of them
    settings = {
        field.name: value
        if value is None or (isinstance(value, PLAIN) and field.name not in GUIDES)
        else digest(value)
        for field in fields(config)
        if field.name not in limits
        for value in [getattr(config, field.name)]
    }
    return {"settings": settings, **{role: digest(source) for role, source in sources.items()}}


def prepare(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None = None,
    checkpoints: Checkpoints | None = None,
    palette: Palette | None = None,
) -> Job:
    """Resolve pictures and settings into a job; with `checkpoints`, one that may use their folder.

    Without a style the picture is of the content's activations alone (`invert`).
    `palette` is that of the picture of which the content is a part, if it is one, for the modes that take it.
    """
    ranks = checkpoints.ranks if checkpoints else ALONE
    check_colours(config, with_content=content is not None)
    check_company(config, ranks.count)
    seen = resolve(config, with_content=content is not None, with_style=style is not None)
    init = None if config.init is None or isinstance(config.init, Init) else config.init
    guides = guided(style_list(style), config, with_content=content is not None)
    given = {"content": content, "init": init, "anchor": config.anchor}
    given = {role: source for role, source in given.items() if source is not None}
    styles = {role: each.picture for role, each in roled(guides.styles)}
    sizes = {role: _size(source, role, seen.unit) for role, source in (styles | given).items()}
    pictures = Pictures(
        tuple(sizes[role] for role in styles),
        sizes.get("content"),
        sizes.get("init"),
        guides.planes,
        sizes.get("anchor"),
    )
    left = checkpoints.left if checkpoints else None
    if not checkpoints:
        Limits.of(config).check_reading(sum(pictures.areas), seen.network.device)
    plan = planned(
        config,
        replace(seen, regions=guides.count),
        pictures,
        files=checkpoints is not None,
        settled=left.settled if left else None,
        ranks=ranks,
    )
    store: Store = Memory(plan.home)
    if checkpoints:
        checkpoints.begin(plan.settled, plan.need.disk)
        if ranks.count > 1:
            store = Shared(checkpoints.path, company=ranks)
        elif plan.settled.mapped:
            store = Folder(checkpoints.path)
    beside: Store = Folder(store.path) if isinstance(store, Folder) else Memory()
    planes = {role: planes_of(source, store) for role, source in given.items()}
    anchor, trust = _anchored(config, planes, store)
    if anchor is not None:
        check_anchor(anchor, plan.levels[-1].extent.picture)
    release()
    pixels, alpha = planes.get("content", (None, None))
    shown = {role: plane for role, (plane, _) in planes.items()}
    del planes
    exemplars = guides.exemplars(beside)
    if pixels is not None and config.color is not Color.STYLE:
        palette = palette or palette_of(pixels, alpha)
        shown = recoloured(config.color, shown, palette, beside)
        exemplars = tuple(
            replace(each, picture=recoloured(config.color, {"": each.picture}, palette, beside)[""])
            for each in exemplars
        )
    return Job(
        config=config,
        network=seen.network,
        weights=seen.weights,
        size=plan.size,
        levels=plan.levels,
        side=plan.side,
        unit=seen.unit,
        halo=seen.halo,
        styles=exemplars,
        layout=guides.layout(beside),
        content=shown.get("content"),
        colours=pixels if config.color is Color.LUMINANCE else None,
        alpha=alpha,
        init=shown.get("init", _init(config, with_content=content is not None)),
        store=store,
        content_kept=plan.settled.content_kept,
        need=plan.need,
        limits=seen.limits,
        history=plan.settled.history,
        anchor=anchor,
        trust=trust,
    )


def run(
    job: Job,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Picture:
    """Render a job; the content's transparency, if it has any, is kept.

    A picture whose canvas is in files is not copied into memory: to be read a few rows at a time.
    """
    first = job.ranks.first
    tell: Callable[..., None] = (first and observer) or (lambda event: None)
    tell(started(job))
    release()
    left = checkpoints.left if checkpoints else None
    standing = checkpoints.standing(job) if checkpoints else None
    done_before = (left.level, left.sweep) if left else (0, 0)
    clock = Clock([(level.extent.area / 1e6, level.sweeps) for level in job.levels], done_before)
    if left:
        clock.level()
        tell(Resumed(job.levels[left.level], len(job.levels), left.sweep, left.seconds))

    def begin(level: Level) -> None:
        clock.level()
        tell(LevelStarted(level, len(job.levels)))

    def look(canvas: Canvas) -> Picture:
        release()  # what patches used makes room for the copy
        return as_picture(job.coloured(glance(canvas.picture())), job.alpha)

    def done(level: Level, sweep: int, terms: Terms, canvas: Canvas) -> None:
        taken = clock.sweep()
        tell(
            SweepDone(
                level,
                len(job.levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                clock.seconds,
                clock.left(),
                level.extent.area / 1e6 / taken,
                lambda: look(canvas),
                terms.anchor,
            )
        )

    asked = stop or (lambda: False)
    canvas, complete = persist(job, begin, done, asked, lambda side: tell(PatchHalved(side)), standing)
    if checkpoints and standing and complete:
        checkpoints.enter(standing)  # writing takes a while, too
    release()
    pixels = canvas.picture()
    del canvas, standing  # with the optimiser's state, before the picture is copied
    if first:
        pixels = job.finished(pixels)
    if checkpoints:
        checkpoints.complete = complete
    picture = as_picture(pixels, job.alpha if first else None, job.beside)
    tell(Finished(complete, clock.seconds))
    return picture


def started(job: Job) -> Started:
    """What a render can say of itself before it begins."""
    device = job.network.device
    need, limits = needed(job.need, device, job.home), job.limits
    return Started(
        job.side,
        device.type,
        need,
        limits.memory,
        job.need.held,
        limits.host,
        job.need.disk if isinstance(job.store, Folder) else 0,
        lambda: seconds_for(job),
    )


def glance(pixels: Tensor) -> Tensor:
    """Host pixels [3, h, w] of at most `WATCHED` a side."""
    factor = WATCHED / max(pixels.shape[1:])
    if factor >= 1:
        return pixels
    return resized(pixels, Box(0, 0, *(max(1, round(side * factor)) for side in pixels.shape[1:])))


def as_picture(pixels: Tensor, alpha: Tensor | None = None, store: Store | None = None) -> Picture:
    """Pixels [3, h, w] as a Picture, a view if they are on the host, with alpha [1, h, w] resampled."""
    plane = None
    if alpha is not None:
        plane = resized(alpha, Box(0, 0, pixels.shape[1], pixels.shape[2]), store=store).clamp_(0, 1)[0].numpy()
    return Picture(pixels.cpu().permute(1, 2, 0).numpy(), alpha=plane)


def _size(source: object, role: str, unit: int) -> tuple[int, int]:
    """Height and width of what holds a picture; raises PictureError where a network sees nothing of it."""
    with opened(source, None) as found:
        if role != "anchor":
            check_visible(found, unit, role)
        return found.height, found.width


def _anchored(config: RenderConfig, planes: Mapping[str, tuple[Tensor, Tensor | None]], store: Store) -> Anchor:
    """The anchor [3, h, w] and how far it is trusted [1, h, w]."""
    if "anchor" not in planes:
        return None, None
    anchor = planes["anchor"][0]
    if config.trust is None:
        return anchor, None
    trust = planes_of(config.trust, store)[0][:1]
    if trust.shape[1:] != anchor.shape[1:]:
        raise SettingError(
            f"the trust has {trust.shape[2]} x {trust.shape[1]} pixels, its anchor {anchor.shape[2]} x "
            f"{anchor.shape[1]}",
            hint="give one number for every pixel of the anchor",
        )
    return anchor, trust


def _init(config: RenderConfig, *, with_content: bool) -> Init:
    """What to begin with, where that is no picture."""
    if config.init is Init.CONTENT and not with_content:
        raise SettingError("a texture has no content to start from", hint="give --init noise or style")
    if isinstance(config.init, Init):
        return config.init
    return Init.CONTENT if with_content else Init.NOISE
