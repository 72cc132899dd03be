"""The anchor loss: keeps the canvas close to a picture, or to one of lower resolution.

It is the mean over the canvas's pixels of trust x (canvas averaged over factor x factor pixels - anchor)^2.
With a factor above 1, a render stays true to a smaller picture (upscaling). With a trust of 0 where a pixel has
no predecessor, it is the temporal loss of Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.devices.transfer import accumulator_dtype
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, split_on_torus
from tilestyle.losses.stateful import Stateful
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


def check_anchor(anchor: Tensor, picture: Box) -> None:
    """Raise SettingError unless the finished picture is a whole multiple of the anchor's size."""
    height, width = anchor.shape[1:]
    factor = max(1, round(picture.height / height))
    if (picture.height, picture.width) != (factor * height, factor * width):
        raise SettingError(
            f"a picture of {picture.width} x {picture.height} pixels is not a whole multiple of its anchor, "
            f"{width} x {height}",
            hint="choose a size that is a whole multiple of the anchor's",
        )


def box_downsample(pixels: Tensor, factor: int) -> Tensor:
    """Average pixels [C, H, W] over factor x factor: [C, H // factor, W // factor]."""
    return pixels if factor == 1 else F.avg_pool2d(pixels, factor)


def weighted_squared_error(difference: Tensor, trust: Tensor | None, factor: int) -> Tensor:
    """Return the weighted squared difference from an anchor, summed over canvas pixels.

    Args:
        difference: Canvas minus anchor, [3, h, w].
        trust: Weights of the anchor's pixels, [1, h, w]; 1 by default.
        factor: Canvas pixels per anchor pixel, per axis.
    """
    squared = difference.square() if trust is None else trust * difference.square()
    return squared.sum() * (factor**2 / 3)


def upsample_residual(residual: Tensor, axis: int, pixels: range, factor: int) -> Tensor:
    """Interpolate a residual of the anchor's size to canvas pixels, linearly along one axis.

    The exact gradient is constant over factor x factor pixels. Adam makes equal steps of it, which leaves
    visible squares that no other loss removes. The smoothed gradient is a descent direction, too.

    Args:
        residual: Differences from the anchor, [C, h, w].
        axis: 1 for rows, 2 for columns.
        pixels: Canvas pixels along the axis, counted from the picture's edge.
        factor: Canvas pixels per anchor pixel, per axis.

    Returns:
        The residual at these pixels: [C, n, w] or [C, h, n].
    """
    position = (torch.arange(pixels.start, pixels.stop, device=residual.device) + 0.5) / factor - 0.5
    low = position.floor()
    neighbors = [(low + step).long().clamp(0, residual.shape[axis] - 1) for step in (0, 1)]
    # The part of the residual that is read (it may be mapped); in Python integers, to avoid a device sync.
    first, last = ((2 * pixel + 1 - factor) // (2 * factor) for pixel in (pixels.start, pixels.stop - 1))
    first, last = max(first, 0), min(last + 1, residual.shape[axis] - 1)
    part = residual.narrow(axis, first, last + 1 - first)
    near, far = (part.index_select(axis, end - first) for end in neighbors)
    share = (position - low).reshape([-1 if k == axis else 1 for k in range(3)]).to(part)
    return torch.lerp(near, far, share)


class AnchorLoss(Stateful):
    """The anchor loss of one level. Takes 12 / factor^2 bytes per canvas pixel, twice that for factors above 1.

    If the level is not a whole multiple of the anchor, the anchor is resampled to the level and then averaged.
    If the level is smaller than the anchor, the anchor is only resampled.

    Attributes:
        factor: Canvas pixels per anchor pixel, per axis.
        target: The anchor at the size that is compared, [3, h, w].
        trust: Weights of its pixels, [1, h, w]; None if all are 1.
    """

    def __init__(self, job: Job, level: Level, anchor: Tensor) -> None:
        """Resample the anchor to the level.

        Args:
            job: The render.
            level: Its level.
            anchor: The picture to stay close to, [3, h, w].
        """
        self._weight = job.config.anchor_weight
        self._extent = level.extent
        picture = level.extent.picture
        height, width = anchor.shape[1:]
        self.factor = max(1, -(-picture.height // height), -(-picture.width // width))
        exact = (picture.height, picture.width) == (self.factor * height, self.factor * width)

        def at_level(plane: Tensor) -> Tensor:
            small = plane if exact else box_downsample(resize(plane, picture, store=job.store), self.factor)
            return small.to(job.canvas_device)

        self.target = at_level(anchor)
        self.trust = None if job.trust is None else at_level(job.trust).clamp(0, 1)
        self._loss = 0.0
        self._residual: Tensor | None = None  # for factors above 1: patches may begin within an anchor pixel

    def begin_sweep(self, canvas: Canvas) -> None:
        """Compute the loss, and for factors above 1 the residual, at the canvas before a sweep."""
        device = canvas.pixels.device
        total = torch.zeros((), dtype=accumulator_dtype(device), device=device)
        if self.factor > 1 and self._residual is None:
            self._residual = torch.empty_like(self.target)
        step = max(1, STRIP_ROWS // self.factor)
        for top in range(0, self.target.shape[1], step):
            rows = slice(top, min(top + step, self.target.shape[1]))
            difference = self.downsampled_rows(canvas, rows) - self.target[:, rows]
            trust = None if self.trust is None else self.trust[:, rows]
            total += weighted_squared_error(difference, trust, self.factor)
            if self._residual is not None:
                self._residual[:, rows] = difference if trust is None else trust * difference
            note_mapped_access(difference, times=1 + self.factor**2)
        self._loss = float(total) / self._extent.area

    def downsampled_rows(self, canvas: Canvas, rows: slice) -> Tensor:
        """Return the canvas averaged to the anchor's pixels, for some rows of the anchor: [3, n, w]."""
        box, factor = self._extent.picture, self.factor
        down = slice(box.top + factor * rows.start, box.top + factor * rows.stop)
        across = slice(box.left, box.left + factor * self.target.shape[2])
        return box_downsample(canvas.pixels[:, down, across], factor)

    def gradient(self, canvas: Canvas, box: Box) -> Tensor:
        """Compute the gradient of weight x loss x number of canvas pixels; zero in the margin.

        Linear in the difference; with a factor above 1, smoothed (`upsample_residual`).

        Args:
            canvas: The canvas.
            box: Pixels of the canvas; may reach over an edge of the torus.

        Returns:
            The gradient in these pixels, [3, height, width].
        """
        gradient = canvas.pixels.new_zeros(3, box.height, box.width)
        picture = self._extent.picture
        bottom = picture.top + self.factor * self.target.shape[1]
        right = picture.left + self.factor * self.target.shape[2]
        for part, row, column in split_on_torus(box, self._extent.height, self._extent.width):
            rows = range(max(part.top, picture.top), min(part.top + part.height, bottom))
            columns = range(max(part.left, picture.left), min(part.left + part.width, right))
            if rows and columns:
                down, across = row + rows.start - part.top, column + columns.start - part.left
                target = gradient[:, down : down + len(rows), across : across + len(columns)]
                target.copy_(self._weighted_difference(canvas, rows, columns))
        return gradient.mul_(2 * self._weight / 3)

    def _weighted_difference(self, canvas: Canvas, rows: range, columns: range) -> Tensor:
        """Return trust times difference at canvas pixels inside the picture, [3, n, m]."""
        picture, factor = self._extent.picture, self.factor
        if self._residual is not None:
            down, across = (
                range(part.start - corner, part.stop - corner)
                for part, corner in ((rows, picture.top), (columns, picture.left))
            )
            residual = upsample_residual(upsample_residual(self._residual, 1, down, factor), 2, across, factor)
            note_mapped_access(residual)
            return residual
        inner_rows = slice(rows.start - picture.top, rows.stop - picture.top)
        inner_columns = slice(columns.start - picture.left, columns.stop - picture.left)
        target = self.target[:, inner_rows, inner_columns]
        difference = canvas.pixels[:, rows.start : rows.stop, columns.start : columns.stop] - target
        note_mapped_access(difference, target)
        return difference if self.trust is None else difference * self.trust[:, inner_rows, inner_columns]

    def own_state(self) -> dict[str, Tensor]:
        """Return the loss, and the residual if there is one."""
        state = {"loss": torch.tensor(self._loss, dtype=torch.float64)}
        return state if self._residual is None else {**state, "residual": self._residual}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._loss = float(state["loss"])
        if "residual" in state:
            self._residual = state["residual"].to(self.target.device)

    def end_sweep(self) -> float:
        """End a sweep; return the loss at its beginning."""
        return self._loss
