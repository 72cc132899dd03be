"""What renders took, in the user's cache folder."""

import json
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import FEW, job, waves
from tilestyle import Event, Finished, RenderConfig, Started, render
from tilestyle.config.enums import Precision
from tilestyle.pipeline import estimate, probe, timings
from tilestyle.pipeline.estimate import estimate_seconds, known_forecast
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.prepare import outline
from tilestyle.pipeline.time_left import PRIOR_SHARE_LEARNED
from tilestyle.planning.time_model import END, LEVEL, SWEEP, Sample

KIND = {"network": "compact", "patch": 512}
SAMPLES = {SWEEP: [Sample((1.0, 0.1), 0.25, processor_share=0.5), Sample((1.0, 0.2), 0.5, probed=True)]}
SMALL = dict(size=48, coarsest=24, sweeps=2, margin=8, **FEW)


def test_samples_are_kept_for_the_next_process(fresh_cache: Path) -> None:
    timings.remember(KIND, SAMPLES)
    timings.forget()
    assert timings.recall(KIND) == SAMPLES
    assert timings.recall({**KIND, "patch": 256}) == {}
    timings.remember(KIND, {END: [Sample((1.0, 3.0), 0.1)]})
    timings.forget()
    assert timings.recall(KIND).keys() == {SWEEP, END}


def test_the_oldest_samples_are_dropped(fresh_cache: Path) -> None:
    for number in range(1, 100):
        timings.remember(KIND, {SWEEP: [Sample((1.0, 1.0), float(number))]})
    samples = timings.recall(KIND)[SWEEP]
    assert len(samples) == timings.MAX_SAMPLES
    assert samples[-1].seconds == 99


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"stages": 3}',
        b'{"stages": {"sweep": [[1]]}}',
        b'{"stages": {"sweep": [["x", 1, 0]]}}',
        b'{"stages": {"sweep": [[[1], null, 0]]}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_none(fresh_cache: Path, damage: bytes) -> None:
    timings.remember(KIND, SAMPLES)
    (file,) = timings.cache_folder().iterdir()
    file.write_bytes(damage)
    timings.forget()
    assert timings.recall(KIND) == {}
    timings.remember(KIND, SAMPLES)
    timings.forget()
    assert timings.recall(KIND) == SAMPLES


def test_a_folder_that_cannot_be_written_does_no_harm(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    timings.remember(KIND, SAMPLES)
    assert timings.recall(KIND) == SAMPLES  # in this process


def test_files_of_old_kinds_are_removed(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "MAX_FILES", 3)
    for patch in range(10):
        timings.remember({"patch": patch}, SAMPLES)
    assert len(list(timings.cache_folder().iterdir())) <= 4


def test_a_kind_is_measured_once(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0)
    task = job(waves(48, 48), **SMALL)
    assert estimate_seconds(task)
    timings.forget()
    monkeypatch.setattr(probe, "optimize", lambda *arguments: pytest.fail("measured again"))
    assert estimate_seconds(task)


def test_a_measurement_tells_how_busy_the_processor_was(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0)
    monkeypatch.setattr(time, "process_time", lambda: 0.25 * threads * time.perf_counter())
    task = job(waves(48, 48), **SMALL)
    assert estimate_seconds(task)
    samples = timings.recall(Outline.of(task).kind)
    for sample in [*samples[SWEEP], *samples[LEVEL]]:
        assert 0.1 < sample.processor_share < 0.6


def test_a_render_teaches_what_its_work_took(fresh_cache: Path) -> None:
    events: list[Event] = []
    render(waves(48, 48), waves(70, 90, 1), RenderConfig(**SMALL), observer=events.append)
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert json.loads(json.dumps(finished.kind)) == finished.kind
    assert [len(finished.taken[stage]) for stage in (SWEEP, LEVEL, END)] == [3, 3, 1]
    assert all(0 < sample.processor_share <= 1 for sample in finished.taken[SWEEP])
    assert not timings.recall(finished.kind)  # only commands write into the cache
    timings.remember(finished.kind, finished.taken)
    known = known_forecast(Outline.of(job(waves(48, 48), **SMALL)))
    assert known.seconds > 0
    assert known.prior_share == PRIOR_SHARE_LEARNED


def test_an_outline_is_planned_like_the_render(fresh_cache: Path) -> None:
    config = RenderConfig(style_scale=0.5, precision=Precision.FP32, **SMALL)
    styles = [waves(70, 90, 1), waves(50, 60, 2)]
    planned = outline(styles, config, waves(48, 48))
    full = Outline.of(job(waves(48, 48), styles, **{**SMALL, "style_scale": 0.5}))  # type: ignore[arg-type]
    assert planned.works == full.works
    assert {**planned.kind, "canvas": ""} == {**full.kind, "canvas": ""}
