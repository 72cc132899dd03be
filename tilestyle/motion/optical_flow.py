"""Optical flow: where the pixels of one picture are in another, and where that can be relied on.

A flow [H, W, 2] holds, for every pixel of the first picture, how far right and down its place in the second is,
in pixels. Pictures are float32 [H, W, 3] in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from types import ModuleType

Floats = NDArray[np.float32]
FlowMethod = Callable[[Floats, Floats], Floats]

LONGEST = 2048  # long side at which flow is sought, pixels: larger frames are shrunk for it


def opencv() -> ModuleType:
    """OpenCV; raises SettingError where it is not installed."""
    if find_spec("cv2") is None:
        raise SettingError(
            "optical flow needs OpenCV, which is not installed", hint="pip install 'tilestyle[video]'"
        )
    import cv2

    cv2.setNumThreads(1)  # sums in another order are other sums: the same bytes on every machine
    return cv2


def dense_inverse_search(first: Floats, second: Floats) -> Floats:
    """Flow by DIS (Kroeger, Timofte, Dai and Van Gool 2016, arXiv 1603.03590), with OpenCV's medium preset."""
    cv2 = opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor((picture * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    return np.asarray(search.calc(grey[0], grey[1], None), np.float32)


def flow(first: Floats, second: Floats, method: FlowMethod = dense_inverse_search) -> Floats:
    """Where the pixels of `first` are in `second`, [H, W, 2]; large pictures are shrunk to look for it."""
    height, width = first.shape[:2]
    factor = min(1.0, LONGEST / max(height, width))
    if factor == 1:
        return method(first, second)
    cv2 = opencv()
    size = round(width * factor), round(height * factor)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (first, second)]
    found = cv2.resize(method(small[0], small[1]), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(found * np.array([width / size[0], height / size[1]], np.float32), np.float32)


def moved(picture: Floats, along: Floats) -> Floats:
    """The picture [H, W(, C)] seen at every pixel's place `along` a flow: what was there is here."""
    cv2 = opencv()
    height, width = along.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at = x + along[..., 0], y + along[..., 1]
    found = cv2.remap(picture, *at, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32)


def visible(forward: Floats, backward: Floats) -> Floats:
    """Where what the second picture shows is in the first, by its flow `backward` to that: 0 or 1, [H, W].

    Not where it and `forward` do not lead back to where they came from (a disocclusion: equation 5 of Ruder,
    Dosovitskiy and Brox 2016, arXiv 1604.08610), nor where it leads out of the picture.
    """
    there = _linear(forward, backward)
    apart = np.square(there + backward).sum(2)
    occluded = apart > 0.01 * (np.square(there).sum(2) + np.square(backward).sum(2)) + 0.5
    height, width = backward.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + backward[..., 0], y + backward[..., 1]
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return np.asarray(~(occluded | outside), np.float32)


def reliable(forward: Floats, backward: Floats) -> Floats:
    """Where the flow `backward` can be relied on: 0 or 1, [H, W].

    Where that is visible, and not at the edge of what moves, where the flow changes abruptly (equation 6).
    """
    gradients = [np.gradient(backward[..., axis]) for axis in (0, 1)]
    steep = sum(np.square(part) for gradient in gradients for part in gradient)
    edge = steep > 0.01 * np.square(backward).sum(2) + 0.002
    return np.asarray(visible(forward, backward) * ~edge, np.float32)


def _linear(plane: Floats, along: Floats) -> Floats:
    cv2 = opencv()
    height, width = along.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at = x + along[..., 0], y + along[..., 1]
    found = cv2.remap(plane, *at, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def between(first: Floats, second: Floats, shares: list[float]) -> list[Floats]:
    """Pictures on the way from one to the other: both moved to where they meet, and mixed."""
    there, back = flow(first, second), flow(second, first)
    found = []
    for share in shares:
        # A pixel on the way came from where it is less its share of the flow; that is taken at its own place.
        one = moved(first, -np.float32(share) * there)
        other = moved(second, -np.float32(1 - share) * back)
        found.append(np.clip(one + np.float32(share) * (other - one), 0, 1))
    return found
