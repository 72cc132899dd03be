"""The anchor: a picture that the canvas, averaged over some pixels, is to agree with.

The mean over the canvas's pixels of trust x (canvas averaged over factor x factor pixels - anchor)^2. With a
factor above 1 it holds a render to a picture of lower resolution; with a trust that is 0 where nothing is known
of a pixel it is the temporal loss of Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import ROWS, Canvas, resized
from tilestyle.canvas.storage import touched
from tilestyle.devices.transfer import widest
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, pieces
from tilestyle.losses.stateful import Stateful
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


def check_anchor(anchor: Tensor, picture: Box) -> None:
    """Raise SettingError unless the finished picture is the anchor's size times a whole number."""
    height, width = anchor.shape[1:]
    factor = max(1, round(picture.height / height))
    if (picture.height, picture.width) != (factor * height, factor * width):
        raise SettingError(
            f"a picture of {picture.width} x {picture.height} pixels cannot be averaged to its anchor's "
            f"{width} x {height}",
            hint="give a size that is the anchor's times a whole number",
        )


def averaged(pixels: Tensor, factor: int) -> Tensor:
    """Pixels [C, H, W] averaged over factor x factor: [C, H // factor, W // factor]."""
    return pixels if factor == 1 else F.avg_pool2d(pixels, factor)


def disagreement(difference: Tensor, trust: Tensor | None, factor: int) -> Tensor:
    """The squared difference [3, h, w] from an anchor, trusted by [1, h, w], summed over canvas pixels."""
    squared = difference.square() if trust is None else trust * difference.square()
    return squared.sum() * (factor**2 / 3)


def shared_out(residual: Tensor, axis: int, pixels: range, factor: int) -> Tensor:
    """What a residual [C, h, w] of an anchor says to these pixels along an axis, interpolated linearly.

    The gradient itself is the same over factor x factor pixels. The optimiser makes steps of one length of it,
    and the picture gets squares that no term takes away again: seen, and ugly. Smoothed, it leads down too.
    """
    place = (torch.arange(pixels.start, pixels.stop, device=residual.device) + 0.5) / factor - 0.5
    low = place.floor()
    ends = [(low + one).long().clamp(0, residual.shape[axis] - 1) for one in (0, 1)]
    # What is read of a mapped residual, in whole numbers: a device is not asked.
    first, last = ((2 * pixel + 1 - factor) // (2 * factor) for pixel in (pixels.start, pixels.stop - 1))
    first, last = max(first, 0), min(last + 1, residual.shape[axis] - 1)
    part = residual.narrow(axis, first, last + 1 - first)
    near, far = (part.index_select(axis, end - first) for end in ends)
    share = (place - low).reshape([-1 if k == axis else 1 for k in range(3)]).to(part)
    return torch.lerp(near, far, share)


class Anchored(Stateful):
    """A level's anchor. Costs 12 / factor^2 bytes a canvas pixel, twice where the factor is above 1.

    On a level that is no whole multiple of the anchor, the anchor is resampled to the level and averaged there;
    on one that is smaller, it is resampled to the level.
    """

    def __init__(self, job: Job, level: Level, anchor: Tensor) -> None:
        """`anchor` [3, h, w]."""
        self._weight = job.config.anchor_weight
        self._extent = level.extent
        picture = level.extent.picture
        height, width = anchor.shape[1:]
        self.factor = max(1, -(-picture.height // height), -(-picture.width // width))
        exact = (picture.height, picture.width) == (self.factor * height, self.factor * width)

        def here(plane: Tensor) -> Tensor:
            found = plane if exact else averaged(resized(plane, picture, store=job.store), self.factor)
            return found.to(job.home)

        self.goal = here(anchor)
        self.trust = None if job.trust is None else here(job.trust).clamp(0, 1)
        self._loss = 0.0
        self._residual: Tensor | None = None  # of a factor above 1: patches cut the pixels of the anchor

    def prepare(self, canvas: Canvas) -> None:
        """Look at the canvas as it is when a sweep begins."""
        device = canvas.pixels.device
        total = torch.zeros((), dtype=widest(device), device=device)
        if self.factor > 1 and self._residual is None:
            self._residual = torch.empty_like(self.goal)
        step = max(1, ROWS // self.factor)
        for top in range(0, self.goal.shape[1], step):
            rows = slice(top, min(top + step, self.goal.shape[1]))
            difference = self.shown(canvas, rows) - self.goal[:, rows]
            trust = None if self.trust is None else self.trust[:, rows]
            total += disagreement(difference, trust, self.factor)
            if self._residual is not None:
                self._residual[:, rows] = difference if trust is None else trust * difference
            touched(difference, times=1 + self.factor**2)
        self._loss = float(total) / self._extent.area

    def shown(self, canvas: Canvas, rows: slice) -> Tensor:
        """These rows of the anchor, as the canvas has them: [3, n, w]."""
        box, factor = self._extent.picture, self.factor
        down = slice(box.top + factor * rows.start, box.top + factor * rows.stop)
        across = slice(box.left, box.left + factor * self.goal.shape[2])
        return averaged(canvas.pixels[:, down, across], factor)

    def gradient(self, canvas: Canvas, box: Box) -> Tensor:
        """The gradient [3, height, width] of weight x loss x canvas pixels in the canvas pixels under a box.

        Linear in the difference; with a factor above 1, smoothed (`shared_out`). Zero in the margin.
        """
        gradient = canvas.pixels.new_zeros(3, box.height, box.width)
        picture = self._extent.picture
        bottom = picture.top + self.factor * self.goal.shape[1]
        right = picture.left + self.factor * self.goal.shape[2]
        for part, row, column in pieces(box, self._extent.height, self._extent.width):
            rows = range(max(part.top, picture.top), min(part.top + part.height, bottom))
            columns = range(max(part.left, picture.left), min(part.left + part.width, right))
            if rows and columns:
                down, across = row + rows.start - part.top, column + columns.start - part.left
                place = gradient[:, down : down + len(rows), across : across + len(columns)]
                place.copy_(self._trusted(canvas, rows, columns))
        return gradient.mul_(2 * self._weight / 3)

    def _trusted(self, canvas: Canvas, rows: range, columns: range) -> Tensor:
        """Trust times difference at canvas pixels inside the picture, [3, n, m]."""
        picture, factor = self._extent.picture, self.factor
        if self._residual is not None:
            down, across = (
                range(part.start - corner, part.stop - corner)
                for part, corner in ((rows, picture.top), (columns, picture.left))
            )
            found = shared_out(shared_out(self._residual, 1, down, factor), 2, across, factor)
            touched(found)
            return found
        inside = slice(rows.start - picture.top, rows.stop - picture.top)
        beside = slice(columns.start - picture.left, columns.stop - picture.left)
        goal = self.goal[:, inside, beside]
        found = canvas.pixels[:, rows.start : rows.stop, columns.start : columns.stop] - goal
        touched(found, goal)
        return found if self.trust is None else found * self.trust[:, inside, beside]

    def own_state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        state = {"loss": torch.tensor(self._loss, dtype=torch.float64)}
        return state if self._residual is None else {**state, "residual": self._residual}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._loss = float(state["loss"])
        if "residual" in state:
            self._residual = state["residual"].to(self.goal.device)

    def turn(self) -> float:
        """End a sweep; answers the term as it was when the sweep began."""
        return self._loss
