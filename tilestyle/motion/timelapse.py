"""A film of the optimization: its frames are evenly spaced in change of the picture, not in time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tilestyle.canvas.resize import resize
from tilestyle.config.render import FilmConfig
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture
from tilestyle.motion.film import FrameWriter, quantize_frame
from tilestyle.pipeline.events import Event, Finished, SweepDone

MAX_FRAME_SIDE = (
    1600  # long side of a film's frames, in pixels: observers receive larger pictures shrunk to this
)


class Timelapse:
    """An observer that films a render, with the pictures of every level resized to the film's size.

    A frame is written whenever the mean absolute change since the last one adds up to `config.step`; since a
    sweep rarely ends there, the frame is interpolated between the pictures before and after it.
    """

    def __init__(
        self, writer: FrameWriter, config: FilmConfig, height: int, width: int, hold_frames: int = 0
    ) -> None:
        """Plan the film.

        Args:
            writer: Receives the frames.
            config: Settings of the film.
            height: Height of the finished picture, in pixels.
            width: Width of the finished picture, in pixels.
            hold_frames: Frames for which the finished picture is shown at the end.
        """
        factor = min(1.0, MAX_FRAME_SIDE / max(height, width))
        self._size = Box(0, 0, max(2, round(height * factor)), max(2, round(width * factor)))
        self._writer = writer
        self._step = config.step
        self._last_pixels: NDArray[np.float32] | None = None
        self._change_since = 0.0  # change since the last frame
        self._hold_frames = hold_frames

    def __call__(self, event: Event) -> None:
        """Add the picture of a sweep, or end the film."""
        if isinstance(event, SweepDone):
            self.add_picture(event.picture())
        elif isinstance(event, Finished) and event.complete and self._last_pixels is not None:
            for _ in range(self._hold_frames):
                self._writer.add(quantize_frame(self._last_pixels))

    def add_picture(self, picture: Picture) -> None:
        """Add the current picture, and write the frames that are due."""
        current = resize_frame(picture, self._size)
        if self._last_pixels is None:
            self._writer.add(quantize_frame(current))
        else:
            change = float(np.abs(current - self._last_pixels).mean())
            position = self._step - self._change_since
            while position <= change:
                share = np.float32(position / change)
                self._writer.add(quantize_frame(self._last_pixels + share * (current - self._last_pixels)))
                position += self._step
            self._change_since = self._step - (position - change)
        self._last_pixels = current


def resize_frame(picture: Picture, size: Box) -> NDArray[np.float32]:
    """Resize a picture, as a copy.

    Args:
        picture: The picture.
        size: Box of the new height and width.

    Returns:
        Pixels [height, width, 3] in [0, 1].
    """
    pixels = resize(torch.from_numpy(picture.pixels).permute(2, 0, 1), size).clamp_(0, 1)  # [3, height, width]
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
