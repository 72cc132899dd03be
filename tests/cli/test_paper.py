"""`tilestyle paper`, and prints in one go: files as shops take them, mistakes in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image

from tests.support.cli import run_cli
from tilestyle.images import output_color, read_provenance
from tilestyle.images.output_color import built_in_profile

PRESS = bytes(pyvips.Operation.call("profile_load", "cmyk"))
FEW = ("--sweeps", "1", "--network", "wavelet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture of 60 x 40 mm at 25.4 dpi, and a press."""
    y, x = np.mgrid[:40, :60].astype(np.uint8)
    Image.fromarray(np.dstack([4 * x, 6 * y, 200 - 3 * x])).save(tmp_path / "poster.png")
    (tmp_path / "press.icc").write_bytes(PRESS)
    monkeypatch.setattr(output_color, "profile_folders", lambda: [])
    return tmp_path


def box(page: Any, name: str) -> list[float]:
    return [float(each) / 72 * 25.4 for each in page[name]]


def opened(file: Path) -> Any:
    return pytest.importorskip("pikepdf", reason="pikepdf is not installed").open(file)


def test_a_pdf_for_a_print_shop(folder: Path) -> None:
    words = ("--print", "60x40mm", "--bleed", "3mm", "--edge", "mirror", "--profile", "press.icc", "--marks")
    done = run_cli(folder, "paper", "poster.png", *words)
    assert done.returncode == 0
    assert "total ink of poster-paper.pdf: at most" in done.stderr and "PDF/X" not in done.stderr
    assert " s\n" in done.stderr and "0:0" not in done.stderr  # a few seconds, not minutes
    with opened(folder / "poster-paper.pdf") as pdf:
        page = pdf.pages[0]
        trim, bleed = box(page, "/TrimBox"), box(page, "/BleedBox")
    assert [trim[2] - trim[0], trim[3] - trim[1]] == pytest.approx([60, 40], abs=0.01)
    assert [trim[0] - bleed[0], bleed[3] - trim[3]] == pytest.approx([3, 3], abs=0.01)


def test_a_canvas_round_its_frame(folder: Path) -> None:
    words = ("--print", "60x40mm", "--wrap", "1in", "--edge", "mirror", "-o", "canvas.tif")
    assert run_cli(folder, "paper", "poster.png", *words).returncode == 0
    canvas, picture = tifffile.imread(folder / "canvas.tif"), np.asarray(Image.open(folder / "poster.png"))
    wrapped = 26  # an inch at 25.4 dots per inch, rounded up
    assert canvas.shape == (40 + 2 * wrapped, 60 + 2 * wrapped, 3)
    assert_array_equal(canvas[wrapped:-wrapped, wrapped:-wrapped], picture)
    assert_array_equal(canvas[wrapped:-wrapped, :wrapped], picture[:, wrapped - 1 :: -1])
    carried = run_cli(folder, "paper", "poster.png", "--print", "4x2cm", "--wrap", "1cm", "-o", "own.tif")
    assert (
        carried.returncode == 0
        and "print of 4 x 2 cm (6 x 4 cm with 1 cm to fold at each edge)" in carried.stderr
    )
    assert "crops" not in carried.stderr
    square = run_cli(folder, "paper", "poster.png", "--print", "40x40mm", "-o", "square.tif")
    assert "crops 33 % of the picture: give --fit contain" in square.stderr
    assert_array_equal(tifffile.imread(folder / "own.tif"), picture)


def test_sizes_are_said_as_they_were_given(folder: Path) -> None:
    """A shop that was asked for inches does not have to convert millimeters."""
    Image.open(folder / "poster.png").resize((650, 450)).save(folder / "large.png")
    done = run_cli(folder, "paper", "large.png", "--print", "12x8in", "--bleed", "0.25in", "-o", "a.tif")
    assert "print of 12 x 8 in (12.5 x 8.5 in with 0.25 in of bleed at each edge) at 52 dpi" in done.stderr
    assert "mm" not in done.stderr
    assert (
        "seen from nearer than 3 m, the print will look coarse: an inch of it has only 52 pixels" in done.stderr
    )


def test_all_say_the_same_of_what_is_cropped(folder: Path) -> None:
    share = "5.7 %"
    Image.open(folder / "poster.png").resize((1500, 1000)).save(folder / "large.png")
    paper = run_cli(folder, "paper", "large.png", "--print", "A2", "-o", "a.tif")
    words = ("render", "large.png", "poster.png", "--print", "A2", "--dpi", "25.4", "-o", "b.png")
    planned = run_cli(folder, *words, "--dry-run")
    assert f"the print crops {share} of the picture" in paper.stderr
    assert f"the photograph loses {share} of the width" in planned.stdout


def test_a_wall_in_panels(folder: Path) -> None:
    words = ("--print", "3x2m", "--panels", "1.2m", "--panel-overlap", "10cm", "-o", "wall.tif")
    done = run_cli(folder, "paper", "poster.png", *words)
    assert done.returncode == 0
    files = sorted(folder.glob("wall-panel-*.tif"))
    for file in (*files, folder / "wall-plan.png"):
        assert f"wrote {file.name}\n" in done.stderr
    assert len(files) == 3 and not (folder / "wall.tif").exists()
    panels = [tifffile.imread(file) for file in files]
    shared = 2  # pixels of 5 cm
    joined = np.hstack([panels[0], *(panel[:, shared:] for panel in panels[1:])])
    assert_array_equal(joined, np.asarray(Image.open(folder / "poster.png")))
    with Image.open(folder / "wall-plan.png") as plan:
        assert plan.width > 60
    again = run_cli(folder, "paper", "poster.png", *words)
    assert again.returncode == 2 and "exists; give another name, or --overwrite" in again.stderr


def test_a_file_keeps_its_colors_unless_others_are_asked_for(folder: Path) -> None:
    adobe = built_in_profile("adobe-rgb")
    with Image.open(folder / "poster.png") as image:
        image.save(folder / "wide.png", icc_profile=adobe, dpi=(300, 300))
    assert run_cli(folder, "paper", "wide.png", "-o", "same.tif").returncode == 0
    with Image.open(folder / "same.tif") as image:
        assert image.info["icc_profile"] == adobe
        assert image.info["dpi"] == (300, 300)
        assert_array_equal(np.asarray(image), np.asarray(Image.open(folder / "wide.png")))
    assert run_cli(folder, "paper", "wide.png", "--profile", "press.icc", "-o", "inks.jpg").returncode == 0
    back = run_cli(folder, "paper", "inks.jpg", "-o", "inks.tif")
    assert back.returncode == 0
    with Image.open(folder / "inks.tif") as image, Image.open(folder / "inks.jpg") as inks:
        assert_array_equal(np.asarray(image), np.asarray(inks))


def test_at_a_tenth_of_its_size(folder: Path) -> None:
    words = ("--print", "60x40cm", "--scale", "1:10", "-o", "small.tif")
    done = run_cli(folder, "paper", "poster.png", *words)
    assert "at 2.54 dpi" in done.stderr and "1:10" in done.stderr and "coarse" in done.stderr
    with Image.open(folder / "small.tif") as image:
        assert image.info["dpi"] == pytest.approx((25.4, 25.4))


def test_much_ink_is_told(folder: Path) -> None:
    words = ("--print", "60x40mm", "--profile", "press.icc", "-o", "a.tif")
    assert "--ink-limit" not in run_cli(folder, "paper", "poster.png", *words).stderr
    said = run_cli(folder, "paper", "poster.png", *words, "--overwrite", "--ink-limit", "100").stderr
    assert "% of the pixels have more than 100 % of ink" in said
    assert run_cli(folder, "paper", "poster.png", *words, "--overwrite", "-q").stderr == ""


def test_a_render_for_print_in_one_go(folder: Path) -> None:
    words = ("--print", "30x20mm", "--dpi", "40", "--bleed", "3mm", "--profile", "press.icc", "--marks")
    done = run_cli(folder, "render", "poster.png", "poster.png", *FEW, *words, "-o", "a.pdf")
    assert done.returncode == 0 and "total ink of a.pdf" in done.stderr
    with opened(folder / "a.pdf") as pdf:
        page = pdf.pages[0]
        trim, bleed = box(page, "/TrimBox"), box(page, "/BleedBox")
        assert pdf.docinfo["/GTS_PDFXVersion"] == "PDF/X-4"
    assert trim[2] - trim[0] == pytest.approx(30, abs=25.4 / 40)
    assert trim[0] - bleed[0] == pytest.approx(3, abs=25.4 / 40)
    made = read_provenance(folder / "a.pdf")
    assert made is not None and "--profile press.icc" in str(made["command"])
    again = run_cli(folder, "again", "a.pdf", "-o", "b.tif", "--seed", "1")
    assert again.returncode == 2 and "crop marks need a PDF" in again.stderr


def test_a_render_keeps_colors_outside_srgb(folder: Path) -> None:
    wide = built_in_profile("display-p3")
    red = np.zeros((40, 50, 3), np.uint8)
    red[..., 0], red[:15, :, 1] = 255, 90
    Image.fromarray(red).save(folder / "red.png", icc_profile=wide)
    words = ("render", "red.png", "red.png", *FEW, "--size", "48", "--color", "luminance", "-q")
    assert run_cli(folder, *words, "-o", "wide.png", "--profile", "display-p3").returncode == 0
    assert run_cli(folder, *words, "-o", "plain.png").returncode == 0
    with Image.open(folder / "wide.png") as image:
        assert image.info["icc_profile"] == wide
        kept = np.asarray(image).astype(int)
    assert kept[20, 20, 0] - kept[20, 20, 1] > 240  # sRGB would end at 234 - 51


def test_dots_per_inch_by_distance(folder: Path) -> None:
    words = ("render", "poster.png", "poster.png", "--print", "60x40cm", "--distance", "9m", "--dry-run")
    shown = run_cli(folder, *words, *FEW).stdout
    assert "at 20 dpi" in shown and "472 x 315" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper", "poster.png"], "give --print or --dpi"),
        (["paper", "poster.png", "--print", "60x40mm", "--dpi", "9"], "give one of them"),
        (["paper", "poster.png", "--dpi", "25.4", "--profile", "press"], "no press profile on this computer"),
        (["paper", "poster.png", "--dpi", "25.4", "--profile", "gone.icc"], "there is no file gone.icc"),
        (["paper", "poster.png", "--dpi", "25.4", "--profile", "adobergb"], "did you mean adobe-rgb?"),
        (["paper", "poster.png", "--dpi", "25.4", "--profile", "poster.png"], "not an ICC profile"),
        (
            ["paper", "poster.png", "--dpi", "25.4", "--profile", "press.icc", "-o", "a.png"],
            "write TIFF, JPEG or",
        ),
        (["paper", "poster.png", "--dpi", "25.4", "--marks", "-o", "a.tif"], "give -o FILE.pdf"),
        (
            ["paper", "poster.png", "--dpi", "25.4", "--panels", "1cm", "--panel-overlap", "2cm"],
            "give --panel-overlap 0.5cm or less, or --panels 4cm or more",
        ),
        (["paper", "poster.png", "--dpi", "25.4", "--panel-overlap", "2cm"], "give --panels"),
        (["paper", "poster.png", "--dpi", "25.4", "--bleed", "3"], "invalid bleed '3'"),
        (["paper", "poster.png", "--dpi", "25.4", "--wrap", "30mm"], "give --edge mirror"),
        (["paper", "poster.png", "--dpi", "25.4", "--scale", "10:1"], "invalid scale"),
        (["paper", "poster.png", "--dpi", "25.4", "--ink-limit", "20"], "give 100 to 400"),
        (["paper", "poster.png", "--print", "8x6m"], "give --scale 1:10"),
        (["paper", "poster.png", "--dpi", "25.4", "-o", "a.dzi"], "sRGB"),
        (["paper", "poster.png", "--dpi", "25.4", "--compression", "lzw"], "use --compression deflate or jpeg"),
        (
            ["render", "poster.png", "poster.png", "--size", "32", "--bleed", "3mm"],
            "give --print",
        ),
        (["render", "poster.png", "poster.png", "--size", "32", "--scale", "1:10"], "give --print or --dpi"),
        (["paper", "gone.png", "--dpi", "25.4"], "there is no file gone.png"),
        (["paper", "press.icc", "--dpi", "25.4"], "press.icc"),
        (["paper", "poster.png", "--dpi", "25.4", "-o", "a.tif", "--max-file-size", "9kB"], "smaller picture"),
        *(
            (["render", "poster.png", "poster.png", "--print", "A4", f"--dpi={dpi}", "--dry-run"], "use 1 to")
            for dpi in ("0", "-1")
        ),
        (
            ["render", "poster.png", "poster.png", "-o", "a.png", "--max-file-size", "1"],
            "larger --max-file-size",
        ),
        (
            ["render", "poster.png", "poster.png", "--print", "A4", "--distance", "2m", "--dpi", "9"],
            "give one of",
        ),
        (
            ["render", "poster.png", "poster.png", "--print", "A4", "-o", "a.tif", "--max-file-size", "20MB"],
            "more than --max-file-size 20 MB; give -o a.jpg or --dpi",
        ),
        (
            ["render", "poster.png", "poster.png", "--print", "A4", "-o", "a.tif", "--max-file-size", "30MB"],
            "give --flat or",
        ),
    ],
)
def test_a_mistake_gets_one_line(folder: Path, words: list[str], message: str) -> None:
    done = run_cli(folder, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("tilestyle: ") and message in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
    left = {each.name for each in folder.iterdir()}
    assert left == {"poster.png", "press.icc"}
