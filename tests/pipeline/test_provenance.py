"""What a picture stores of the call that made it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FEW, waves
from tilestyle import RenderConfig, Style, invert, read_picture, render, texture
from tilestyle.images import read_provenance
from tilestyle.pipeline.provenance import IN_MEMORY, call_provenance, file_name
from tilestyle.version import __version__

PIXELS = np.zeros((4, 5, 3), np.float32)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray((waves(32, 48).permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(
        tmp_path / "photo.png"
    )
    return tmp_path / "photo.png"


def test_names_are_without_folders(photo: Path) -> None:
    with Image.open(photo) as image:
        assert [file_name(each) for each in (photo, str(photo), read_picture(photo), image)] == [
            "photo.png"
        ] * 4
    assert [file_name(each) for each in (PIXELS, waves(4, 5))] == [IN_MEMORY] * 2


def test_calls_are_told_apart_and_hold_no_pictures() -> None:
    config = RenderConfig(size=(50, 40), init="noise", mask=PIXELS, weights="home/me/w.pth", sweeps=[3, 2])
    styles = [Style("home/me/a.jpg", "#ff0000"), Style(PIXELS, "home/me/m.png")]
    made = json.loads(json.dumps(call_provenance(config, "home/me/photo.jpg", styles)))
    assert made == {
        "version": __version__,
        "command": f"tilestyle render photo.jpg --style a.jpg:#ff0000 --style {IN_MEMORY}:m.png",
        "content": "photo.jpg",
        "style": ["a.jpg", IN_MEMORY],
        "settings": {
            "size": "50x40",
            "init": "noise",
            "mask": IN_MEMORY,
            "weights": "w.pth",
            "sweeps": [3, 2],
            "seed": 0,
        },
    }
    assert call_provenance(config, None, [Style("a.jpg")])["command"] == "tilestyle texture a.jpg"
    assert call_provenance(config, None, [Style("a.jpg")])["content"] is None
    assert call_provenance(config, "a.jpg", [])["command"] == "tilestyle invert a.jpg"


def test_pictures_from_python_store_their_settings(photo: Path) -> None:
    settings: dict[str, Any] = {**FEW, "size": 32, "patch": 32}
    picture = render(photo, photo, RenderConfig(seed=1), sweeps=1, strength=0.7, **settings)
    picture.save(photo.with_name("out.png"))
    stored = read_provenance(photo.with_name("out.png"))
    assert stored is not None and stored == picture.provenance
    assert (stored["content"], stored["style"]) == ("photo.png", "photo.png")
    expected = {"size": 32, "patch": 32, "sweeps": 1, "seed": 1, "strength": 0.7}
    assert isinstance(stored["settings"], dict)
    assert {name: stored["settings"][name] for name in expected} == expected
    assert isinstance(stored["machine"], dict)
    assert stored["machine"]["patch"] == 32


def test_textures_and_inversions_take_keywords(photo: Path) -> None:
    few = {name: value for name, value in FEW.items() if name != "content_layers"}
    tile = texture(photo, tileable="x", size="48x32", sweeps=1, **few)
    assert (tile.width, tile.height) == (48, 32)
    few = {name: value for name, value in FEW.items() if name != "style_layers"}
    assert invert(photo, size=32, sweeps=1, **few).provenance is not None


def test_a_failing_observer_leaves_the_record_whole() -> None:
    from tilestyle.pipeline.events import PatchHalved
    from tilestyle.pipeline.provenance import RenderFacts

    recorder = RenderFacts()
    observe = recorder.then(lambda event: SimpleNamespace().missing)
    with pytest.warns(RuntimeWarning, match="the observer failed"):
        observe(PatchHalved(64))
    observe(PatchHalved(32))
    assert recorder.machine == {"patch": 32}
