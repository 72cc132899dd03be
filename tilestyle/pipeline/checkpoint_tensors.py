"""The state of a render as tensors by name, as the archives of a checkpoint hold them."""

from __future__ import annotations

from dataclasses import astuple
from math import inf

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.boxes import Box, CanvasExtent, Patch
from tilestyle.optim.state import RenderState
from tilestyle.planning.strength import ContentWeightState

# Names and prefixes of the tensors in an archive.
PLANE_PREFIX, BORDER_PREFIX, PATCHES_KEY, CONTENT_WEIGHT_KEY = "plane ", "rim ", "patches", "content weight"


def border_tensors(render_state: RenderState) -> dict[str, Tensor]:
    """Return the gradients of borders that are still to be applied, by name."""
    return {f"{BORDER_PREFIX}{box.top} {box.left}": grad for box, grad in render_state.deferred.items()}


def state_tensors(render_state: RenderState) -> dict[str, Tensor]:
    """Return the patches of the sweep, and the content weight if it is adjusted, by name."""
    tensors = {PATCHES_KEY: patches_to_table(render_state.patches)}
    if render_state.content_weight_state is not None:
        tensors[CONTENT_WEIGHT_KEY] = weight_to_tensor(render_state.content_weight_state)
    return tensors


def restore_state(render_state: RenderState, canvas: Canvas) -> None:
    """Move what these functions returned from the loaded tensors to where it belongs in the state.

    Args:
        render_state: The state; its `objective_state` holds everything that was loaded.
        canvas: Its canvas.

    Raises:
        KeyError: The patches are missing.
        ValueError: A tensor is damaged or does not fit the canvas. A damaged one may also raise TypeError or
            OverflowError.
    """
    tensors = render_state.objective_state
    render_state.patches = patches_from_table(tensors.pop(PATCHES_KEY), canvas.extent)
    weight = tensors.pop(CONTENT_WEIGHT_KEY, None)
    render_state.content_weight_state = None if weight is None else weight_from_tensor(weight)
    for name in [name for name in tensors if name.startswith((BORDER_PREFIX, PLANE_PREFIX))]:
        tensor = tensors.pop(name)
        if name.startswith(BORDER_PREFIX):
            top, left = map(int, name.removeprefix(BORDER_PREFIX).split())
            border = check_fits(Box(top, left, *tensor.shape[1:]), canvas.extent)
            render_state.deferred[border] = tensor.to(canvas.pixels.device)


def patches_to_table(patches: list[Patch]) -> Tensor:
    """Return patches as a table of integers [n, 9]: the owned box, the box that is read, and the scale."""
    rows = [(*astuple(patch.owned), *astuple(patch.read), patch.scale) for patch in patches]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 9)


def patches_from_table(table: Tensor, extent: CanvasExtent) -> list[Patch]:
    """Return the patches of a table, after checking that each fits the canvas.

    Raises:
        ValueError: The table is damaged.
    """
    if table.ndim != 2 or table.shape[1] != 9 or table.dtype != torch.int64:
        raise ValueError("the table of patches is damaged")
    patches = [Patch(Box(*row[:4]), Box(*row[4:8]), row[8]) for row in table.tolist()]
    for patch in patches:
        scale, owned_box, read_box = (
            patch.scale,
            check_fits(patch.owned, extent),
            _check_near(patch.read, extent),
        )
        margins_before = owned_box.top - read_box.top, owned_box.left - read_box.left
        margins_after = (
            read_box.height - owned_box.height - margins_before[0],
            read_box.width - owned_box.width - margins_before[1],
        )
        sides = (
            owned_box.height,
            owned_box.width,
            read_box.height,
            read_box.width,
            *margins_before,
            *margins_after,
        )
        if (
            not 0 < scale <= 64
            or min(sides[:4]) < scale
            or min(sides) < 0
            or any(side % scale for side in sides)
        ):
            raise ValueError("a patch does not fit this canvas")
    return patches


def weight_to_tensor(state: ContentWeightState) -> Tensor:
    """Return the adjusted content weight, and the last distance from the content if there is one."""
    values = [value for value in astuple(state) if value is not None]
    return torch.tensor(values, dtype=torch.float64)


def weight_from_tensor(stored: Tensor) -> ContentWeightState:
    """Return the saved content weight, and the last distance from the content if there is one.

    Raises:
        ValueError: The numbers are out of range.
    """
    weight, *rest = stored.flatten().tolist()
    if not (0 < weight < inf and all(0 <= distance <= 2 for distance in rest)):
        raise ValueError("the content's weight is out of range")
    return ContentWeightState(weight, *rest)


def check_fits(box: Box, extent: CanvasExtent) -> Box:
    """Return the box if it fits on the torus.

    Raises:
        ValueError: It does not fit.
    """
    if not (0 < box.height <= extent.height and 0 < box.width <= extent.width):
        raise ValueError("a box does not fit this canvas")
    return _check_near(box, extent)


def _check_near(box: Box, extent: CanvasExtent) -> Box:
    """Return the box if its position and size are plausible.

    Raises:
        ValueError: They are not.
    """
    bound = 4 * max(extent.height, extent.width)
    if max(abs(box.top), abs(box.left), box.height, box.width) > bound:
        raise ValueError("a box does not fit this canvas")
    return box
