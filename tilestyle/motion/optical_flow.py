"""Optical flow: where the pixels of one picture are in another, and where that is reliable.

A flow [H, W, 2] holds, for every pixel of the first picture, how far to the right and down it is in the second,
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

MAX_FLOW_SIDE = 2048  # long side for estimating flow, in pixels: larger frames are shrunk


def import_opencv() -> ModuleType:
    """Import OpenCV; raise SettingError if it is not installed."""
    if find_spec("cv2") is None:
        raise SettingError(
            "optical flow needs OpenCV, which is not installed", hint="pip install 'tilestyle[video]'"
        )
    import cv2

    cv2.setNumThreads(1)  # a fixed order of sums gives the same bytes on every machine
    return cv2


def dense_inverse_search(first: Floats, second: Floats) -> Floats:
    """Estimate flow by dense inverse search (DIS), with OpenCV's medium preset.

    From Kroeger, Timofte, Dai and Van Gool 2016 (arXiv 1603.03590).

    Args:
        first: Picture [H, W, 3].
        second: Picture [H, W, 3].

    Returns:
        Flow [H, W, 2] from the first picture to the second, in pixels.
    """
    cv2 = import_opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gray = [cv2.cvtColor((picture * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    return np.asarray(search.calc(gray[0], gray[1], None), np.float32)


def estimate_flow(first: Floats, second: Floats, method: FlowMethod = dense_inverse_search) -> Floats:
    """Estimate the flow from one picture to another; pictures above 2048 pixels are shrunk for it.

    Args:
        first: Picture [H, W, 3].
        second: Picture [H, W, 3].
        method: How to estimate it.

    Returns:
        Flow [H, W, 2], in pixels of the pictures as given.
    """
    height, width = first.shape[:2]
    factor = min(1.0, MAX_FLOW_SIDE / max(height, width))
    if factor == 1:
        return method(first, second)
    cv2 = import_opencv()
    size = round(width * factor), round(height * factor)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (first, second)]
    large = cv2.resize(method(small[0], small[1]), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large * np.array([width / size[0], height / size[1]], np.float32), np.float32)


def warp(image: Floats, flow: Floats) -> Floats:
    """Warp a picture by a flow: every pixel takes the color from where the flow points.

    Args:
        image: Picture [H, W] or [H, W, C]; beyond its edges it is reflected.
        flow: Flow [H, W, 2] from the result to the picture, in pixels.

    Returns:
        The warped picture, in the shape of `image`; sampled bicubically, so values can overshoot.
    """
    cv2 = import_opencv()
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    positions = x + flow[..., 0], y + flow[..., 1]
    warped = cv2.remap(image, *positions, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, np.float32)


def visibility_mask(forward: Floats, backward: Floats) -> Floats:
    """Mark the pixels of the second picture that the first shows too.

    A pixel is not visible in the first picture where the two flows do not lead back to it (a disocclusion:
    equation 5 of Ruder, Dosovitskiy and Brox 2016, arXiv 1604.08610), or where `backward` leaves the picture.

    Args:
        forward: Flow [H, W, 2] from the first picture to the second, in pixels.
        backward: Flow [H, W, 2] from the second picture to the first.

    Returns:
        Mask [H, W] of 0 and 1.
    """
    returning = _warp_linear(forward, backward)
    error = np.square(returning + backward).sum(2)
    occluded = error > 0.01 * (np.square(returning).sum(2) + np.square(backward).sum(2)) + 0.5
    height, width = backward.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + backward[..., 0], y + backward[..., 1]
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return np.asarray(~(occluded | outside), np.float32)


def reliability_mask(forward: Floats, backward: Floats) -> Floats:
    """Mark the pixels of the second picture where `backward` is reliable.

    These are the visible ones, except at the edges of moving things, where the flow changes abruptly (equation
    6 of Ruder, Dosovitskiy and Brox 2016).

    Args:
        forward: Flow [H, W, 2] from the first picture to the second, in pixels.
        backward: Flow [H, W, 2] from the second picture to the first.

    Returns:
        Mask [H, W] of 0 and 1.
    """
    gradients = [np.gradient(backward[..., axis]) for axis in (0, 1)]
    steep = sum(np.square(part) for gradient in gradients for part in gradient)
    edge = steep > 0.01 * np.square(backward).sum(2) + 0.002
    return np.asarray(visibility_mask(forward, backward) * ~edge, np.float32)


def _warp_linear(plane: Floats, flow: Floats) -> Floats:
    """Warp [H, W(, C)] by a flow [H, W, 2], linearly; beyond the edges the last pixels are repeated."""
    cv2 = import_opencv()
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    positions = x + flow[..., 0], y + flow[..., 1]
    warped = cv2.remap(plane, *positions, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def interpolate_frames(first: Floats, second: Floats, positions: list[float]) -> list[Floats]:
    """Interpolate pictures between two: both are warped to each position in time, and mixed.

    Args:
        first: Picture [H, W, 3].
        second: Picture [H, W, 3].
        positions: Positions in time, from 0 for the first picture to 1 for the second.

    Returns:
        A picture [H, W, 3] for each position.
    """
    forward, backward = estimate_flow(first, second), estimate_flow(second, first)
    frames = []
    for share in positions:
        # A pixel's origin is minus its part of the flow away; the flow is read at the pixel itself, which
        # approximates that at its origin.
        from_first = warp(first, -np.float32(share) * forward)
        from_second = warp(second, -np.float32(1 - share) * backward)
        frames.append(np.clip(from_first + np.float32(share) * (from_second - from_first), 0, 1))
    return frames
