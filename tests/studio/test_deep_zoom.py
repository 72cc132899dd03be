from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tilestyle.images import Picture, write_picture
from tilestyle.studio.deep_zoom import level_count, stored_tile, stored_tiles, tile_box


@pytest.mark.parametrize("size", [(1, 2), (3, 300), (255, 254), (700, 513)])
def test_tiles_of_a_canvas_are_those_of_the_finished_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    write_picture(tmp_path / "tiles.dzi", Picture(np.full((height, width, 3), 0.5, np.float32)))
    descriptor = tmp_path / "tiles.dzi"
    stored = stored_tiles(descriptor)
    assert stored is not None and (stored.height, stored.width) == size
    levels = level_count(width, height)
    assert sorted(int(level.name) for level in (tmp_path / "tiles_files").iterdir() if level.is_dir()) == list(
        range(levels)
    )
    for level in range(levels):
        for y in range(5):
            for x in range(5):
                box, file = tile_box(width, height, level, x, y), stored_tile(descriptor, level, x, y)
                assert (box is None) == (file is None), (level, x, y)
                if box is not None and file is not None:
                    with Image.open(file) as tile:
                        assert tile.size == (box.columns, box.rows)
                    assert box.top + box.height <= height + 1e-6 and box.left + box.width <= width + 1e-6


def test_what_is_no_tile_is_none(tmp_path: Path) -> None:
    assert tile_box(100, 100, 8, 0, 0) is None and tile_box(100, 100, -1, 0, 0) is None
    assert tile_box(100, 100, 7, 1, 0) is None and tile_box(100, 100, 7, -1, 0) is None
    assert stored_tiles(tmp_path / "tiles.dzi") is None
    (tmp_path / "tiles.dzi").write_text("rubbish")
    assert stored_tiles(tmp_path / "tiles.dzi") is None
