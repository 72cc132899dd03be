"""Super-resolution: agreement with the input, detail that interpolation does not have."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_app import folder  # noqa: F401
from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.config.enums import Precision
from tilestyle.config.render import UPSCALE_DEFAULTS
from tilestyle.errors import SettingError
from tilestyle.images import read_provenance
from tilestyle.losses.anchor import box_downsample
from tilestyle.pictures import picture_path
from tilestyle.recipes.upscale import (
    back_project,
    downsampled_psnr,
    interpolation_baselines,
    lanczos_upsample,
    upscale,
)


def energy(pixels: torch.Tensor) -> float:
    """Of what is finer than two pixels."""
    return float((pixels - torch.nn.functional.avg_pool2d(pixels, 3, 1, 1))[:, 4:-4, 4:-4].square().mean())


def test_a_picture_gets_detail_and_agrees_with_what_it_was() -> None:
    with Image.open(picture_path("swirls")) as image:
        painted = torch.from_numpy(np.asarray(image.convert("RGB")) / np.float32(255)).permute(2, 0, 1)
    truth, reference = painted[:, 100:228, 100:228], painted[:, 300:460, 500:660]
    low = box_downsample(truth, 4)
    config = replace(UPSCALE_DEFAULTS, sweeps=10, precision=Precision.FP32)
    made = upscale(low, reference, 4, config)
    assert made.rendered_psnr > 25
    assert made.psnr > 38
    found = torch.from_numpy(made.picture.pixels).permute(2, 0, 1)
    assert downsampled_psnr(found, low) == pytest.approx(made.psnr)
    bicubic = torch.from_numpy(interpolation_baselines(low, 4)["bicubic"].pixels).permute(2, 0, 1)
    assert energy(found) > 4 * energy(bicubic)
    assert energy(found) < 2 * energy(truth)
    squares = found.diff(dim=2).abs().mean((0, 1))  # at the edges of the input's pixels, and elsewhere
    assert squares[3::4].mean() < 1.1 * torch.cat([squares[0::4], squares[1::4], squares[2::4]]).mean()
    with pytest.raises(SettingError, match="enlargement"):
        upscale(low, reference, 1, config)


def test_projection_and_lanczos() -> None:
    high = waves(48, 64)
    low = box_downsample(waves(48, 64, 2), 4)
    assert downsampled_psnr(high, low) < 20
    assert downsampled_psnr(back_project(high, low, 4), low) > 38
    smooth = waves(200, 240, 3)[:, 50:150, 60:180]
    ramp = torch.linspace(0, 1, 40).expand(3, 30, 40)
    assert lanczos_upsample(smooth, 2).shape == (3, 200, 240)
    assert float(lanczos_upsample(ramp, 4)[:, :, 20:-20].diff(dim=2).mean()) == pytest.approx(
        1 / 39 / 4, rel=0.01
    )


def test_the_command(folder: Path) -> None:  # noqa: F811
    with Image.open(folder / "content.png") as image:
        image.resize((64, 48)).save(folder / "low.png")
    words = ["upscale", "low.png", "--reference", "style.png", "-o", "high.png", "--factor", "2"]
    words += ["--sweeps", "3", "--checkpoint-every", "0"]
    done = run_cli(folder, *words, "--sheet", "sheet.png")
    assert done.returncode == 0, done.stderr
    assert "wrote high.png: 128 x 96" in done.stderr
    assert "averaged down, it agrees with low.png to" in done.stderr
    made = read_provenance(folder / "high.png")
    assert made is not None
    assert made["style"] == "style.png"
    with Image.open(folder / "sheet.png") as image:
        assert image.size == (3 * 128 + 2 * 4, 96)
    expected = (folder / "high.png").read_bytes()
    answers = iter([False, False, False, True])
    with mock.patch(
        "tilestyle.cli.display.stop_on_interrupt",
        lambda **_: contextlib.nullcontext(lambda: next(answers, True)),
    ):
        stopped = run_cli(folder, *words, "--overwrite")
    assert stopped.returncode == 130, stopped.stderr
    assert "stopped at level" in stopped.stderr
    assert (folder / "high.png").read_bytes() != expected
    done = run_cli(folder, "resume", "high.png.work")
    assert done.returncode == 0, done.stderr
    assert "continuing at level" in done.stderr
    with Image.open(folder / "high.png") as image, Image.open(io.BytesIO(expected)) as first:
        assert image.tobytes() == first.tobytes()
    assert not (folder / "high.png.work").exists()
