"""A picture in Python: what notebooks show, conversions, and the settings that it stores."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageShow

from tilestyle.errors import OutputError, SettingError
from tilestyle.images import Picture, WriteOptions, inspect_picture, picture_from, read_provenance
from tilestyle.images import picture as module

PIXELS = np.random.default_rng(0).random((30, 40, 3), dtype=np.float32)
ALPHA = PIXELS[..., 0].copy()


def test_its_text_is_short() -> None:
    assert repr(Picture(PIXELS)) == "<Picture 40 x 30>"
    assert repr(Picture(PIXELS, ALPHA, name="a.png")) == "<Picture 40 x 30, with alpha, 'a.png'>"


def test_a_notebook_shows_it_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(picture: Picture) -> Image.Image:
        return Image.open(io.BytesIO(picture._repr_png_()))

    assert np.array_equal(np.asarray(shown(Picture(PIXELS))), np.asarray(Picture(PIXELS).pil()))
    monkeypatch.setattr(module, "NOTEBOOK_SIDE", 16)
    assert shown(Picture(PIXELS, ALPHA)).size == (16, 12)
    assert shown(Picture(PIXELS, ALPHA)).mode == "RGBA"
    assert shown(Picture(PIXELS[:1])).size == (16, 1)


def test_it_converts_to_arrays_and_tensors_and_back() -> None:
    plain, transparent = Picture(PIXELS), Picture(PIXELS, ALPHA)
    assert plain.numpy() is plain.pixels
    assert np.array_equal(np.asarray(plain, dtype=np.float64), PIXELS.astype(np.float64))
    assert tuple(plain.tensor().shape) == (3, 30, 40)
    assert transparent.numpy().shape == (30, 40, 4)
    for again in (picture_from(transparent.numpy()), picture_from(transparent.tensor())):
        assert np.array_equal(again.pixels, PIXELS)
        assert again.alpha is not None
        assert np.array_equal(again.alpha, ALPHA)


def test_it_stores_what_made_it(tmp_path: Path) -> None:
    made: dict[str, Any] = {"version": "1", "settings": {"seed": 4}}
    picture = Picture(PIXELS, provenance=made)
    for name in ("a.png", "a.jpg", "a.tif"):
        picture.save(tmp_path / name)
        assert read_provenance(tmp_path / name) == made
    picture.save(tmp_path / "a.png", WriteOptions(provenance={"other": 1}))
    assert read_provenance(tmp_path / "a.png") == {"other": 1}
    picture.save(tmp_path / "a.tif", depth=16, compression="zstd")
    assert inspect_picture(tmp_path / "a.tif").depth == 16
    with pytest.raises(SettingError, match="no setting 'dept'; did you mean 'depth'"):
        picture.save(tmp_path / "c.tif", dept=16)  # type: ignore[call-arg]
    assert not (tmp_path / "c.tif").exists()
    Picture(PIXELS).save(tmp_path / "b.png")
    assert read_provenance(tmp_path / "b.png") is None


def test_it_is_shown_by_the_notebook_or_by_a_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    def view(image: Image.Image, title: str) -> bool:
        shown.append(image)
        return len(shown) == 1

    monkeypatch.setattr(ImageShow, "show", view)
    monkeypatch.setattr(module, "VIEWER_SIDE", 20)
    picture = Picture(PIXELS)
    picture.show()
    assert shown[0].size == (20, 15)
    with pytest.raises(OutputError, match="no program to show pictures; save the picture"):
        picture.show()
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.append))
    picture.show()
    assert shown[-1] is picture
