"""The path of an endless zoom: the start of the next picture, and the frames of its film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.validation import MAX_INT32, check_fields, format_value
from tilestyle.errors import SettingError
from tilestyle.motion.film import Frame, quantize_frame
from tilestyle.motion.series import Series, read_pixels

MAX_LOOP_OVERLAP = 24  # steps over which the end of a loop blends into its start, a third of all steps at most
WANDER_RADIUS, WANDER_PERIOD = (
    0.08,
    40.0,
)  # circle of the zoom's center: radius in half sides, steps for a full circle
JITTER_STEPS = (0.7548776662, 0.5698402910)  # steps of a low-discrepancy sequence in the unit square
FADE_WIDTH = (
    4.0  # width of the fade of the second picture in an inbetween frame, in widths of the border it lacks
)


Center = tuple[float, float]  # down and to the right of the middle, in half sides


@dataclass(frozen=True)
class ZoomPath:
    """The path of a zoom.

    Attributes:
        steps: Number of pictures.
        factor: Enlargement of each step, above 1 and at most 2.
        loop: Whether the last steps lead back to the first pictures.
    """

    steps: int = 100
    factor: float = 1.05
    loop: bool = False

    def __post_init__(self) -> None:
        """Validate the fields; raise SettingError."""
        check_fields(self)
        if not 1 <= self.steps <= MAX_INT32:
            raise SettingError(f"a zoom cannot have {format_value(self.steps)} steps", hint="use 1 or more")
        if not 1 < self.factor <= 2:
            raise SettingError(
                f"a zoom cannot enlarge by {self.factor} per step", hint="use a factor above 1 and at most 2"
            )
        if self.loop and self.steps < 6:
            raise SettingError(f"{self.steps} steps are too few for a loop", hint="use 6 or more, better 60")

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What determines the pictures, as JSON; without a loop, their number does not matter."""
        return {"factor": self.factor, "loop": self.steps if self.loop else False}

    @property
    def loop_overlap(self) -> int:
        """The number of steps over which the end of a loop blends into its start; 0 without a loop."""
        return min(MAX_LOOP_OVERLAP, self.steps // 3) if self.loop else 0

    def center(self, number: int, pixels: Tensor) -> Center:
        """Return the point that the next step zooms into; it circles slowly, a whole number of times in a loop.

        A pseudo-random part of a pixel is added. Around a fixed point, pixels would never fall between others,
        interpolation would not smooth them, and noise would accumulate.

        Args:
            number: Number of the last picture, from 1.
            pixels: Picture [3, h, w], for its size.
        """
        length = self.steps - self.loop_overlap
        circles = max(1, round(length / WANDER_PERIOD))
        angle = 2 * pi * number * circles / length if self.loop else 2 * pi * number / WANDER_PERIOD
        position = WANDER_RADIUS * sin(angle), WANDER_RADIUS * cos(angle)
        shift = [(number % length) * step % 1 - 0.5 for step in JITTER_STEPS]  # pixels
        edge_shift = (1 - 1 / self.factor) / 2
        down, across = (
            base + jitter / (edge_shift * side)
            for base, jitter, side in zip(position, shift, pixels.shape[1:], strict=True)
        )
        return down, across

    def next_start(self, series: Series) -> Tensor:
        """Return the pixels [3, h, w] that the next picture starts from: the last one, enlarged.

        In the last steps of a loop it is blended with one of the first pictures, which grow at the same rate.
        """
        last = series.last_pixels()
        enlarged = zoom_about(last, self.factor, self.center(series.count, last))
        target = series.count + 1 - (self.steps - self.loop_overlap)  # 1 to `loop_overlap` in the last steps
        if target <= 0:
            return enlarged
        return blend_textures(enlarged, read_pixels(series.picture_path(target)), target / self.loop_overlap)

    def frame_count(self, pictures: int, frames_between: int) -> int:
        """The number of frames that `frames` makes of the first so many pictures."""
        first = self.loop_overlap if self.loop and pictures == self.steps else 1
        return (pictures - first) * (frames_between + 1) + (first == 1)

    def frames(self, series: Series, frames_between: int) -> Iterator[Frame]:
        """Make the frames of the film of a zoom.

        The film of a loop skips the first pictures, which its end blends into.

        Args:
            series: The pictures.
            frames_between: Number of frames inserted between two pictures.
        """
        first = self.loop_overlap if self.loop and series.count == self.steps else 1
        previous = None
        for number in range(first, series.count + 1):
            current = read_pixels(series.picture_path(number))
            if previous is not None:
                for frame in inbetween_frames(
                    previous, current, self.factor, frames_between, self.center(number - 1, current)
                ):
                    yield _frame(frame)
            # The last picture of a loop looks like the first of its film, except for the style's changes.
            if not (first > 1 and number == first):
                yield _frame(current)
            previous = current


def zoom_about(pixels: Tensor, factor: float, center: Center = (0.0, 0.0)) -> Tensor:
    """Enlarge a picture about a point, within its own size; beyond its edges it is reflected.

    Args:
        pixels: Picture [3, h, w].
        factor: Enlargement; below 1 the picture shrinks.
        center: Point that stays in place.

    Returns:
        Pixels [3, h, w] in [0, 1].
    """
    shift = 1 - 1 / factor
    rows = [[1 / factor, 0.0, shift * center[1]], [0.0, 1 / factor, shift * center[0]]]
    grid = F.affine_grid(torch.tensor([rows], dtype=pixels.dtype), [1, *pixels.shape], align_corners=False)
    sampled = F.grid_sample(pixels[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return sampled[0].clamp(0, 1)


def blend_textures(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Blend two textures without loss of contrast (Heitz and Neyret 2018, equation 3).

    Args:
        first: Texture [3, h, w].
        second: Texture [3, h, w].
        weight: Weight of the second, from 0 to 1.

    Returns:
        Pixels [3, h, w] in [0, 1].
    """
    mean = torch.lerp(first.mean((1, 2), keepdim=True), second.mean((1, 2), keepdim=True), weight)
    deviation = torch.lerp(
        first - first.mean((1, 2), keepdim=True), second - second.mean((1, 2), keepdim=True), weight
    )
    return (mean + deviation / hypot(weight, 1 - weight)).clamp(0, 1)


def inbetween_frames(
    first: Tensor, second: Tensor, factor: float, count: int, center: Center = (0.0, 0.0)
) -> Iterator[Tensor]:
    """Make frames between two pictures of a zoom.

    Each mixes the first picture, enlarged, with the second, shrunk to the part of the first that it shows. The
    shrunk one does not reach the edges of the frame, so it fades out towards its own.

    Args:
        first: Picture [3, h, w].
        second: The next picture [3, h, w].
        factor: Enlargement from the first to the second.
        count: Number of frames.
        center: Point that the zoom approaches.

    Yields:
        Pixels [3, h, w].
    """
    coordinates = [(torch.arange(side) + 0.5) / side * 2 - 1 for side in first.shape[1:]]
    for number in range(1, count + 1):
        share = number / (count + 1)
        scale = factor ** (share - 1)
        # Distances to the shrunk picture's lower or right edges, and to its upper or left edges.
        to_end = [
            scale * (1 - point) + point - coordinate
            for coordinate, point in zip(coordinates, center, strict=True)
        ]
        to_start = [
            scale * (1 + point) - point + coordinate
            for coordinate, point in zip(coordinates, center, strict=True)
        ]
        down, across = (torch.minimum(*sides) for sides in zip(to_end, to_start, strict=True))
        fade = (torch.minimum(down[:, None], across[None]) / (FADE_WIDTH * (1 - scale))).clamp(0, 1)
        enlarged = zoom_about(first, factor**share, center)
        yield enlarged + share * fade * (zoom_about(second, scale, center) - enlarged)


def _frame(pixels: Tensor) -> Frame:
    return quantize_frame(pixels.permute(1, 2, 0).contiguous().numpy())
