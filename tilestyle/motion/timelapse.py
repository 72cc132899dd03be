"""The optimisation itself as a film: frames evenly spaced in change of the picture, not in time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tilestyle.canvas.canvas import resized
from tilestyle.config.render import FilmConfig
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture
from tilestyle.motion.film import FrameWriter, frame_of
from tilestyle.pipeline.events import Event, Finished, SweepDone

LONGEST = 1600  # long side of a film's frames, pixels: what watchers are shown of larger pictures


class Timelapse:
    """An observer of a render that writes its film, every level at the film's one size.

    A frame comes whenever the mean absolute change since the last has added up to `config.step`; where a sweep
    passes that point, the frame is a mean of before and after.
    """

    def __init__(self, writer: FrameWriter, config: FilmConfig, height: int, width: int, hold: int = 0) -> None:
        """`height` and `width` are those of the finished picture, which ends the film for `hold` frames."""
        factor = min(1.0, LONGEST / max(height, width))
        self._size = Box(0, 0, max(2, round(height * factor)), max(2, round(width * factor)))
        self._writer = writer
        self._step = config.step
        self._last: NDArray[np.float32] | None = None
        self._since = 0.0  # change since the last frame
        self._hold = hold

    def __call__(self, event: Event) -> None:
        """Take in what a sweep made of the picture."""
        if isinstance(event, SweepDone):
            self.see(event.picture())
        elif isinstance(event, Finished) and event.complete and self._last is not None:
            for _ in range(self._hold):
                self._writer.add(frame_of(self._last))

    def see(self, picture: Picture) -> None:
        """Take in the picture as it is now."""
        now = fitted(picture, self._size)
        if self._last is None:
            self._writer.add(frame_of(now))
        else:
            change = float(np.abs(now - self._last).mean())
            position = self._step - self._since
            while position <= change:
                share = np.float32(position / change)
                self._writer.add(frame_of(self._last + share * (now - self._last)))
                position += self._step
            self._since = self._step - (position - change)
        self._last = now


def fitted(picture: Picture, size: Box) -> NDArray[np.float32]:
    """A picture at another size, [height, width, 3]: a copy, in [0, 1]."""
    pixels = resized(torch.from_numpy(picture.pixels).permute(2, 0, 1), size).clamp_(0, 1)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
