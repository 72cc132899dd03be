"""The picture has its final size, colors and transparency, whatever the level of its canvas."""

import torch

from tests.conftest import waves
from tilestyle.canvas.storage import MemoryStore
from tilestyle.geometry.boxes import Box
from tilestyle.pipeline.finished_picture import PictureFinish
from tilestyle.planning.memory_model import SNAPSHOT_SIDE

GRAY = waves(12, 16, 1).mean(0, keepdim=True).expand(3, -1, -1)


def finish(colors: torch.Tensor | None = None, alpha: torch.Tensor | None = None) -> PictureFinish:
    return PictureFinish(Box(0, 0, 24, 32), (False, False), colors, alpha, MemoryStore())


def test_the_canvas_of_a_coarse_level_is_enlarged_to_the_size_of_the_picture() -> None:
    assert finish().final_pixels(waves(12, 16)).shape == (3, 24, 32)


def test_a_canvas_of_the_final_size_is_not_copied() -> None:
    pixels = waves(24, 32)
    assert finish().final_pixels(pixels) is pixels


def test_a_picture_rendered_in_luminance_has_the_chroma_of_its_content() -> None:
    colors = 0.25 + waves(24, 32, 5) / 2
    pixels = finish(colors).final_pixels(0.4 + GRAY / 5)
    assert pixels.shape == (3, 24, 32)
    chroma, own = (plane[0] - plane[2] for plane in (colors, pixels))
    assert torch.allclose(own, chroma, atol=1e-5, rtol=0)


def test_a_preview_is_small_and_as_transparent_as_the_content() -> None:
    alpha = torch.full((1, 6, 8), 0.5)
    preview = finish(alpha=alpha).preview(torch.rand(3, 8, 2 * SNAPSHOT_SIDE))
    assert preview.pixels.shape == (4, SNAPSHOT_SIDE, 3)
    assert preview.alpha is not None and preview.alpha.shape == (4, SNAPSHOT_SIDE)
    assert (abs(preview.alpha - 0.5) < 1e-6).all()
