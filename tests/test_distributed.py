"""Renders by several processes: the same picture, a share for each, and what becomes of them when one dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.once import made_once
from tests.support.rank_worker import CONFIG, CONTENT, STYLE, TALL, config_with
from tilestyle import distributed, render
from tilestyle.canvas import storage
from tilestyle.config.consistency import check_multiprocess
from tilestyle.distributed import (
    SINGLE,
    Communicator,
    _run_with_timeout,
    _sigterm_handler,
    join_timeout,
    process_group,
)
from tilestyle.errors import RankError, SettingError
from tilestyle.geometry.boxes import canvas_extent
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.geometry.sharding import balanced_runs, shard_patches
from tilestyle.networks.registry import load_network
from tilestyle.pipeline.events import Event, Resumed
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.stats.exact_sum import from_fixed, to_fixed, to_fixed_batch
from tilestyle.stats.sliced_wasserstein import BINS, SCALES, color_axes

# What rounding comes to in these few sweeps, of the full range of brightness. Adam's steps turn on signs: where
# a gradient is nearly nothing a pixel may go either way.
BOUND = 0.02
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "deterministic": {"deterministic": True},
    "gram": {"style_loss": "gram", "deterministic": True, "scale_odds": [0.5, 0.5]},
    "overlap": {"overlap": 16},
    "local": {"locality": 0.5},
    "masked": {"masked": True, "deterministic": True},
    "alike": {"content_loss": "self-similarity", "deterministic": True},
    "texture": {"init": "noise", "tv_weight": 0.1, "deterministic": True},
    "tall": {**TALL, "deterministic": True},
}
THREE = ("plain", "tall")


def together(count: int, folder: Path, **asked: Any) -> list[subprocess.CompletedProcess[str]]:
    """Run so many ranks to their end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = json.dumps({"folder": str(folder), **asked})
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.rank_worker", plain],
            env=os.environ
            | {"RANK": str(index), "WORLD_SIZE": str(count), "LOCAL_RANK": str(index)}
            | {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            # As many threads as here, for the same bytes; more than there are cores must not wait by spinning.
            | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "OMP_WAIT_POLICY": "passive"}
            | {"GOMP_SPINCOUNT": "0", "CUDA_VISIBLE_DEVICES": ""},
            cwd=Path(__file__).parent.parent,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess([], process.returncode, stderr=words)
        for process, words in zip(processes, said, strict=True)
    ]


@pytest.fixture(scope="module", params=[2, 3])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """All cases by two ranks, some by three; once for all processes that test."""
    count = request.param
    cases = {name: CASES[name] for name in CASES if count == 2 or name in THREE}
    cases["refused"] = {"deterministic": True, "overlap": 16}

    def make(folder: Path) -> None:
        for done in together(count, folder, cases=cases):
            assert done.returncode == 0, done.stderr

    return count, made_once(tmp_path_factory, f"together-{count}", make)


@pytest.fixture(scope="module")
def alone() -> Callable[[str], np.ndarray]:
    """The pixels of a case, by one process."""
    found: dict[str, np.ndarray] = {}

    def pixels(name: str) -> np.ndarray:
        if name not in found:
            found[name] = render(CONTENT, STYLE, config_with(CASES[name])).pixels
        return found[name]

    return pixels


def cases_of(count: int, *, deterministic: bool) -> list[str]:
    names = CASES if count == 2 else THREE
    return [name for name in names if ("deterministic" in CASES[name]) == deterministic]


def test_deterministic_ranks_make_the_same_bytes(
    rendered: tuple[int, Path], alone: Callable[[str], np.ndarray]
) -> None:
    for name in cases_of(rendered[0], deterministic=True):
        found = np.load(rendered[1] / f"{name}.npy")
        assert found.tobytes() == np.ascontiguousarray(alone(name)).tobytes(), name


def test_ranks_make_the_same_picture_to_rounding(
    rendered: tuple[int, Path], alone: Callable[[str], np.ndarray]
) -> None:
    for name in cases_of(rendered[0], deterministic=False):
        found = np.load(rendered[1] / f"{name}.npy")
        assert abs(found - alone(name)).max() < BOUND, name
        assert abs(found - alone(name)).mean() < BOUND / 100, name


def test_nothing_is_left_behind(rendered: tuple[int, Path]) -> None:
    assert not list(rendered[1].glob("*.work"))


def test_ranks_touch_less_the_more_there_are(rendered: tuple[int, Path]) -> None:
    count, folder = rendered
    facts = [json.loads((folder / f"facts-{index}.json").read_text()) for index in range(count)]
    shares = [fact["tall"]["share"] for fact in facts]
    # A third, and as much again at either end as a row of patches and a halo.
    assert max(shares) < 1 / count + 2 * (64 + 32) / 512
    assert sum(shares) >= 1


def test_what_is_sent_is_sums_of_layers(rendered: tuple[int, Path]) -> None:
    """For C channels C (C + 1) numbers, each three of 64 bits; counts of cells and colors; and two losses."""
    sent = json.loads((rendered[1] / "facts-0.json").read_text())["tall"]
    layers = load_network(CONFIG).layers
    style, content = (
        24 * sum(layers[name].channels * (layers[name].channels + 1) for name in names) + 8 * len(names)
        for names in (["color_2", "first_1"], ["contour_2"])
    )
    # In every sweep, in the measurement before the first one, and once for the energy of the content.
    assert sent["sweeps"] == 3
    colors = 8 * len(SCALES) * len(color_axes().vectors) * BINS
    assert sent["sums"] == (3 + 1) * (style + colors + 8) + content


def test_when_one_dies_the_others_end_and_one_alone_goes_on(
    tmp_path: Path, alone: Callable[[str], np.ndarray]
) -> None:
    case = {"deterministic": CASES["deterministic"]}
    first, second = together(2, tmp_path, cases=case, every=0.0, kill={"level": 1, "sweep": 1, "rank": 1})
    assert second.returncode == -9
    assert first.returncode == 1
    assert first.stderr.count("\n") == 1
    assert "rank 0 of 2 stops because another process has died" in first.stderr
    assert "resume from the last checkpoint" in first.stderr
    events: list[Event] = []
    work = tmp_path / "deterministic.work"
    assert len(list(work.glob("*.npz"))) >= 2
    picture = render(CONTENT, STYLE, config_with(case["deterministic"]), work=work, observer=events.append)
    assert any(isinstance(event, Resumed) and event.level.index == 1 for event in events)
    assert picture.pixels.tobytes() == np.ascontiguousarray(alone("deterministic")).tobytes()


def test_what_one_has_left_two_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: Callable[[str], np.ndarray]
) -> None:
    case, left = CASES["deterministic"], ["memory", "files"]
    for name in left:
        if name == "files":
            monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
            monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
        patches = iter(range(100))
        render(
            CONTENT,
            STYLE,
            config_with(case),
            work=tmp_path / f"{name}.work",
            stop=lambda patches=patches: next(patches) >= 14,  # type: ignore[misc]
        )
    assert list((tmp_path / "files.work").glob("*.journal"))
    for done in together(2, tmp_path, cases=dict.fromkeys(left, case), every=0.0):
        assert done.returncode == 0, done.stderr
    resumed = json.loads((tmp_path / "facts-0.json").read_text())
    for name in left:
        assert 0 < resumed[name]["sweeps"] < 9
        assert (
            np.load(tmp_path / f"{name}.npy").tobytes()
            == np.ascontiguousarray(alone("deterministic")).tobytes()
        )


def test_what_cannot_be_is_refused_on_every_rank(rendered: tuple[int, Path]) -> None:
    count, folder = rendered
    for index in range(count):
        refusal = json.loads((folder / f"facts-{index}.json").read_text())["refused"]
        assert "\n" not in refusal
        assert index or "does not support overlapping patches" in refusal


@pytest.mark.parametrize("settings", [{"optimizer": "lbfgs"}, {"anchor": "a.png"}])
def test_what_is_for_one_process_is_said(settings: dict[str, Any]) -> None:
    check_multiprocess(config_with(settings), 1)
    with pytest.raises(
        SettingError, match=r"does not support several processes; leave it out, or run without torchrun"
    ):
        check_multiprocess(config_with(settings), 2)


def test_fixed_point_together_is_that_of_each() -> None:
    values = [torch.randn(4, 7) * 1e3, torch.tensor(float("inf")), torch.randn(5).exp(), torch.empty(0, 3)]
    for one, found in zip(values, to_fixed_batch(values), strict=True):
        assert torch.equal(found, to_fixed(one))
        assert found.shape == (3, *one.shape)


def test_sums_in_fixed_point_have_no_order() -> None:
    values = torch.randn(1000, 7) * 10.0 ** torch.randint(-6, 9, (1000, 7))
    parts = torch.stack([to_fixed(row) for row in values])
    expected = from_fixed(parts.sum(0))
    assert torch.equal(from_fixed(parts.flip(0).sum(0)), expected)
    assert torch.allclose(expected, values.double().sum(0).float(), rtol=1e-6)
    assert not torch.equal(values.sum(0), values.flip(0).cumsum(0)[-1])  # which plain sums have
    assert from_fixed(to_fixed(torch.tensor([1.0, float("nan"), float("inf")]))).isnan().tolist() == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_patches_are_dealt_evenly_and_by_place(count: int) -> None:
    canvas = canvas_extent(1000, 300, 12, 16)
    owners = []
    for sweep in range(5):
        patches = grid_patches(canvas, 64, 16, SweepRng(0, 0, sweep))
        shares = shard_patches(patches, canvas.height, count)
        assert sorted(map(id, patches)) == sorted(id(patch) for share in shares for patch in share)
        areas = [sum(patch.read.area for patch in share) for share in shares]
        assert max(areas) - min(areas) <= 2 * 64 * 64
        owner = np.zeros(canvas.height, int)
        for index, share in enumerate(shares):
            for patch in share:
                owner[np.arange(patch.owned.top, patch.owned.top + patch.owned.height) % canvas.height] = index
        owners.append(owner)
    same = np.mean([np.mean(owner == owners[0]) for owner in owners])
    assert same > 1 - count * 64 / canvas.height


@pytest.mark.parametrize("index", [0, 1])
def test_a_rank_whose_company_never_starts_ends_with_one_line(index: int, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Image.new("RGB", (40, 40), "red").save(tmp_path / "style.png")
    done = subprocess.run(
        [sys.executable, "-m", "tilestyle", "texture", "style.png", "-o", "a.png"],
        env=os.environ
        | {"RANK": str(index), "WORLD_SIZE": "2", "LOCAL_RANK": str(index), "LOCAL_WORLD_SIZE": "2"}
        | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TILESTYLE_JOIN_TIMEOUT": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "not all of the 2 processes started within 1 seconds" in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize("given", ["", "-1", "0", "nan", "soon", "1e9"])
def test_a_wait_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILESTYLE_JOIN_TIMEOUT", given)
    with pytest.raises(SettingError, match="TILESTYLE_JOIN_TIMEOUT"):
        join_timeout()


def test_a_library_that_waits_for_ever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(distributed, "GRACE", 0.0)
    with pytest.raises(TimeoutError):
        _run_with_timeout(0.01, never.wait)
    never.set()
    with pytest.raises(ZeroDivisionError):
        _run_with_timeout(1, lambda: 1 / 0)
    assert _run_with_timeout(1, lambda: 5) == 5


def test_a_single_patch_is_the_first_rank_s() -> None:
    assert balanced_runs([5], 3) == [slice(0, 1), slice(0, 0), slice(1, 1)] or balanced_runs([5], 3)[
        0
    ] == slice(0, 1)
    assert [run.stop - run.start for run in balanced_runs([1] * 10, 4)] in (
        [3, 2, 3, 2],
        [2, 3, 2, 3],
        [3, 2, 2, 3],
    )


@pytest.mark.parametrize(("beside", "threads"), [(1, 12), (4, 3), (5, 2), (16, 1)])
def test_ranks_with_gpus_share_the_cores(beside: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)), raising=False)
    assert distributed.threads_per_rank(beside) == threads
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert distributed.threads_per_rank(beside) == threads


def test_a_program_has_its_threads_again_when_ranks_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()

    def join() -> distributed.Communicator:
        torch.set_num_threads(before + 1)
        return distributed.SINGLE

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "_init_process_group", join)
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    with distributed.process_group():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_alone_there_is_nobody_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group() as ranks:
        assert ranks == SINGLE
        assert (ranks.all_max(3), ranks.broadcast("x"), ranks.all_gather_int(4), ranks.pause_requested) == (
            3,
            "x",
            [4],
            False,
        )


def test_a_rank_that_is_told_to_end_says_so_in_one_line() -> None:
    with pytest.raises(
        RankError, match=r"rank 1 of 4 was terminated.*resume from the last checkpoint"
    ) as caught:
        _sigterm_handler(Communicator(1, 4))(15, None)
    assert "\n" not in str(caught.value)


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=r"4 processes on .*, which has 2 GPUs"), process_group():
        pass
