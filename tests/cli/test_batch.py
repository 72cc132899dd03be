"""A folder of pictures: each result is that of `render` alone, whatever happens to the others."""

from __future__ import annotations

import csv
import json
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.cli import batch_run, render_to_file
from tilestyle.cli.batch_ledger import Ledger
from tilestyle.cli.batch_report import COLUMNS
from tilestyle.errors import DeviceError
from tilestyle.images import write_png
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline import workdir
from tilestyle.planning.style_images import PaddedStyle

TINY = (
    *("--size=24", "--sweeps=1", "--network=wavelet", "--style-layer=first_1", "--content-layer=contour_1"),
    *("--content-weight=1", "--precision=fp32", "--checkpoint-every=0"),
)
BATCH = ("batch", "photos", "--style", "ink.png", "-o", "out", *TINY)


def picture(file: Path, height: int, width: int, seed: int) -> None:
    pixels = waves(height, width, seed).permute(1, 2, 0).numpy()
    file.parent.mkdir(exist_ok=True)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos of two shapes, and two styles. How long a render takes is not measured."""
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)
    for seed, name in enumerate("abc"):
        picture(tmp_path / "photos" / f"{name}.png", 18 + 6 * seed % 12, 24, seed)
    picture(tmp_path / "ink.png", 24, 24, 7)
    picture(tmp_path / "oil.png", 24, 24, 8)
    return tmp_path


def results(folder: Path, out: str = "out") -> dict[str, bytes]:
    place = folder / out
    files = (file for file in place.rglob("*") if file.is_file() and ".batch" not in file.parts)
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def alone(folder: Path, name: str, style: str = "ink.png", *more: str) -> bytes:
    """What `tilestyle render` writes, in the same words."""
    file = f"alone/{Path(name).stem}-{Path(style).stem}.png"
    done = run_cli(folder, "render", f"photos/{name}", "--style", style, "-o", file, *TINY, *more)
    assert done.returncode == 0, done.stderr
    return (folder / file).read_bytes()


def test_every_result_is_that_of_render_alone(folder: Path) -> None:
    (folder / "photos" / "broken.jpg").write_bytes(b"not a picture")
    (folder / "photos" / "notes.txt").write_text("mine")
    done = run_cli(folder, *BATCH)
    assert done.returncode == 1, done.stderr
    assert results(folder) == {f"{name}-ink.png": alone(folder, f"{name}.png") for name in "abc"}
    assert "1 of 4 pictures failed:" in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("  photos")] == [
        line for line in done.stderr.splitlines() if "broken.jpg: content: broken.jpg is not a picture" in line
    ]
    assert done.stderr.splitlines()[-1] == "out: 3 of 4 pictures"


def test_it_is_made_in_each_style_or_in_all_together(folder: Path) -> None:
    styles = ("--style=ink.png", "-soil.png")
    done = run_cli(folder, "batch", "photos/a.png", *styles, "-o", "out", *TINY)
    assert done.returncode == 0, done.stderr
    assert set(results(folder)) == {"a-ink.png", "a-oil.png"}
    done = run_cli(folder, "batch", "photos/[ab].png", *styles, "-qoboth", *TINY, "--style-blend", "0.5,0.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(results(folder, "both")) == {"a-ink-oil.png", "b-ink-oil.png"}


def test_without_a_name_the_folder_is_named_after_the_inputs(folder: Path) -> None:
    done = run_cli(folder, "batch", "photos/*.png", "--style", "ink.png", "-q", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(results(folder, "photos-ink")) == 3


def test_styles_are_measured_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, measure = 0, PaddedStyle.moments

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return measure(*arguments)

    monkeypatch.setattr(PaddedStyle, "moments", counted)
    alone(folder, "a.png")
    once, calls = calls, 0
    assert run_cli(folder, *BATCH).returncode == 0
    assert calls == once > 0


def test_what_is_finished_is_kept_and_what_is_not_is_rendered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_cli(folder, *BATCH).returncode == 0
    before = results(folder)
    (folder / "out" / "b-ink.png").unlink()
    rendered: list[str] = []
    make = render_to_file.make_render

    def noted(ready: Any, **how: Any) -> Any:
        rendered.append(ready.content.name)
        return make(ready, **how)

    monkeypatch.setattr(batch_run, "make_render", noted)
    done = run_cli(folder, *BATCH)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 pictures were finished before" in done.stderr
    assert rendered == ["b.png"]
    assert results(folder) == before


def test_a_result_of_other_settings_is_neither_kept_nor_replaced(folder: Path) -> None:
    assert run_cli(folder, *BATCH).returncode == 0
    before = results(folder)
    done = run_cli(folder, *BATCH, "--seed", "5")
    assert done.returncode == 2
    assert done.stderr == (
        "tilestyle: out/a-ink.png was made with other settings or pictures (seed), and 2 more like it; give "
        "another --out, or --overwrite to render them again and replace them\n"
    )
    assert results(folder) == before
    assert run_cli(folder, *BATCH, "--seed", "5", "--overwrite").returncode == 0
    assert results(folder)["a-ink.png"] == alone(folder, "a.png", "ink.png", "--seed", "5")
    again = run_cli(folder, *BATCH, "--seed", "5")
    assert (again.returncode, "3 of 3 pictures were finished before" in again.stderr) == (0, True)


@pytest.mark.parametrize("change", ["photo", "style", "result", "foreign"])
def test_what_changed_since_is_noticed(folder: Path, change: str) -> None:
    if change != "foreign":
        assert run_cli(folder, *BATCH).returncode == 0
    else:
        picture(folder / "out" / "a-ink.png", 8, 8, 1)
    if change == "photo":
        picture(folder / "photos" / "a.png", 18, 24, 3)
    elif change == "style":
        picture(folder / "ink.png", 24, 24, 3)
    elif change == "result":
        picture(folder / "out" / "a-ink.png", 8, 8, 1)
    before = results(folder)
    done = run_cli(folder, *BATCH)
    assert done.returncode == 2
    assert "--overwrite to render them again" in done.stderr
    assert done.stderr.count("\n") == 1
    assert results(folder) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photos", "-o", "out"), "no style image; give it with --style, such as swirls"),
        (("photos", "ink.png"), "no style image; give it with --style ink.png"),
        (("photos", "swirls"), "no style image; give it with --style swirls"),
        (("photos", "swrils"), "no style image; give it with --style swirls"),
        (("swirls", "photos"), "no style image; give it with --style swirls"),
        (
            ("photos", "--style", "ink.png", "-o", "result.PNG"),
            "out: result.PNG looks like a picture; give a folder for the results",
        ),
        (
            ("raccoon", "-s", "ink.png"),
            "there is no file or folder raccoon; tilestyle pictures --to FOLDER copies",
        ),
        (("photos", "--style", "ink.png", "-o", "ink.png"), "out: ink.png is not a folder"),
        (("photos", "--style", "ink.png", "-o", "photos"), "out: photos is the folder of the pictures"),
        (("photos", "--style", "ink.png", "--report", "x.txt"), "report: x.txt is neither .csv nor .json"),
        (("photos", "--style", "ink.png", "--stroke", "thick"), "invalid stroke width 'thick'"),
    ],
)
def test_what_all_share_is_said_in_one_line_before_anything_is_done(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    before = sorted(folder.rglob("*"))
    done = run_cli(folder, "batch", *words, *TINY)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_one_reason_of_all_is_said_once(folder: Path) -> None:
    style = folder / "ink.png"
    style.write_bytes(style.read_bytes()[:600])  # its header can be read
    done = run_cli(folder, *BATCH)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("tilestyle: all 3 pictures failed: ")
    assert not (folder / "out").exists()


def test_a_failure_of_any_kind_does_not_stop_the_rest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = render_to_file.make_render
    errors = {"a.png": DeviceError("the device is gone", hint="restart"), "b.png": KeyError("a bug")}

    def failing(ready: Any, **how: Any) -> Any:
        if error := errors.get(ready.content.name):
            raise error
        return make(ready, **how)

    monkeypatch.setattr(batch_run, "make_render", failing)
    done = run_cli(folder, *BATCH, "--report", "report.json")
    assert done.returncode == 1
    rows = json.loads((folder / "report.json").read_text())["results"]
    assert [row["state"] for row in rows] == ["failed", "failed", "done"]
    assert rows[0]["reason"] == "the device is gone; restart"
    assert "a bug" in rows[1]["reason"]
    assert set(results(folder)) == {"c-ink.png"}
    assert {file.name for file in (folder / "out" / ".batch").iterdir()} == {"c-ink.png.json"}


@pytest.mark.parametrize("options", [(), ("--seed=5",)])
def test_two_batches_of_one_folder_leave_each_other_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """The second starts while the first renders, with the same settings or with others."""
    make = render_to_file.make_render
    second: list[Any] = []

    def overtaken(ready: Any, **how: Any) -> Any:
        if not second:
            second.append(None)  # the second renders, too
            with monkeypatch.context() as patched:
                # As from another process: this one holds the lock already.
                patched.setattr(workdir, "is_locked", lambda work: work.name == "a-ink.png.work")
                second[0] = run_cli(folder, *BATCH, *options, "--report", "second.json")
        return make(ready, **how)

    monkeypatch.setattr(batch_run, "make_render", overtaken)
    first = run_cli(folder, *BATCH, "--report", "first.json")
    reasons = [row["reason"] for row in json.loads((folder / "second.json").read_text())["results"]]
    assert second[0].returncode == 1 and "in use" in reasons[0] and "bug" not in first.stderr + str(reasons)
    rows = json.loads((folder / "first.json").read_text())["results"]
    assert rows[0]["state"] == "done", first.stderr
    record = Ledger(folder / "out")._read(Path("a-ink.png"))
    assert record is not None and record.identity["settings"].get("seed") != 5 and record.digest
    again = run_cli(folder, *BATCH, "--overwrite")
    assert again.returncode == 0 and "bug" not in again.stderr


@pytest.mark.parametrize("change", ["removed", "of others"])
def test_a_result_is_its_own_whatever_others_did_to_its_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    make = render_to_file.make_render

    def disturbed(ready: Any, **how: Any) -> Any:
        record = folder / "out" / ".batch" / f"{Path(ready.content.name).stem}-ink.png.json"
        if change == "removed":
            record.unlink()
        else:
            record.write_text(
                json.dumps({**json.loads(record.read_text()), "identity": {"settings": {"seed": 5}}})
            )
        return make(ready, **how)

    with monkeypatch.context() as patched:
        patched.setattr(batch_run, "make_render", disturbed)
        assert run_cli(folder, *BATCH).returncode == 0
    again = run_cli(folder, *BATCH)
    assert again.returncode == 0 and "3 of 3 pictures were finished before" in again.stderr


def test_the_report_says_what_became_of_each(folder: Path) -> None:
    (folder / "photos" / "d.jpg").touch()
    assert run_cli(folder, *BATCH[:-1], "--report", "r.csv").returncode == 1
    (folder / "out" / "b-ink.png").unlink()
    done = run_cli(folder, *BATCH[:-1], "--report", "r.csv")
    assert done.returncode == 1, done.stderr
    with (folder / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["state"] for row in rows] == ["skipped", "done", "skipped", "failed"]
    assert rows[1]["result"] == str(Path("out/b-ink.png"))
    assert (rows[1]["width"], rows[1]["height"]) == ("24", "24")
    assert "d.jpg is empty" in rows[3]["reason"]
    (folder / "mine.csv").write_text("mine")
    done = run_cli(folder, *BATCH, "--report", "mine.csv")
    assert (done.returncode, (folder / "mine.csv").read_text()) == (2, "mine")


def test_a_dry_run_tells_the_time_of_all_and_writes_nothing(folder: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    done = run_cli(folder, *BATCH, "--style", "oil.png", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 to render into out" in done.stdout
    assert "time" in done.stdout
    (folder / "photos" / "d.jpg").write_text("no picture")
    done = run_cli(folder, *BATCH, "--dry-run")
    assert (done.returncode, "3 of 4" in done.stdout, "photos/d.jpg" in done.stderr) == (1, True, True)
    (folder / "photos" / "d.jpg").unlink()
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert {file: after[file] for file in after if file.is_file()} == {
        file: before[file] for file in before if file.is_file()
    }


def test_a_picture_that_render_made_gives_the_settings(folder: Path) -> None:
    assert run_cli(folder, "render", "photos/a.png", "ink.png", "-o", "look.png", *TINY).returncode == 0
    done = run_cli(folder, "batch", "photos/[bc].png", "--config", "look.png", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert set(results(folder)) == {"b-ink.png", "c-ink.png"}


def test_files_of_one_render_get_the_name_of_its_result(folder: Path) -> None:
    more = ("--save-config", "used.toml", "--film", "film.gif", "--work-dir", "work", "--keep")
    done = run_cli(folder, "batch", "photos/[ab].png", "-s", "ink.png", "-o", "out", *TINY, *more)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in folder.glob("*.toml")} == {"a-ink-used.toml", "b-ink-used.toml"}
    assert {file.name for file in folder.glob("*.gif")} == {"a-ink-film.gif", "b-ink-film.gif"}
    assert {file.name for file in (folder / "work").iterdir()} == {"a-ink", "b-ink"}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("owner", "name", "which"),
    [(CanvasUpdater, "apply", 2), (write_png, "encode_png", 2), (Ledger, "begin", 3)],
)
def test_a_batch_that_was_stopped_continues(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    which: int,
    number: int,
    code: int,
) -> None:
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, which, lambda: signal.raise_signal(number))
        done = run_cli(folder, *BATCH)
    assert done.returncode == code, done.stderr
    assert "to continue: run the same command again (" in done.stderr.splitlines()[-1]
    assert not any(file.suffix == ".part" for file in (folder / "out").iterdir())
    again = run_cli(folder, *BATCH)
    assert again.returncode == 0, again.stderr
    assert results(folder) == {f"{name}-ink.png": alone(folder, f"{name}.png") for name in "abc"}


def at_call(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, which: int, act: Callable[[], None]
) -> None:
    """Do something when a function is called for the `which`th time."""
    calls, function = 0, getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == which:
            act()
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, wrapped)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_thirty_pictures_of_which_three_are_broken_killed_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 30):
        name = f"{number:02}"
        if number % 10 == 5:
            (folder / "photos" / f"{name}.jpg").write_bytes(b"\xff\xd8\xff broken")
        else:
            picture(folder / "photos" / f"{name}.png", 16 + number % 3, 20, number)
    # Once between a result and its record, once within a render.
    killed(folder, Ledger, "finish", 4, monkeypatch)
    killed(folder, CanvasUpdater, "apply", 9, monkeypatch)
    done = run_cli(folder, *BATCH)
    assert done.returncode == 1, done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("  photos")]) == 3
    made = results(folder)
    names = sorted(file.stem for file in (folder / "photos").glob("*.png"))
    assert sorted(made) == [f"{name}-ink.png" for name in names]
    assert len(made) == 27
    for name in names:
        assert made[f"{name}-ink.png"] == alone(folder, f"{name}.png")


def killed(folder: Path, owner: Any, name: str, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the batch in another process, which is killed when a function is called for the `which`th time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not use
        process = os.fork()
    if not process:
        at_call(monkeypatch, owner, name, which, lambda: os.kill(os.getpid(), signal.SIGKILL))
        run_cli(folder, *BATCH)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
    assert len(results(folder)) >= 3
