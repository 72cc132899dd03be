"""Content features that are kept lie where the canvas does: in files, where memory has no room for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import FEW, waves
from tilestyle import RenderConfig, render
from tilestyle.canvas import mapped_pages, storage
from tilestyle.canvas.mapped_pages import is_mapped
from tilestyle.canvas.storage import MappedStore, MemoryStore
from tilestyle.config.enums import NetworkName
from tilestyle.losses.content import CachedContentTarget
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.planning.memory_model import MemoryInputs, PictureSizes, estimate_memory
from tilestyle.planning.schedule import Pyramid, plan_levels

CONTENT, STYLE = waves(60, 101, 1), waves(70, 90, 2)
CONFIG = RenderConfig(
    size=101, patch=64, coarsest=75, sweeps=2, margin=8, keep_content=True, device="cpu", **FEW
)


@pytest.mark.parametrize("mapped", [False, True])
def test_kept_features_lie_where_the_canvas_does(
    mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render(CONTENT, STYLE, CONFIG).pixels
    kept: list[bool] = []
    fill = CachedContentTarget._compute_tile

    def filled(content: CachedContentTarget, tile: Any) -> None:
        fill(content, tile)
        kept.extend(is_mapped(plane) for plane in content._features.values())

    monkeypatch.setattr(CachedContentTarget, "_compute_tile", filled)
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    monkeypatch.setattr(mapped_pages, "MAX_RESIDENT_BYTES", 2**16)
    monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: mapped)
    found = render(CONTENT, STYLE, CONFIG, work=tmp_path / "work").pixels
    assert kept and set(kept) == {mapped}
    assert np.array_equal(found, expected)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 6)])
@pytest.mark.parametrize("mapped", [False, True])
def test_room_for_features_of_any_size(
    height: int, width: int, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilestyle.losses.content import _bfloat16_plane

    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    store = MappedStore(tmp_path) if mapped else MemoryStore()
    room = _bfloat16_plane(store, 7, height, width, torch.device("cpu"))
    assert (room.shape, room.dtype) == ((7, height, width), torch.bfloat16)
    assert is_mapped(room) == mapped
    assert not room.any()
    room[:] = torch.arange(room.numel()).view(room.shape)
    assert torch.equal(room.float(), torch.arange(room.numel()).view(room.shape).bfloat16().float())


@pytest.mark.parametrize("network", [NetworkName.VGG16, NetworkName.VGG19])
@pytest.mark.parametrize("size", [2048, 8192, 32768])
def test_keeping_features_costs_disk_and_no_memory(network: NetworkName, size: int) -> None:
    """By the arithmetic, and by what has room in memory: small planes, all channels of a layer together."""
    seen = random_vgg(network, width_divisor=8)
    steps = plan_levels(size, size, RenderConfig(), Pyramid(128, 512, 16))
    needs = []
    for kept in (False, True):
        task = MemoryInputs(
            seen, seen.style_layers, seen.content_layers, overlapping=False, mapped=True, content_cached=kept
        )
        needs.append(
            estimate_memory(task, steps, 512, PictureSizes((size, size), ((300, 400),), (size, size)), size)
        )
    without, beside = needs
    numbers = sum(seen.layers[layer].channels / seen.layers[layer].stride ** 2 for layer in seen.content_layers)
    assert beside.resident - without.resident <= 2 * numbers * storage.MIN_MAPPED_PIXELS
    assert beside.disk - without.disk == pytest.approx(2 * numbers * steps[-1].extent.area, rel=0.01)
