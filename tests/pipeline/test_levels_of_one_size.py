"""Canvases in files whose levels have planes of one size: the names of their files must not be the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import waves
from tests.pipeline.test_fault_injection import STYLE, outcome
from tests.support.file_faults import BROKEN, FULL, Faults, Killed
from tilestyle import RenderConfig, render
from tilestyle.canvas import storage
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.memory_budget import MemoryBudget

CONTENT = waves(48, 64, 1)

SIZES = [(64, 48), (64, 60), (64, 63), (80, 70)]  # of the picture and of the coarsest level


def pixels(size: int, coarsest: int, work: Work | None) -> bytes:
    known: dict[str, Any] = {
        "patch": 64,
        "sweeps": 1,
        "precision": Precision.FP32,
        "keep_content": False,
        "network": NetworkName.WAVELET,
        "style_layers": {"first_1": 1, "first_5": 1},  # the last is seen from afar: its unit makes sizes equal
        "content_layers": {"first_1": 1},
        "content_weight": 0.1,
        "palette_weight": 0,
    }
    config = RenderConfig(size=size, coarsest=coarsest, **known)
    return render(CONTENT, STYLE, config, work=work).pixels.copy().tobytes()


@cache
def pixels_in_memory(size: int, coarsest: int) -> bytes:
    return pixels(size, coarsest, None)


def in_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    patch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)


@pytest.mark.parametrize(("size", "coarsest"), SIZES)
def test_files_and_memory_make_the_same_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, coarsest: int
) -> None:
    expected = pixels_in_memory(size, coarsest)
    in_files(monkeypatch)
    assert pixels(size, coarsest, Work(tmp_path / "work")) == expected
    assert not (tmp_path / "work").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes files
@pytest.mark.parametrize("error", [Killed, BROKEN, FULL], ids=["kill", "broken", "full"])
def test_a_fault_while_the_next_level_is_made_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | type[BaseException]
) -> None:
    expected = pixels_in_memory(64, 48)
    in_files(monkeypatch)
    faults = Faults(monkeypatch, tmp_path)
    faults.disarm()
    assert pixels(64, 48, Work(tmp_path / "whole", every=1e9)) == expected
    made = [number for number, name in enumerate(faults.names, 1) if "w+b" in name and "-1.plane" in name]
    assert len(made) == 4  # each in its own file
    for number in made:
        work = Work(tmp_path / f"work {number}", every=1e9)
        faults.arm(number, error)
        assert outcome(lambda work=work: pixels(64, 48, work)) in ("killed", "refused")  # type: ignore[misc]
        faults.disarm()
        assert pixels(64, 48, work) == expected
        assert not work.path.exists()
