"""Masks of flat colors and gray maps, as planes of weights.

Transparent areas of them count as black, whatever colors are stored there: nothing is painted there, and black
is the first style of a blend map, no photograph in a content map, and one more region of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import PlaneStore
from tilestyle.errors import PictureError
from tilestyle.images import AreaAccumulator
from tilestyle.planning.inputs import open_image

RgbColor = tuple[int, int, int]  # red, green, blue, each from 0 to 255

# Two colors are the same if no channel differs by more than this, which allows for JPEG and color profiles.
COLOR_TOLERANCE = 48
# Smallest fraction of a mask that counts as a color of its own. Only pixels whose neighbors have the same color
# are counted, since the smoothed edge between two regions has other colors.
MIN_COLOR_SHARE = 1 / 500
FLAT_TOLERANCE = 4 / 255  # largest difference of neighbors of the same color
# Smallest fraction of a mask that its flat colors must cover; otherwise it is a photograph.
MIN_FLAT_SHARE = 0.8
MAX_COLORS = 16  # largest number of colors in a mask
COLOR_BITS = 5  # bits per channel when colors are counted


@dataclass(frozen=True)
class FlatMask:
    """A mask that has been looked through: a picture of flat colors, or a single color.

    Attributes:
        colors: Its colors, sorted.
        picture: The picture; None for a single color.
        size: Height and width of the picture.
    """

    colors: tuple[RgbColor, ...]
    picture: object = None
    size: tuple[int, int] = (0, 0)


def same_color(one: RgbColor, other: RgbColor) -> bool:
    """Return whether two colors stand for the same region."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= COLOR_TOLERANCE


def hex_color(color: RgbColor) -> str:
    """Return a color as "#rrggbb", as it is written in messages and on the command line."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def parse_hex_color(text: str) -> RgbColor | None:
    """Parse a color "#rrggbb"; None for anything else."""
    digits = text.removeprefix("#")
    if text == digits or len(digits) != 6 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return None
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def is_mask_picture(mask: object) -> bool:
    """Return whether a mask is a picture, rather than None or a color."""
    return mask is not None and not (isinstance(mask, str) and parse_hex_color(mask))


def color_or_mask(mask: object) -> FlatMask:
    """Look through the mask of a style: a picture of flat colors, or one color "#rrggbb".

    Raises:
        PictureError: As `read_flat_mask`.
    """
    if isinstance(mask, str) and (single := parse_hex_color(mask)):
        return FlatMask((single,))
    return read_flat_mask(mask, "mask of a style")


def read_flat_mask(mask: object, role: str = "mask") -> FlatMask:
    """Read a mask of flat colors, and find its colors.

    Args:
        mask: A picture of flat colors.
        role: What it is, for messages.

    Raises:
        PictureError: The picture does not consist of flat colors, or has too many.
    """
    counts = np.zeros(2 ** (3 * COLOR_BITS), np.int64)
    sums = np.zeros((3, counts.size))
    with open_image(mask, role=role) as image:
        name, size = image.name, (image.height, image.width)
        for strip in image.strips():
            pixels = _painted(strip)
            values = pixels[_flat_pixels(pixels)] * 255.0
            bins = (values.astype(np.int64) >> (8 - COLOR_BITS)) @ [1 << (2 * COLOR_BITS), 1 << COLOR_BITS, 1]
            counts += np.bincount(bins, minlength=counts.size)
            sums += [np.bincount(bins, channel, counts.size) for channel in values.T]
    total = size[0] * size[1]
    colors: list[RgbColor] = []
    covered = 0
    for index in np.argsort(-counts, kind="stable"):
        count = int(counts[index])
        if not count:
            break
        red, green, blue = (round(value) for value in (sums[:, index] / count).tolist())
        known = any(same_color((red, green, blue), each) for each in colors)
        if not known and count >= MIN_COLOR_SHARE * total:
            colors.append((red, green, blue))
            known = True
        covered += count * known
    if covered < MIN_FLAT_SHARE * total or len(colors) > MAX_COLORS:
        raise PictureError(
            f"mask {f'{name} ' if name else ''}does not consist of at most {MAX_COLORS} flat colors",
            hint="paint each region in one color",
        )
    return FlatMask(tuple(sorted(colors)), mask, size)


def _flat_pixels(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where pixels [h, w, 3] are close to those to the right and below, if there are any: [h, w]."""
    is_flat = np.ones(pixels.shape[:2], bool)
    is_flat[:, :-1] &= np.abs(np.diff(pixels, axis=1)).max(-1) <= FLAT_TOLERANCE
    is_flat[:-1] &= np.abs(np.diff(pixels, axis=0)).max(-1) <= FLAT_TOLERANCE
    return is_flat


def label_planes(
    mask: FlatMask, indices: Sequence[int], store: PlaneStore, sides: tuple[int, int] | None = None
) -> Tensor:
    """Return a plane for each of some colors of a mask, 1 where the mask has that color and 0 elsewhere.

    At a smaller size the planes hold the fraction of each color under a pixel: pixels are assigned to colors
    before they are averaged.

    Args:
        mask: A picture of flat colors; a pixel belongs to the nearest of them.
        indices: Which of its colors get a plane.
        store: Where the planes go.
        sides: Height and width of the planes; None for those of the mask.

    Returns:
        Planes [K, h, w].
    """

    def values(strip: NDArray[np.float32]) -> NDArray[np.float32]:
        points = np.array(mask.colors, np.float32) / 255
        distance = np.square(_painted(strip)[..., None, :] - points).sum(-1)
        return np.stack([distance.argmin(-1) == index for index in indices]).astype(np.float32)

    return _fill_planes(mask.picture, len(indices), values, store, sides)


def blend_planes(source: object, count: int, store: PlaneStore, sides: tuple[int, int] | None = None) -> Tensor:
    """Return the weights of styles from a gray map, whose black is the first style and white the last.

    Args:
        source: The map.
        count: Number of styles.
        store: Where the planes go.
        sides: Height and width of the planes; None for those of the map.

    Returns:
        Planes [count, h, w] that sum to 1.
    """

    def values(strip: NDArray[np.float32]) -> NDArray[np.float32]:
        position = _on_black(strip).mean(-1) * (count - 1)
        weights = [np.clip(1 - np.abs(position - index), 0, 1) for index in range(count)]
        return np.stack(weights).astype(np.float32)

    return _fill_planes(source, count, values, store, sides)


def gray_plane(source: object, store: PlaneStore, sides: tuple[int, int] | None = None) -> Tensor:
    """Return a gray map as numbers from 0 (black) to 1 (white).

    Args:
        source: The map.
        store: Where the plane goes.
        sides: Height and width of the plane; None for those of the map.

    Returns:
        A plane [1, h, w].
    """
    return _fill_planes(source, 1, lambda strip: _on_black(strip).mean(-1)[None], store, sides)


def _on_black(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colors of a strip [h, w, 3 or 4] on black, [h, w, 3]."""
    return strip if strip.shape[2] == 3 else strip[..., :3] * strip[..., 3:]


def _painted(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colors of a strip [h, w, 3 or 4], and black where it is more transparent than not, [h, w, 3].

    A mixture with black, at the smooth edge of a region, could be the color of another region.
    """
    if strip.shape[2] == 3:
        return strip
    return np.where(strip[..., 3:] >= 0.5, strip[..., :3], np.float32(0))


def _fill_planes(
    source: object, channels: int, values: Any, store: PlaneStore, sides: tuple[int, int] | None
) -> Tensor:
    """Fill planes [channels, h, w] from a picture, strip by strip.

    Args:
        source: The picture.
        channels: Number of planes.
        values: Maps a strip [rows, w, C] to values [channels, rows, w].
        store: Where the planes go.
        sides: Height and width of the planes; None for those of the picture.
    """
    with open_image(source) as image:
        own_sides = image.height, image.width
        if sides is not None and sides != own_sides:
            means = AreaAccumulator(own_sides, sides)
            for strip in image.strips():
                means.add(np.moveaxis(values(strip), 0, -1))
            plane = store.empty(channels, *sides)
            return plane.copy_(torch.from_numpy(means.means()).movedim(-1, 0))
        plane = store.empty(channels, image.height, image.width)
        top = 0
        for strip in image.strips():
            rows = plane[:, top : top + len(strip)]
            rows.copy_(torch.from_numpy(values(strip)))
            note_mapped_access(rows)
            top += len(strip)
    return plane
