"""Training crops, altered to resemble the canvases that a network sees during a render."""

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
from tilestyle.images import area_average, read_picture

FloatImage = NDArray[np.float32]

MAX_SIDE = 1600  # long side in pixels, enough for every crop: larger pictures are reduced
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


def pictures_in(folders: Sequence[Path]) -> list[Path]:
    """Find all picture files in folders and their subfolders, in a fixed order.

    Raises:
        PictureError: There are none.
    """
    files = [
        file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        names = ", ".join(map(str, folders))
        raise PictureError(
            f"there are no pictures in {names}", hint="give a folder of photographs or paintings"
        )
    return files


class CropStream:
    """An endless stream of square training crops.

    Half of what a network sees during a render is neither photograph nor painting but something between. So a
    crop may combine the coarse forms of one picture with the detail of another, or mix two; its contrast,
    brightness, saturation and tint may change, and noise may be added.
    """

    def __init__(self, groups: Sequence[tuple[float, Sequence[Path]]], side: int, seed: int) -> None:
        """Prepare the stream.

        Args:
            groups: Pairs of a probability and the files of one kind of picture (photographs, paintings,
                textures, renders). Detail and mixtures are taken mostly from the last group.
            side: Height and width of a crop, in pixels.
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
            torch.from_numpy(np.stack([self._altered_crop() for _ in range(count)]))
            .permute(0, 3, 1, 2)
            .contiguous()
        )

    def unaltered_batch(self, count: int) -> Tensor:
        """Draw unaltered crops [count, 3, side, side]."""
        crops = np.stack([self._draw_crop(self._draw_group()) for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()

    def _draw_group(self) -> int:
        return int(self._rng.choice(len(self._groups), p=self._odds))

    def _draw_crop(self, group: int) -> FloatImage:
        """Draw a random square of a random picture, scaled to [side, side, 3]."""
        rng, side = self._rng, self._side
        files = self._groups[group]
        picture = _pixels(files[int(rng.integers(len(files)))])
        height, width = picture.shape[:2]
        largest = min(height, width)
        smallest = min(0.75 * side, largest)
        size = max(1, int(np.exp(rng.uniform(np.log(smallest), np.log(largest)))))
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        square = (  # [1, 3, size, size]
            torch.from_numpy(picture[top : top + size, left : left + size]).permute(2, 0, 1)[None].float() / 255
        )
        scaled = F.interpolate(square, (side, side), mode="bicubic", align_corners=False, antialias=True)
        if rng.random() < 0.5:
            scaled = scaled.flip(3)  # left to right
        return scaled[0].permute(1, 2, 0).numpy()

    def _altered_crop(self) -> FloatImage:
        rng = self._rng
        crop = self._draw_crop(self._draw_group())
        choice = rng.random()
        if choice < 0.18:  # half stylized: the forms of one picture, the detail of another
            second = self._draw_crop(len(self._groups) - 1 if rng.random() < 0.7 else self._draw_group())
            factor = int(rng.choice([4, 8, 16]))
            crop = _blur(crop, factor) + (second - _blur(second, factor)) * rng.uniform(0.5, 1.8)
        elif choice < 0.26:
            crop = np.float32(0.5) * (crop + self._draw_crop(len(self._groups) - 1))
        if rng.random() < 0.5:
            gain = float(np.exp(rng.uniform(-0.7, 0.6)))
            crop = (crop - 0.5) * gain + 0.5 + rng.uniform(-0.15, 0.15)
        if rng.random() < 0.3:
            gray = crop.mean(2, keepdims=True)
            tint: FloatImage = rng.uniform(-0.12, 0.12, 3).astype(np.float32)
            crop = (gray + (crop - gray) * rng.uniform(0, 2.5) + tint).astype(np.float32)
        if rng.random() < 0.1:
            crop = crop[:, :, rng.permutation(3)]
        if rng.random() < 0.35:
            noise = rng.standard_normal(crop.shape, np.float32) * np.float32(rng.uniform(0, 0.15))
            if rng.random() < 0.4:
                noise = np.repeat(noise.mean(2, keepdims=True), 3, axis=2) * 1.7
            if rng.random() < 0.3:
                noise = _blur(noise, 2) * 2
            crop = crop + noise
        return np.clip(crop, -0.02, 1.02).astype(np.float32)


@lru_cache(maxsize=2000)
def _pixels(file: Path) -> NDArray[np.uint8]:
    """Read a picture in 8 bits, [h, w, 3], reduced by a whole factor if it is large."""
    picture = read_picture(file)
    factor = -(-max(picture.height, picture.width) // MAX_SIDE)
    if factor > 1:
        picture = area_average(picture, picture.height // factor, picture.width // factor)
    return np.rint(picture.pixels * 255).astype(np.uint8)


def _blur(crop: FloatImage, factor: int) -> FloatImage:
    """Remove detail finer than `factor` pixels from a crop [h, w, 3]."""
    planes = torch.from_numpy(np.ascontiguousarray(crop, np.float32)).permute(2, 0, 1)[None]  # [1, 3, h, w]
    small = F.interpolate(planes, scale_factor=1 / factor, mode="area")
    return F.interpolate(small, planes.shape[-2:], mode="bicubic")[0].permute(1, 2, 0).numpy()
