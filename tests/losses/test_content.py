"""Content features that are kept lie where the canvas does: in files, where memory has no room for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import FEW, waves
from tilestyle import RenderConfig, render
from tilestyle.canvas import storage
from tilestyle.canvas.storage import Folder, Memory, is_mapped
from tilestyle.config.enums import NetworkName
from tilestyle.losses.content import CachedContent
from tilestyle.networks.vgg_weights import random_vgg
from tilestyle.planning import resolve
from tilestyle.planning.memory_model import Pictures, Work, footprint
from tilestyle.planning.schedule import Pyramid, levels

CONTENT, STYLE = waves(90, 151, 1), waves(70, 90, 2)
CONFIG = RenderConfig(
    size=151, patch=64, coarsest=75, sweeps=2, margin=8, keep_content=True, device="cpu", **FEW
)


@pytest.mark.parametrize("mapped", [False, True])
def test_kept_features_lie_where_the_canvas_does(
    mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render(CONTENT, STYLE, CONFIG).pixels
    kept: list[bool] = []
    fill = CachedContent._fill

    def filled(content: CachedContent, tile: Any) -> None:
        fill(content, tile)
        kept.extend(is_mapped(plane) for plane in content._kept.values())

    monkeypatch.setattr(CachedContent, "_fill", filled)
    monkeypatch.setattr(storage, "SMALL", 0)
    monkeypatch.setattr(storage, "RESIDENT", 2**16)
    monkeypatch.setattr(resolve, "belongs_in_files", lambda *facts: mapped)
    found = render(CONTENT, STYLE, CONFIG, work=tmp_path / "work").pixels
    assert kept and set(kept) == {mapped}
    assert np.array_equal(found, expected)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 6)])
@pytest.mark.parametrize("mapped", [False, True])
def test_room_for_features_of_any_size(
    height: int, width: int, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilestyle.losses.content import _room

    monkeypatch.setattr(storage, "SMALL", 0)
    room = _room(Folder(tmp_path) if mapped else Memory(), 7, height, width)
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
    steps = levels(size, size, RenderConfig(), Pyramid(128, 512, 16))
    needs = []
    for kept in (False, True):
        task = Work(seen, seen.style_layers, seen.content_layers, blended=False, mapped=True, kept=kept)
        needs.append(footprint(task, steps, 512, Pictures(((300, 400),), (size, size)), size))
    without, beside = needs
    numbers = sum(seen.layers[layer].channels / seen.layers[layer].stride ** 2 for layer in seen.content_layers)
    assert beside.held - without.held <= 2 * numbers * storage.SMALL
    assert beside.disk - without.disk == pytest.approx(2 * numbers * steps[-1].extent.area, rel=0.01)
