"""Prepare a job from pictures and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tilestyle import images
from tilestyle.canvas.color import ColorMoments, apply_color_mode, color_moments
from tilestyle.canvas.storage import MappedStore, MemoryStore, PlaneStore, SharedMappedStore
from tilestyle.config.consistency import check_color_mode, check_multiprocess
from tilestyle.config.enums import Color, Init
from tilestyle.config.render import RenderConfig
from tilestyle.devices.failures import short_device_errors
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.distributed import SINGLE
from tilestyle.errors import SettingError
from tilestyle.images import Picture
from tilestyle.losses.anchor import check_anchor
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.planning.inputs import (
    Style,
    as_styles,
    check_large_enough,
    load_planes,
    open_image,
    oversampled_sides,
)
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import MemoryLimits
from tilestyle.planning.memory_model import InputSizes
from tilestyle.planning.resolve import plan_render, resolve_config
from tilestyle.planning.schedule import picture_size
from tilestyle.planning.style_assignment import assign_styles, with_labels

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | Image | np.ndarray[Any, Any] | Tensor | Picture | images.ImageSource
    Styles = Source | Style | Sequence[Source | Style]


AnchorPlanes = tuple[Tensor | None, Tensor | None]


@short_device_errors("the render was made ready")
def prepare(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None = None,
    checkpoints: WorkDirCheckpointer | None = None,
    palette: ColorMoments | None = None,
) -> Job:
    """Read the pictures, resolve the settings for this machine, and return the job to render.

    Args:
        style: One style or several; None for a picture from the content's activations alone (`api.invert`).
        config: The settings.
        content: The content; None for a texture.
        checkpoints: The open work folder, which may hold memory-mapped planes and the decisions of an earlier
            run.
        palette: Color moments of the whole picture of which the content is a part, for the color modes that use
            them; measured on the content if None.

    Raises:
        TilestyleError: An input, a setting or a device cannot be used.
    """
    with images.pixel_limit(config.max_input_pixels):
        return _prepare(style, config, content, checkpoints, palette)


def _prepare(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None,
    checkpoints: WorkDirCheckpointer | None,
    palette: ColorMoments | None,
) -> Job:
    """Do what `prepare` does, within the limit of input pixels."""
    ranks = checkpoints.ranks if checkpoints else SINGLE
    check_color_mode(config, with_content=content is not None)
    check_multiprocess(config, ranks.world_size)
    resumed = checkpoints.resume_point if checkpoints else None
    resolved = resolve_config(
        config,
        with_content=content is not None,
        with_style=style is not None,
        decisions=resumed.decisions if resumed else None,
        comm=ranks,
    )
    init = None if config.init is None or isinstance(config.init, Init) else config.init
    guides = assign_styles(as_styles(style), config, with_content=content is not None)
    canvas_inputs = {"content": content, "init": init, "anchor": config.anchor}
    canvas_inputs = {role: source for role, source in canvas_inputs.items() if source is not None}
    styles = {role: image.picture for role, image in with_labels(guides.styles)}
    sizes = {
        role: _image_size(source, role, resolved.unit) for role, source in (styles | canvas_inputs).items()
    }
    size = picture_size(config.size, sizes.get("content"))
    style_side = None if content is None else config.style_scale * max(size)  # None: the style's own size
    guides = replace(guides, canvas_size=size, style_side=style_side)
    # Pictures are not read larger than needed, to save memory and disk. An anchor is used at its own size.
    sizes |= {role: oversampled_sides(sizes[role], size) for role in ("content", "init") if role in sizes}
    sizes |= {role: guides.style_sides(source) for role, source in styles.items()}
    pictures = InputSizes(
        tuple(sizes[role] for role in styles),
        sizes.get("content"),
        sizes.get("init"),
        guides.plane_numbers,
        sizes.get("anchor"),
    )
    if not checkpoints:
        MemoryLimits.from_config(config).check_reading(sum(pictures.areas), resolved.network.device)
    plan = plan_render(
        replace(config, size=size),
        replace(resolved, regions=guides.region_count),
        pictures,
        can_map=checkpoints is not None,
        decisions=resumed.decisions if resumed else None,
        comm=ranks,
    )
    store: PlaneStore = MemoryStore(plan.canvas_device)
    if checkpoints:
        checkpoints.start(plan.decisions, plan.memory_estimate.disk)
        if ranks.world_size > 1:
            store = SharedMappedStore(checkpoints.path, group=ranks)
        elif plan.decisions.mapped:
            store = MappedStore(checkpoints.path)
    host_store: PlaneStore = MappedStore(store.path) if isinstance(store, MappedStore) else MemoryStore()
    planes = {role: load_planes(source, store, sizes[role]) for role, source in canvas_inputs.items()}
    anchor, trust = _load_anchor(config, planes, store)
    if anchor is not None:
        check_anchor(anchor, plan.levels[-1].extent.picture)
    release_cached_memory()
    pixels, alpha = planes.get("content", (None, None))
    inputs = {role: plane for role, (plane, _) in planes.items()}
    del planes
    exemplars = guides.exemplars(host_store)
    if pixels is not None and config.color is not Color.STYLE:
        palette = palette or color_moments(pixels, alpha)
        inputs = apply_color_mode(config.color, inputs, palette, host_store)
        exemplars = tuple(
            replace(image, picture=apply_color_mode(config.color, {"": image.picture}, palette, host_store)[""])
            for image in exemplars
        )
    return Job(
        config=config,
        network=resolved.network,
        weights=resolved.weights,
        size=plan.size,
        levels=plan.levels,
        patch_side=plan.patch_side,
        unit=resolved.unit,
        halo=resolved.halo,
        styles=exemplars,
        region_weights=guides.region_weights(host_store),
        content=inputs.get("content"),
        content_colors=pixels if config.color is Color.LUMINANCE else None,
        alpha=alpha,
        init=inputs.get("init", _resolve_init(config, with_content=content is not None)),
        store=store,
        content_kept=plan.decisions.content_kept,
        memory_estimate=plan.memory_estimate,
        memory_limits=resolved.memory_limits,
        history=plan.decisions.history,
        anchor=anchor,
        trust=trust,
        energy_floors=resolved.energy_floors,
    )


def _image_size(source: object, role: str, unit: int) -> tuple[int, int]:
    """Return the height and width of a picture, and check that the network can process it.

    Raises:
        PictureError: The picture is too small for the layers in use.
    """
    with open_image(source, None) as image:
        if role != "anchor":
            check_large_enough(image, unit, role)
        return image.height, image.width


def _load_anchor(
    config: RenderConfig, planes: Mapping[str, tuple[Tensor, Tensor | None]], store: PlaneStore
) -> AnchorPlanes:
    """Load the anchor [3, h, w] and its trust map [1, h, w], each None if it is not set."""
    if "anchor" not in planes:
        return None, None
    anchor = planes["anchor"][0]
    if config.trust is None:
        return anchor, None
    trust = load_planes(config.trust, store)[0][:1]
    if trust.shape[1:] != anchor.shape[1:]:
        raise SettingError(
            f"the trust map has {trust.shape[2]} x {trust.shape[1]} pixels, its anchor {anchor.shape[2]} x "
            f"{anchor.shape[1]}",
            hint="give a trust map of the same size as the anchor",
        )
    return anchor, trust


def _resolve_init(config: RenderConfig, *, with_content: bool) -> Init:
    """Return what the canvas starts from, unless that is a picture."""
    if config.init is Init.CONTENT and not with_content:
        raise SettingError("a texture has no content to start from", hint="give --init noise or style")
    if isinstance(config.init, Init):
        return config.init
    return Init.CONTENT if with_content else Init.NOISE
