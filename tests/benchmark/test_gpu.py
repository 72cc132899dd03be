"""The benchmark of a GPU, as a dry run on the host: groups in processes, what is kept, the deadline."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import apart
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.apart import DIED, FAILED, GOOD, LATE, SKIPPED, campaign
from benchmarks.gpu.core import Check, Group, Place, Row, run_check
from benchmarks.gpu.groups import GROUPS
from benchmarks.gpu.record import Record, figures, line, table
from tests.support.failing_checks import (
    CheckList,
    dying,
    good,
    group_of,
    hanging,
    looked_at,
    raising,
    slow,
    wrong,
)

CHEAP = ("environment", "numbers", "levels", "memory", "large")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(torch.device("cpu"), True, tmp_path)


def started(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["benchmarks/gpu/__main__.py", *words])
        patch.setattr(signal, "signal", lambda *handler: None)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")  # afterwards what it was
        return main()


def test_a_dry_run_says_something_of_every_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept" / "gpu.json"
    words = [word for name in CHEAP for word in ("--group", name)]
    assert started("--device", "cpu", "--tiny", "--keep", str(kept), *words) == 0
    found = json.loads(kept.read_text())
    assert set(found) == {"machine", "versions", "commit", "command", "title", "figures", "rows"}
    assert found["command"].startswith("python -m benchmarks.gpu --device cpu")
    assert [row["group"] for row in found["rows"]] == list(CHEAP)
    for row in found["rows"]:
        assert row["verdict"] == GOOD, row
        assert row["checks"]
        for check in row["checks"]:
            assert check["ok"] in (True, None)
            assert check["seconds"] > 0
    said = capsys.readouterr().out
    assert all(name in said for name in CHEAP)
    assert str(tmp_path) not in kept.read_text()


def test_one_group_that_ends_badly_costs_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "GRACE", 0.1)
    groups = [
        group_of("raises", raising, wrong, looked_at, good),
        group_of("dies", good, dying, good),
        group_of("hangs", good, hanging, seconds=0.75),
        group_of("well", good, looked_at),
    ]
    told: list[Row] = []
    rows = campaign(groups, place, 1e4, told.append)
    assert rows == told
    raises, dies, hangs, well = rows
    assert [row["verdict"] for row in rows] == [FAILED, DIED, LATE, GOOD]
    assert [check["ok"] for check in raises["checks"]] == [False, False, None, True]
    assert raises["checks"][0]["before"] == 1
    assert "illegal memory access" in raises["checks"][0]["error"]
    assert raises["checks"][2]["number"] == "inf"
    assert raises["checks"][3]["number"] == 0.33333
    assert dies["why"] == "SIGKILL: the last word"
    assert [check["check"] for check in dies["checks"]] == ["good", "dying"]
    assert dies["checks"][1] == {"check": "dying", "ok": False, "error": "the process ended amid it"}
    assert hangs["seconds"] < 600
    assert figures(rows)["groups bad"] == ["raises", "dies", "hangs"]
    assert figures(rows)["checks failed"][:2] == ["raises: raising", "raises: wrong"]
    printed = table(rows)
    assert "FAILED raising: RuntimeError: CUDA error" in printed
    assert "FAILED wrong: number 2" in printed
    assert "all is well" in line(well)


def test_a_check_that_takes_too_long_is_ended_and_the_next_runs(place: Place) -> None:
    found = run_check(place, Check("slow", slow, 0.1))
    assert found["ok"] is False
    assert "more than 0.4 s" in found["error"]
    assert run_check(place, Check("good", good))["ok"] is True


def test_what_no_longer_fits_is_skipped(place: Place) -> None:
    rows = campaign(
        [group_of("long", good, seconds=1e6), group_of("short", good)], place, 1e4, lambda row: None
    )
    assert [row["verdict"] for row in rows] == [SKIPPED, GOOD]
    assert rows[0]["why"].startswith("deadline: it needs 1e+06 s")
    assert run_check(place, Check("good", good), remaining=1.0)["skipped"] == "no time is left"


def test_what_needs_cuda_is_skipped(place: Place) -> None:
    only = Group("only", "", 10.0, CheckList((Check("good", good),)), cuda=True)
    checks = CheckList((Check("good", good), Check("there", good, cuda=True)))
    rows = campaign([only, Group("some", "", 100.0, checks)], place, 1e4, lambda row: None)
    assert rows[0]["verdict"] == SKIPPED
    assert rows[0]["why"] == rows[1]["checks"][1]["skipped"] == "needs CUDA"
    assert line(rows[1]).endswith("(skipped: 1, needs CUDA)")


def test_the_exit_code_and_the_file_tell_of_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUPS, "environment", group_of("environment", wrong))
    kept = tmp_path / "gpu.json"
    assert started("--device", "cpu", "--tiny", "--group", "environment", "--keep", str(kept)) == 1
    assert json.loads(kept.read_text())["figures"]["checks failed"] == ["environment: wrong"]


def test_the_record_is_whole_after_every_group(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    record = Record({"machine": "one"}, "a title", file)
    rows: list[Row] = []
    for count in range(3):
        record.keep(rows)
        found: dict[str, Any] = json.loads(file.read_text())
        assert len(found["rows"]) == count
        rows.append({"group": str(count), "verdict": GOOD, "checks": []})
    assert list(tmp_path.iterdir()) == [file]


def test_groups_are_listed_and_checks_have_names_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert started("--list") == 0
    said = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in said] == list(GROUPS)
    for tiny, device in ((True, "cpu"), (False, "cuda:0")):
        for group in GROUPS.values():
            names = [check.name for check in group.checks(Place(torch.device(device), tiny, Path()))]
            assert len(names) == len(set(names)) > 0


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="there is no GPU"):
        started()
    with pytest.raises(SystemExit, match="give --tiny"):
        started("--device", "cpu")
