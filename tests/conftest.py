"""What several tests share: small pictures, small networks, and jobs made of them."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Tests run side by side, one a core: more threads would wait for one another, as in processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests compare bytes, on the processor. With CUDA_VISIBLE_DEVICES=0, test_device.py also tries that GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Without one, kernels run in Triton's interpreter, which it has to know when it is imported.
if not os.environ["CUDA_VISIBLE_DEVICES"]:
    os.environ.setdefault("TRITON_INTERPRET", "1")
# Tests compute in float32 on every machine, unless they set a precision, and so do processes that they start.
# With TILESTYLE_FAST_BF16=1 they take bfloat16 wherever a machine could: all must pass then, too.
os.environ.setdefault("TILESTYLE_FAST_BF16", "0")
# What tests learn about the time of renders stays apart from what the user's renders have taught.
os.environ.setdefault("TORCH_HOME", f"{os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache'))}/torch")
os.environ["XDG_CACHE_HOME"] = f"{tempfile.gettempdir()}/tilestyle-tests-{os.getpid()}"

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor

import tests.support.quick  # noqa: F401
from tilestyle import pictures
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.distributed import available_cores
from tilestyle.networks import perceptual_distance
from tilestyle.optim import content_weight
from tilestyle.pipeline import timings
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job

# Tests do not time: how long an example takes is the machine's business.
settings.register_profile("tilestyle", deadline=None)
settings.load_profile("tilestyle")


# For tests that are not about the network: the cheapest, of which fourteen layers cost as much as all the rest.
FEW: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"color_2": 1.0, "first_1": 1.0},
    "content_layers": {"contour_2": 1.0},
}


@pytest.fixture(scope="session", autouse=True)
def _remove_cache() -> Iterator[None]:
    yield
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: some tests wait for a browser, a server or other processes."""
    return available_cores() + 1


def pytest_collection_finish() -> None:
    """Leave out libraries and tests when garbage is collected: they stay, and torch alone takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _quiet_torch() -> None:
    torch.default_generator.manual_seed(0)  # not of all devices, which takes a hundred times as long


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder of the user, for times that renders took."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    timings.forget()
    yield tmp_path / "cache"
    timings.forget()


@pytest.fixture(scope="session")
def _small_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thumbnails")
    for path in (*map(pictures.picture_path, pictures.NAMES), pictures.credits_path()):
        if path.suffix == ".md":
            shutil.copy(path, folder)
            continue
        with Image.open(path) as image:
            resampling = Image.Resampling.NEAREST if path.suffix == ".png" else None
            image.resize((72, 48), resampling).save(folder / path.name)
    return folder


@pytest.fixture
def thumbnails(_small_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The included pictures, small, in place of themselves: a texture takes as long as its style is large."""
    monkeypatch.setattr(pictures, "files", lambda package: _small_pictures)
    return _small_pictures


@pytest.fixture
def comparison_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare pictures with their content at the size that strengths are defined for."""
    monkeypatch.setattr(content_weight, "SIDE", perceptual_distance.SIDE)


@pytest.fixture
def assets() -> Path:
    """The folder of optional material, where there is one."""
    folder = os.environ.get("TILESTYLE_ASSETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TILESTYLE_ASSETS is not set")
    return Path(folder)


def waves(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth colorful picture [3, height, width], different for every seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(float)
    picture = np.full((3, height, width), 0.5)
    for channel in range(3):
        for _ in range(6):
            frequency = random.uniform(-0.4, 0.4, 2)
            picture[channel] += 0.1 * np.sin(frequency[0] * y + frequency[1] * x + random.uniform(0, 6))
    return torch.from_numpy(picture.clip(0, 1)).float()


def job(content: Tensor | None = None, style: Tensor | None = None, **settings: Any) -> Job:
    """A small job on the built-in network."""
    settings = {"precision": Precision.FP32, **settings}  # whatever this machine is good at
    return prepare(waves(70, 90, 1) if style is None else style, RenderConfig(**settings), content)
