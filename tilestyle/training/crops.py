"""Training pictures: random crops, altered towards what a renderer meets on the way to its picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.errors import PictureError
from tilestyle.images import area_mean, read_picture

FloatImage = NDArray[np.float32]

LONGEST = 1600  # pixels; larger pictures are reduced: no crop needs more
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


def pictures_in(folders: Sequence[Path]) -> list[Path]:
    """All picture files below some folders, in a fixed order. Raises PictureError when there are none."""
    files = [
        file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        shown = ", ".join(map(str, folders))
        raise PictureError(
            f"there are no pictures in {shown}", hint="give a folder of photographs or paintings"
        )
    return files


class Crops:
    """An endless stream of square training crops.

    Half of what a renderer shows its network is neither photograph nor painting but something between. So a
    crop may take its coarse forms from one picture and its detail from another, be a mixture of two, change
    in contrast, brightness, saturation and tint, and carry noise.
    """

    def __init__(self, groups: Sequence[tuple[float, Sequence[Path]]], side: int, seed: int) -> None:
        """Prepare the stream.

        Args:
            groups: Pairs of a probability and the files of one kind of picture (photographs, paintings,
                textures, renders). The last group lends its detail to the others more often than not.
            side: Height and width of a crop, pixels.
            seed: Seed of all random choices.
        """
        self._groups = [list(files) for _, files in groups]
        odds = np.array([odds for odds, _ in groups], np.float64)
        self._odds = odds / odds.sum()
        self._side = side
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int) -> Tensor:
        """Draw crops [count, 3, side, side], float32 in about [0, 1]."""
        return (
            torch.from_numpy(np.stack([self._altered() for _ in range(count)])).permute(0, 3, 1, 2).contiguous()
        )

    def plain(self, count: int) -> Tensor:
        """Draw unaltered crops [count, 3, side, side]."""
        crops = np.stack([self._crop(self._group()) for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()

    def _group(self) -> int:
        return int(self._rng.choice(len(self._groups), p=self._odds))

    def _crop(self, group: int) -> FloatImage:
        """A random square of a random picture, of a random size, scaled to the side: [side, side, 3]."""
        rng, side = self._rng, self._side
        files = self._groups[group]
        picture = _pixels(files[int(rng.integers(len(files)))])
        height, width = picture.shape[:2]
        largest = min(height, width)
        smallest = min(0.75 * side, largest)
        size = max(1, int(np.exp(rng.uniform(np.log(smallest), np.log(largest)))))
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        cut = (
            torch.from_numpy(picture[top : top + size, left : left + size]).permute(2, 0, 1)[None].float() / 255
        )
        scaled = F.interpolate(cut, (side, side), mode="bicubic", align_corners=False, antialias=True)
        if rng.random() < 0.5:
            scaled = scaled.flip(3)
        return scaled[0].permute(1, 2, 0).numpy()

    def _altered(self) -> FloatImage:
        rng = self._rng
        crop = self._crop(self._group())
        choice = rng.random()
        if choice < 0.18:  # half stylised: the forms of one picture, the detail of another
            other = self._crop(len(self._groups) - 1 if rng.random() < 0.7 else self._group())
            factor = int(rng.choice([4, 8, 16]))
            crop = _blurred(crop, factor) + (other - _blurred(other, factor)) * rng.uniform(0.5, 1.8)
        elif choice < 0.26:
            crop = np.float32(0.5) * (crop + self._crop(len(self._groups) - 1))
        if rng.random() < 0.5:
            gain = float(np.exp(rng.uniform(-0.7, 0.6)))
            crop = (crop - 0.5) * gain + 0.5 + rng.uniform(-0.15, 0.15)
        if rng.random() < 0.3:
            grey = crop.mean(2, keepdims=True)
            tint: FloatImage = rng.uniform(-0.12, 0.12, 3).astype(np.float32)
            crop = (grey + (crop - grey) * rng.uniform(0, 2.5) + tint).astype(np.float32)
        if rng.random() < 0.1:
            crop = crop[:, :, rng.permutation(3)]
        if rng.random() < 0.35:
            noise = rng.standard_normal(crop.shape, np.float32) * np.float32(rng.uniform(0, 0.15))
            if rng.random() < 0.4:
                noise = np.repeat(noise.mean(2, keepdims=True), 3, axis=2) * 1.7
            if rng.random() < 0.3:
                noise = _blurred(noise, 2) * 2
            crop = crop + noise
        return np.clip(crop, -0.02, 1.02).astype(np.float32)


@lru_cache(maxsize=2000)
def _pixels(file: Path) -> NDArray[np.uint8]:
    """A picture in 8 bits [h, w, 3], reduced to at most LONGEST pixels."""
    picture = read_picture(file)
    factor = -(-max(picture.height, picture.width) // LONGEST)
    if factor > 1:
        picture = area_mean(picture, picture.height // factor, picture.width // factor)
    return np.rint(picture.pixels * 255).astype(np.uint8)


def _blurred(crop: FloatImage, factor: int) -> FloatImage:
    """A crop [h, w, 3] without detail finer than `factor` pixels."""
    planes = torch.from_numpy(np.ascontiguousarray(crop, np.float32)).permute(2, 0, 1)[None]
    small = F.interpolate(planes, scale_factor=1 / factor, mode="area")
    return F.interpolate(small, planes.shape[-2:], mode="bicubic")[0].permute(1, 2, 0).numpy()
