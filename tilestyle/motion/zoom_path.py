"""The path of an endless zoom: what the next picture begins with, and the frames of its film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.validation import LARGEST, check, shown
from tilestyle.errors import SettingError
from tilestyle.motion.film import Frame, frame_of
from tilestyle.motion.series import Series, pixels_of

LOOP = 24  # steps in which the end of a loop becomes its beginning, a third of all at most
WANDER, ROUND = 0.08, 40.0  # of the point that is approached: half sides from the middle, steps a round
SPREAD = (0.7548776662, 0.5698402910)  # steps of two sequences that fill the unit square evenly
RIM = 4.0  # of a frame between two pictures: width over which the second fades in, times the rim that it lacks


Point = tuple[float, float]  # down and across from the middle, half sides


@dataclass(frozen=True)
class Path:
    """How many steps, how far each goes in, and whether the last lead to the first."""

    steps: int
    factor: float
    loop: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check(self)
        if not 1 <= self.steps <= LARGEST:
            raise SettingError(f"a zoom of {shown(self.steps)} steps", hint="give 1 or more")
        if not 1 < self.factor <= 2:
            raise SettingError(f"a zoom by {self.factor} a step", hint="give a factor above 1, 2 at the most")
        if self.loop and self.steps < 6:
            raise SettingError(f"{self.steps} steps make no loop", hint="give 6 or more, better 60")

    @property
    def about(self) -> dict[str, Any]:
        """What it is, as JSON. Without a loop, more steps are more of the same."""
        return {"factor": self.factor, "loop": self.steps if self.loop else False}

    @property
    def turn(self) -> int:
        """Steps in which the end becomes the beginning."""
        return min(LOOP, self.steps // 3) if self.loop else 0

    def centre(self, number: int, pixels: Tensor) -> Point:
        """What the step after this picture moves towards: it goes round slowly, in a loop whole turns.

        With part of a pixel at random besides: near a point that stood still nothing would ever fall between
        two pixels, interpolation would smooth nothing there, and noise would gather.
        """
        length = self.steps - self.turn
        turns = max(1, round(length / ROUND))
        angle = 2 * pi * number * turns / length if self.loop else 2 * pi * number / ROUND
        place = WANDER * sin(angle), WANDER * cos(angle)
        shift = [(number % length) * step % 1 - 0.5 for step in SPREAD]  # pixels
        lever = (1 - 1 / self.factor) / 2
        down, across = (
            at + by / (lever * side) for at, by, side in zip(place, shift, pixels.shape[1:], strict=True)
        )
        return down, across

    def beginning(self, done: Series) -> Tensor:
        """Pixels [3, h, w] that the next picture begins with.

        In the last steps of a loop, mixed with the picture they lead to, which moves inwards at the same pace.
        """
        last = done.last()
        enlarged = zoomed(last, self.factor, self.centre(done.count, last))
        ahead = done.count + 1 - (self.steps - self.turn)  # 1 to `turn` in the last steps
        if ahead <= 0:
            return enlarged
        return mixed(enlarged, pixels_of(done.file(ahead)), ahead / self.turn)

    def frames(self, done: Series, between: int) -> Iterator[Frame]:
        """The frames of its film, `between` of them between two pictures; a loop's begins after its turn."""
        first = self.turn if self.loop and done.count == self.steps else 1
        before = None
        for number in range(first, done.count + 1):
            now = pixels_of(done.file(number))
            if before is not None:
                for step in steps_between(before, now, self.factor, between, self.centre(number - 1, now)):
                    yield _frame(step)
            # The last picture of a loop shows what its first does, but for the style's own steps.
            if not (first > 1 and number == first):
                yield _frame(now)
            before = now


def zoomed(pixels: Tensor, factor: float, centre: Point = (0.0, 0.0)) -> Tensor:
    """A picture [3, h, w] enlarged about a point in its own frame, or shrunk with a factor below 1.

    Beyond its edges it is reflected.
    """
    shift = 1 - 1 / factor
    rows = [[1 / factor, 0.0, shift * centre[1]], [0.0, 1 / factor, shift * centre[0]]]
    grid = F.affine_grid(torch.tensor([rows], dtype=pixels.dtype), [1, *pixels.shape], align_corners=False)
    found = F.grid_sample(pixels[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return found[0].clamp(0, 1)


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Two textures mixed without loss of contrast, as Heitz and Neyret 2018 do (their equation 3)."""
    mean = torch.lerp(one.mean((1, 2), keepdim=True), other.mean((1, 2), keepdim=True), share)
    deviation = torch.lerp(
        one - one.mean((1, 2), keepdim=True), other - other.mean((1, 2), keepdim=True), share
    )
    return (mean + deviation / hypot(share, 1 - share)).clamp(0, 1)


def steps_between(
    before: Tensor, after: Tensor, factor: float, count: int, centre: Point = (0.0, 0.0)
) -> Iterator[Tensor]:
    """Pictures [3, h, w] on the way in: one before enlarged, one after shrunk to where it comes from.

    That lacks a rim, near which it fades.
    """
    places = [(torch.arange(side) + 0.5) / side * 2 - 1 for side in before.shape[1:]]
    for number in range(1, count + 1):
        share = number / (count + 1)
        reach = factor ** (share - 1)
        inside = [reach * (1 - point) + point - place for place, point in zip(places, centre, strict=True)]
        beside = [reach * (1 + point) - point + place for place, point in zip(places, centre, strict=True)]
        down, across = (torch.minimum(*sides) for sides in zip(inside, beside, strict=True))
        fade = (torch.minimum(down[:, None], across[None]) / (RIM * (1 - reach))).clamp(0, 1)
        near = zoomed(before, factor**share, centre)
        yield near + share * fade * (zoomed(after, reach, centre) - near)


def _frame(pixels: Tensor) -> Frame:
    return frame_of(pixels.permute(1, 2, 0).contiguous().numpy())
