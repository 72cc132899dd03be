"""What a machine decides is said in the picture, kept to by a resumed render, and the same for all ranks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import FEW, waves
from tests.support.cli import run_cli
from tilestyle import RenderConfig, render
from tilestyle.config.enums import Precision
from tilestyle.errors import SettingError, WorkError
from tilestyle.images import read_provenance
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning import device_choice, resolve
from tilestyle.planning.device_choice import FAST_BF16_VARIABLE, choose_precision, has_fast_bf16
from tilestyle.planning.resolve import resolve_config

CPU = torch.device("cpu")
CONTENT, STYLE = waves(60, 80), waves(70, 90, 1)
CONFIG = RenderConfig(size=96, patch=64, coarsest=96, sweeps=2, margin=8, device="cpu", **FEW)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("precision", Precision)
def test_only_auto_asks_the_machine(precision: Precision, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: fast)
    chosen = Precision.BF16 if fast else Precision.FP32
    assert choose_precision(precision, CPU) is (chosen if precision is Precision.AUTO else precision)


@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
def test_the_environment_answers_for_the_machine(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for told, answer in (("0", False), ("1", True)):
        monkeypatch.setenv(FAST_BF16_VARIABLE, told)
        assert has_fast_bf16(torch.device(device)) is answer
    for wrong in ("yes", "2", " ", "auto"):
        monkeypatch.setenv(FAST_BF16_VARIABLE, wrong)
        with pytest.raises(SettingError, match="set it to 0 or 1, or unset it"):
            has_fast_bf16(CPU)
    for nothing in ("", None):
        if nothing is None:
            monkeypatch.delenv(FAST_BF16_VARIABLE)
        else:
            monkeypatch.setenv(FAST_BF16_VARIABLE, nothing)
        assert has_fast_bf16(CPU) in (False, True)  # as the processor says


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("now", [False, True])
def test_a_resumed_render_keeps_its_precision(
    began: bool, now: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: began)
    expected = render(CONTENT, STYLE, CONFIG).pixels
    asked = iter(range(1000))
    render(CONTENT, STYLE, CONFIG, work=tmp_path / "work", stop=lambda: next(asked) >= 1)
    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: now)
    assert np.array_equal(render(CONTENT, STYLE, CONFIG, work=tmp_path / "work").pixels, expected)


def test_a_precision_that_was_set_is_another_render(tmp_path: Path) -> None:
    asked = iter(range(1000))
    render(CONTENT, STYLE, CONFIG, work=tmp_path / "work", stop=lambda: next(asked) >= 1)
    with pytest.raises(WorkError, match=r"another render \(precision\)"):
        render(CONTENT, STYLE, replace(CONFIG, precision=Precision.BF16), work=tmp_path / "work")


def test_a_precision_that_there_is_not_is_damage() -> None:
    from tilestyle.planning.resolve import MemoryDecisions

    with pytest.raises(ValueError, match="precision 'fp8'"):
        MemoryDecisions(64, mapped=False, content_kept=False, precision="fp8")


def test_ranks_compute_as_the_first_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Second:
        """A rank that hears from the first."""

        local_world_size = 1

        def broadcast(self, value: Any = None) -> Any:
            """What the first has said."""
            return "bf16"

    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: False)
    ranks: Any = Second()
    assert resolve_config(CONFIG, with_content=True, comm=ranks).network.dtype is torch.bfloat16


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_picture_says_what_its_machine_decided(
    fast: bool, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And given as settings, it makes the same picture on a machine that would decide otherwise."""
    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: fast)
    for name, pixels in (("content.png", CONTENT), ("style.png", STYLE)):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / name)
    words = ["render", "content.png", "--style", "style.png", "--size", "96", "--sweeps", "1", "--quiet"]
    words += [
        "--network=wavelet",
        "--style-layer",
        "first_1",
        "--content-layer",
        "contour_2",
        "--device",
        "cpu",
    ]
    words += ["--optimizer", optimizer]
    done = run_cli(tmp_path, *words, "-o", "out.png")
    assert done.returncode == 0, done.stderr
    made = read_provenance(tmp_path / "out.png")
    assert made is not None
    machine: Any = made["machine"]
    assert machine.pop("torch") == torch.__version__
    assert machine.pop("threads") == torch.get_num_threads()
    assert machine.pop("device") == "cpu"
    assert machine.pop("precision") == ("bf16" if fast and optimizer == "adam" else "fp32")
    assert machine.pop("patch") >= 64
    assert set(machine) == ({"keep_content"} if optimizer == "adam" else {"history"})
    assert json.dumps(made)
    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: not fast)
    monkeypatch.setattr(resolve, "free_bytes", lambda device: 2**40)
    job = prepare(STYLE, RenderConfig(size=96), CONTENT)
    assert job.chosen_settings["precision"] == ("bf16" if not fast else "fp32")
    precision = "bf16" if fast and optimizer == "adam" else "fp32"
    done = run_cli(tmp_path, *words, "-o", "other.png", "--precision", precision)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as one, Image.open(tmp_path / "other.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_memory_changes_the_patch_and_the_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RenderConfig(size=700, precision="fp32", device="cpu")
    sides = []
    for free in (2**40, 300 * 2**20):
        monkeypatch.setattr(resolve, "free_bytes", lambda device, free=free: free)
        sides.append(prepare(STYLE, config, CONTENT).machine_settings["patch"])
    assert sides[0] == 512 > sides[1]


def test_a_render_without_a_stored_precision_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of before do not say it."""
    from tilestyle.planning.resolve import MemoryDecisions

    monkeypatch.setattr(device_choice, "has_fast_bf16", lambda device: False)
    settled = MemoryDecisions(64, mapped=False, content_kept=False)
    assert resolve_config(CONFIG, with_content=True, decisions=settled).network.dtype is torch.float32
