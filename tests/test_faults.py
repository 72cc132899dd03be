"""Work folders when file operations fail, when files are damaged, and when they were made to harm."""

from __future__ import annotations

import gc
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import called
from tests.conftest import waves
from tests.faults import BROKEN, FULL, Faults, Killed
from tilestyle import RenderConfig, ledger, manifest, planes, render, resolved
from tilestyle.config import Precision
from tilestyle.errors import TilestyleError, WorkError
from tilestyle.images import Picture, read_picture, write_picture
from tilestyle.work import MANIFEST, Work

CONTENT, STYLE, OTHER = waves(64, 80, 1), waves(40, 48, 2), waves(64, 80, 3)
# Two levels of two patches, one sweep each: what matters here are the files.
CONFIG = RenderConfig(
    size=80,
    patch=64,
    coarsest=60,
    sweeps=1,
    margin=0,
    precision=Precision.FP32,
    style_layers={"first_1": 1},
    content_layers={"first_1": 1},
)
WORDS = (
    *("render", "content.png", "--style", "style.png", "-o", "out.png", "--size", "80", "--patch", "64"),
    *("--sweeps", "1", "--style-layer", "first_1", "--content-layer", "first_1", "--precision", "fp32"),
    *("--checkpoint-every", "0", "--depth", "16", "-q"),
)


@pytest.fixture(params=["memory", "files"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where canvases live."""
    if request.param == "files":
        monkeypatch.setattr(planes, "SMALL", 0)
        monkeypatch.setattr(resolved, "belongs_in_files", lambda *facts: True)
    return str(request.param)


@pytest.fixture(scope="module")
def expected() -> bytes:
    """The pixels of the render that nothing happens to."""
    return pixels(None)


def pixels(work: Any, **options: Any) -> bytes:
    """The bytes of a render's pixels."""
    return np.ascontiguousarray(render(CONTENT, STYLE, CONFIG, work=work, **options).pixels).tobytes()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a content, a style, and an old picture where the new one is to be."""
    folder = tmp_path / "here"
    folder.mkdir()
    write_picture(folder / "content.png", Picture(CONTENT.permute(1, 2, 0).contiguous().numpy()))
    write_picture(folder / "style.png", Picture(STYLE.permute(1, 2, 0).contiguous().numpy()))
    write_picture(folder / "old.png", Picture(OTHER.permute(1, 2, 0).contiguous().numpy()))
    shutil.copy(folder / "old.png", folder / "out.png")
    return folder


def killed(call: Callable[[], Any]) -> str:
    """What became of a call in which a file operation fails."""
    try:
        call()
    except Killed:
        return "killed"
    except TilestyleError as error:
        assert "\n" not in str(error)
        return "refused"
    finally:
        gc.collect()  # files that nobody closed, as the end of a process does
    return "done"


def moments(count: int, step: int) -> range:
    """Operations that are made to fail: all of them, or every so many, with the first and the last."""
    return range(1, count + 1, step)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody closes files
@pytest.mark.parametrize("code", [None, BROKEN, FULL])
def test_whatever_file_operation_fails_the_render_ends_in_the_same_bytes(
    tmp_path: Path, home: str, expected: bytes, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch, tmp_path)
    faults.disarm()
    assert pixels(Work(tmp_path / "work", every=0.0)) == expected
    count, step = faults.count, 5 if code is None else 7
    assert count > 30
    for number in moments(count, step):
        path = tmp_path / f"work-{number}"
        work = Work(path, every=0.0)
        faults.arm(number, code)
        found = killed(lambda work=work: pixels(work))  # type: ignore[misc]
        where = f"{number}: {faults.names[number - 1]}, {found}"
        faults.disarm()
        if path.is_dir():  # somebody else's
            (path / "checkpoint-99.npz").write_bytes(b"mine")
            (path / "source-of-joy.txt").write_bytes(b"mine")
        assert found == "killed" if code is None else found in ("refused", "done"), where
        if found == "done":  # a wish
            continue
        if not ledger.is_marked(path) and path.is_dir():
            shutil.rmtree(path)  # a kill before anything was kept, and then a person put files there
        assert pixels(work) == expected, where
        if path.is_dir():
            assert sorted(file.name for file in path.iterdir()) == ["checkpoint-99.npz", "source-of-joy.txt"], where
            assert {file.read_bytes() for file in path.iterdir()} == {b"mine"}
