"""Deep Zoom as a viewer sees it, and what its descriptor tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import waves
from tilestyle.errors import PictureError
from tilestyle.images import Picture, WriteOptions, inspect_picture, open_source, read_picture, write_picture
from tilestyle.images.alpha import halve, premultiply
from tilestyle.images.deepzoom import read_descriptor, tiles_folder


def picture(height: int, width: int, alpha: bool) -> Picture:
    pixels = waves(height, width).permute(1, 2, 0).numpy()
    return Picture(
        pixels, np.linspace(0.2, 1, height * width, dtype=np.float32).reshape(height, width) if alpha else None
    )


def joined(path: Path, level: int, height: int, width: int) -> NDArray[np.float32]:
    """A level put together as viewers do: each tile where its column and row say, less what it shares."""
    found = read_descriptor(path)
    shown = np.full((height, width, 4 if found.tile_format == "png" else 3), np.nan, np.float32)
    for row in range(-(-height // found.tile_side)):
        for column in range(-(-width // found.tile_side)):
            with Image.open(tiles_folder(path) / str(level) / f"{column}_{row}.{found.tile_format}") as tile:
                pixels = np.asarray(tile).astype(np.float32) / 255
            top, left = found.overlap * (row > 0), found.overlap * (column > 0)
            y, x = row * found.tile_side, column * found.tile_side
            own = pixels[top : top + found.tile_side, left : left + found.tile_side]
            own = own[: height - y, : width - x]
            shown[y : y + own.shape[0], x : x + own.shape[1]] = own
    return shown


@pytest.mark.parametrize(("height", "width", "alpha"), [(600, 1100, False), (300, 509, True), (3, 700, False)])
def test_every_level_walked_as_a_viewer_does_is_the_picture(
    tmp_path: Path, height: int, width: int, alpha: bool
) -> None:
    path, expected = tmp_path / "a.dzi", picture(height, width, alpha)
    write_picture(path, expected)
    top = int(np.ceil(np.log2(max(height, width))))
    values = expected.pixels if expected.alpha is None else np.dstack([expected.pixels, expected.alpha])
    values = premultiply(values)
    for level in range(top, -1, -1):
        rows, columns = values.shape[:2]
        shown = joined(path, level, rows, columns)
        assert np.isfinite(shown).all()
        if min(rows, columns) > 8:  # the last row of odd ones is made otherwise, which shows in few
            assert np.abs(premultiply(shown) - values).mean() < 0.02
        if alpha and level == top:
            assert_allclose(shown[..., 3], values[..., 3], atol=0.51 / 255)
        values = halve(values)


def test_a_descriptor_tells_what_it_is_and_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "a.dzi"
    write_picture(path, picture(300, 400, False), options=WriteOptions(provenance={"seed": 1}))
    found = inspect_picture(path)
    assert (found.height, found.width, found.depth, found.format) == (300, 400, 8, "Deep Zoom")
    assert found.mode == "RGB in jpg tiles of 254 + 1 pixels"
    assert found.file_bytes > 10_000
    for use in (read_picture, open_source):
        with pytest.raises(PictureError, match="cannot be used as an input; give the picture as TIFF"):
            use(path)
    write_picture(path, picture(30, 40, True))
    assert inspect_picture(path).has_alpha


@pytest.mark.parametrize(
    "text", ["", "nonsense", "<Image/>", "<Image TileSize='x'><a:Size xmlns:a='b' Height='1'/></Image>"]
)
def test_what_is_no_descriptor(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.dzi").write_text(text)
    with pytest.raises(PictureError):
        inspect_picture(tmp_path / "a.dzi")
