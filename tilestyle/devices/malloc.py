"""What the C library keeps of memory that was freed, and how to make it give that back.

glibc keeps freed blocks of up to 32 MiB, which is what features of a patch are, for the next patch. That is
fast, but its heap then holds up to twice what is in use, as blocks of all sizes come and go. Elsewhere than on
glibc nothing is done here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

import torch

from tilestyle.devices.device_memory import empty_caches, empty_pinned

MMAP_THRESHOLD = -3  # mallopt's name for it
# Blocks from this size on are given back at once where memory is bounded; where patches are small, or networks
# narrow, from this share of a patch's memory on. A smaller size is stricter, and slower: every page of a block
# that was given back is cleared anew when it comes again.
EXACT, SHARE = 4 * 2**20, 1 / 64
# What oneDNN reads the size of its cache from, and how many kernels that is to be.
KERNELS, MOST_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", 64
USUAL = 32 * 2**20  # DEFAULT_MMAP_THRESHOLD_MAX of glibc on 64 bits

_strict = False  # whether large blocks are returned at once


def trim() -> None:
    """Return freed memory of the host to the operating system: milliseconds."""
    found = _libc("malloc_trim")
    if found is not None:
        found(0)


def release(*, pinned: bool = False) -> None:
    """The same, and cached device memory to the device, which it then has to be asked for anew.

    Args:
        pinned: Whether page-locked memory of the host that was freed is returned, too. Having it again takes a
            while, so this is for when memory has run out or a render has ended.
    """
    trim()
    empty_caches()
    if pinned:
        empty_pinned()


def keep_nothing_large(patch: int | None = None) -> None:
    """From now on return large blocks to the operating system as soon as they are freed.

    `patch` is bytes that one patch needs.
    """
    global _strict
    set_option = _libc("mallopt")
    if set_option is not None:
        _strict = True
        set_option(MMAP_THRESHOLD, EXACT if patch is None else min(EXACT, round(SHARE * patch)))


@cache
def keep_few_kernels() -> None:
    """Let oneDNN keep the kernels of few shapes, of those that it makes from now on.

    It keeps 1024, each made for one shape of tensors, and patches come in many shapes: over the levels of a
    render, in bfloat16 above all, kernels come to more than 100 MiB. The library reads how many from the
    environment, once, when it is first used: where that has been before, nothing changes. (What torch keeps
    besides is bounded by the command line, before torch is loaded.)
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    if KERNELS in os.environ:
        return
    os.environ[KERNELS] = str(MOST_KERNELS)
    try:
        picture, filters = torch.zeros(1, 16, 8, 8), torch.zeros(16, 16, 3, 3)
        torch.mkldnn_convolution(picture, filters, None, (1, 1), (1, 1), (1, 1), 1)
    finally:
        del os.environ[KERNELS]


def keep_as_usual() -> None:
    """Undo `keep_nothing_large`, as far as that can be.

    glibc does not tell its threshold, and does not adjust it any more once it has been set: it is set to where
    glibc's own adjustment ends once large blocks have come and gone.
    """
    global _strict
    set_option = _libc("mallopt") if _strict else None
    if set_option is not None:
        set_option(MMAP_THRESHOLD, USUAL)
    _strict = False


def _libc(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of glibc, if that is what there is."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
