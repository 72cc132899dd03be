"""Build the largest kernel for GPUs of some compute capabilities, none of which need be here.

    python -m tests.support.built_kernels 80 86

prints the bytes of shared memory that a program takes on each, as JSON. It is a process of its own because
tests of kernels have them interpreted.
"""

from __future__ import annotations

import json
import sys
import warnings
from unittest import mock

import torch

from tilestyle.kernels.moments import MAX_CHANNEL_BLOCK, STAGES, cells_at_once
from tilestyle.kernels.support import LAUNCH_OPTIONS

POINTERS = {"features": "*bf16", "parts": "*fp32", "part_totals": "*fp32"}
DIVISIBLE = (*POINTERS, "channels", "row_stride", "cell_stride")  # by 16, as in all networks: loads are wide


def shared_memory(capability: int) -> int:
    """Bytes of shared memory of the moments' kernel, with as many channels as a program takes."""
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from tilestyle.kernels.triton_moments import moments_kernel

    with mock.patch("torch.cuda.get_device_capability", lambda device: divmod(capability, 10)):
        constants = {"BLOCK_CELLS": cells_at_once.__wrapped__(torch.device("cuda", 0))}
    constants["BLOCK_CHANNELS"] = MAX_CHANNEL_BLOCK
    names = moments_kernel.arg_names
    source = ASTSource(
        fn=moments_kernel,
        signature={name: "constexpr" if name in constants else POINTERS.get(name, "i32") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in DIVISIBLE},
    )
    options = {"num_warps": 8, "num_stages": STAGES, **LAUNCH_OPTIONS}
    return int(build(source, target=GPUTarget("cuda", capability, 32), options=options).metadata.shared)


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.stdout.write(json.dumps({name: shared_memory(int(name)) for name in sys.argv[1:]}))
