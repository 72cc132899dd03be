"""Blending of patches that overlap."""

import torch

from tilestyle.canvas.storage import MemoryStore
from tilestyle.geometry.boxes import Box, Patch, canvas_extent
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches
from tilestyle.optim.overlap import OVERLAP_FADE, GradientAccumulator


def test_overlapping_patches_of_a_sweep_sum_to_whole_steps() -> None:
    around = canvas_extent(80, 112, 8, 8)
    blend = GradientAccumulator(around, MemoryStore())
    truth = torch.rand(3, around.height, around.width)
    for patch in grid_patches(around, 48, 8, SweepRng(0, 0, 0), context=PatchContext(halo=8)):
        rows = torch.arange(patch.read.top, patch.read.top + patch.read.height) % around.height
        columns = torch.arange(patch.read.left, patch.read.left + patch.read.width) % around.width
        blend.add(patch, truth[:, rows][:, :, columns])
    gradient, seen = blend.mean(slice(None))
    torch.testing.assert_close(gradient, truth)
    assert (seen == 1).all()


def test_a_lone_window_fades_out_at_its_edge() -> None:
    around = canvas_extent(64, 64, 0, 8)
    blend = GradientAccumulator(around, MemoryStore())
    box = Box(16, 16, 32, 32)
    blend.add(Patch(box, box, 1), torch.ones(3, 32, 32))
    gradient, seen = blend.mean(slice(None))
    assert (seen[:, :16] == 0).all()
    assert 0 < seen[0, 16, 32] < 1 / OVERLAP_FADE * 4
    assert (seen[0, 24:40, 24:40] == 1).all()
    torch.testing.assert_close(gradient * (seen > 0), (seen > 0).float().expand(3, -1, -1))
