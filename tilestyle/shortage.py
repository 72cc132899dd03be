"""Memory that runs out, as libraries say it, and as the user is told."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tilestyle.errors import MemoryLimit, TilestyleError

# What torch, oneDNN, cuBLAS and cuDNN say; only CUDA's allocator has an exception of its own.
COMPLAINTS = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "ALLOC_FAILED",
    "could not create a memory",
    "could not create a primitive",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of a library means that it was refused memory."""
    if isinstance(error, TilestyleError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (isinstance(error, RuntimeError) and any(text in str(error) for text in COMPLAINTS))


def reason_of(error: BaseException) -> str:
    """Return the first line of what a library says, or the name of its exception."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def in_one_line(doing: str) -> Iterator[None]:
    """Say in one line that memory ran out; `doing` is what was being done, as in "the pictures were read".

    Raises:
        MemoryLimit: A library was refused memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryLimit(
            f"memory ran out while {doing} ({reason_of(error)})",
            hint="close other programs, or give a smaller --size or smaller pictures",
        ) from error
