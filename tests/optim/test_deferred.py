"""Rims lie apart from the heap: in blocks of their own, which go when nothing is left in them."""

from __future__ import annotations

import errno
import mmap
import weakref

import pytest
import torch

from tilestyle.geometry.boxes import Box
from tilestyle.optim.deferred import BLOCK_BYTES, DeferredGradients

HALF = BLOCK_BYTES // 2 // (3 * 4)  # numbers of a channel that fill half a block


def test_borders_keep_what_was_set() -> None:
    """Copies, each with its own values, counted in bytes; set anew, counted once."""
    deferred = DeferredGradients()
    gradients = {Box(8 * k, 3, 5, 7 + k): torch.full((3, 5, 7 + k), float(k)) for k in range(4)}
    deferred.update(gradients)
    for gradient in gradients.values():
        gradient += 10  # the original is not what is kept
    assert [float(deferred[box].mean()) for box in gradients] == [0, 1, 2, 3]
    assert [deferred[box].shape for box in gradients] == [gradient.shape for gradient in gradients.values()]
    assert deferred.nbytes == sum(gradient.nbytes for gradient in gradients.values())
    one, *others = gradients
    deferred[one] = torch.full((3, 5, 7), -1.0)
    assert torch.equal(deferred.pop(one), torch.full((3, 5, 7), -1.0))
    assert list(deferred) == others
    assert deferred.nbytes == sum(gradients[box].nbytes for box in others)


def test_a_part_of_a_gradient_is_copied_as_it_lies() -> None:
    """What is set may be a view of a larger tensor."""
    gradient = torch.arange(60.0).view(3, 4, 5)
    deferred = DeferredGradients()
    deferred[Box(0, 0, 4, 2)] = gradient[:, :, 3:]
    assert torch.equal(deferred[Box(0, 0, 4, 2)], gradient[:, :, 3:])


def test_refused_memory_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the render goes on with smaller patches, as with any other tensor."""

    def refused(descriptor: int, size: int) -> mmap.mmap:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("tilestyle.optim.deferred.mmap.mmap", refused)
    with pytest.raises(MemoryError):
        DeferredGradients()[Box(0, 0, 1, 4)] = torch.ones(3, 1, 4)


def test_a_block_is_freed_with_its_last_border(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rims that have stepped leave no memory behind; one larger than a block has its own."""
    blocks: list[weakref.ref[mmap.mmap]] = []

    class Watched(mmap.mmap):
        pass

    def made(descriptor: int, size: int) -> mmap.mmap:
        block = Watched(descriptor, size)
        blocks.append(weakref.ref(block))
        return block

    monkeypatch.setattr("tilestyle.optim.deferred.mmap.mmap", made)
    deferred = DeferredGradients()
    first, second, third, large = (Box(k, 0, 1, 1) for k in range(4))
    deferred[first] = deferred[second] = torch.ones(3, 1, HALF)
    deferred[third] = torch.ones(3, 1, 4)
    deferred[large] = torch.ones(3, 1, 5 * HALF)
    alive = [block() is not None for block in blocks]
    assert alive == [True, True, True]
    del deferred[first]
    assert blocks[0]() is not None
    del deferred[second]
    assert [block() is not None for block in blocks] == [False, True, True]
    assert deferred[large].sum() == 15 * HALF
