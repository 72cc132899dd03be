"""PDF: boxes in millimeters, marks outside the bleed, and exactly the samples that were given."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.enums import Compression
from tilestyle.errors import OutputError, PictureError
from tilestyle.images import (
    Insets,
    OutputColor,
    PageBoxes,
    WriteOptions,
    read_picture,
    read_provenance,
    write_picture,
)
from tilestyle.images.color_management import srgb_profile
from tilestyle.images.output_color import built_in_profile
from tilestyle.images.strips import quantize, to_depth
from tilestyle.images.write_pdf import check_page

pikepdf = pytest.importorskip("pikepdf", reason="pikepdf is not installed: pip install '.[test]'")

PRESS = OutputColor(bytes(pyvips.Operation.call("profile_load", "cmyk")))
DPI = 127  # 5 pixels are a millimeter
BOXES = PageBoxes(Insets(15, 15, 15, 15), Insets(40, 40, 40, 40), marks=True)


def pixels() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((200, 300, 3), dtype=np.float32)


def written(tmp_path: Path, **how: Any) -> Path:
    file = tmp_path / "a.pdf"
    settings: dict[str, Any] = {"color": PRESS, "dpi": DPI} | how
    write_picture(file, pixels(), options=WriteOptions(**settings))
    return file


def millimeters(box: Any) -> list[float]:
    return [float(each) * 25.4 / 72 for each in box]


def test_boxes_are_as_large_as_asked(tmp_path: Path) -> None:
    with pikepdf.open(written(tmp_path, boxes=BOXES)) as pdf:
        page = pdf.pages[0]
        media, bleed, trim = (millimeters(page[name]) for name in ("/MediaBox", "/BleedBox", "/TrimBox"))
    assert bleed[2] - bleed[0] == pytest.approx(60, abs=1e-3)
    assert bleed[3] - bleed[1] == pytest.approx(40, abs=1e-3)
    assert [b - a for a, b in zip(bleed, trim, strict=True)] == pytest.approx([3, 3, -3, -3], abs=1e-3)
    around = [bleed[0], bleed[1], media[2] - bleed[2], media[3] - bleed[3]]
    assert around == pytest.approx([around[0]] * 4) and 5 < around[0] < 15


def test_without_marks_the_page_is_the_picture(tmp_path: Path) -> None:
    with pikepdf.open(written(tmp_path)) as pdf:
        page = pdf.pages[0]
        assert millimeters(page.MediaBox) == pytest.approx([0, 0, 60, 40], abs=1e-3)
        assert millimeters(page.TrimBox) == millimeters(page.BleedBox) == millimeters(page.MediaBox)


@pytest.mark.parametrize("bleed", [0, 15, 50])
def test_marks_are_never_inside_the_bleed(tmp_path: Path, bleed: int) -> None:
    boxes = PageBoxes(Insets(bleed, bleed, bleed, bleed), Insets(60, 60, 60, 60), marks=True)
    with pikepdf.open(written(tmp_path, boxes=boxes)) as pdf:
        page = pdf.pages[0]
        left, bottom, right, top = map(float, page.BleedBox)
        trim = [float(each) for each in page.TrimBox]
        width, height = (float(each) for each in page.MediaBox[2:])
        content = page.Contents.read_bytes().decode()
    number = r"(-?[\d.]+)"
    lines = [
        [float(each) for each in line]
        for line in re.findall(f"{number} {number} m {number} {number} l S", content)
    ]
    assert len(lines) == 16  # at every corner two of the cut and two of the fold
    for x0, y0, x1, y1 in lines:
        assert min(x0, x1) > 0 and max(x0, x1) < width and min(y0, y1) > 0 and max(y0, y1) < height
        assert (x0 == x1) != (y0 == y1)
        outside = max(x0, x1) < left or min(x0, x1) > right or max(y0, y1) < bottom or min(y0, y1) > top
        assert outside
    upright = sorted({x0 for x0, _, x1, _ in lines[:8] if x0 == x1})
    assert upright == pytest.approx([trim[0], trim[2]])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", ["press", "display-p3", None])
def test_samples_are_exact(tmp_path: Path, name: str | None, depth: int) -> None:
    color = {"press": PRESS, None: None}.get(name) or (name and OutputColor(built_in_profile(name)))
    expected = quantize(pixels(), 16)
    if color:
        expected = color.convert(expected, srgb_profile())
    expected = to_depth(expected, depth) if color else quantize(pixels(), depth)
    with pikepdf.open(written(tmp_path, color=color, depth=depth)) as pdf:
        picture = pdf.pages[0].Resources.XObject.Picture
        assert (int(picture.Width), int(picture.Height)) == (300, 200)
        read = np.frombuffer(picture.read_bytes(), ">u2" if depth == 16 else np.uint8)
    assert_array_equal(read.reshape(expected.shape), expected)


def test_jpeg_inside(tmp_path: Path) -> None:
    with pikepdf.open(written(tmp_path, compression=Compression.JPEG, quality=100)) as pdf:
        picture = pdf.pages[0].Resources.XObject.Picture
        assert picture.Filter == "/DCTDecode"
        assert [int(each) for each in picture.Decode] == [1, 0] * 4
        jpeg = picture.read_raw_bytes()
    expected = to_depth(PRESS.convert(quantize(pixels(), 16), srgb_profile()), 8)
    with Image.open(io.BytesIO(jpeg)) as image:
        assert np.abs(np.asarray(image).astype(int) - expected).mean() < 2


def test_a_press_makes_it_pdf_x4_and_nothing_else_does(tmp_path: Path) -> None:
    with pikepdf.open(written(tmp_path)) as pdf:
        intent = pdf.Root.OutputIntents[0]
        assert intent.S == "/GTS_PDFX"
        assert intent.DestOutputProfile.read_bytes() == PRESS.profile
        assert str(intent.OutputConditionIdentifier) == PRESS.name
        assert pdf.pages[0].Resources.XObject.Picture.ColorSpace == "/DeviceCMYK"
        assert pdf.docinfo["/GTS_PDFXVersion"] == "PDF/X-4"
        assert pdf.pdf_version == "1.6"
        with pdf.open_metadata() as metadata:
            assert metadata["pdfxid:GTS_PDFXVersion"] == "PDF/X-4"
    with pikepdf.open(written(tmp_path, color=None)) as pdf:
        assert pdf.Root.OutputIntents[0].DestOutputProfile.read_bytes() == srgb_profile()
        assert "/GTS_PDFXVersion" not in pdf.docinfo
        space = pdf.pages[0].Resources.XObject.Picture.ColorSpace
        assert space[0] == "/ICCBased" and space[1].read_bytes() == srgb_profile()


def test_settings_come_back(tmp_path: Path) -> None:
    settings = {"content": "Straße 写真.jpg", "seed": 3}
    assert read_provenance(written(tmp_path, provenance=settings)) == settings
    assert read_provenance(written(tmp_path, title="a (b) \\ c")) is None
    with pikepdf.open(written(tmp_path, title="a (b) \\ ü")) as pdf:
        assert pdf.docinfo["/Title"] == "a (b) \\ ü"
    with pytest.raises(PictureError, match="a PDF, not a picture"):
        read_picture(tmp_path / "a.pdf")


def test_the_same_time_makes_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    first = written(tmp_path).read_bytes()
    assert b"20010909" in first
    assert written(tmp_path).read_bytes() == first


def test_pages_that_are_too_large(tmp_path: Path) -> None:
    check_page(200, 300, DPI, BOXES)
    with pytest.raises(OutputError, match=r"6\.0 m exceeds the limit of PDF, 5\.08 m; give --scale 1:10"):
        check_page(100, 30000, DPI, PageBoxes())
    with pytest.raises(OutputError, match="smaller than 1 mm"):
        check_page(2, 300, DPI, PageBoxes())
    for compression in (Compression.LZW, Compression.ZSTD, Compression.NONE):
        with pytest.raises(OutputError, match="use --compression deflate or jpeg"):
            written(tmp_path, compression=compression)


@pytest.mark.parametrize("name", ["press", None])
@pytest.mark.parametrize("compression", [Compression.DEFLATE, Compression.JPEG])
@pytest.mark.parametrize("program", ["qpdf", "pdfinfo", "gs"])
def test_programs_of_print_shops_read_it(
    tmp_path: Path, program: str, compression: Compression, name: str | None
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    file = written(tmp_path, boxes=BOXES, compression=compression, color=PRESS if name else None)
    seen = tmp_path / "seen.tif"
    device = "tiff32nc" if name else "tiff24nc"
    words = {
        "qpdf": ["--check", str(file)],
        "pdfinfo": ["-box", str(file)],
        "gs": [
            "-q",
            "-dBATCH",
            "-dNOPAUSE",
            f"-sDEVICE={device}",
            f"-r{DPI}",
            f"-sOutputFile={seen}",
            str(file),
        ],
    }[program]
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    if program == "pdfinfo":
        assert ("PDF/X-4" in done.stdout) == bool(name)
        assert "TrimBox" in done.stdout
    if program == "gs":  # through its own conversion: about the same colors in the same places
        shown = read_picture(seen).pixels
        assert shown[: shown.shape[0] // 40].min() > 0.95  # the edge of the page is empty
        assert shown.shape[1] > 300
