"""The pure parts of the campaign of faults (benchmarks/faults)."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest

from benchmarks.faults import campaign, material
from benchmarks.faults.kills import phase_of
from benchmarks.faults.moments import Event
from benchmarks.faults.mutate import MUTATIONS, Mutation, edited
from benchmarks.faults.outcome import TRACEBACK, Finding, Outcome, Ran, bad_end, worst
from benchmarks.faults.scene import differing, tree_of
from benchmarks.faults.structures import changed, edited_jpeg, edited_png, edited_tiff, png_chunks, png_of

DATA = [b"", b"x", bytes(range(256)) * 5]


def ended(code: int, err: str = "", *, hung: bool = False, greedy: bool = False) -> Ran:
    return Ran(("render",), code, "", err, 1.0, 0, hung, greedy)


@pytest.mark.parametrize(
    ("ran", "outcome"),
    [
        (ended(0), None),
        (ended(0, "tilestyle: a warning\n"), None),
        (ended(2, "tilestyle: no such file\n"), None),
        (ended(130, "interrupted\n"), None),
        (ended(2), Outcome.UNTIDY),
        (ended(2, "one\ntwo\n"), Outcome.UNTIDY),
        (ended(1, "tilestyle: no\n"), Outcome.UNTIDY),
        (ended(2, "x" * 600), Outcome.UNTIDY),
        (ended(2, "a \x1b[31m file\n"), Outcome.UNTIDY),
        (ended(1, "Traceback (most recent call last)\nKeyError: 1\n"), Outcome.TRACEBACK),
        (ended(0, "Traceback (most recent call last)\nKeyError: 1\n"), Outcome.TRACEBACK),
        (ended(-11), Outcome.CRASH),
        (ended(-9, hung=True), Outcome.HANG),
        (ended(-9, greedy=True), Outcome.MEMORY),
    ],
)
def test_the_end_of_a_command_has_one_outcome(ran: Ran, outcome: Outcome | None) -> None:
    bad = bad_end(ran)
    assert (bad and bad[0]) == outcome


def test_a_signal_that_was_sent_is_no_crash() -> None:
    assert bad_end(ended(-9), sent=signal.SIGKILL) is None
    assert bad_end(ended(-11), sent=signal.SIGKILL) is not None


def test_the_worst_outcome_counts() -> None:
    found = [(Outcome.SAME, ""), (Outcome.WRONG, "bytes"), (Outcome.TRACEBACK, "")]
    assert worst(found) == (Outcome.WRONG, "bytes")


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("data", DATA)
def test_any_bytes_can_be_damaged(mutation: Mutation, data: bytes) -> None:
    for seed in range(20):
        draw = random.Random(seed)
        assert isinstance(mutation(data, draw), bytes)
        assert mutation(data, random.Random(seed)) == mutation(data, random.Random(seed))


def test_an_edited_manifest_is_another_one_and_still_json() -> None:
    found = {"a": [1, 2, {"b": None}], "c": "text", "d": True, "e": 0.5, "f": {}, "g": []}
    for seed in range(300):
        new, what = edited(found, random.Random(seed))
        assert json.loads(json.dumps(new)) == new
        assert new != found or "order" in what or isinstance(new.get("d"), int), what
    assert found == {"a": [1, 2, {"b": None}], "c": "text", "d": True, "e": 0.5, "f": {}, "g": []}


def test_chunks_make_up_a_png() -> None:
    _, data = material.by_hand(random.Random(3))
    assert png_of(png_chunks(data)) == data


def test_structures_of_every_format_can_be_damaged() -> None:
    for seed in range(25):
        draw = random.Random(seed)
        for _, data in material.everything(draw):
            for edit in (edited_png, edited_tiff, edited_jpeg):
                assert isinstance(edit(data, draw), bytes)
            assert isinstance(changed(data, draw)[0], bytes)


def test_what_a_file_is_for_says_the_phase() -> None:
    def at(path: str) -> str:
        return phase_of(Event("open", path, 0, kept=False), "out.png")

    assert at("work/checkpoint-1.npz") == at("place/work/manifest.json") == "checkpoints"
    assert at("out.png") == at("*") == at("place/out.png") == "writing"
    assert at("c.png") == ""


def test_trees_differ_by_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    before = tree_of(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    (tmp_path / "b" / "c").symlink_to("../a")
    assert differing(before, tree_of(tmp_path)) == ["a", "b", "b/c"]


def test_the_table_counts_by_kind_and_by_group() -> None:
    rows = [
        campaign.Row("kills", 0, Finding("sweeps", Outcome.SAME)),
        campaign.Row("kills", 1, Finding("sweeps", Outcome.LOST)),
        campaign.Row("kills", 2, Finding("writing", Outcome.SAME)),
    ]
    table = campaign.table(rows)
    assert [(row["fault"], row["trials"], row["same"], row["lost"]) for row in table] == [
        ("sweeps", 2, 1, 1),
        ("writing", 1, 1, None),
        ("all", 3, 2, 1),
    ]
    assert campaign.failures(rows) == [rows[1]]


def test_a_traceback_says_where_it_is_in_the_program() -> None:
    frames = ['File "/x/tilestyle/pipeline/workdir.py", line 3, in f', 'File "/lib/json.py", line 9, in g']
    err = "\n".join([TRACEBACK, *frames, "KeyError: 1"])
    bad = bad_end(ended(1, err))
    assert bad == (Outcome.TRACEBACK, "KeyError: 1 (tilestyle/pipeline/workdir.py:3)")
