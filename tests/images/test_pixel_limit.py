"""Large pictures cost by what is asked of them, and pictures beyond the limit are refused."""

from __future__ import annotations

import errno
import mmap
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image

from tests.conftest import FEW
from tests.support.cli import run_cli
from tilestyle import RenderConfig, Style, render
from tilestyle.canvas.storage import MIN_MAPPED_PIXELS, MappedStore
from tilestyle.errors import MemoryLimit, PictureError
from tilestyle.images import (
    as_source,
    inspect_picture,
    open_source,
    picture_from,
    pixel_limit,
    read_all,
    read_picture,
)
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning import sizes
from tilestyle.planning.sizes import MIN_READ_PIXELS, OVERSAMPLING, oversampled_sides

QUICK: dict[str, Any] = {"sweeps": 1, "precision": "fp32", **FEW}
FORMS = ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA", "AVIF", "JPEG2000"]


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def all_of(path: Path, folder: Path | None) -> object:
    with open_source(path, folder) as source:
        return read_all(source)


def small_of(path: Path, folder: Path | None) -> object:
    with open_source(path, folder) as source:
        return source.downsample(2, 2)


def of_image(path: Path) -> object:
    with Image.open(path) as image:
        return picture_from(image)


# The limit --------------------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Path], object]] = {
    "read_picture": read_picture,
    "picture_from": picture_from,
    "an image": lambda path: of_image(path),
    "a source": lambda path: all_of(path, None),
    "a converted source": lambda path: all_of(path, path.parent / "work"),
    "shrunk": lambda path: small_of(path, None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_more_pixels_than_allowed_are_refused(tmp_path: Path, form: str, way: str) -> None:
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {form}")
    path = tmp_path / "a"
    noise(30, 40).save(path, form)
    with pixel_limit(1199), pytest.raises(PictureError, match=r"limit of 1199.*--max-input-pixels 1200"):
        WAYS[way](path)
    with pixel_limit(1200):
        WAYS[way](path)
        with pixel_limit(None):
            WAYS[way](path)
    WAYS[way](path)
    with pixel_limit(2):
        assert inspect_picture(path).width == 40  # which decodes nothing


def test_the_limit_is_that_of_the_settings(tmp_path: Path) -> None:
    noise(50, 60).save(tmp_path / "a.png")
    noise(40, 40).save(tmp_path / "s.png")
    large, small = tmp_path / "a.png", tmp_path / "s.png"
    for content, style in ((large, small), (small, large)):
        with pytest.raises(PictureError, match="--max-input-pixels 3000"):
            render(content, style, RenderConfig(size=32, max_input_pixels=2000, **QUICK))
    render(large, small, RenderConfig(size=32, max_input_pixels=3000, **QUICK))


@pytest.mark.parametrize(
    "command",
    [
        ["render", "{a}", "--style", "{s}", "-o", "{out}.png", "--sweeps", "1", "--size", "32"],
        ["render", "{s}", "--style", "{a}", "-o", "{out}.png", "--sweeps", "1", "--size", "32"],
        ["texture", "{a}", "-o", "{out}.png", "--sweeps", "1", "--size", "32"],
        ["invert", "{a}", "-o", "{out}.png", "--sweeps", "1", "--size", "32"],
        ["preview", "{a}", "--style", "{s}", "-o", "{out}.png", "--size", "32"],
        ["sheet", "{a}", "--style", "{s}", "-o", "{out}.png", "--sweeps", "1", "--size", "32"],
        ["upscale", "{a}", "--reference", "{s}", "-o", "{out}.png"],
        ["drift", "{a}", "--style", "{s}", "-o", "{out}"],
        ["zoom", "{a}", "-o", "{out}"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_limit_is_an_option(tmp_path: Path, command: list[str]) -> None:
    noise(50, 60).save(tmp_path / "a.png")
    noise(40, 40).save(tmp_path / "s.png")
    words = [word.format(a="a.png", s="s.png", out="out") for word in command]
    ended = run_cli(tmp_path, *words, "--max-input-pixels", "2000")
    assert ended.returncode == 2 and "--max-input-pixels 3000" in ended.stderr
    assert read_picture(tmp_path / "a.png").width == 60  # the limit was that of the command


# What is needed ---------------------------------------------------------------------------------------


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.floats(0.001, 10**5), st.floats(0.001, 10**5))
def test_ample_sides(height: int, width: int, rows: float, columns: float) -> None:
    own, found = (height, width), oversampled_sides((height, width), (rows, columns))
    assert all(1 <= side <= whole for side, whole in zip(found, own, strict=True))
    if height * width <= 4 * MIN_READ_PIXELS:
        assert found == own
    if found != own:
        assert (
            found[0] >= OVERSAMPLING * rows
            and found[1] >= OVERSAMPLING * columns
            and found[0] * found[1] >= MIN_READ_PIXELS
        )
        assert found[0] * found[1] < height * width / 3
    assert found == own or found[0] * found[1] < 1.1 * max(
        MIN_READ_PIXELS, height * width * max(OVERSAMPLING * rows / height, OVERSAMPLING * columns / width) ** 2
    ) + sum(own)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_shrinking_costs_by_the_size_that_is_asked_for(tmp_path: Path, form: str, mode: str) -> None:
    """A flat picture is a bomb: kilobytes of file, and as many pixels as one likes."""
    if (form, mode) == ("JPEG", "1"):
        pytest.skip("JPEG has gray")
    path, side = tmp_path / "bomb", 2500
    packing = {"compression": "tiff_deflate"} if form == "TIFF" else {}
    Image.new(mode, (side, side), 1 if mode == "1" else "white").save(path, form, **packing)
    tracemalloc.start()
    try:
        with open_source(path, tmp_path / "work") as source:
            small = source.downsample(64, 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert small.pixels.min() > 0.99
    assert peak < side * side * 3, "of the whole, as bytes"
    assert not (tmp_path / "work").exists()


@pytest.fixture
def sparing(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pictures of these tests are large ones: the number of pixels that they keep in any case."""
    monkeypatch.setattr(sizes, "MIN_READ_PIXELS", 2**12)
    return 2**12


@pytest.mark.parametrize("given", ["a file", "an image", "a source"])
def test_content_and_style_are_read_as_large_as_is_needed(tmp_path: Path, sparing: int, given: str) -> None:
    y, x = np.mgrid[:400, :600]
    values = np.stack([128 + 90 * np.sin(x / 40), 128 + 90 * np.cos(y / 50), (x + y) / 5], axis=2).astype(
        np.uint8
    )
    Image.fromarray(values).save(tmp_path / "a.png")
    path: Any = tmp_path / "a.png"
    what: Any = path
    if given == "an image":
        what = Image.fromarray(values)
    elif given == "a source":
        what = as_source(read_picture(path))
    config = RenderConfig(size=20, style_scale=0.5, init=path, **QUICK)
    job = prepare(what, config, what)
    assert (job.size.height, job.size.width) == (13, 20)
    assert job.content is not None and isinstance(job.init, torch.Tensor)
    for plane, needed in ((job.content, 20), (job.init, 20), (job.styles[0].picture, 10)):
        height, width = plane.shape[1:]
        assert width >= OVERSAMPLING * needed and sparing <= height * width < 2 * max(
            sparing, (OVERSAMPLING * needed) ** 2
        )
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(values / 255).permute(2, 0, 1)[None].float(), (height, width), mode="area"
        )[0]
        assert_allclose(plane, expected, atol=0.03)
    whole = prepare(what, RenderConfig(size=600, **QUICK), what)
    assert whole.content is not None and whole.content.shape[1:] == (400, 600)
    texture = prepare(what, config)  # shown at its own size
    assert texture.styles[0].picture.shape[1:] == (400, 600)


def test_masks_are_told_apart_before_they_are_shrunk(sparing: int) -> None:
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(0, 3, (40, 60)), np.ones((10, 10), int))
    labels[::7, ::5] = 2
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    picture = np.zeros((400, 600, 3), np.uint8)
    config = RenderConfig(size=30, mask=colors[labels], **QUICK)
    styles = [Style(noise(50, 50, seed), mask) for seed, mask in enumerate(("#ff0000", "#00ff00", "#0000ff"))]
    layout = prepare(styles, config, picture).region_weights
    assert layout is not None and layout.shape[0] == 3
    height, width = layout.shape[1:]
    assert sparing <= height * width < 400 * 600 / 4
    assert_allclose(layout.sum(0), np.ones((height, width)), atol=1e-5)
    shares = {tuple(color): (labels == index).mean() for index, color in enumerate(colors.tolist())}
    assert_allclose(sorted(layout.mean((1, 2))), sorted(shares.values()), atol=1e-4)
    # A smoothed mask would show the colors between two regions, which are nearest to a third one.
    assert_allclose(layout.amax(0).mean(), 0.95, atol=0.05)


def test_a_mask_of_a_style_and_a_map_are_shrunk_with_it(sparing: int) -> None:
    mask = np.zeros((400, 600, 3), np.uint8)
    mask[:, :300] = 255
    content = np.asarray(noise(40, 60))
    style = Style(noise(400, 600), mask)
    job = prepare(style, RenderConfig(size=30, mask=mask, **QUICK), content)
    guide, layout = job.styles[0].guide, job.region_weights
    assert guide is not None and layout is not None
    assert guide[0].numel() < 400 * 600 / 4 and layout[0].numel() < 400 * 600 / 4
    gray = np.broadcast_to(np.linspace(0, 1, 600, dtype=np.float32)[None, :, None], (400, 600, 3)).copy()
    mapped = prepare([noise(40, 60), noise(40, 60, 1)], RenderConfig(size=30, blend_map=gray, **QUICK), content)
    assert mapped.region_weights is not None and mapped.region_weights[0].numel() < 400 * 600 / 4
    assert_allclose(mapped.region_weights[1, 0], np.linspace(0, 1, mapped.region_weights.shape[2]), atol=0.01)


# Memory that runs out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), pyvips.Error("out of memory")]
)
def test_memory_that_runs_out_while_reading(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    noise(30, 40).save(tmp_path / "a.png")
    monkeypatch.setattr("tilestyle.images.decode.vips.VipsStream", fail)
    for way in (read_picture, lambda path: all_of(path, None), lambda path: small_of(path, None)):
        with pytest.raises(MemoryLimit, match=r"a\.png does not fit into memory"):
            way(tmp_path / "a.png")


def test_a_tiff_that_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    monkeypatch.setattr(tifffile.FileHandle, "memmap_array", fail)
    with pytest.raises(MemoryLimit, match="does not fit into memory"):
        all_of(tmp_path / "a.tif", None)


def test_a_plane_that_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", fail)
    with pytest.raises(MemoryLimit, match=r"map 24 MiB"):
        MappedStore(tmp_path).zeros(3, 1, MIN_MAPPED_PIXELS + 1)


def test_a_pillow_image_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image, mock.patch.object(image, "load") as load:
        with pixel_limit(1199), pytest.raises(PictureError, match="limit of 1199"):
            picture_from(image)
        load.assert_not_called()
