"""What reading leaves of the program around: its warnings, its limits, its terminal."""

from __future__ import annotations

import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.images import inspect_picture, open_source, read_picture


def oddities(folder: Path) -> list[Path]:
    """Files whose metadata Pillow warns about."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    entries = struct.pack("<HHIIHHIII", 0x0110, 2, 5000, 5000, 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries  # text beyond the end, then cut short
    image.save(folder / "odd.jpg", exif=exif)
    image.save(folder / "odd.webp", exif=exif[:-6])
    image.quantize(4).save(folder / "odd.gif", transparency=1)
    image.save(folder / "plain.png")
    (folder / "cut.jpg").write_bytes((folder / "odd.jpg").read_bytes()[:-200])
    return sorted(folder.iterdir())


def read_all_ways(path: Path) -> None:
    for way in (read_picture, inspect_picture, open_source):
        try:
            found = way(path)
        except PictureError:
            continue
        if way is open_source:
            found.close()  # type: ignore[union-attr]


def test_warnings_are_neither_heard_nor_silenced_for_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = oddities(tmp_path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        before = list(warnings.filters)
        for _ in range(2):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(read_all_ways, files * 2))
        assert list(warnings.filters) == before
        assert not heard
        warnings.warn("of the program around", stacklevel=1)
        assert [str(each.message) for each in heard] == ["of the program around"]
    assert capfd.readouterr() == ("", "")


def test_warnings_that_are_errors_do_not_stop_a_picture(tmp_path: Path) -> None:
    """As in a program that is run with `python -W error`, which these tests are."""
    oddities(tmp_path)
    assert inspect_picture(tmp_path / "odd.gif").has_alpha
    assert read_picture(tmp_path / "odd.webp").height > 0


def test_limits_of_pillow_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = oddities(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_all_ways, files * 2))
    assert Image.MAX_IMAGE_PIXELS == 10
