"""Prepare a job from pictures and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tilestyle import images
from tilestyle.canvas.color import ColorMoments, apply_color_mode, color_moments
from tilestyle.canvas.storage import MappedStore, MemoryStore, PlaneStore, SharedMappedStore
from tilestyle.config.consistency import check_color_mode, check_content_map, check_multiprocess
from tilestyle.config.enums import Color, Init
from tilestyle.config.render import RenderConfig
from tilestyle.devices.failures import short_device_errors
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import SettingError
from tilestyle.images import Picture
from tilestyle.images.faces import Face
from tilestyle.losses.anchor import check_anchor
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.pipeline.outline import Outline
from tilestyle.planning.content_map import detect_faces, faces_map_sides, load_content_map
from tilestyle.planning.inputs import Style, as_styles, image_size, load_planes
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import PictureSizes
from tilestyle.planning.resolve import RenderPlan, ResolvedConfig, plan_render, resolve_config
from tilestyle.planning.sizes import oversampled_sides, picture_size
from tilestyle.planning.style_assignment import StyleAssignment, assign_styles, with_labels

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
    faces: tuple[Face, ...] | None = None,
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
        faces: Faces of the content, with `keep_faces`; looked for in the content if None.

    Raises:
        TilestyleError: An input, a setting or a device cannot be used.
    """
    with images.pixel_limit(config.max_input_pixels):
        return _prepare(style, config, content, checkpoints, palette, faces)


def _prepare(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None,
    checkpoints: WorkDirCheckpointer | None,
    palette: ColorMoments | None,
    faces: tuple[Face, ...] | None,
) -> Job:
    """Do what `prepare` does, within the limit of input pixels."""
    planned = _plan(style, config, content, checkpoints, can_map=checkpoints is not None)
    ranks = checkpoints.ranks if checkpoints else SINGLE
    resolved, guides, sizes, plan = planned.resolved, planned.guides, planned.sizes, planned.plan
    canvas_inputs = planned.canvas_inputs
    store: PlaneStore = MemoryStore(plan.canvas_device)
    if checkpoints:
        checkpoints.start(plan.decisions, plan.memory_estimate.disk)
        if ranks.world_size > 1:
            store = SharedMappedStore(checkpoints.path, group=ranks)
        elif plan.decisions.mapped:
            store = MappedStore(checkpoints.path)
    host_store: PlaneStore = MappedStore(store.path) if isinstance(store, MappedStore) else MemoryStore()
    planes = {role: load_planes(source, store, sizes[role]) for role, source in canvas_inputs.items()}
    anchor, trust_map = _anchor_planes(planes)
    if anchor is not None:
        check_anchor(anchor, plan.levels[-1].extent.picture)
    release_cached_memory()
    pixels, alpha = planes.get("content", (None, None))
    inputs = {role: plane for role, (plane, _) in planes.items() if role in ("content", "init")}
    del planes
    if config.keep_faces and faces is None and pixels is not None:
        faces = _agreed_faces(pixels, ranks)
    exemplars = guides.exemplars(host_store, [sizes[role] for role in planned.styles])
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
        trust=trust_map,
        energy_floors=resolved.energy_floors,
        content_map=load_content_map(
            config, sizes.get("content map"), faces or (), resolved.weights.face_factor, host_store
        ),
        face_count=len(faces or ()) if config.keep_faces else None,
    )


@dataclass(frozen=True)
class _Planned:
    """What is decided before pictures are read.

    Attributes:
        resolved: Network, layers and memory limits.
        guides: The styles, and where they go.
        canvas_inputs: The pictures over the canvas, by role.
        sizes: Height and width at which every picture is read, by role.
        styles: Names of the styles in `sizes`.
        plan: Levels, patches and memory.
    """

    resolved: ResolvedConfig
    guides: StyleAssignment
    canvas_inputs: Mapping[str, Any]
    sizes: Mapping[str, tuple[int, int]]
    styles: tuple[str, ...]
    plan: RenderPlan


def _plan(
    style: Styles | None,
    config: RenderConfig,
    content: Source | None,
    checkpoints: WorkDirCheckpointer | None,
    *,
    can_map: bool,
) -> _Planned:
    """Decide everything that can be decided before pictures are read; only their headers and masks are."""
    ranks = checkpoints.ranks if checkpoints else SINGLE
    check_color_mode(config, with_content=content is not None)
    check_content_map(config, with_content=content is not None)
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
    trust = None if config.anchor is None else config.trust
    canvas_inputs = {"content": content, "init": init, "anchor": config.anchor, "trust": trust}
    canvas_inputs = {role: source for role, source in canvas_inputs.items() if source is not None}
    styles = {role: image.picture for role, image in with_labels(guides.styles)}
    maps = {"blend map": config.blend_map, "content map": config.content_map}
    maps = {role: source for role, source in maps.items() if source is not None}
    sizes = {  # what the network does not see may be of any size
        role: image_size(source, 1 if role in ("anchor", "trust", *maps) else resolved.unit, role)
        for role, source in (styles | canvas_inputs | maps).items()
    }
    size = picture_size(config.size, sizes.get("content"))
    style_side = None if content is None else config.style_scale * max(size)  # None: the style's own size
    blend_map_size = sizes.get("blend map")
    guides = replace(guides, canvas_size=size, style_side=style_side, blend_map_size=blend_map_size)
    # Pictures are not read larger than needed, to save memory and disk. An anchor is used at its own size.
    reduced = [role for role in ("content", "init", "content map") if role in sizes]
    sizes |= {role: oversampled_sides(sizes[role], size) for role in reduced}
    if config.keep_faces:
        sizes.setdefault("content map", faces_map_sides(size))
    sizes |= {role: guides.style_sides(sizes[role]) for role in styles}
    pictures = PictureSizes(
        size,
        tuple(sizes[role] for role in styles),
        sizes.get("content"),
        sizes.get("init"),
        guides.plane_numbers,
        sizes.get("anchor"),
        sizes.get("content map"),
    )
    if not can_map:
        resolved.memory_limits.check_reading(sum(pictures.areas), resolved.network.device)
    plan = plan_render(
        config,
        replace(resolved, regions=guides.region_count),
        pictures,
        can_map=can_map,
        decisions=resumed.decisions if resumed else None,
        comm=ranks,
    )
    return _Planned(resolved, guides, canvas_inputs, sizes, tuple(styles), plan)


def outline(style: Styles | None, config: RenderConfig, content: Source | None = None) -> Outline:
    """Plan a render that would have a work folder, without reading its pictures or writing anything.

    Args:
        style: As for `prepare`.
        config: The settings.
        content: The content; None for a texture.

    Raises:
        TilestyleError: As `prepare`.
    """
    with images.pixel_limit(config.max_input_pixels):
        planned = _plan(style, config, content, None, can_map=True)
    resolved, plan = planned.resolved, planned.plan
    job = Job(
        config=config,
        network=resolved.network,
        weights=resolved.weights,
        size=plan.size,
        levels=plan.levels,
        patch_side=plan.patch_side,
        unit=resolved.unit,
        halo=resolved.halo,
        styles=(),
        region_weights=None,
        content=None,
        content_colors=None,
        alpha=None,
        init=Init.NOISE,
        store=MemoryStore(plan.canvas_device),
        content_kept=plan.decisions.content_kept,
        memory_estimate=plan.memory_estimate,
        memory_limits=resolved.memory_limits,
        history=plan.decisions.history,
        energy_floors=resolved.energy_floors,
    )
    sizes = tuple(planned.sizes[role] for role in planned.styles)
    return Outline(job, sizes, content is not None, planned.guides.region_count, plan.decisions.mapped)


def _agreed_faces(content: Tensor, ranks: Communicator) -> tuple[Face, ...]:
    """Find the faces in a content [3, h, w]; the first process does it for all."""
    boxes = [astuple(face) for face in detect_faces(content)] if ranks.is_rank_zero else []
    return tuple(Face(*box) for box in ranks.broadcast(boxes))


def _anchor_planes(planes: Mapping[str, tuple[Tensor, Tensor | None]]) -> AnchorPlanes:
    """Return the anchor [3, h, w] and its trust map [1, h, w], each None if it is not set."""
    if "anchor" not in planes:
        return None, None
    anchor = planes["anchor"][0]
    if "trust" not in planes:
        return anchor, None
    trust = planes["trust"][0][:1]
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
