"""Memory that the C library and other libraries keep after it is freed, and how to return it to the system.

glibc keeps freed blocks of up to 32 MiB, the size of a patch's features, for the next patch. This is fast, but
its heap then holds up to twice the memory in use, because blocks of all sizes come and go. Without glibc these
functions do nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

import torch

from tilestyle.devices.device_memory import empty_caches, empty_pinned_cache

MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt
# Where memory is limited, freed blocks of at least this size are returned at once, or of this share of a
# patch's memory if that is less. A smaller size saves more memory but is slower: the system clears every page
# of a returned block before it is used again.
MAX_KEPT_BLOCK, KEPT_BLOCK_SHARE = 4 * 2**20, 1 / 64
# Environment variable with the capacity of oneDNN's kernel cache, and the capacity to set.
KERNEL_CACHE_VARIABLE, MAX_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", 64
DEFAULT_MMAP_THRESHOLD = 32 * 2**20  # DEFAULT_MMAP_THRESHOLD_MAX of glibc on 64 bits

_returns_large_blocks = False  # whether large blocks are returned at once


def trim() -> None:
    """Return freed host memory to the operating system, in milliseconds."""
    malloc_trim = _libc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def release_cached_memory(*, pinned: bool = False) -> None:
    """Return freed host memory to the operating system, and cached device memory to the device.

    Args:
        pinned: Whether freed page-locked host memory is returned, too. Allocating it again is slow, so this is
            for after memory has run out or a render has ended.
    """
    trim()
    empty_caches()
    if pinned:
        empty_pinned_cache()


def return_large_blocks(patch_bytes: int | None = None) -> None:
    """From now on return large blocks to the operating system as soon as they are freed.

    Args:
        patch_bytes: Memory that one patch needs; None: it is large.
    """
    global _returns_large_blocks
    set_option = _libc("mallopt")
    if set_option is not None:
        _returns_large_blocks = True
        set_option(
            MMAP_THRESHOLD,
            MAX_KEPT_BLOCK
            if patch_bytes is None
            else min(MAX_KEPT_BLOCK, round(KEPT_BLOCK_SHARE * patch_bytes)),
        )


@cache
def limit_kernel_cache() -> None:
    """Limit oneDNN's cache of kernels.

    By default it keeps 1024 kernels, each for one shape of tensors, and patches have many shapes: over the
    levels of a render, especially in bfloat16, kernels take more than 100 MiB. oneDNN reads the capacity from
    the environment once, on first use. If it has been used before, this has no effect. (torch's own caches are
    limited by the command line before torch is imported.)
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    if KERNEL_CACHE_VARIABLE in os.environ:
        return
    os.environ[KERNEL_CACHE_VARIABLE] = str(MAX_KERNELS)
    try:
        picture, filters = torch.zeros(1, 16, 8, 8), torch.zeros(16, 16, 3, 3)
        torch.mkldnn_convolution(picture, filters, None, (1, 1), (1, 1), (1, 1), 1)
    finally:
        del os.environ[KERNEL_CACHE_VARIABLE]


def restore_mmap_threshold() -> None:
    """Undo `return_large_blocks` as far as possible.

    glibc cannot report its threshold and stops adjusting it once it has been set. So it is set to the value at
    which glibc's own adjustment ends after large blocks have come and gone.
    """
    global _returns_large_blocks
    set_option = _libc("mallopt") if _returns_large_blocks else None
    if set_option is not None:
        set_option(MMAP_THRESHOLD, DEFAULT_MMAP_THRESHOLD)
    _returns_large_blocks = False


def _libc(name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of glibc; None without glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
