"""Rims lie apart from the heap: in blocks of their own, which go when nothing is left in them."""

import mmap
import weakref

import pytest
import torch

from tilestyle.apart import BLOCK, Apart


def test_copies_are_what_they_were_copied_from_and_do_not_touch() -> None:
    """Writing to one changes no other, and not the original."""
    original = torch.arange(24.0).view(2, 3, 4)
    room = Apart()
    first, second = room.copy(original[:, :, 1:3]), room.copy(original)
    first.fill_(-1.0)
    assert torch.equal(second, original)
    assert torch.equal(original, torch.arange(24.0).view(2, 3, 4))
    assert first.shape == (2, 3, 2)


def test_copies_share_blocks_and_large_ones_get_their_own() -> None:
    """Of small ones many lie in one block; one larger than a block is copied whole."""
    room = Apart()
    small = [room.copy(torch.full((3, 5, 100), float(k))) for k in range(4)]
    large = room.copy(torch.ones(3, BLOCK // 8))
    assert len({copy.untyped_storage().data_ptr() for copy in small}) == 1
    assert large.sum() == 3 * (BLOCK // 8)
    assert [float(copy.mean()) for copy in small] == [0.0, 1.0, 2.0, 3.0]


def test_a_block_goes_with_its_last_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rims that have stepped leave no memory behind."""
    blocks: list[weakref.ref[mmap.mmap]] = []

    class Watched(mmap.mmap):
        pass

    def made(descriptor: int, size: int) -> mmap.mmap:
        block = Watched(descriptor, size)
        blocks.append(weakref.ref(block))
        return block

    monkeypatch.setattr("tilestyle.apart.mmap.mmap", made)
    room = Apart()
    kept = room.copy(torch.ones(BLOCK // 8))
    room.copy(torch.ones(BLOCK // 8))
    later = room.copy(torch.ones(4))  # in a block after it
    assert [block() is not None for block in blocks] == [True, True]
    del kept
    assert [block() is not None for block in blocks] == [False, True]
    assert later.sum() == 4
