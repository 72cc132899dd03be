"""Masks and maps with transparency: what is not painted counts as black, whatever colors are stored there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import FEW, job, waves
from tilestyle import Style
from tilestyle.canvas.storage import MemoryStore
from tilestyle.images import write_picture
from tilestyle.planning import inputs, masks
from tilestyle.planning.masks import blend_planes, gray_plane, label_planes, read_flat_mask

BLACK, RED = (0, 0, 0), (255, 0, 0)
SIDES = (6, 5)  # of smaller planes


def planes_of(mask: Any, sides: tuple[int, int] | None) -> torch.Tensor:
    found = read_flat_mask(mask)
    return label_planes(found, range(len(found.colors)), MemoryStore(), sides)


USES: dict[str, Callable[[Any, tuple[int, int] | None], torch.Tensor]] = {
    "content map": lambda source, sides: gray_plane(source, MemoryStore(), sides),
    "blend map": lambda source, sides: blend_planes(source, 3, MemoryStore(), sides),
    "mask": planes_of,
}


def painted(alpha: float, suffix: str, folder: Path, hidden: int = 200) -> tuple[Path, Path]:
    """A map whose left half is not painted, with noise stored there; and the same on black."""
    layer = np.zeros((30, 40, 4), np.uint8)
    layer[:, :20, :3] = np.random.default_rng(hidden).integers(0, 255, (30, 20, 3))
    layer[:, :20, 3] = round(255 * alpha)
    layer[:, 20:] = (255, 255, 255, 255)
    black = layer[..., :3].copy()
    black[:, :20] = 0
    files = folder / f"layer{suffix}", folder / "black.png"
    for file, pixels in zip(files, (layer, black), strict=True):
        write_picture(file, pixels)
    return files


@pytest.mark.parametrize("sides", [None, SIDES])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("use", USES)
def test_what_is_not_painted_is_black(
    tmp_path: Path, use: str, suffix: str, sides: tuple[int, int] | None
) -> None:
    layer, black = painted(0.0, suffix, tmp_path)
    assert torch.equal(USES[use](layer, sides), USES[use](black, sides))


def test_gray_with_alpha_is_read_too(tmp_path: Path) -> None:
    gray = np.full((8, 8, 2), 255, np.uint8)
    gray[:, :4, 1] = 0
    Image.fromarray(gray, "LA").save(tmp_path / "map.png")
    plane = gray_plane(tmp_path / "map.png", MemoryStore())
    assert plane[0, :, :4].max() == 0 and plane[0, :, 4:].min() == 1


def test_half_transparent_white_is_gray() -> None:
    layer = np.ones((4, 4, 4), np.float32)
    layer[..., 3] = 0.5
    assert torch.equal(gray_plane(layer, MemoryStore()), torch.full((1, 4, 4), 0.5))


def test_the_smooth_edge_of_a_region_belongs_to_it_or_to_what_is_not_painted() -> None:
    """Half of a red pixel is neither a color of its own nor that of a third region, dark red."""
    layer = np.zeros((20, 30, 4), np.float32)
    layer[:, :10, :] = (1, 0, 0, 1)
    layer[:, 20:, :] = (0.5, 0, 0, 1)
    layer[:, 10, :] = (1, 0, 0, 0.6)
    layer[:, 11, :] = (1, 0, 0, 0.4)
    mask = read_flat_mask(layer)
    assert mask.colors == (BLACK, (128, 0, 0), RED)
    black, dark, red = label_planes(mask, (0, 1, 2), MemoryStore())
    assert dark[:, :20].max() == 0
    assert red[:, 10].min() == 1 and black[:, 11].min() == 1


def test_opaque_maps_are_what_they_were() -> None:
    pixels = np.random.default_rng(0).random((6, 7, 3), np.float32)
    opaque = np.dstack([pixels, np.ones((6, 7), np.float32)])
    assert torch.equal(gray_plane(opaque, MemoryStore()), gray_plane(pixels, MemoryStore()))


def test_a_mask_is_opened_for_its_colors_and_for_its_planes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def noted(image: Any, *more: Any, **named: Any) -> Any:
        opened.append(image)
        return open_image(image, *more, **named)

    open_image = inputs.open_image
    for module in (inputs, masks):
        monkeypatch.setattr(module, "open_image", noted)
    over_canvas, over_style = (np.zeros((24, side, 3), np.uint8) for side in (30, 32))
    for each in (over_canvas, over_style):
        each[:, :16] = RED
    styles: Any = [Style(waves(30, 40, 1), over_style), Style(waves(30, 40, 2), "#000000")]
    task = job(waves(24, 30), styles, mask=over_canvas, size=48, coarsest=48, margin=8, **FEW)
    assert [len(style.shares) for style in task.styles] == [2, 2]
    for mask in (over_canvas, over_style):
        assert sum(image is mask for image in opened) == 2
