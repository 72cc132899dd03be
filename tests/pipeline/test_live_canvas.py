from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import FEW
from tilestyle.canvas import storage
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import MappedStore, MemoryStore
from tilestyle.files import ownership
from tilestyle.geometry.boxes import Box, CanvasExtent
from tilestyle.images import Picture, area_average
from tilestyle.optim.state import RenderState
from tilestyle.pictures import picture_path
from tilestyle.pipeline.api import render
from tilestyle.pipeline.events import Event, LevelStarted, Observer, PatchDone, SweepDone
from tilestyle.pipeline.finished_picture import PictureFinish
from tilestyle.pipeline.live_canvas import LiveCanvas, StillCanvas

HEIGHT, WIDTH, MARGIN = 120, 160, 8
STATES: list[RenderState] = []


def canvas_of(pixels: torch.Tensor) -> Canvas:
    return Canvas(
        CanvasExtent(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, Box(MARGIN, MARGIN, HEIGHT, WIDTH)), pixels
    )


@pytest.fixture
def pixels() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 17, 22, generator=random)
    size = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    return torch.nn.functional.interpolate(small, size, mode="bicubic")[0].clamp(0, 1)


def live_canvas(canvas: Canvas, height: int = HEIGHT, width: int = WIDTH, **more: torch.Tensor) -> LiveCanvas:
    finish = PictureFinish(
        Box(0, 0, height, width), (False, False), more.get("colors"), more.get("alpha"), MemoryStore()
    )
    state = RenderState()
    state.canvas = canvas
    STATES.append(state)  # the look does not keep it
    return LiveCanvas.of(state, finish)


def test_a_window_has_the_pixels_of_the_canvas(pixels: torch.Tensor) -> None:
    canvas = canvas_of(pixels)
    window = live_canvas(canvas).window((10, 20, 30, 40), 30, 40)
    assert window is not None
    expected = canvas.picture()[:, 10:40, 20:60].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(window.pixels, expected)


def test_a_smaller_picture_is_the_mean_of_the_canvas(pixels: torch.Tensor) -> None:
    canvas = canvas_of(pixels)
    small = live_canvas(canvas).window((0, 0, HEIGHT, WIDTH), HEIGHT // 4, WIDTH // 4)
    assert small is not None
    whole = Picture(np.ascontiguousarray(canvas.picture().permute(1, 2, 0).numpy()))
    np.testing.assert_allclose(small.pixels, area_average(whole, HEIGHT // 4, WIDTH // 4).pixels, atol=1e-5)


def test_a_coarse_level_is_shown_at_the_final_size(pixels: torch.Tensor) -> None:
    canvas = canvas_of(pixels)
    live = live_canvas(canvas, 2 * HEIGHT, 2 * WIDTH)
    large = live.window((0, 0, 2 * HEIGHT, 2 * WIDTH), 2 * HEIGHT, 2 * WIDTH)
    assert large is not None
    again = area_average(large, HEIGHT, WIDTH).pixels
    assert np.abs(again - canvas.picture().permute(1, 2, 0).numpy()).mean() < 0.02


def test_windows_join_without_a_seam(pixels: torch.Tensor) -> None:
    live = live_canvas(canvas_of(pixels), 300, 400)
    whole = live.window((0, 0, 300, 400), 100, 100)
    parts = [live.window((top, 0, 150, 400), 50, 100) for top in (0, 150)]
    assert whole is not None and parts[0] is not None and parts[1] is not None
    np.testing.assert_allclose(np.concatenate([parts[0].pixels, parts[1].pixels]), whole.pixels, atol=1e-5)


def test_transparency_and_colors_are_those_of_the_picture(pixels: torch.Tensor) -> None:
    canvas = canvas_of(pixels)
    gray = torch.full((3, 60, 80), 0.5)
    alpha = torch.zeros(1, 60, 80)
    window = live_canvas(canvas, colors=gray, alpha=alpha).window((0, 0, HEIGHT, WIDTH), 30, 40)
    assert window is not None and window.alpha is not None and not window.alpha.any()
    assert np.ptp(window.pixels, axis=2).max() < 1e-5  # gray, as its colors


def test_the_look_does_not_keep_the_canvas(pixels: torch.Tensor) -> None:
    canvas = canvas_of(pixels)
    live, gone = live_canvas(canvas), weakref.ref(canvas)
    STATES[-1].canvas = canvas_of(1 - pixels)  # the next level
    del canvas
    gc.collect()
    window = live.window((0, 0, 8, 8), 8, 8)
    assert gone() is None and window is not None
    np.testing.assert_array_equal(window.pixels, 1 - pixels[:, 8:16, 8:16].permute(1, 2, 0).numpy())
    STATES.clear()
    gc.collect()
    assert live.window((0, 0, 8, 8), 8, 8) is None


@pytest.mark.parametrize("named", [True, False])
def test_a_canvas_in_files_is_read_in_parts(
    pixels: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    released: list[bool] = []
    monkeypatch.setattr("tilestyle.pipeline.live_canvas.release_mapped_pages", lambda: released.append(True))
    ownership.mark_folder(tmp_path)
    channels, height, width = pixels.shape
    plane = MappedStore(tmp_path).zeros(channels, height, width, "pixels" if named else "")
    plane.copy_(pixels)
    in_files, in_memory = canvas_of(plane), canvas_of(pixels)
    for place in ((0, 0, HEIGHT, WIDTH), (5, 50, 8, 100), (100, 0, 20, 10)):
        windows = [live_canvas(canvas).window(place, 64, 32) for canvas in (in_files, in_memory)]
        assert windows[0] is not None and windows[1] is not None
        np.testing.assert_allclose(windows[0].pixels, windows[1].pixels, atol=1e-6)
    assert bool(released) is not named  # with a name it is read from the file, past the mapping


def test_a_render_shows_its_canvas_and_stays_the_same() -> None:
    seen: list[Picture] = []
    lives: list[LiveCanvas] = []

    def look(event: Event) -> None:
        if isinstance(event, LevelStarted):
            assert event.live is not None
            lives.append(event.live)
        if isinstance(event, PatchDone | SweepDone):
            window = lives[0].window((0, 0, 24, 32), 24, 32)
            assert window is not None
            seen.append(window)

    def once(observer: Observer | None) -> Picture:
        return render(
            picture_path("coffee"), picture_path("swirls"), size=(32, 24), sweeps=2, observer=observer, **FEW
        )

    watched, unwatched = once(look), once(None)
    np.testing.assert_array_equal(watched.pixels, unwatched.pixels)
    np.testing.assert_allclose(seen[-1].pixels, watched.pixels, atol=1e-6)
    assert lives[0].window((0, 0, 24, 32), 24, 32) is None  # it has ended
    still = StillCanvas(watched).window((0, 0, 24, 32), 24, 32)
    np.testing.assert_array_equal(still.pixels, watched.pixels)
