"""Outputs that are write-protected, and pictures that `info` describes and a render refuses."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli

SMALL = ("--size=64", "--sweeps=1", "--precision=fp32", "--network=wavelet", "--style-layer=first_1")
TEXTURE = ("texture", "style.png", *SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture."""
    pixels = (waves(48, 64).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "style.png")
    return tmp_path


OUTPUTS: dict[str, tuple[str, ...]] = {
    "out.png": (*TEXTURE, "-o", "out.png"),
    "out.tif": (*TEXTURE, "-o", "out.tif"),
    "out.dzi": (*TEXTURE, "-o", "out.dzi"),
    "now.jpg": (*TEXTURE, "-o", "o.png", "--preview", "now.jpg"),
    "f.mp4": (*TEXTURE, "-o", "o.png", "--film", "f.mp4"),
    "s.toml": (*TEXTURE, "-o", "o.png", "--save-config", "s.toml"),
    "sheet.png": ("sheet", "style.png", "--style", "style.png", "-o", "sheet.png", *SMALL),
    "seen.png": ("preview", "style.png", "--style", "style.png", "-o", "seen.png", *SMALL),
    "high.png": ("upscale", "style.png", "--reference", "style.png", "-o", "high.png", "--factor", "2"),
    "beside.png": (
        *("upscale", "style.png", "--reference", "style.png", "-o", "o.png", "--factor", "2"),
        *("--sheet", "beside.png"),
    ),
    "zoom.mp4": ("zoom", "style.png", "-o", "z", "--film", "zoom.mp4", "--steps", "1"),
    "drift.mp4": ("drift", "style.png", "-s", "style.png", "-o", "d", "--film", "drift.mp4", "--cycles", "1"),
}


@pytest.mark.parametrize("protected", [0o444, 0o644], ids=["read-only", "another's"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_protected_file_is_not_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, protected: int
) -> None:
    if name.endswith(".mp4"):
        pytest.importorskip("av")
    file = folder / name
    file.write_bytes(b"mine")
    file.chmod(protected)
    access = os.access

    def answered(path: Any, mode: int, **named: Any) -> bool:
        """As to another user, also where the tests are root's."""
        return not (Path(path).name == name and mode & os.W_OK) and access(path, mode, **named)

    if protected == 0o644:
        monkeypatch.setattr(os, "access", answered)
    done = run_cli(folder, *OUTPUTS[name])
    assert done.returncode == 2
    assert re.match(rf"tilestyle: [\w-]+: {re.escape(name)} is write-protected; ", done.stderr)
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == b"mine"
    assert not list(folder.glob("*.work"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_info_says_why_a_render_would_refuse(folder: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = folder / f"cut{suffix}"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[: round(share * file.stat().st_size)])
    refused = run_cli(folder, "render", file.name, "--style", "style.png", "-o", "out.png", *SMALL)
    told = run_cli(folder, "info", file.name)
    assert refused.returncode == told.returncode == 2
    # A render says what the file is for, too; a reader's own words may differ.
    reasons = [done.stderr.replace("content: ", "").partition(" (")[0] for done in (refused, told)]
    assert reasons[0] == reasons[1]
    assert reasons[0].startswith(f"tilestyle: {file.name} ")
    assert told.stderr.count("\n") == 1
