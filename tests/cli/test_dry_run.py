"""What a render will take, said without starting it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.images.faces import Face

FAST = ("--network=wavelet", "--style-layer=color_2", "--style-layer=first_1")
SMALL = (*FAST, "--sweeps=2", "--size=40")
RENDER = ("render", "content.png", "--style", "style.png", "-o", "out.png")


@pytest.fixture
def folder(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures; time is not measured, only stated."""
    monkeypatch.setattr("tilestyle.pipeline.estimate.measure_costs", lambda outline: None)
    place = tmp_path / "pictures"
    place.mkdir()
    for seed, name in enumerate(("content.png", "style.png")):
        pixels = (waves(48, 64, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / name)
    return place


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    done = run_cli(folder, *words)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        (*RENDER, *SMALL),
        ("texture", "style.png", "-o", "out.png", *SMALL),
        ("upscale", "content.png", "--reference", "style.png", "-o", "out.png", "--factor=2", "--sweeps=2"),
        ("invert", "content.png", "--layer", "contour_2", "-o", "out.png", "--network=wavelet", "--size=40"),
        ("preview", "content.png", "--style", "style.png", "-o", "out.png", *FAST, "--size=2000", "--sweeps=2"),
        (*RENDER, *FAST, "--optimizer=lbfgs", "--size=40"),
        (*RENDER, *SMALL, "--film=film", "--preview=now.png", "--save-config=s.toml"),
    ],
    ids=lambda words: words[0] if words[0] != "render" else words[-1].partition("=")[0],
)
def test_it_says_what_a_command_takes_and_writes_nothing(folder: Path, words: tuple[str, ...]) -> None:
    before = sorted(folder.iterdir())
    code, out, err = run(folder, *words, "--dry-run")
    assert (code, err) == (0, "")
    for name in ("picture", "time", "memory"):
        assert any(line.startswith(name) for line in out.splitlines()), out
    assert "patch" not in out
    assert sorted(folder.iterdir()) == before
    assert "patch" in run(folder, *words, "--dry-run", "--verbose")[1]


def test_it_says_size_crop_and_enlargement_of_a_print(folder: Path) -> None:
    words = (*FAST, "--print=2x2in", "--dpi=50", "--stroke=5mm")
    code, out, _ = run(folder, *RENDER, *words, "--dry-run")
    assert code == 0
    rows = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert "100 x 100 pixels" in rows["picture"]
    assert "2 x 2 in (51 x 51 mm) at 50 dpi" in rows["print"]
    assert "25 % of the width" in rows["crop"]


def test_it_refuses_what_the_render_would(folder: Path) -> None:
    code, out, err = run(folder, *RENDER[:-1], "out.bmp", *SMALL, "--dry-run")
    assert code not in (0, None)
    assert not out
    assert "out.bmp" in err


def test_it_says_how_many_faces_there_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.planning.content_map.faces_in", lambda content: (Face(0.4, 0.4, 0.2, 0.2),))
    code, out, _ = run(folder, *RENDER, *SMALL, "--keep-faces", "--dry-run")
    assert code == 0
    assert ["faces", "found", "1", "face"] in [line.split() for line in out.splitlines()]


def test_info_plans_with_a_style(folder: Path) -> None:
    code, out, _ = run(
        folder, "info", "content.png", "--style", "style.png", *FAST[:1], "--print=A6", "--dpi=30"
    )
    assert code == 0
    assert "at 30 dpi" in out
    assert "about" in out
    assert "A render of this picture in this style would take:" in out
    assert "patch" not in out
    assert "patch" in run(folder, "info", "content.png", "--network=wavelet", "--verbose")[1]


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_strokes_far_beyond_the_pixels_of_the_style_are_warned_of(folder: Path, factor: float) -> None:
    from tilestyle.images import open_source
    from tilestyle.recipes.stroke_width import measure_stroke_width

    with open_source(folder / "style.png") as source:
        width = measure_stroke_width(source)
    assert width is not None
    stroke = 100 * factor * width / 64
    words = (*RENDER, *FAST, "--size=64", "--dry-run")
    _, out, _ = run(folder, *words, f"--stroke={stroke:.3f}%")
    assert ("larger scan" in out) == (factor > 2)
    assert out.count(f"enlarged {factor:.1f} times") == 1
    if factor > 2:
        advice = re.search(r"--stroke\s+([0-9.]+)%", out)
        assert advice is not None
        assert 0.9 < float(advice[1]) / (stroke * 2 / factor) <= 1
        assert "larger scan" not in run(folder, *words, f"--stroke={advice[1]}%")[1]


def test_windows_of_a_preview_that_are_alike_are_one_row(folder: Path) -> None:
    words = ("preview", "content.png", "--style", "style.png", "-o", "out.png", *FAST, "--size=2000")
    _, out, _ = run(folder, *words, "--sweeps=2", "--crops=2", "--preview-size=1000", "--dry-run")
    rows = [line.split() for line in out.splitlines() if line.startswith(("whole picture", "around"))]
    assert [row[-2:] for row in rows] == [["1", "14"], ["4", "2"]]


@pytest.mark.parametrize(
    ("words", "count", "rows"),
    [
        (
            ("sheet", "content.png", "style.png", "--vary=strength=0.3,0.7", "--vary=style-scale=0.5,1"),
            4,
            ("strength 0.7, style-scale 1",),
        ),
        (("drift", "content.png", "style.png", "--cycles=3", "--film=film.gif"), 3, ("style.png", "film")),
        (("zoom", "style.png", "--steps=5"), 6, ("first texture", "steps", "disk")),
        (("zoom", "style.png", "--steps=5", "--start=content.png"), 5, ("steps",)),
        (("video", "clip", "style.png", "-o", "film.gif"), 2, ("first frame", "later frames", "film")),
        (("demo",), 3, ("raccoon-swirls.png",)),
        (("looks", "content.png"), 17, ("--preset ink", "--style swirls")),
    ],
)
def test_it_says_what_several_renders_take_and_writes_nothing(
    folder: Path, words: tuple[str, ...], count: int, rows: tuple[str, ...]
) -> None:
    (folder / "clip").mkdir()
    for number in range(2):
        (folder / "clip" / f"{number}.png").write_bytes((folder / "content.png").read_bytes())
    before = sorted(folder.rglob("*"))
    is_fixed = words[0] in ("demo", "looks")  # they have no choice of networks
    sizes = ("--size=48",) if is_fixed else ("--size=48", "--network=wavelet", "--sweeps=2")
    code, out, err = run(folder, *words, *sizes, "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith(f"renders  {count} of 48 x ")
    assert sum(map(int, re.findall(r"\d+ x \d+ +(\d+) +\d+", out))) == count
    for name in ("time", "memory", *rows):
        assert any(line.startswith(name) for line in out.splitlines()), out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert sorted(folder.rglob("*")) == before


def test_a_series_adds_to_what_is_known_of_times(folder: Path) -> None:
    words = ("drift", "content.png", "style.png", "-o", "made", "--cycles=2", "--quiet")
    assert run(folder, *words, "--size=48", "--network=wavelet", "--sweeps=2")[0] == 0
    (kind,) = [json.loads(file.read_text()) for file in (folder.parent / "cache").rglob("*.json")]
    assert len(kind["stages"]["sweep"]) == 4  # two levels, twice
    assert len(kind["stages"]["level"]) == 2  # the second step did not measure the style
