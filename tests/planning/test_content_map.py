"""The content map of a job: from a picture, from faces, and how much memory it takes."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import FEW, job, waves
from tilestyle import RenderConfig
from tilestyle.canvas import storage
from tilestyle.canvas.mapped_pages import is_mapped
from tilestyle.canvas.storage import MappedStore, MemoryStore
from tilestyle.config.enums import NetworkName
from tilestyle.errors import WorkError
from tilestyle.images.faces import Face
from tilestyle.pipeline import prepare as preparing
from tilestyle.pipeline.api import render
from tilestyle.pipeline.fingerprint import render_fingerprint
from tilestyle.planning.content_map import MAX_FACES_SIDE, faces_map_sides, load_content_map, with_faces
from tilestyle.planning.inputs import image_size
from tilestyle.planning.memory_model import MemoryInputs, PictureSizes, estimate_memory
from tilestyle.planning.schedule import Pyramid, plan_levels
from tilestyle.planning.sizes import oversampled_sides

CONTENT, STYLE = waves(60, 80), waves(70, 90, 2)
QUICK: dict[str, Any] = {"size": 48, "sweeps": 1, "coarsest": 48, "margin": 8, "precision": "fp32", **FEW}
FACE = Face(0.4, 0.4, 0.2, 0.2)


def gray(*values: float) -> np.ndarray[Any, Any]:
    """Columns of gray, [4, n, 3]."""
    return np.broadcast_to(np.array(values, np.float32)[None, :, None], (4, len(values), 3)).copy()


@pytest.fixture
def one_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "detect_faces", lambda content: (FACE,))


def test_gray_is_the_factor() -> None:
    plane = job(CONTENT, content_map=gray(0, 0.25, 1), **QUICK).content_map
    assert plane is not None
    assert torch.equal(plane, torch.tensor([0, 0.25, 1]).expand(1, 4, 3))
    assert job(CONTENT, **QUICK).content_map is None


def test_a_large_map_is_kept_no_larger_than_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.planning.sizes.MIN_READ_PIXELS", 1)
    large = np.linspace(0, 1, 600, dtype=np.float32)[None, :, None].repeat(400, 0).repeat(3, 2)
    config = RenderConfig(content_map=large, **QUICK)
    sides = oversampled_sides(image_size(large), (32, 48))
    plane = load_content_map(config, sides, (), 1.0, MemoryStore())
    assert plane is not None
    assert plane.shape[1:] == sides == (128, 192)
    assert float(plane.mean()) == pytest.approx(0.5, abs=1e-3)


def test_a_map_of_a_canvas_in_files_is_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    config = RenderConfig(content_map=gray(0, 0.5), **QUICK)
    plane = load_content_map(config, (40, 48), (FACE,), 8.0, MappedStore(tmp_path))
    assert plane is not None and is_mapped(plane)


@pytest.mark.usefixtures("one_face")
def test_a_face_gets_more_and_the_rest_what_it_had() -> None:
    task = job(CONTENT, keep_faces=True, strength=0.8, **QUICK)
    plane, factor = task.content_map, task.weights.face_factor
    assert plane is not None and factor > 4
    height, width = plane.shape[1:]
    assert float(plane[0, height // 2, width // 2]) == pytest.approx(factor)
    assert float(plane[0, 0, 0]) == 1
    assert task.face_count == 1


@pytest.mark.usefixtures("one_face")
def test_of_map_and_faces_the_larger_counts() -> None:
    task = job(CONTENT, keep_faces=True, strength=0.8, content_map=gray(0, 0, 0, 0, 0.5), **QUICK)
    plane = task.content_map
    alone = load_content_map(task.config, image_size(task.config.content_map), (), 1.0, MemoryStore())
    assert plane is not None and alone is not None
    assert bool((plane >= alone).all())
    assert float(plane[0, 2, 2]) > 4
    assert float(plane[0, 0, 0]) == 0
    assert float(plane[0, 0, 4]) == 0.5


@pytest.mark.usefixtures("one_face")
def test_a_picture_that_keeps_that_much_anyway_keeps_no_more() -> None:
    assert job(CONTENT, keep_faces=True, strength=0.1, **QUICK).weights.face_factor == 1
    factors = [job(CONTENT, content_weight=weight, **QUICK).weights.face_factor for weight in (0.01, 0.1, 1e3)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == pytest.approx(10 * factors[1])
    assert factors[2] == 1


def test_without_a_face_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "detect_faces", lambda content: ())
    task = job(CONTENT, keep_faces=True, **QUICK)
    assert (task.content_map, task.face_count) == (None, 0)
    assert job(CONTENT, **QUICK).face_count is None


def test_another_picture_of_a_series_has_its_own_faces() -> None:
    task = with_faces(job(CONTENT, content_map=gray(0.5), strength=0.8, **QUICK), (FACE, FACE))
    assert task.content_map is not None and float(task.content_map.max()) > 0.5
    assert task.face_count == 2


def test_a_map_of_faces_alone_is_small() -> None:
    assert faces_map_sides((20000, 30000)) == (683, MAX_FACES_SIDE)
    assert faces_map_sides((20, 30)) == (20, 30)


@pytest.mark.parametrize("mapped", [False, True])
def test_the_memory_of_a_map_is_counted(mapped: bool) -> None:
    network = job(CONTENT, **QUICK).network
    inputs = MemoryInputs(network, FEW["style_layers"], FEW["content_layers"], False, mapped=mapped)
    levels = plan_levels(4096, 4096, RenderConfig(network=NetworkName.WAVELET), Pyramid(128, 512, 16))
    sizes = (
        PictureSizes((4096, 4096), ((300, 400),), (4096, 4096)),
        PictureSizes((4096, 4096), ((300, 400),), (4096, 4096), content_map=(4096, 4096)),
    )
    without, beside = (estimate_memory(inputs, levels, 512, each, 4096) for each in sizes)
    area = levels[-1].extent.area
    assert beside.resident - without.resident <= 4 * (area + 4096**2) + 1
    if mapped:
        assert beside.resident - without.resident <= 8 * storage.MIN_MAPPED_PIXELS
        assert beside.disk - without.disk == pytest.approx(4 * (area + 4096**2), rel=0.01)
    else:
        assert beside.resident - without.resident == pytest.approx(4 * (area + 4096**2), rel=0.01)


def test_a_map_is_part_of_what_a_render_is_made_of(tmp_path: Path) -> None:
    plain, one, other, faces = (
        render_fingerprint(RenderConfig(**QUICK, **each), {"content": CONTENT})
        for each in ({}, {"content_map": gray(0, 1)}, {"content_map": gray(1, 0)}, {"keep_faces": True})
    )
    # Work folders from before there was a map are those of renders without one.
    assert not {"content_map", "keep_faces"} & plain["settings"].keys()
    assert one != other and plain != one and plain != faces
    config, work = RenderConfig(content_map=gray(0, 1), **QUICK), tmp_path / "work"

    def fail(picture: object) -> None:
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        render(CONTENT, STYLE, config, work=work, save=fail)
    with pytest.raises(WorkError, match="content_map"):
        render(CONTENT, STYLE, config, work=work, content_map=gray(1, 0))
    resumed = render(CONTENT, STYLE, config, work=work)
    assert np.array_equal(resumed.pixels, render(CONTENT, STYLE, config).pixels)


def test_faces_travel_between_processes_as_numbers() -> None:
    assert Face(*astuple(FACE)) == FACE
