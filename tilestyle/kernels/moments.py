"""Sums of features and of their products in one pass over the features, which need not be contiguous.

cuBLAS takes a matrix of cells: the cells that a patch owns would have to be copied out of its features first,
and the sums of the features themselves would be a second pass.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from tilestyle.kernels.support import LAUNCH_OPTIONS

CELLS = 128  # cells that are multiplied at once
# The same where a program has 99 KiB of shared memory: with 128 cells it needs 130 KiB and cannot start. These
# compute capabilities have more (CUDA C++ Programming Guide, technical specifications).
FEW_CELLS = 64
LARGE_SHARED_MEMORY_CAPABILITIES = {(8, 0), (8, 7), (9, 0), (10, 0), (10, 3), (11, 0)}
MAX_CHANNEL_BLOCK = 128
PROGRAMS = 132  # one for every multiprocessor of a large GPU; twice as many are slower with many channels
MIN_PROGRAM_CELLS = 4 * CELLS
ADDED_PARTS = 32  # sums that are added at once
STAGES = 3  # loads under way


def takes(features: Tensor) -> bool:
    """Return whether `add_moments` can sum these features [1, C, h, w]: 16 bits, a cell's channels together."""
    return features.dtype in (torch.bfloat16, torch.float16) and features.stride(1) == 1 and len(features) == 1


@cache
def cells_at_once(device: torch.device) -> int:
    """Return how many cells a program on a device multiplies at once."""
    if device.type != "cuda":  # the interpreter of Triton
        return CELLS
    capability = torch.cuda.get_device_capability(device)
    return CELLS if capability in LARGE_SHARED_MEMORY_CAPABILITIES else FEW_CELLS


def add_moments(features: Tensor, total: Tensor, products: Tensor) -> None:
    """Add the cells of features to their sums.

    Args:
        features: [1, C, h, w], see `takes`.
        total: Sum of the features, [C] float32, in place.
        products: Sum of their outer products, [C, C] float32, in place.
    """
    from tilestyle.kernels import triton_moments

    _, channels, height, width = features.shape
    if not height * width:
        return
    block = min(MAX_CHANNEL_BLOCK, max(16, 1 << (channels - 1).bit_length()))
    blocks = -(-channels // block)
    pairs = blocks * (blocks + 1) // 2
    count = max(1, min(PROGRAMS // pairs, height * width // MIN_PROGRAM_CELLS))
    # Sums of each program, which are added in order: the same cells give the same bits every time.
    parts = torch.empty(count, pairs, block * block, dtype=torch.float32, device=features.device)
    part_totals = torch.empty(count, blocks, block, dtype=torch.float32, device=features.device)
    triton_moments.moments_kernel[count, pairs](
        features,
        parts,
        part_totals,
        channels,
        height * width,
        width,
        features.stride(2),
        features.stride(3),
        blocks,
        BLOCK_CELLS=cells_at_once(features.device),
        BLOCK_CHANNELS=block,
        num_warps=8 if block == MAX_CHANNEL_BLOCK else 4,
        num_stages=STAGES,
        **LAUNCH_OPTIONS,
    )
    triton_moments.add_parts_kernel[pairs, block](
        parts,
        part_totals,
        total,
        products,
        channels,
        count,
        blocks,
        BLOCK_CHANNELS=block,
        BLOCK_PARTS=ADDED_PARTS,
        num_warps=2,
        **LAUNCH_OPTIONS,
    )
