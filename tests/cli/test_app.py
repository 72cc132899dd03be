"""The command line, as a person runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import main, run_cli
from tests.support.signals import SWEEP, run_with_signal
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.parsing import StyleFile, parse_blend, parse_init, parse_layers, parse_odds
from tilestyle.cli.provenance import provenance
from tilestyle.config.enums import Init
from tilestyle.config.render import RenderConfig
from tilestyle.config.size import parse_size
from tilestyle.errors import PictureError, SettingError
from tilestyle.images import read_provenance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a content and a style."""
    for name, pixels in (("content.png", waves(60, 80)), ("style.png", waves(90, 70, 1))):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / name)
    return tmp_path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilestyle", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_render_writes_the_picture_and_what_made_it(folder: Path) -> None:
    words = ["render", "content.png", "--style", "style.png", "-o", "out.png", "--size", "96"]
    done = run(folder, *words, "--sweeps", "2", "--seed", "5", "--preview", "now.jpg", "-v")
    assert done.returncode == 0, done.stderr
    assert "wrote out.png: 96 x 72" in done.stderr
    assert "style" in done.stderr
    assert size_of(folder / "out.png") == size_of(folder / "now.jpg") == (96, 72)
    made = read_provenance(folder / "out.png")
    assert made is not None
    assert made["style"] == "style.png"
    assert made["settings"] == {"size": 96, "sweeps": 2, "seed": 5}
    shown = run_cli(folder, "info", "out.png")
    assert shown.returncode == 0, shown.stderr
    assert "--seed 5" in " ".join(shown.stdout.split())
    assert "96 x 72 pixels" in " ".join(shown.stdout.split())


def test_texture_makes_sixteen_bits(folder: Path) -> None:
    done = run_cli(
        folder,
        "texture",
        "style.png",
        "-o",
        "out.tif",
        "--size",
        "96x64",
        "--sweeps",
        "2",
        "--depth",
        "16",
        "-q",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == done.stdout == ""
    shown = run_cli(folder, "info", "out.tif")
    assert "96 x 64" in shown.stdout
    assert "16 bits" in shown.stdout


def test_info_describes_the_machine(folder: Path) -> None:
    done = run_cli(folder, "info")
    assert done.returncode == 0, done.stderr
    for word in ("torch", "device", "free", "network compact", "network wavelet", "network vgg19"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["render", "none.png", "-s", "style.png", "-o", "o.png"], "none.png"),
        (["render", "content.png", "-s", "style.png", "-o", "o.bmpp"], "unknown format"),
        (["render", "content.png", "-s", "style.png", "-o", "content.png/o.png"], "not a folder"),
        (["render", "broken.png", "-s", "style.png", "-o", "o.png"], "broken.png"),
        (["render", "content.png", "-s", "style.png", "-o", "o.png", "--size", "big"], "'big'"),
        (
            ["render", "content.png", "-s", "style.png", "-o", "o.png", "--style-layer", "relu4-1"],
            "did you mean",
        ),
        (["render", "content.png", "-s", "style.png", "-o", "o.png", "--depth", "12"], "invalid depth of 12"),
        (["render", "content.png", "-s", "style.png", "-o", "o.png", "--preview", "p.what"], "unknown format"),
        (["texture", "style.png", "-o", "o.png", "--init", "content"], "no content"),
        (["texture", "style.png", "-o", "o.jpg", "--size", "70000x100"], "65"),
    ],
)
def test_a_mistake_gets_one_line_and_code_2(
    folder: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert shown.startswith("tilestyle: ")
    assert message in shown
    assert shown.count("\n") == 1
    assert not (folder / "o.png").exists()


def test_debug_shows_where(folder: Path) -> None:
    words = ["render", "none.png", "-s", "style.png", "-o", "o.png"]
    with pytest.raises(PictureError):
        run_cli(folder, *words, "--debug")
    done = run_cli(folder, *words)
    assert (done.returncode, done.stderr) == (
        2,
        "tilestyle: content: there is no file none.png; check the path\n",
    )


def test_interrupted_it_still_writes_the_picture(folder: Path) -> None:
    words = ["render", "content.png", "-s", "style.png", "-o", "out.png", "--size", "256", "--preview", "p.png"]
    done = run_with_signal(folder, signal.SIGINT, SWEEP, 2, *words)
    assert done.returncode == 130, done.stderr
    assert "stopped at level" in done.stderr
    assert size_of(folder / "out.png") == (256, 192)


def test_help_needs_no_torch() -> None:
    code = "import sys, tilestyle.cli.app; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_sizes() -> None:
    assert parse_size(None) is None
    assert parse_size("2048") == 2048
    assert parse_size("3000x2000") == (3000, 2000)
    for wrong in ("", "x", "10x", "1x2x3", "-5", "0", "1.5"):
        with pytest.raises(SettingError, match="invalid size"):
            parse_size(wrong)


def test_layers_odds_and_beginnings() -> None:
    assert parse_layers(["a", "b=0.5"]) == {"a": 1.0, "b": 0.5}
    assert parse_layers(None) == {}
    assert parse_odds("0.9,0.1") == (0.9, 0.1)
    assert parse_init("noise") is Init.NOISE
    assert parse_init("noise.png") == Path("noise.png")
    with pytest.raises(SettingError, match="invalid weight"):
        parse_layers(["a=b"])
    with pytest.raises(SettingError, match="invalid weight"):
        parse_layers(["a="])
    with pytest.raises(SettingError, match="invalid style-blend"):
        parse_blend("")
    with pytest.raises(SettingError, match="invalid scale-odds"):
        parse_odds("some")


def test_no_folder_gets_into_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["tilestyle", "render", "home/me/a.png", "--style=home/me/b.png", "--style-layer", "first_1=0.5"]
    monkeypatch.setattr(sys, "argv", words)
    config = RenderConfig(init=parse_init("home/me/start.png"), weights=Path("home/me/w.pth"))
    made = provenance(Inputs([StyleFile(Path("home/me/b.png"))], Path("home/me/a.png")), config, {})
    assert "home" not in str(made)
    assert made["command"] == "tilestyle render a.png --style=b.png --style-layer first_1=0.5"
