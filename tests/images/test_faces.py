"""Faces: found in a photograph, and a soft weight where they are."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tilestyle.errors import SettingError
from tilestyle.images import faces
from tilestyle.images.faces import DETECTION_SIDE, Face, describe_count, face_weights, find_faces
from tilestyle.pictures import picture_path


def at_detection_size(name: str) -> np.ndarray[Any, Any]:
    with Image.open(picture_path(name)) as picture:
        share = DETECTION_SIDE / max(picture.size)
        size = round(picture.width * share), round(picture.height * share)
        return np.asarray(picture.convert("RGB").resize(size), np.float32) / 255


def test_the_astronaut_has_one_face() -> None:
    (face,) = find_faces(at_detection_size("astronaut"))
    assert 0.1 < face.top < 0.3
    assert 0.3 < face.left < 0.5
    assert 0.1 < face.height < 0.3


def test_a_raccoon_has_none() -> None:
    assert find_faces(at_detection_size("raccoon")) == ()


def test_the_weight_is_whole_in_a_face_and_soft_around_it() -> None:
    face = Face(0.4, 0.3, 0.2, 0.2)
    weights = face_weights([face], (200, 300), slice(0, 200))
    assert weights[80:120, 90:150].min() > 0.9
    assert weights[:10].max() == 0
    assert weights[:, 280:].max() == 0
    assert max(np.abs(np.diff(weights, axis=axis)).max() for axis in (0, 1)) < 0.06
    rows = np.concatenate([face_weights([face], (200, 300), slice(top, top + 50)) for top in range(0, 200, 50)])
    assert np.array_equal(rows, weights)
    both = face_weights([face, Face(0.4, 0.7, 0.2, 0.2)], (200, 300), slice(0, 200))
    assert both.max() == 1
    assert (both >= weights).all()


def test_a_face_lies_alike_in_a_part_of_the_picture() -> None:
    face, box, size = Face(0.4, 0.3, 0.2, 0.2), (60, 50, 100, 150), (200, 300)
    whole = face_weights([face], size, slice(0, 200))
    part = face_weights([face.seen_in(box, size)], (100, 150), slice(0, 100))
    np.testing.assert_allclose(part, whole[60:160, 50:200], atol=1e-5)


def test_how_many_is_said() -> None:
    assert describe_count(1) == "found 1 face"
    assert describe_count(3) == "found 3 faces"
    assert describe_count(0).startswith("found no face")


def test_without_the_detector_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match="dlib") as caught:
        find_faces(np.zeros((4, 4, 3), np.float32))
    assert "tilestyle[faces]" in str(caught.value.hint)
    assert importlib.util.find_spec("dlib") is not None
