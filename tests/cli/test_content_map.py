"""`--content-map` and `--keep-faces` on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.images import faces, read_provenance
from tilestyle.images.faces import Face
from tilestyle.pipeline import prepare

FAST = ("--network=wavelet", "--style-layer=color_2", "--style-layer=first_1")
RENDER = ("render", "content.png", "style.png", *FAST, "--size=40", "--sweeps=1")


@pytest.fixture
def folder(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures and a map; time is not measured."""
    monkeypatch.setattr("tilestyle.pipeline.estimate.measure_costs", lambda outline: None)
    place = tmp_path / "pictures"
    place.mkdir()
    for seed, name in enumerate(("content.png", "style.png", "map.png")):
        pixels = (waves(48, 64, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / name)
    return place


@pytest.mark.parametrize(("count", "line"), [(0, "found no face"), (1, "found 1 face"), (2, "found 2 faces")])
def test_it_says_how_many_faces_it_found(
    folder: Path, count: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "detect_faces", lambda content: (Face(0.4, 0.4, 0.2, 0.2),) * count)
    done = run_cli(folder, *RENDER, "--keep-faces", "-o", "out.png")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sum(each.startswith("found") for each in lines) == 1
    assert any(each.startswith(line) for each in lines)
    quiet = run_cli(folder, *RENDER, "--keep-faces", "-o", "quiet.png", "--quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert read_provenance(folder / "out.png")["settings"]["keep_faces"] is True  # type: ignore[index, call-overload]


def test_a_map_is_stored_by_its_name_and_used_again(folder: Path) -> None:
    done = run_cli(folder, *RENDER, "--content-map", "map.png", "-o", "out.png", "--content-weight=2")
    assert done.returncode == 0, done.stderr
    assert read_provenance(folder / "out.png")["settings"]["content_map"] == "map.png"  # type: ignore[index, call-overload]
    assert run_cli(folder, "again", "out.png", "-o", "again.png").returncode == 0
    one, other = (np.asarray(Image.open(folder / name)) for name in ("out.png", "again.png"))
    assert np.array_equal(one, other)


def test_without_the_detector_one_line_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "find_spec", lambda name: None)
    before = sorted(folder.iterdir())
    done = run_cli(folder, *RENDER, "--keep-faces", "-o", "out.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "tilestyle[faces]" in done.stderr
    assert sorted(folder.iterdir()) == before
