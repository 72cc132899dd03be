"""Renders that are stopped, killed and gone on with; canvases in files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import waves
from tilestyle import RenderConfig, render
from tilestyle.canvas import mapped_pages, storage
from tilestyle.config.enums import NetworkName, Optimizer, Precision
from tilestyle.errors import DiskError, WorkError
from tilestyle.losses.level import LevelObjective
from tilestyle.optim import loop, update
from tilestyle.pipeline import manifest, tensor_archive
from tilestyle.pipeline.events import Event, Resumed, SweepDone
from tilestyle.pipeline.journal import Journal
from tilestyle.pipeline.workdir import MANIFEST, LockedWorkDir, Work
from tilestyle.planning.memory_budget import MemoryBudget

CONTENT, STYLE = waves(66, 110, 1), waves(30, 32, 2)
# Three levels, the last of six patches.
CONFIG = RenderConfig(
    size=110,
    patch=64,
    coarsest=55,
    sweeps=(1, 1, 2),
    margin=8,
    precision=Precision.FP32,
    network=NetworkName.WAVELET,
    style_layers={"first_1": 1, "first_4": 1},  # a coarse one, and few: they cost most
    content_layers={"contour_2": 1},
    content_weight=0.1,  # what a weight by strength leaves in a checkpoint: tests/planning/test_strength.py
)


class Killed(BaseException):
    """What stands for the end of the process: nothing is done about it."""


@pytest.fixture(params=["memory", "files"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where canvases live."""
    if request.param == "files":
        monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
        monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    return str(request.param)


def pixels(config: RenderConfig, work: Any = None, **options: Any) -> bytes:
    """The bytes of a render's pixels."""
    return np.ascontiguousarray(render(CONTENT, STYLE, config, work=work, **options).pixels).tobytes()


PEACEFUL: dict[str, bytes] = {}


def peaceful(config: RenderConfig) -> bytes:
    """The same of a render that nothing happens to: made once, since it is compared with again and again."""
    if repr(config) not in PEACEFUL:
        PEACEFUL[repr(config)] = pixels(config)
    return PEACEFUL[repr(config)]


def after(patches: int) -> Callable[[], bool]:
    """A stop after so many patches."""
    asked = iter(range(1_000_000))
    return lambda: next(asked) >= patches


def test_a_canvas_in_files_makes_the_same_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = peaceful(CONFIG)
    monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
    monkeypatch.setattr(mapped_pages, "MAX_RESIDENT_BYTES", 2**16)
    monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    assert pixels(CONFIG, tmp_path / "work") == expected
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("patches", "settings"),
    [
        # In the first level; within the sweeps of the last; between them.
        (1, {}),
        (7, {}),
        (10, {}),
        (1, {"sampler": "windows"}),
        (8, {"sampler": "windows"}),
        (1, {"overlap": 16}),
        (10, {"overlap": 16}),
        (18, {"overlap": 16}),
        (7, {"style_loss": "gram"}),
    ],
)
def test_what_was_stopped_goes_on_to_the_same_bytes(
    tmp_path: Path, home: str, patches: int, settings: dict[str, Any]
) -> None:
    config = replace(CONFIG, **settings)
    expected = peaceful(config)
    assert pixels(config, tmp_path / "work", stop=after(patches)) != expected
    events: list[Event] = []
    assert pixels(config, Work(tmp_path / "work", every=0.0), observer=events.append) == expected
    assert any(isinstance(event, Resumed) for event in events)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("sweeps", "every"), [(1, 0.0), (2, 0.0), (3, 0.0), (2, 0.05), (3, 600.0)])
def test_what_was_killed_goes_on_to_the_same_bytes(
    tmp_path: Path, home: str, sweeps: int, every: float
) -> None:
    expected = peaceful(CONFIG)
    seen: list[Event] = []

    def kill(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(each, SweepDone) for each in seen) == sweeps:
            raise Killed

    with pytest.raises(Killed):
        pixels(CONFIG, Work(tmp_path / "work", every), observer=kill)
    assert pixels(CONFIG, tmp_path / "work") == expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes files
def test_a_kill_between_any_two_writes_loses_nothing(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file operation of a checkpoint is made the last one, in turn."""
    expected = peaceful(CONFIG)
    left = 0

    def dying(work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return work(*arguments, **options)

        return wrapped

    for module, name in [
        (tensor_archive, "save_tensors"),
        (LockedWorkDir, "write_manifest"),
        (tensor_archive, "fsync_file"),
        (os, "fsync"),
        (Journal, "flush"),
        (Journal, "close"),
    ]:
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    for moment in range(7, 60, 22):
        left = moment
        work = Work(tmp_path / f"work-{moment}", every=0.0)
        with pytest.raises(Killed):
            pixels(CONFIG, work)
        left = 0
        assert pixels(CONFIG, work) == expected


def test_memory_that_runs_out_after_going_on_does_not_bring_back_what_was_kept(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    class Watched(LevelObjective):
        def __init__(self, job: Any, level: Any, planes: Any, state: Any = None) -> None:
            seen.append(bool(state))
            super().__init__(job, level, planes, state)

    take = update.CanvasUpdater.apply

    def short(self: update.CanvasUpdater, patch: Any, gradient: Any) -> None:
        monkeypatch.setattr(update.CanvasUpdater, "apply", take)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(loop, "LevelObjective", Watched)
    monkeypatch.setattr(update.CanvasUpdater, "apply", short)
    pixels(CONFIG, stopped)
    assert seen[0]
    assert len(seen) > 1
    assert not any(seen[1:])


def full_at(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Fill the disk whenever one of these checkpoints is written."""
    written = 0
    save = tensor_archive.save_tensors

    def full(file: Any, tensors: Any) -> None:
        nonlocal written
        written += 1
        save(file, tensors)
        if written in numbers:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_archive, "save_tensors", full)


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A canvas in memory needs no disk to go on; one in files does, for its journal."""
    expected = peaceful(CONFIG)
    work = Work(tmp_path / "work", every=0.0)
    full_at(monkeypatch, 6)
    if home == "memory":
        monkeypatch.setattr("tilestyle.notices._logged", set())
        assert pixels(CONFIG, work) == expected
        assert "the render continues and tries again later; the last checkpoint is kept" in caplog.text
        assert "run the same command" not in caplog.text
        return
    with pytest.raises(DiskError, match=r"No space left on device.*the last checkpoint is kept"):
        pixels(CONFIG, work)
    assert pixels(CONFIG, work) == expected


@pytest.mark.parametrize(
    "config", [CONFIG, replace(CONFIG, optimizer=Optimizer.LBFGS, sweeps=3, patch=128)], ids=["adam", "lbfgs"]
)
def test_a_render_resumes_from_the_checkpoint_before_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: RenderConfig
) -> None:
    """Stopping is another matter: whoever stops a render is told that its last patches are lost."""
    work = Work(tmp_path / "work", every=0.0)
    with monkeypatch.context() as patch:
        full_at(patch, *range(4, 1000))
        with pytest.raises(DiskError, match=r"No space left on device.*the last checkpoint is kept"):
            pixels(config, work, stop=after(7))
    kept = manifest.read_manifest(tmp_path / "work" / MANIFEST)
    assert kept is not None
    assert kept.number == 3
    assert [file.name for file in (tmp_path / "work").glob("*.npz")] == ["checkpoint-3.npz"]
    assert pixels(config, work) == peaceful(config)


def test_a_full_disk_is_tried_again_when_the_next_checkpoint_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, tried = 0.0, []

    def full(*_: Any) -> None:
        tried.append(now)
        raise OSError(28, "No space left on device")

    def second(event: Event) -> None:
        nonlocal now
        now += 1.0

    monkeypatch.setattr(tensor_archive, "save_tensors", full)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pixels(CONFIG, Work(tmp_path / "work", every=5.0), observer=second)
    gaps = np.diff(tried[:-1])  # the last one is that of the finished render
    assert len(gaps) > 1
    assert gaps.min() >= 5.0


def test_too_little_disk_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: (2**30, 2**30 - 1000, 1000))
    with pytest.raises(DiskError, match=r"needs \S+ [MG]iB of disk in .*, \S+ [KM]?i?B is free"):
        pixels(replace(CONFIG, size=300), tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Path]:
    """The folder of a render that was stopped."""
    pixels(CONFIG, tmp_path / "work", stop=after(8))
    yield tmp_path / "work"


def refused(work: Path, match: str, config: RenderConfig = CONFIG) -> None:
    """It is refused with one line, and nothing is deleted."""
    before = {file: file.read_bytes() for file in work.iterdir()}
    with pytest.raises(WorkError, match=match) as caught:
        pixels(config, work)
    assert "\n" not in str(caught.value)
    kept = ("owner.json", "lock")
    assert {file: file.read_bytes() for file in work.iterdir() if file.name not in kept} == {
        file: content for file, content in before.items() if file.name not in kept
    }


def test_another_render_is_refused(stopped: Path) -> None:
    refused(stopped, r"left by another render \(seed\)", replace(CONFIG, seed=5))
    found = pixels(replace(CONFIG, seed=5), Work(stopped, restart=True))
    assert found == peaceful(replace(CONFIG, seed=5)) != peaceful(CONFIG)


@pytest.mark.parametrize(
    ("current", "older", "config"),
    [
        ('"optimizer"', '"optimiser"', CONFIG),
        ('"size": "64x48"', '"size": [48, 64]', replace(CONFIG, size=(64, 48), coarsest=64, sweeps=2)),
    ],
    ids=["name", "size"],
)
def test_a_folder_of_an_older_version_is_resumed(
    tmp_path: Path, current: str, older: str, config: RenderConfig
) -> None:
    assert pixels(config, tmp_path / "work", stop=after(2)) != peaceful(config)
    path = tmp_path / "work" / "manifest.json"
    content = path.read_text()
    assert content.count(current) == 1
    parsed = json.loads(content.replace(current, older))
    del parsed["digest"]
    path.write_text(json.dumps({"digest": manifest._digest(parsed), **parsed}))
    events: list[Event] = []
    assert pixels(config, tmp_path / "work", observer=events.append) == peaceful(config)
    assert any(isinstance(event, Resumed) for event in events)


def test_damage_is_refused(stopped: Path) -> None:
    (archive,) = stopped.glob("*.npz")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    refused(stopped, "is damaged")
    archive.write_bytes(content[: len(content) // 3])
    refused(stopped, "is damaged")
    (stopped / "manifest.json").write_text('{"format": 1')
    refused(stopped, "is damaged")


def test_another_version_is_refused(stopped: Path) -> None:
    manifest = json.loads((stopped / "manifest.json").read_text())
    (stopped / "manifest.json").write_text(json.dumps({**manifest, "version": "9.9"}))
    refused(stopped, r"left by tilestyle 9\.9")


def test_two_renders_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = LockedWorkDir(tmp_path / "work")
    with pytest.raises(WorkError, match=r"in use by process \d+ on"):
        pixels(CONFIG, tmp_path / "work")
    folder.close(remove=False)
    assert pixels(CONFIG, tmp_path / "work") == peaceful(CONFIG)


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "letter.txt").write_text("dear")
    with pytest.raises(WorkError, match=r"is not a work folder of tilestyle \(it holds letter\.txt\)"):
        pixels(CONFIG, tmp_path / "work")
    assert (tmp_path / "work" / "letter.txt").read_text() == "dear"


def test_a_folder_can_be_kept(tmp_path: Path) -> None:
    expected = pixels(CONFIG, Work(tmp_path / "work", every=0.0, keep=True))
    assert (tmp_path / "work" / "manifest.json").exists()
    assert pixels(CONFIG, tmp_path / "work") == expected
