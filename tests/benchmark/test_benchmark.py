"""The benchmarks end to end, on canvases so small that they mean nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import job, waves
from tests.support.cli import main, run_cli
from tilestyle.benchmark.communication import border_pixels
from tilestyle.benchmark.distributed import DistributedSpec, run_ranks
from tilestyle.benchmark.environment import ProgressCounter, Result, run_environment
from tilestyle.benchmark.exact_loss import exact_loss
from tilestyle.benchmark.quality import PixelCountingNetwork, loss_curve, measure_quality
from tilestyle.benchmark.scaling import fit_exponent, measure_scaling
from tilestyle.benchmark.single_run import RunSpec, measure_in_subprocess
from tilestyle.benchmark.speed import matrix_peak
from tilestyle.benchmark.workload import Workload, content_picture, square_side
from tilestyle.canvas.canvas import Canvas
from tilestyle.cli.benchmark_report import flattened, shown
from tilestyle.cli.commands.benchmark import parse_sizes
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.errors import MemoryLimit, OutputError, SettingError, TilestyleError
from tilestyle.geometry.boxes import canvas_extent
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches
from tilestyle.geometry.sharding import shard_patches
from tilestyle.losses.planes import level_planes

SCENE = Workload(precision=Precision.FP32, device="cpu")


def benchmark(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """Run a command and read what it keeps."""
    kept = folder / "kept" / "result.json"
    monkeypatch.setattr(sys, "argv", ["tilestyle", "benchmark", *words, "--device", "cpu", "--keep", str(kept)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    found: dict[str, Any] = json.loads(kept.read_text())
    assert set(found) == {"machine", "versions", "commit", "command", "title", "figures", "rows"}
    assert found["command"].startswith(f"tilestyle benchmark {words[0]}")
    assert str(folder) not in kept.read_text()
    return found


def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    words = [
        "memory",
        "--network=wavelet",
        "--megapixels",
        "0.15",
        "--patch",
        "128",
        "--sweeps",
        "2",
        "--precision",
        "fp32",
        "--plot",
        str(tmp_path / "p"),
    ]
    rows = benchmark(tmp_path, monkeypatch, *words, "--limit", "170MiB")["rows"]
    assert [row["method"] for row in rows] == ["tiled", "untiled"]
    tiled, untiled = rows
    assert tiled["patch"] == 128
    assert 0 < tiled["beyond"] < tiled["peak"] < 170 * 2**20
    assert tiled["seconds_per_megapixel"] > 0
    if sys.platform == "linux":
        assert untiled["died"]
        assert "seconds" not in untiled
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert "<svg" in (tmp_path / "p.svg").read_text()
    assert "memory against resolution" in capsys.readouterr().out


def test_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "speed",
        "--network=wavelet",
        "--megapixels",
        "0.02",
        "--patch",
        "64",
        "--patch",
        "96",
        "--sweeps",
        "3",
    ]
    rows = benchmark(tmp_path, monkeypatch, *words, "--precision", "fp32")["rows"]
    assert [row["patch"] for row in rows] == [64, 96]
    for row in rows:
        assert 0 < row["share of matrix peak"] < 1
        assert row["over bare network"] > 0.5
        assert row["over untiled"] > 0
        items = row["seconds per megapixel"]
        assert {"network forward", "network backward", "moments", "optimizer", "distances", "the rest"} < set(
            items
        )
        assert sum(items.values()) == pytest.approx(1 / row["megapixels per second"])


def test_scaling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["scaling", "--network=wavelet", "--megapixels", "0.05,0.016", "--patch", "64", "--sweeps", "2"]
    found = benchmark(tmp_path, monkeypatch, *words)
    assert [row["megapixels"] for row in found["rows"]] == [0.016, 0.05]
    for clock in ("seconds", "processor_seconds"):
        name = f"exponent of {clock.replace('_', ' ')}"
        assert found["figures"][f"{name}, of all"] == pytest.approx(fit_exponent(found["rows"], clock))
        assert found["figures"][f"{name}, from 4 MP"] is None


def test_scaling_is_that_of_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sizes in turn, so often; a size at which memory ran out once is one where it runs out."""
    asked: list[float] = []
    told: list[float] = []

    def found(workload: Workload, point: RunSpec, on_sweep: Callable[[], object]) -> dict[str, Any]:
        asked.append(point.megapixels)
        on_sweep()
        assert point.sweeps * point.megapixels == pytest.approx(2 * 64, rel=0.03)  # as much work at every size
        turn = (len(asked) - 1) // 3
        row = {"megapixels": point.megapixels, "method": "tiled"}
        if point.megapixels > 20 and turn:
            return row | {"died": "refused"}
        seconds = point.megapixels * (5.0, 1.0, 2.0)[turn]
        clocks = {"seconds": seconds, "seconds_per_megapixel": 1.0, "processor_seconds": seconds**2}
        return row | clocks | {"peak": 100 + turn, "beyond": (10, 30, 20)[turn]}

    monkeypatch.setattr("tilestyle.benchmark.scaling.measure_in_subprocess", found)
    result = measure_scaling(
        Workload(), [16, 4, 64], RunSpec(0, 2, 64), 3, lambda row, so_far: None, told.append
    )
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    assert [round(size) for size in asked] == [4, 16, 64] * 3
    small, large, dead = result.rows
    assert (small["seconds"], small["beyond"]) == (pytest.approx(2 * small["megapixels"]), 20)
    assert dead["died"] == "refused"
    assert result.figures["exponent of seconds, from 4 MP"] == pytest.approx(1)
    assert result.figures["exponent of processor seconds, from 4 MP"] == pytest.approx(2)
    assert result.figures["growth of memory beyond the canvas"] == 0
    assert large["megapixels"] == asked[1]


@pytest.fixture
def _points(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sizes that are measured, at no cost; a test adds what happens at one of them."""
    measured: list[float] = []

    def found(workload: Workload, point: RunSpec, on_sweep: Callable[[], object]) -> dict[str, Any]:
        measured.append(point.megapixels)
        clocks = {"seconds": 1.0, "seconds_per_megapixel": 1.0, "processor_seconds": 1.0}
        return {"megapixels": point.megapixels, "method": "tiled", "peak": 2**20, "beyond": 1} | clocks

    for name in ("memory", "scaling"):
        monkeypatch.setattr(f"tilestyle.benchmark.{name}.measure_in_subprocess", found)
    return measured


@pytest.mark.parametrize("name", ["memory", "scaling"])
@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM", "failure"])
def test_what_was_measured_is_kept(
    name: str, ending: str, _points: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a benchmark ends, the file has every measurement until then."""
    kept = tmp_path / "kept.json"
    module = import_module(f"tilestyle.benchmark.{name}")
    measure = module.measure_in_subprocess

    def third(*arguments: Any) -> dict[str, Any]:
        if len(_points) == 2:
            assert len(json.loads(kept.read_text())["rows"]) == 2
            if ending == "failure":
                raise TilestyleError("a measurement failed: of itself")
            os.kill(os.getpid(), getattr(signal, ending))
        row: dict[str, Any] = measure(*arguments)
        return row

    monkeypatch.setattr(module, "measure_in_subprocess", third)
    ended = run_cli(tmp_path, "benchmark", name, "--megapixels", "1,2,4", "--keep", "kept.json")
    assert ended.returncode == {"SIGINT": 130, "SIGTERM": 143, "failure": 2}[ending]
    assert "kept.json has what was measured so far (2 rows)" in ended.stderr
    assert "nothing was written" not in ended.stderr
    found = json.loads(kept.read_text())
    assert found["unfinished"] is True
    assert [round(row["megapixels"]) for row in found["rows"]] == [1, 2]
    assert sorted(os.listdir(tmp_path)) == ["kept.json"]


def test_a_finished_benchmark_is_not_called_unfinished(_points: list[float], tmp_path: Path) -> None:
    ended = run_cli(tmp_path, "benchmark", "scaling", "--megapixels", "1,2", "--keep", "kept.json")
    assert ended.returncode == 0
    assert "unfinished" not in json.loads((tmp_path / "kept.json").read_text())


def test_a_disk_that_is_full_for_a_moment_does_not_end_a_benchmark(
    _points: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, tries = Result.save, []

    def full_once(result: Result, *arguments: Any) -> None:
        tries.append(result)
        if len(tries) == 1:
            raise OutputError("cannot write kept.json: no space left on device")
        save(result, *arguments)

    monkeypatch.setattr(Result, "save", full_once)
    ended = run_cli(tmp_path, "benchmark", "scaling", "--megapixels", "1,2", "--keep", "kept.json")
    assert ended.returncode == 0
    assert "no space left" in ended.stderr
    assert len(json.loads((tmp_path / "kept.json").read_text())["rows"]) == 2


def test_a_measurement_that_is_no_longer_wanted_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sweep of it may take minutes."""
    processes: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            processes.append(self)

    def end() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(KeyboardInterrupt):
        measure_in_subprocess(SCENE, RunSpec(64, 1_000_000, 64), end)
    assert [process.returncode for process in processes] == [-signal.SIGKILL]


def test_many_ranks_are_counted_and_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["distributed", "--ranks", "1", "--measured", "0.01", "--patch", "64", "--sweeps", "2"]
    found = benchmark(tmp_path, monkeypatch, *words, "--megapixels", "1,4", "--precision", "fp32")
    rows = {kind: [row for row in found["rows"] if row["what"] == kind] for kind in ("counted", "predicted")}
    small, large = rows["counted"]
    # Sums do not know the canvas; borders grow with its width.
    assert small["sums"] == large["sums"] > 4 * 83 * 84
    assert large["border pixels"] / small["border pixels"] == pytest.approx(2, rel=0.35)
    assert 2 <= small["border width"] <= 8
    for row in rows["predicted"]:
        assert 0 < row["efficiency"] <= 1.001
    figures = [row["efficiency"] for row in rows["predicted"] if row["ranks"] == 512]
    assert figures == sorted(figures)  # a larger canvas is shared better


@pytest.mark.parametrize("count", [2, 5])
def test_borders_are_what_ranks_read_of_each_other(count: int) -> None:
    around = canvas_extent(200, 96, 4, 8)
    shares = shard_patches(
        grid_patches(around, 48, 8, SweepRng(3, 0, 1), context=PatchContext(apron=2)), around.height, count
    )
    owned, read = (np.zeros((count, around.height, around.width), bool) for _ in range(2))
    for index, share in enumerate(shares):
        for patch in share:
            for plane, box in ((owned, patch.owned), (read, patch.read)):
                rows = np.arange(box.top, box.top + box.height) % around.height
                columns = np.arange(box.left, box.left + box.width) % around.width
                plane[index][np.ix_(rows, columns)] = True
    # Where two of a rank's patches read the same pixel of another's, it is counted for each.
    distinct, found = int((read & ~owned).sum()), border_pixels(shares, around)
    assert distinct <= found <= 1.3 * distinct


@pytest.fixture
def _placed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are for one place of the canvas: all else here is as quick."""
    monkeypatch.setattr("tilestyle.benchmark.exact_loss.PLACEMENTS", 1)


@pytest.mark.usefixtures("_placed_once")
def test_quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    words = ["quality", "--size", "80", "--patch", "64", "--sweeps", "2", "--plot", str(tmp_path / "p.jpg")]
    found = benchmark(tmp_path, monkeypatch, *words)
    assert {row["scheme"] for row in found["rows"]} >= {"untiled", "tiled", "windows", "bf16"}
    assert [row["sweeps"] for row in found["rows"][:2]] == [1, 2]
    assert found["figures"]["untiled: loss over untiled"] == 1
    assert all((tmp_path / f"p.{suffix}").exists() for suffix in ("png", "svg", "jpg"))


def test_quality_refuses_what_cannot_be_rendered_untiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.benchmark.quality.free_bytes", lambda device: 2**20)
    monkeypatch.setattr("tilestyle.benchmark.quality.prepare", pytest.fail)
    with pytest.raises(
        MemoryLimit, match=r"also rendered untiled, which needs .* only 1 MiB is free; .*--size"
    ):
        measure_quality(Workload(), 64, 64, 1, lambda row, result: None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scaling", "--megapixels", "1,x"], "invalid megapixels '1,x'"),
        (["memory", "--limit", "much"], "limit cannot be 'much'"),
        (["speed", "--device", "toaster"], "is unknown"),
    ],
)
def test_a_mistake_gets_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tilestyle", "benchmark", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    shown_error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in shown_error
    assert shown_error.count("\n") == 1


NO_CUDA = "device 'cuda' is not in this machine; give --device auto or cpu"


@pytest.mark.parametrize("name", ["memory", "speed", "scaling", "quality", "distributed"])
def test_a_refusal_is_the_same_in_all_benchmarks(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where another process measures."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sys, "argv", ["tilestyle", "benchmark", name, "--network=wavelet", "--device=cuda"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("measuring ")]
    assert said == [f"tilestyle: {NO_CUDA}"]


def test_a_refusal_by_several_processes_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    workload = Workload(NetworkName.WAVELET, device="cuda")
    with pytest.raises(TilestyleError) as refused:
        run_ranks(workload, DistributedSpec([2], 0.01, [], 64, 2), 2)
    assert str(refused.value) == NO_CUDA


def test_a_report_says_what_auto_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, precision in (("0", "fp32"), ("1", "bf16")):
        monkeypatch.setenv("TILESTYLE_FAST_BF16", fast)
        monkeypatch.setattr("tilestyle.planning.device_choice._best_device", lambda: torch.device("cpu"))
        fields = Workload(NetworkName.WAVELET).report_fields()
        assert fields == {"network": "wavelet", "weights": None, "precision": precision, "device": "cpu"}


def test_without_matplotlib_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tilestyle.benchmark.plot.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["tilestyle", "benchmark", "memory", "--plot", str(tmp_path / "p")])
    with pytest.raises(SystemExit):
        main()
    assert "pip install 'tilestyle[benchmark]'" in capsys.readouterr().err


def test_content_of_any_size_is_the_photograph_continued() -> None:
    large, small = content_picture(1300, 1400).pixels, content_picture(50, 60).pixels
    assert large.shape == (1300, 1400, 3)
    assert (large[:50, :60] == small).all()


def test_canvases_are_square_and_whole_units() -> None:
    assert square_side(1) == 992
    assert square_side(0.0001) == 32
    task = SCENE.job(96, 96, 2, patch=64)
    assert task.levels[0].extent.area == 96 * 96


def test_the_exponent_of_linear_cost_is_one() -> None:
    rows = [{"megapixels": size, "seconds": 3.0 * size} for size in (1.0, 4.0, 16.0)]
    assert fit_exponent(rows) == pytest.approx(1)
    assert fit_exponent([row | {"seconds": row["megapixels"] ** 2} for row in rows]) == pytest.approx(2)
    assert fit_exponent(rows[:1]) is None


def test_passes_are_counted_by_the_pixel() -> None:
    counted = PixelCountingNetwork(job(waves(60, 80), network=NetworkName.WAVELET).network)
    counted.features(torch.rand(1, 3, 64, 64), ["first_1"])
    counted.features(torch.rand(1, 3, 64, 32, requires_grad=True), ["first_1"])
    assert counted.pixels == 64 * 64 / 2 + 64 * 32
    assert counted.layers["first_1"].stride == 2


@pytest.mark.usefixtures("_placed_once")
def test_losses_of_a_curve_fall() -> None:
    told: list[float] = []
    rows = loss_curve(RenderConfig(size=96, patch=64, coarsest=96, sweeps=6), ProgressCounter(1, told.append))
    assert told == pytest.approx([number / 6 for number in range(1, 7)])
    assert [row["sweeps"] for row in rows] == [1, 2, 4, 6]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert all(before["passes"] < after["passes"] for before, after in pairwise(rows))


def test_the_exact_loss_of_the_content_has_no_content() -> None:
    task = job(waves(60, 80), sweeps=2)
    level = task.levels[-1]
    plane = level_planes(task, level).content
    assert plane is not None
    style, kept = exact_loss(task, Canvas(level.extent, plane).pixels)
    assert style > 0
    assert kept == 0


def test_a_machine_multiplies_matrices() -> None:
    assert 1e8 < matrix_peak(torch.device("cpu"), torch.float32) < 1e15


def test_circumstances_name_no_folders() -> None:
    found = run_environment(["tilestyle", "benchmark", "--keep", "somewhere/else/a.json"])
    assert found["command"] == "tilestyle benchmark --keep a.json"
    assert found["versions"]["torch"] == torch.__version__


def test_scenes_pass_between_processes() -> None:
    workload = Workload(NetworkName.VGG19, "folder/weights.pth", Precision.BF16, "cpu")
    assert Workload.from_json(json.loads(json.dumps(workload.to_json()))) == workload
    assert workload.report_fields()["weights"] == "weights.pth"


def test_values_are_shown_as_people_read_them() -> None:
    assert [shown(value) for value in (None, 3, 0.123456, 2**24, "x")] == ["", "3", "0.1235", "16777216", "x"]
    assert [shown(value, "peak") for value in (None, 0, 655360, 2**24)] == ["", "0 B", "640 KiB", "16 MiB"]
    assert shown({"sums": 2048.0, "border pixels": 2**21}) == "sums 2 KiB, border pixels 2097152"
    assert flattened({"a": 1, "b": {"c": 2}}) == {"a": 1, "b: c": 2}
    assert parse_sizes("1, 0.5") == [1, 0.5]
    with pytest.raises(SettingError):
        parse_sizes("nan")
    assert math.isfinite(parse_sizes("4")[0])
