"""What a checkpoint keeps of the state comes back as it was, and only if it fits the canvas."""

import pytest
import torch

from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.boxes import Box, Patch, canvas_extent
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.checkpoint_tensors import PATCHES_KEY, border_tensors, restore_state, state_tensors
from tilestyle.planning.strength import ContentWeightState

EXTENT = canvas_extent(24, 32, 4, 8)


def state_with(weight: ContentWeightState | None) -> RenderState:
    state = RenderState(content_weight_state=weight)
    state.patches = [
        Patch(Box(-3, 2, 8, 16), Box(-5, 0, 12, 20), 1),
        Patch(Box(5, 2, 16, 16), Box(5, 2, 16, 16), 2),
    ]
    state.deferred[Box(-3, 2, 2, 16)] = torch.rand(3, 2, 16)
    return state


def restored(tensors: dict[str, torch.Tensor]) -> RenderState:
    state = RenderState(objective_state=tensors)
    restore_state(state, Canvas(EXTENT, torch.zeros(3, EXTENT.height, EXTENT.width)))
    return state


@pytest.mark.parametrize("weight", [None, ContentWeightState(0.5), ContentWeightState(0.5, 0.25)])
def test_the_state_comes_back_and_the_losses_keep_the_rest(weight: ContentWeightState | None) -> None:
    state, moments = state_with(weight), torch.rand(4)
    loaded = restored({**border_tensors(state), **state_tensors(state), "moments": moments})
    assert (loaded.patches, loaded.content_weight_state) == (state.patches, weight)
    assert list(loaded.deferred) == list(state.deferred)
    assert all(torch.equal(loaded.deferred[box], gradient) for box, gradient in state.deferred.items())
    assert loaded.objective_state == {"moments": moments}


def test_a_state_without_patches_is_damaged() -> None:
    with pytest.raises(KeyError):
        restored({})


def test_a_border_larger_than_the_canvas_is_damaged() -> None:
    tensors = state_tensors(RenderState()) | {"rim 0 0": torch.zeros(3, EXTENT.height + 1, 2)}
    with pytest.raises(ValueError, match="does not fit"):
        restored(tensors)


def test_a_patch_far_from_the_canvas_is_damaged() -> None:
    table = state_tensors(state_with(None))[PATCHES_KEY]
    table[0, 0] = 10**6
    with pytest.raises(ValueError, match="does not fit"):
        restored({PATCHES_KEY: table})
