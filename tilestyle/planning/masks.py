"""Pictures that say where: masks of flat colours, and grey maps, as planes of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.canvas.storage import Store, touched
from tilestyle.errors import PictureError
from tilestyle.images import Means
from tilestyle.planning.inputs import opened

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255

# Colours are the same if no channel differs by more: what JPEG, or a profile, makes of one.
NEAR = 48
# Share of a mask that a colour has at the least, counted where the neighbours have it, too: the smoothed edge
# between two regions has other colours.
LEAST = 1 / 500
EVEN = 4 / 255  # what neighbours of one colour may differ by
# Share that the colours of a mask have at the least: less, and it is a photograph.
FLAT = 0.8
MOST = 16  # colours of a mask
BITS = 5  # of each channel, by which colours are counted


def same(one: Colour, other: Colour) -> bool:
    """Whether two colours stand for the same region."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= NEAR


def shown(colour: Colour) -> str:
    """As messages and the command line have it: #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colour_of(text: str) -> Colour | None:
    """The colour of #rrggbb; None for anything else."""
    digits = text.removeprefix("#")
    if text == digits or len(digits) != 6 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return None
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def is_picture(mask: object) -> bool:
    """Whether there is a mask that is more than a colour."""
    return mask is not None and not (isinstance(mask, str) and colour_of(mask))


def palette(mask: object) -> list[Colour]:
    """The flat colours of a mask, in a fixed order. Raises PictureError for what has none, or too many."""
    if isinstance(mask, str) and (colour := colour_of(mask)):
        return [colour]
    counts = np.zeros(2 ** (3 * BITS), np.int64)
    sums = np.zeros((3, counts.size))
    total = 0
    for strip in _strips(mask):
        pixels = strip[..., :3]
        total += pixels.shape[0] * pixels.shape[1]
        flat = pixels[_even(pixels)] * 255.0
        bins = (flat.astype(np.int64) >> (8 - BITS)) @ [1 << (2 * BITS), 1 << BITS, 1]
        counts += np.bincount(bins, minlength=counts.size)
        sums += [np.bincount(bins, channel, counts.size) for channel in flat.T]
    found: list[Colour] = []
    covered = 0
    for index in np.argsort(-counts, kind="stable"):
        count = int(counts[index])
        if not count:
            break
        red, green, blue = (round(value) for value in (sums[:, index] / count).tolist())
        known = any(same((red, green, blue), colour) for colour in found)
        if not known and count >= LEAST * total:
            found.append((red, green, blue))
            known = True
        covered += count * known
    if covered < FLAT * total or len(found) > MOST:
        raise PictureError(
            f"mask {_name(mask)}is no picture of at most {MOST} flat colours",
            hint="paint each region in one colour",
        )
    return sorted(found)


def _even(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where [h, w, 3] pixels are as those to the right and below, if there are any: [h, w]."""
    even = np.ones(pixels.shape[:2], bool)
    even[:, :-1] &= np.abs(np.diff(pixels, axis=1)).max(-1) <= EVEN
    even[:-1] &= np.abs(np.diff(pixels, axis=0)).max(-1) <= EVEN
    return even


def label_planes(
    mask: object,
    colours: Sequence[Colour],
    wanted: Sequence[int],
    store: Store,
    sides: tuple[int, int] | None = None,
) -> Tensor:
    """Planes [K, h, w], 1 where a mask has each of the `wanted` of its colours: the nearest of all.

    At other `sides` (height, width) than its own, smaller ones, the share of each colour under a pixel: colours
    are told apart before anything is averaged.
    """

    def values(strip: NDArray[np.float32]) -> NDArray[np.float32]:
        points = np.array(colours, np.float32) / 255
        distance = np.square(strip[..., None, :3] - points).sum(-1)
        return np.stack([distance.argmin(-1) == index for index in wanted]).astype(np.float32)

    return _filled(mask, len(wanted), values, store, sides)


def blend_planes(source: object, count: int, store: Store, sides: tuple[int, int] | None = None) -> Tensor:
    """Planes [count, h, w] of weights that sum to 1, grey from black, the first, to white, the last."""

    def values(strip: NDArray[np.float32]) -> NDArray[np.float32]:
        position = strip[..., :3].mean(-1) * (count - 1)
        weights = [np.clip(1 - np.abs(position - index), 0, 1) for index in range(count)]
        return np.stack(weights).astype(np.float32)

    return _filled(source, count, values, store, sides)


def _filled(source: object, channels: int, values: Any, store: Store, sides: tuple[int, int] | None) -> Tensor:
    with opened(source, None) as found:
        own = found.height, found.width
        if sides is not None and sides != own:
            means = Means(own, sides)
            for strip in found.strips():
                means.add(np.moveaxis(values(strip), 0, -1))
            plane = store.empty(channels, *sides)
            return plane.copy_(torch.from_numpy(means.values()).movedim(-1, 0))
        plane = store.empty(channels, found.height, found.width)
        top = 0
        for strip in found.strips():
            rows = plane[:, top : top + len(strip)]
            rows.copy_(torch.from_numpy(values(strip)))
            touched(rows)
            top += len(strip)
    return plane


def _strips(source: object) -> Iterator[NDArray[np.float32]]:
    with opened(source, None) as found:
        yield from found.strips()


def _name(mask: object) -> str:
    with opened(mask, None) as found:
        return f"{found.name} " if found.name else ""
