"""Planes in files, and the archives and journals they are kept in."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import waves
from tilestyle import archive, planes
from tilestyle.canvas import Canvas
from tilestyle.errors import DiskError, WorkError
from tilestyle.geometry import Box, extent
from tilestyle.journal import Journal, undo
from tilestyle.planes import Folder, Memory, hand_back, is_mapped, touched


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "SMALL", 0)


def test_a_mapped_plane_is_a_tensor_that_stays(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    plane = store.zeros(3, 20, 30, "pixels")
    assert is_mapped(plane)
    assert is_mapped(plane[:, 3:5])
    assert not plane.any()
    plane += 2
    plane[:, 3:5, 7] = 5
    touched(plane)
    hand_back()
    expected = plane.clone()
    del plane
    assert torch.equal(store.opened("pixels", 3, 20, 30), expected)
    assert [file.name for file in tmp_path.iterdir()] == ["pixels-30x20.plane"]


def test_a_nameless_plane_leaves_nothing(tmp_path: Path) -> None:
    plane = Folder(tmp_path).empty(1, 8, 8)
    assert is_mapped(plane)
    assert not list(tmp_path.iterdir())
    plane.fill_(3)
    hand_back()
    assert plane.sum() == 3 * 64


def test_small_planes_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "SMALL", 64)
    assert not is_mapped(Folder(tmp_path).zeros(3, 8, 8, "pixels"))
    assert is_mapped(Folder(tmp_path).zeros(3, 8, 9, "pixels"))
    assert not is_mapped(Memory().zeros(3, 8, 9, "pixels"))


def test_touched_pages_are_handed_back(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    plane = Folder(tmp_path).zeros(1, 4096, 4096)
    before = resident()
    plane.fill_(1)
    assert resident() - before > 60e6
    hand_back()
    assert resident() - before < 10e6
    assert plane[0, 4095, 4095] == 1


def test_a_full_disk_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, count: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DiskError, match=r"has no room for \S+ [KM]?i?B more"):
        Folder(tmp_path).zeros(3, 8, 8, "pixels")
    assert not list(tmp_path.iterdir())


def test_an_archive_gives_back_what_was_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE", 100)
    tensors = {
        "a plane": waves(30, 20),
        "view 1 moments first_1 second": torch.rand(5, 5, dtype=torch.float64),
        "count": torch.tensor(7),
        "alone": torch.tensor(True),
        "part of a plane": waves(30, 20)[:, 3:9, 4:8],
        "empty": torch.zeros(0, 3),
    }
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        archive.save(file, tensors)
    found = archive.load(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert {name: found[name].dtype for name in found} == {name: t.dtype for name, t in tensors.items()}
    with np.load(path, allow_pickle=False) as other:  # others can read it
        assert all(np.array_equal(other[name], tensor.numpy()) for name, tensor in tensors.items())
    mapped = Folder(tmp_path).empty(3, 30, 20)
    archive.load(path, lambda name, shape: mapped if name == "a plane" else None)
    assert torch.equal(mapped, tensors["a plane"])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        archive.save(file, {"plane": waves(30, 20)})
    content = bytearray(path.read_bytes())
    content[3000] ^= 4
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[:3000]), "empty": b""}[damage])
    with pytest.raises(WorkError, match="is damaged"):
        archive.load(path)


def changed(tmp_path: Path) -> tuple[Canvas, dict[str, torch.Tensor], Path]:
    """A canvas that was changed in three places with a journal, what it was, and the journal."""
    around = extent(40, 50, 4, 16)
    canvas = Canvas(around, waves(around.height, around.width))
    canvas.first.copy_(waves(around.height, around.width, 3))
    before = {name: plane.clone() for name, plane in canvas.planes.items()}
    journal = Journal(tmp_path / "some.journal")
    for box in [Box(30, 40, 32, 32), Box(0, 0, 16, 16), Box(10, 5, 40, 40)]:  # round the torus, and twice
        journal.add(canvas, box)
        journal.settle()
        for views, _, _ in canvas.views(box):
            for view in views.values():
                view.add_(1)
    journal.close()
    return canvas, before, journal.path


def test_a_journal_is_the_way_back(tmp_path: Path) -> None:
    canvas, before, path = changed(tmp_path)
    for _ in range(2):  # a kill while it is undone: it is undone again
        undo(path, canvas)
        assert all(torch.equal(plane, before[name]) for name, plane in canvas.planes.items())


def test_a_record_that_was_not_finished_is_of_nothing_changed(tmp_path: Path) -> None:
    canvas, before, path = changed(tmp_path)
    whole = path.read_bytes()
    undo(path, canvas)
    for missing in (1, 1000):
        path.write_bytes(whole[:-missing])
        undo(path, canvas)
        assert all(torch.equal(plane, before[name]) for name, plane in canvas.planes.items())


def test_what_was_added_together_may_be_lost_together(tmp_path: Path) -> None:
    canvas, before, _ = changed(tmp_path)
    undo(tmp_path / "some.journal", canvas)
    boxes = [Box(0, 0, 16, 16), Box(20, 8, 8, 8), Box(16, 16, 16, 16)]
    journal = Journal(tmp_path / "other.journal")
    journal.add(canvas, *boxes)
    journal.close()
    size = journal.path.stat().st_size
    assert size == journal.bytes
    content = bytearray(journal.path.read_bytes())
    for place in (100, size // 2):  # the machine stopped before any was changed
        content[place] ^= 1
        journal.path.write_bytes(content)
        undo(journal.path, canvas)
        assert all(torch.equal(plane, before[name]) for name, plane in canvas.planes.items())
    journal.path.write_bytes(bytes(size))
    undo(journal.path, canvas)
    assert all(torch.equal(plane, before[name]) for name, plane in canvas.planes.items())


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    canvas, _, path = changed(tmp_path)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(WorkError, match="is damaged"):
        undo(path, canvas)


def test_without_a_journal_nothing_was_changed(tmp_path: Path) -> None:
    canvas, _, path = changed(tmp_path)
    path.unlink()
    now = canvas.pixels.clone()
    undo(path, canvas)
    assert torch.equal(canvas.pixels, now)
