"""The content's weight as it is adjusted: what strength asks for, held against how the canvas looks."""

from __future__ import annotations

from dataclasses import asdict, replace

from torch import Tensor

from tilestyle.canvas.canvas import Canvas, resized
from tilestyle.canvas.resample import Filter
from tilestyle.geometry.boxes import Box
from tilestyle.losses.objective import Terms
from tilestyle.networks.perceptual_distance import SIDE, Looks
from tilestyle.optim.state import Standing
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import COMING, ROOT, Held, adjusted


class Balance:
    """The weight of the content at one level: that of the job, unless it is to be adjusted."""

    def __init__(self, job: Job, level: Level, at: Standing) -> None:
        """`at` keeps the weight from sweep to sweep, and from level to level."""
        self._aim, self._given, self._ranks = job.weights.aim, job.weights.content, job.ranks
        self._at, self._network = at, job.network
        picture = level.extent.picture
        long_side = max(picture.height, picture.width)
        share = SIDE / long_side
        self._trust = 1.0
        if level.share < 1 and share > 1:
            # It has not come as far as the picture will, and tells less of where a weight leads: it is seen as
            # small as it is.
            self._trust = share**-2
            if self._aim is not None:
                self._aim *= share**-COMING
            share = 1.0
        self._size = Box(0, 0, *(max(1, round(share * side)) for side in (picture.height, picture.width)))
        self._weights: Tensor | None = None
        self._content: Looks | None = None
        if self._aim is not None and job.content is not None and job.ranks.first:
            if job.layout is not None:  # what is of no region is the content anyway
                styled = self._seen(job.layout, Filter.LINEAR).sum(0, keepdim=True).clamp(0, 1)
                self._weights = styled if float(styled.max()) > 0 else None
            self._content = Looks(self._seen(job.content), self._weights, job.network)

    @property
    def weight(self) -> float:
        """The content's weight now."""
        return self._given if self._at.held is None else self._at.held.weight

    def noted(self, terms: Terms) -> Terms:
        """The terms of a sweep, with the weight if it is adjusted."""
        return terms if self._aim is None else replace(terms, content_weight=self.weight)

    def turn(self, canvas: Canvas, pace: float) -> None:
        """Adjust it after a sweep.

        Args:
            canvas: As the sweep has left it. The first of several ranks looks at it.
            pace: Step size of the sweep, of that at the level's beginning.
        """
        if self._aim is None:
            return
        held = self._at.held or Held(self._given)
        away = None
        if self._content is not None and not self._content.flat:
            away = self._content.distance(Looks(self._seen(canvas.picture()), self._weights, self._network))
        if away is not None:
            held = adjusted(held, away, self._aim, self._trust * pace**ROOT, self._given)
        self._at.held = Held(**self._ranks.told(asdict(held)))

    def _seen(self, plane: Tensor, kind: Filter = Filter.CUBIC) -> Tensor:
        """A plane [C, H, W] at the size at which pictures are compared, on the host."""
        if plane.shape[1:] == (self._size.height, self._size.width):
            return plane.detach().cpu()
        return resized(plane.detach(), self._size, kind).cpu()
