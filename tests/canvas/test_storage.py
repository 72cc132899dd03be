"""Planes in files, and the archives and journals they are kept in."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import waves
from tilestyle.canvas import storage
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.mapped_pages import file_of, is_mapped, note_mapped_access, release_mapped_pages
from tilestyle.canvas.storage import MappedStore, MemoryStore
from tilestyle.errors import DiskError, WorkError
from tilestyle.geometry.boxes import Box, canvas_extent
from tilestyle.pipeline import tensor_archive
from tilestyle.pipeline.checksums import BandChecksums, first_mismatch
from tilestyle.pipeline.journal import HEADER, NONCE_BYTES, Journal, read_records, roll_back, row_restorer


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)


def test_a_mapped_plane_is_a_tensor_that_stays(tmp_path: Path) -> None:
    store = MappedStore(tmp_path)
    plane = store.zeros(3, 20, 30, "pixels")
    assert is_mapped(plane)
    assert is_mapped(plane[:, 3:5])
    assert not plane.any()
    plane += 2
    plane[:, 3:5, 7] = 5
    note_mapped_access(plane)
    release_mapped_pages()
    expected = plane.clone()
    del plane
    assert torch.equal(store.open_plane(store.plane_path("pixels", 20, 30), 3, 20, 30), expected)
    assert [file.name for file in tmp_path.iterdir()] == ["pixels-30x20.plane"]


def test_a_plane_of_the_same_name_and_size_does_not_touch_the_one_before(tmp_path: Path) -> None:
    store = MappedStore(tmp_path)
    planes = [store.zeros(1, 8, 8, "pixels") for _ in range(3)]
    for value, plane in enumerate(planes):
        plane.fill_(value)
    assert [float(plane.sum()) for plane in planes] == [0, 64, 128]
    names = [file_of(plane).name for plane in planes]
    assert names == ["pixels-8x8.plane", "pixels-8x8-1.plane", "pixels-8x8-2.plane"]
    assert all(store.is_plane_name(name, "pixels", 8, 8) for name in names)
    for name in ("pixels-8x9.plane", "steps-8x8.plane", "pixels-8x8-0.plane", "pixels-8x8-.plane", "../x"):
        assert not store.is_plane_name(name, "pixels", 8, 8)


def test_a_nameless_plane_leaves_nothing(tmp_path: Path) -> None:
    plane = MappedStore(tmp_path).empty(1, 8, 8)
    assert is_mapped(plane)
    assert not list(tmp_path.iterdir())
    plane.fill_(3)
    release_mapped_pages()
    assert plane.sum() == 3 * 64


def test_small_planes_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 64)
    assert not is_mapped(MappedStore(tmp_path).zeros(3, 8, 8, "pixels"))
    assert is_mapped(MappedStore(tmp_path).zeros(3, 8, 9, "pixels"))
    assert not is_mapped(MemoryStore().zeros(3, 8, 9, "pixels"))


def test_touched_pages_are_handed_back(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    plane = MappedStore(tmp_path).zeros(1, 4096, 4096)
    before = resident()
    plane.fill_(1)
    assert resident() - before > 60e6
    release_mapped_pages()
    assert resident() - before < 10e6
    assert plane[0, 4095, 4095] == 1


def test_a_full_disk_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, count: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DiskError, match=r"has no room for another \S+ [KM]?i?B"):
        MappedStore(tmp_path).zeros(3, 8, 8, "pixels")
    assert not list(tmp_path.iterdir())


def test_an_archive_gives_back_what_was_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_archive, "CHUNK_BYTES", 100)
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
        tensor_archive.save_tensors(file, tensors)
    found = tensor_archive.load_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert {name: found[name].dtype for name in found} == {name: t.dtype for name, t in tensors.items()}
    with np.load(path, allow_pickle=False) as other:  # others can read it
        assert all(np.array_equal(other[name], tensor.numpy()) for name, tensor in tensors.items())
    mapped = MappedStore(tmp_path).empty(3, 30, 20)
    tensor_archive.load_tensors(path, lambda name, shape: mapped if name == "a plane" else None)
    assert torch.equal(mapped, tensors["a plane"])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        tensor_archive.save_tensors(file, {"plane": waves(30, 20)})
    content = bytearray(path.read_bytes())
    content[3000] ^= 4
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[:3000]), "empty": b""}[damage])
    with pytest.raises(WorkError, match="is damaged"):
        tensor_archive.load_tensors(path)


NONCE = bytes(range(NONCE_BYTES))


def undone(path: Path, canvas: Canvas) -> bool:
    """Undo a journal if the canvas is then what it was; answers whether it is."""
    with path.open("rb") as file:
        found = read_records(file, NONCE, canvas.extent.height, canvas.extent.width)
        if first_mismatch(canvas, SUMS[path.name], row_restorer(file, found, canvas)) is not None:
            return False
        roll_back(file, found, canvas)
    return True


SUMS: dict[str, list[int]] = {}


def changed(tmp_path: Path) -> tuple[Canvas, dict[str, torch.Tensor], Path]:
    """A canvas that was changed in three places with a journal, what it was, and the journal."""
    around = canvas_extent(130, 50, 4, 16)
    canvas = Canvas(around, waves(around.height, around.width))
    canvas.first.copy_(waves(around.height, around.width, 3))
    before = {name: plane.clone() for name, plane in canvas.planes.items()}
    journal = Journal(tmp_path / "some.journal", NONCE)
    sums = BandChecksums(around.height)
    SUMS[journal.path.name] = sums.checksums(canvas)
    for box in [Box(130, 40, 32, 32), Box(0, 0, 16, 16), Box(10, 5, 80, 40)]:  # round the torus, and twice
        journal.record(canvas, box)
        sums.invalidate(box)
        journal.flush()
        for views, _, _ in canvas.views(box):
            for view in views.values():
                view.add_(1)
    journal.close()
    assert sums.checksums(canvas) == BandChecksums(around.height).checksums(canvas) != SUMS[journal.path.name]
    return canvas, before, journal.path


def is_as_before(canvas: Canvas, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(plane, before[name]) for name, plane in canvas.planes.items())


def test_a_journal_is_the_way_back(tmp_path: Path) -> None:
    canvas, before, path = changed(tmp_path)
    for _ in range(2):  # a kill while it is undone: it is undone again
        assert undone(path, canvas)
        assert is_as_before(canvas, before)


def test_a_record_that_was_not_finished_is_of_nothing_changed(tmp_path: Path) -> None:
    canvas, before, path = changed(tmp_path)
    whole = path.read_bytes()
    assert undone(path, canvas)
    for missing in (1, 1000, len(whole) - 50, len(whole) - 10, len(whole)):
        path.write_bytes(whole[: len(whole) - missing])
        assert undone(path, canvas)
        path.write_bytes(whole[: len(whole) - missing] + bytes(missing))  # of pages not written there are zeros
        assert undone(path, canvas)
    assert is_as_before(canvas, before)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_journal_is_told_by_the_canvas_before_anything_is_changed(tmp_path: Path, seed: int) -> None:
    canvas, _, path = changed(tmp_path)
    now = {name: plane.clone() for name, plane in canvas.planes.items()}
    whole, random = path.read_bytes(), np.random.default_rng(seed)
    size = len(whole)
    place, other = (int(x) for x in random.integers(0, size, 2))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << seed % 8
    swapped = whole[:place] + whole[other : other + 100] + whole[place + 100 :]
    for content in (bytes(flipped), whole[:place], whole[:place] + whole[place + 1 :], swapped):
        path.write_bytes(content)
        assert content == whole or not undone(path, canvas)
        assert is_as_before(canvas, now)
    path.write_bytes(whole + bytes(random.bytes(1000)))  # what was never finished
    assert undone(path, canvas)


def test_records_in_another_order_are_no_journal(tmp_path: Path) -> None:
    canvas, _, path = changed(tmp_path)
    whole = path.read_bytes()
    with path.open("rb") as file:
        found = read_records(file, NONCE, canvas.extent.height, canvas.extent.width)
    first, second, third = (record.start - HEADER.size for record in found)
    path.write_bytes(whole[:first] + whole[second:third] + whole[first:second] + whole[third:])
    assert not undone(path, canvas)
    path.write_bytes(whole[:first] + whole[second:])
    assert not undone(path, canvas)
