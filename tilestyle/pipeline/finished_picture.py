"""From the pixels of a canvas to the picture: its final size, colors and transparency."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tilestyle.canvas.color import apply_chroma
from tilestyle.canvas.resize import resize, resize_to_plane
from tilestyle.canvas.storage import PlaneStore
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import SNAPSHOT_SIDE


@dataclass(frozen=True)
class PictureFinish:
    """What a picture has that its canvas lacks.

    Attributes:
        size: Height and width of the picture.
        repeats: Whether it tiles (down, across).
        colors: Pixels [3, h, w] whose chroma it takes; None: its colors are those of the canvas.
        alpha: Its transparency [1, h, w]; None: it is opaque.
        store: Where new planes are allocated.
    """

    size: Box
    repeats: tuple[bool, bool]
    colors: Tensor | None
    alpha: Tensor | None
    store: PlaneStore

    @classmethod
    def of(cls, job: Job) -> PictureFinish:
        """Return what the picture of a job gets."""
        return cls(job.size, job.levels[-1].extent.repeats, job.content_colors, job.alpha, job.local_store)

    def final_pixels(self, pixels: Tensor) -> Tensor:
        """Return the pixels [3, h, w] of a canvas of any level, in their final size and colors."""
        if pixels.shape[1:] != (self.size.height, self.size.width):
            pixels = resize_to_plane(pixels.cpu(), self.size, self.store, self.repeats)
        return self._colored(pixels)

    def preview(self, pixels: Tensor) -> Picture:
        """Return the picture of an unfinished canvas, at most `SNAPSHOT_SIDE` pixels a side."""
        return as_picture(self._colored(display_copy(pixels)), self.alpha)

    def _colored(self, pixels: Tensor) -> Tensor:
        """Return pixels [3, h, w] in their final colors: the content's, if only luminance is rendered."""
        return pixels if self.colors is None else apply_chroma(pixels.cpu(), self.colors, self.store)


def display_copy(pixels: Tensor) -> Tensor:
    """Return host pixels [3, h, w], downsampled to at most `SNAPSHOT_SIDE` pixels a side."""
    factor = SNAPSHOT_SIDE / max(pixels.shape[1:])
    if factor >= 1:
        return pixels
    return resize(pixels, Box(0, 0, *(max(1, round(side * factor)) for side in pixels.shape[1:])))


def as_picture(pixels: Tensor, alpha: Tensor | None = None, store: PlaneStore | None = None) -> Picture:
    """Convert pixels to a Picture.

    Args:
        pixels: [3, h, w]. On the host, the Picture is a view of them.
        alpha: Transparency [1, h', w'], resampled to the size of the pixels.
        store: Where the resampled alpha is stored; in memory if None.
    """
    plane = None
    if alpha is not None:
        plane = resize(alpha, Box(0, 0, pixels.shape[1], pixels.shape[2]), store=store).clamp_(0, 1)[0].numpy()
    return Picture(pixels.cpu().permute(1, 2, 0).numpy(), alpha=plane)  # [h, w, 3]
