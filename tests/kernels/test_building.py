"""Kernels as Triton builds them for GPUs that are not here: what they take of a multiprocessor, and options."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tilestyle.canvas.canvas import PLANES
from tilestyle.config.enums import Pooling
from tilestyle.geometry.boxes import Box
from tilestyle.kernels import adam, cells, colors, content, moments, support
from tilestyle.kernels.moments import cells_at_once

CUDA = torch.device("cuda", 0)
KIB = 1024
MODULES = ("adam", "cells", "colors", "content", "moments")
# Shared memory of a program, by compute capability (CUDA C++ Programming Guide, technical specifications).
SHARED_MEMORY = {
    (8, 0): 163 * KIB,
    (8, 6): 99 * KIB,
    (9, 0): 227 * KIB,
    (12, 0): 99 * KIB,
}


def test_the_largest_kernel_fits_into_the_shared_memory_of_a_gpu(tmp_path: Path) -> None:
    built = [(8, 6), (9, 0)]  # each takes seconds
    words = [f"{major}{minor}" for major, minor in built]
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.built_kernels", *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert not done.returncode, done.stderr
    for capability, taken in zip(built, json.loads(done.stdout).values(), strict=True):
        assert 32 * KIB < taken <= SHARED_MEMORY[capability]


@pytest.mark.parametrize(("capability", "limit"), SHARED_MEMORY.items())
def test_fewer_cells_are_multiplied_at_once_where_there_is_little(
    capability: tuple[int, int], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert cells_at_once.__wrapped__(CUDA) == (moments.CELLS if limit > 99 * KIB else moments.FEW_CELLS)
    assert cells_at_once(torch.device("cpu")) == moments.CELLS


def test_every_launch_says_how_products_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: dict[str, dict[str, Any]] = {}
    modules = [importlib.import_module(f"tilestyle.kernels.triton_{name}") for name in MODULES]
    names = {name: module for module in modules for name in vars(module) if name.endswith("_kernel")}
    for name, module in names.items():
        monkeypatch.setattr(module, name, Recorder(name, launched))
    cells_last = {"memory_format": torch.channels_last}
    features, axes = torch.zeros(1, 16, 8, 8).half().contiguous(**cells_last), torch.zeros(10, 5)
    planes = [torch.zeros(3, 8 // scale, 8 // scale) for scale in (1, 2, 4)]
    window = {name: torch.zeros(channels, 4, 4) for name, (channels, _) in PLANES.items()}
    moments.add_moments(features, torch.zeros(16), torch.zeros(16, 16))
    cells.pool_and_pad(features, cells.Step(padding=1))
    cells.fold_gradient(features)
    cells.fold_gradient(features[:, :, :4, :4], features=features, step=cells.Step(Pooling.MAX))
    cells.convolve_pixels(torch.zeros(1, 3, 8, 8).half(), torch.zeros(32, 16).half(), torch.zeros(16).half())
    colors.count_colors(planes, [Box(0, 0, 2, 2)] * 3, axes, 256)
    colors.palette_slope(planes, torch.zeros(3, 10, 256), axes, 1.0)
    content.add_difference(features, features, features.clone(), 1.0, Box(0, 0, 2, 2))
    adam.adam_step(window, torch.zeros(3, 4, 4), adam.AdamRates(0.9, 0.99, 1e-8, 0.1), None)
    assert launched.keys() == names.keys()
    assert all(options.items() >= support.LAUNCH_OPTIONS.items() for options in launched.values())


class Recorder:
    """Stands for a kernel, and notes the options of a launch."""

    def __init__(self, name: str, launched: dict[str, dict[str, Any]]) -> None:
        self.name, self.launched = name, launched

    def __getitem__(self, grid: object) -> Callable[..., None]:
        def launch(*arguments: object, **options: Any) -> None:
            self.launched[self.name] = options

        return launch


@pytest.mark.parametrize("count", [moments.CELLS, moments.FEW_CELLS])
def test_sums_are_the_same_however_many_cells_are_multiplied_at_once(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "cells_at_once", lambda device: count)
    features = torch.randint(-3, 4, (1, 16, 13, 29)).half().contiguous(memory_format=torch.channels_last)
    total, products = torch.zeros(16), torch.zeros(16, 16)
    moments.add_moments(features, total, products)
    rows = features.permute(0, 2, 3, 1).reshape(-1, 16).float()
    assert torch.equal(total, rows.sum(0))
    assert torch.equal(products, rows.mT @ rows)


def test_kernels_that_a_gpu_cannot_start_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class OutOfResources(Exception):
        """Triton's, which is no RuntimeError."""

    refusal = OutOfResources("out of resource: shared memory, Required: 133120, Hardware limit: 101376")
    monkeypatch.setattr("tilestyle.notices._logged", set())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    monkeypatch.setattr(support, "_folds", lambda device: True)
    with mock.patch.object(support, "_sums", side_effect=[True, refusal]):
        assert support.has_kernels.__wrapped__(CUDA)
        assert not caplog.records
        assert not support.has_kernels.__wrapped__(CUDA)
    assert "out of resource" in caplog.records[0].message


def test_kernels_are_tried_before_they_are_used() -> None:
    assert support._folds(torch.device("cpu"))
    assert support._sums(torch.device("cpu"), torch.float16)  # the interpreter has no bfloat16 products
