"""What a patch costs a device: launches, waiting, and bytes that travel, whatever the size of the canvas."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import FEW, waves
from tests.support.device_cost import Cost, cost, random_vgg, with_float64
from tests.support.fake_device import DEVICE
from tilestyle import Color, ContentLoss, NetworkName, Precision, Sampler, StyleLoss
from tilestyle.geometry.boxes import Patch
from tilestyle.networks import padding

HOMES = ("device", "host")
# What a patch of VGG-19 may cost, with all that belongs to it but the distances of the sweep.
LAUNCHES = 250
TABLES = 256  # bytes a patch that are not of a window: where borders are
HALF = np.zeros((60, 80, 3), np.uint8)
HALF[:, 40:] = 255
CASES: dict[str, dict[str, Any]] = {
    "usual": {},
    "coarse layers": {"style_layers": {"first_1": 1, "first_4": 1}},
    "luminance": {"color": Color.LUMINANCE},
    "mask": {"mask": HALF},
    "windows": {"sampler": Sampler.WINDOWS},
    "overlap": {"overlap": 8},
    "scales": {"scale_odds": (0.5, 0.5)},
    "anchor": {"anchor": waves(37, 50)},
    "statistics": {"style_loss": StyleLoss.STATISTICS},
    "gram": {"style_loss": StyleLoss.GRAM, "tv_weight": 0.1},
    "fixed point": {"deterministic": True},
    "kept content": {"keep_content": True, "content_layers": {"contour_1": 1}},
    "no palette": {"palette_weight": 0},
    "self-similarity": {"content_loss": ContentLoss.SELF_SIMILARITY},
}


@pytest.fixture
def vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """VGG-19 as a GPU computes it."""
    monkeypatch.setattr(padding, "COPYING_DEVICE_TYPES", {DEVICE.type})
    return {"network": NetworkName.VGG19, "weights": random_vgg(tmp_path)}


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("size", [(70, 128), (138, 88), (25, 375)])
def test_a_patch_costs_few_launches_and_no_waiting(
    home: str, size: tuple[int, int], vgg: dict[str, Any]
) -> None:
    found = cost(home, *size, patch=64, **vgg)
    assert len(found.patches) > 4
    assert found.launches_per_patch <= LAUNCHES
    assert not found.stalls


@pytest.mark.parametrize("home", HOMES)
def test_it_costs_no_more_where_the_canvas_is_wide(home: str, vgg: dict[str, Any]) -> None:
    # The first sweep: content features are seen, too, and kept. A canvas on the host waits for them.
    found = cost(home, 48, 2048, patch=64, counted=0, **vgg)
    assert len(found.patches) > 30
    assert found.launches_per_patch <= LAUNCHES
    assert not [place for place in found.stalls if "losses/content.py" not in place or home == "device"]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("case", CASES)
def test_no_patch_is_waited_for(case: str, home: str) -> None:
    size = (90, 120) if case == "scales" else (74, 100)  # a patch of twice the scale sees more
    found = cost(home, *size, **{**FEW, "patch": 64, **CASES[case]})
    assert len(found.patches) > 1
    assert not found.stalls


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("locality", [0.5, 1.0])
@pytest.mark.parametrize("float64", [True, False])
def test_a_patch_with_locality_is_waited_for_once(
    home: str, locality: float, float64: bool, vgg: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"locality": locality, "palette_weight": 0, "locality_window": 1.0}
    settings["style_layers"] = {"relu1_1": 1, "relu3_1": 1}
    with with_float64() if float64 else nullcontext():
        found = cost(home, 70, 130, patch=64, **settings, **vgg)
    assert len(found.patches) > 4
    # For its moments or their distances, which do not have to be ones of the sweep before.
    assert [place.partition(":")[0] for place in found.stalls] == ["_to_copy in losses/patch_distances.py"]
    assert found.stalls.total() == len(found.patches)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_a_window_travels_once_each_way(precision: Precision, vgg: dict[str, Any]) -> None:
    rounded = 2 if precision is Precision.BF16 else 4
    found = travelled(70, 128, keep_content=False, precision=precision, **vgg)
    # Pixels, and the other planes of what the patch alone sees; the content in the network's arithmetic.
    assert found.sent == sum(
        12 * patch.read.area + 28 * inner(patch) + 3 * rounded * patch.read.area for patch in found.patches
    )
    # All planes of it come back, and of borders what they are to be stepped by.
    assert found.received == sum(
        40 * inner(patch) + 12 * (patch.owned.area - inner(patch)) for patch in found.patches
    )


def test_content_that_is_kept_travels_in_half_the_bytes(vgg: dict[str, Any]) -> None:
    found = travelled(70, 128, keep_content=True, **vgg)
    channels, stride = 16, 8
    assert found.sent == sum(
        12 * patch.read.area + 28 * inner(patch) + 2 * channels * patch.read.area // stride**2
        for patch in found.patches
    )


@pytest.mark.parametrize("palette", [0.0, 1.0])
def test_what_is_stepped_on_the_host_travels_rounded_if_nothing_is_lost(
    palette: float, vgg: dict[str, Any]
) -> None:
    found = travelled(
        70, 128, overlap=16, keep_content=False, precision=Precision.BF16, palette_weight=palette, **vgg
    )
    seen = sum(patch.read.area for patch in found.patches)
    assert found.sent == (12 if palette else 6) * seen + 6 * seen
    assert found.received == 12 * seen


@pytest.mark.parametrize("size", [(130, 150), (60, 500)])
def test_a_canvas_on_the_device_stays_there(size: tuple[int, int], vgg: dict[str, Any]) -> None:
    found = cost("device", *size, patch=64, **vgg)
    assert found.received == 0
    assert found.sent <= TABLES * len(found.patches)


def travelled(height: int, width: int, **settings: Any) -> Cost:
    found = cost("host", height, width, patch=64, **settings)
    assert len(found.patches) > 4
    assert not found.stalls
    return found


def inner(patch: Patch) -> int:
    """Pixels that no other patch sees."""
    return patch.interior_and_borders[0].area
