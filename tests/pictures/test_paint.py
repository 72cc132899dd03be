"""Whether the styles that come along are painted anew the same, small."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tilestyle.pictures import MASKS, NAMES, STYLES, picture_path

EXAMPLES = Path(__file__).parents[2] / "examples"
HEIGHT = 84


@pytest.fixture
def paint(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not here")
    monkeypatch.syspath_prepend(EXAMPLES)
    canvas = importlib.import_module("painting.canvas").Canvas
    lay = canvas.lay

    def laid(on: Any, scene: Any, brush: Any, where: Any = None) -> None:
        """Few of the strokes: they take nearly all the time, at any size."""
        lay(on, scene, replace(brush, share=brush.share / 24), where)

    monkeypatch.setattr(canvas, "lay", laid)
    return importlib.import_module("paint")


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_painted_the_same_again(paint: ModuleType, name: str) -> None:
    one, other = (np.asarray(paint.painted(name, HEIGHT)) for _ in range(2))
    assert one.shape == (HEIGHT, HEIGHT * 4 // 3, 3)
    assert (one == other).all()
    assert one.std() > 20  # a picture, and no plain color


def test_every_style_has_its_file(paint: ModuleType) -> None:
    assert tuple(paint.PICTURES) == STYLES
    for name in STYLES:
        with Image.open(picture_path(name)) as image:
            assert image.size == paint.SIZE[::-1]
        assert picture_path(name).stat().st_size < 400_000
    assert set(STYLES) < set(NAMES)


def test_a_smaller_file_is_of_lower_quality(paint: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = paint.painted("weave", HEIGHT)
    monkeypatch.setattr(paint, "LARGEST", 10**9)
    whole = len(paint.encoded(picture))
    monkeypatch.setattr(paint, "LARGEST", 1)
    assert len(paint.encoded(picture)) < whole


def test_masks_and_samples_are_those_of_the_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not here")
    monkeypatch.syspath_prepend(EXAMPLES)
    masks = importlib.import_module("masks")
    assert tuple(masks.PICTURES) == MASKS
    for name, draw in masks.PICTURES.items():
        with Image.open(picture_path(name)) as image:
            assert (np.asarray(image) == np.asarray(draw())).all()
