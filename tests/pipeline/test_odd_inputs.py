"""Odd words, odd settings and odd objects from Python: one line each, or the right picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle import NetworkName, RenderConfig, Style, invert, render, texture
from tilestyle.errors import PictureError, TilestyleError
from tilestyle.images import picture_from, read_picture

SMALL = ("--size=64", "--sweeps=1", "--precision=fp32", "--network=wavelet", "--style-layer=first_1", "-q")
NOTHING: Any = None
BOTH = ("style.png", "-s", "style.png", *SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture."""
    pixels = (waves(48, 64).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "style.png")
    return tmp_path


def refused(folder: Path, *words: str) -> str:
    """What a command says that refuses in one line, and leaves the folder as it was."""
    before = sorted(folder.rglob("*"))
    done = run_cli(folder, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr


@pytest.mark.parametrize("name", ["", ".", "/", "./", "//", ".."])
@pytest.mark.parametrize(
    "words",
    [
        ("render", *BOTH, "-o"),
        ("render", *BOTH, "--work-dir", "w", "-o"),
        ("render", *BOTH, "-o", "o.png", "--preview"),
        ("render", *BOTH, "-o", "o.png", "--save-config"),
        ("texture", "style.png", *SMALL, "-o"),
        ("invert", "style.png", "-o"),
        ("preview", *BOTH, "-o"),
        ("sheet", *BOTH, "-o"),
        ("upscale", "style.png", "--reference", "style.png", "-o"),
        ("upscale", "style.png", "--reference", "style.png", "-o", "o.png", "--sheet"),
        ("benchmark", "memory", "--plot"),
    ],
    ids=lambda words: " ".join((words[0], words[-1])),
)
def test_an_output_without_a_name_is_refused(folder: Path, words: tuple[str, ...], name: str) -> None:
    expected = "is a folder; name a file inside it" if name else "the name of the file is empty"
    assert expected in refused(folder, *words, name)


@pytest.mark.parametrize("name", ["", ".", "/"])
@pytest.mark.parametrize("form", ["png", "tiff", "dzi"])
def test_a_format_does_not_give_an_output_its_name(folder: Path, name: str, form: str) -> None:
    expected = "is a folder" if name else "is empty"
    assert expected in refused(folder, "render", *BOTH, "--format", form, "-o", name)


@pytest.mark.parametrize("option", ["--init", "--mask", "--config", "--proof"])
def test_an_input_without_a_name_is_refused(folder: Path, option: str) -> None:
    assert f"{option}: the name of the file is empty" in refused(
        folder, "render", *BOTH, "-o", "o.png", option, ""
    )


@pytest.mark.parametrize(
    "name",
    [
        *("f%s.png", "f%i.png", "f%x.png", "f%+d.png", "f%.3d.png", "f%d%d.png", "a%dx%s.png", "f%%.png"),
        *("f%%d.png", "100%.png", "%5%d.png", "%99999999d.png", "f%d/x.png", "%d", "%05d"),
    ],
)
@pytest.mark.parametrize("command", ["render", "drift"])
def test_a_film_of_pictures_has_a_place_for_one_number(folder: Path, command: str, name: str) -> None:
    words = (*BOTH, "-o", "o.png") if command == "render" else ("style.png", "-s", "style.png", "-o", "d")
    assert "does not number the frames" in refused(folder, command, *words, "--film", name)


@pytest.mark.parametrize(("text", "taken"), [("\ufeffseed = 3\n", True), (f"seed = {'9' * 5000}\n", False)])
def test_settings_with_a_byte_order_mark_or_a_huge_number(folder: Path, text: str, taken: bool) -> None:
    (folder / "t.toml").write_text(text, "utf-8")
    words = ("render", *BOTH, "-o", "o.png", "--config", "t.toml")
    if taken:
        assert run_cli(folder, *words).returncode == 0
    else:
        assert "t.toml is not valid TOML" in refused(folder, *words)


@pytest.mark.parametrize("claimed", [40_000, 9_999_999])
def test_info_refuses_as_many_pixels_as_a_render_does(folder: Path, claimed: int) -> None:
    (folder / "huge.ppm").write_bytes(b"P6 %d %d 255\n" % (claimed, claimed))
    told = run_cli(folder, "info", "huge.ppm")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "more than the" in told.stderr
    assert "more than the" in refused(folder, "render", "huge.ppm", "-s", "style.png", "-o", "o.png", *SMALL)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_info_describes_a_picture_of_one_color(folder: Path, mode: str) -> None:
    Image.new(mode, (64, 48)).save(folder / "flat.png")
    done = run_cli(folder, "info", "flat.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none: a single color" in done.stdout


def test_libtiff_prints_nothing_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert("YCbCr").save(tmp_path / "c.tif", compression="tiff_lzw")
    sound = (tmp_path / "c.tif").read_bytes()
    start = int.from_bytes(sound[4:8], "little")
    failed = 0
    for entry in range(int.from_bytes(sound[start : start + 2], "little")):
        for at, value in ((4, 0), (4, 2), (4, 2**31), (2, 13), (8, 0xFFFFFFF0)):
            place, size = start + 2 + 12 * entry + at, 2 if at == 2 else 4
            (tmp_path / "x.tif").write_bytes(
                sound[:place] + value.to_bytes(size, "little") + sound[place + size :]
            )
            try:
                read_picture(tmp_path / "x.tif")
            except PictureError:
                failed += 1
    assert failed
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda values: values.to("meta"), id="meta"),
        pytest.param(lambda values: values.to_sparse(), id="sparse"),
        pytest.param(lambda values: torch.complex(values, values).conj(), id="complex"),
    ],
)
def test_a_tensor_without_plain_values_is_refused(make: Any) -> None:
    with pytest.raises(PictureError, match=r"^the (tensor|array) "):
        picture_from(make(waves(8, 9)))


def test_a_tensor_that_is_stored_negated_is_read() -> None:
    values = waves(8, 9)
    for stored in (torch._neg_view(-values), torch.complex(values, -values).conj().imag):
        assert np.array_equal(picture_from(stored).pixels, picture_from(values).pixels)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda picture: render(NOTHING, picture, RenderConfig(size=32, sweeps=1)), id="content"),
        pytest.param(lambda picture: render(picture, NOTHING, RenderConfig(size=32, sweeps=1)), id="style"),
        pytest.param(lambda picture: texture(NOTHING), id="texture"),
        pytest.param(lambda picture: invert(NOTHING), id="invert"),
    ],
)
def test_none_is_no_picture(call: Any) -> None:
    with pytest.raises(TilestyleError, match="is None; give a picture"):
        call(waves(64, 64))


@pytest.mark.parametrize(
    "role", ["content", "style", "mask", "mask of a style", "content map", "blend map", "init", "anchor"]
)
@pytest.mark.parametrize(
    "odd",
    [np.full((9, 9, 3), np.nan, np.float32), np.zeros(4), torch.zeros(5, 7, 7), 5, object()],
    ids=["NaN", "a row", "five channels", "a number", "an object"],
)
def test_it_is_said_which_picture_is_wrong(role: str, odd: Any) -> None:
    good, flat = waves(40, 50), torch.zeros(3, 40, 50)
    given: dict[str, Any] = {"content": good, "style": [good, good], "size": 48, "sweeps": 1}
    if role == "mask of a style":
        given |= {"style": [Style(good, odd), good], "mask": flat}
    else:
        given[role.replace(" ", "_")] = odd
    says = rf"^{role}: .*(array|tensor|picture|shape)|^{role.replace(' ', '-')} cannot be a? ?(5|object); give"
    with pytest.raises(TilestyleError, match=says):
        render(given.pop("content"), given.pop("style"), network=NetworkName.WAVELET, **given)
