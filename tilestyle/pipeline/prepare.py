"""From pictures and settings to a job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tilestyle import images
from tilestyle.canvas.color import Palette, palette_of, recoloured
from tilestyle.canvas.storage import Folder, Memory, Shared, Store
from tilestyle.config.consistency import check_colours, check_company
from tilestyle.config.enums import Color, Init
from tilestyle.config.render import RenderConfig
from tilestyle.devices.failures import in_one_line
from tilestyle.devices.malloc import release
from tilestyle.distributed import ALONE
from tilestyle.errors import SettingError
from tilestyle.images import Picture
from tilestyle.losses.anchor import check_anchor
from tilestyle.pipeline.checkpoint import Checkpoints
from tilestyle.planning.inputs import Style, ample_sides, check_visible, opened, planes_of, style_list
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import Limits
from tilestyle.planning.memory_model import Pictures
from tilestyle.planning.resolve import planned, resolve
from tilestyle.planning.schedule import picture_size
from tilestyle.planning.style_assignment import guided, roled

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | Image | np.ndarray[Any, Any] | Tensor | Picture | images.Source
    Styles = Source | Style | Sequence[Source | Style]


Anchor = tuple[Tensor | None, Tensor | None]


@in_one_line("the render was made ready")
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
    with images.pixel_limit(config.max_input_pixels):
        return _prepared(style, config, content, checkpoints, palette)


def _prepared(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None,
    checkpoints: Checkpoints | None,
    palette: Palette | None,
) -> Job:
    ranks = checkpoints.ranks if checkpoints else ALONE
    check_colours(config, with_content=content is not None)
    check_company(config, ranks.count)
    left = checkpoints.left if checkpoints else None
    seen = resolve(
        config,
        with_content=content is not None,
        with_style=style is not None,
        settled=left.settled if left else None,
        ranks=ranks,
    )
    init = None if config.init is None or isinstance(config.init, Init) else config.init
    guides = guided(style_list(style), config, with_content=content is not None)
    given = {"content": content, "init": init, "anchor": config.anchor}
    given = {role: source for role, source in given.items() if source is not None}
    styles = {role: each.picture for role, each in roled(guides.styles)}
    sizes = {role: _size(source, role, seen.unit) for role, source in (styles | given).items()}
    size = picture_size(config.size, sizes.get("content"))
    style_side = None if content is None else config.style_scale * max(size)  # of a texture: its own
    guides = replace(guides, needed=size, style_side=style_side)
    # Pixels beyond what is looked at cost neither memory nor disk. An anchor is agreed with as it is.
    sizes |= {role: ample_sides(sizes[role], size) for role in ("content", "init") if role in sizes}
    sizes |= {role: guides.style_sides(source) for role, source in styles.items()}
    pictures = Pictures(
        tuple(sizes[role] for role in styles),
        sizes.get("content"),
        sizes.get("init"),
        guides.planes,
        sizes.get("anchor"),
    )
    if not checkpoints:
        Limits.of(config).check_reading(sum(pictures.areas), seen.network.device)
    plan = planned(
        replace(config, size=size),
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
    planes = {role: planes_of(source, store, sizes[role]) for role, source in given.items()}
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
        faint=seen.faint,
    )


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
