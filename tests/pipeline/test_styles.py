"""Several styles in one picture."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.conftest import FEW, waves
from tests.support.cli import run_cli
from tilestyle import RenderConfig, render, texture
from tilestyle.cli.parsing import StyleFile, parse_styles
from tilestyle.config.enums import Precision
from tilestyle.errors import SettingError
from tilestyle.images import read_provenance
from tilestyle.losses.planes import region_weights
from tilestyle.losses.style_statistics import style_moments
from tilestyle.optim.initial import initial_pixels
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.inputs import Style
from tilestyle.stats.moments import Moments, mix_moments

CONTENT, ONE, OTHER = waves(60, 80), waves(70, 90, 1), 0.5 * waves(64, 50, 2)
QUICK: dict[str, Any] = {
    "size": 96,
    "sweeps": 3,
    "coarsest": 64,
    "patch": 64,
    "precision": Precision.FP32,
    **FEW,
}


def test_one_style_of_several_is_that_style_byte_for_byte() -> None:
    config = RenderConfig(**QUICK | {"size": 64, "coarsest": 48, "sweeps": 2})
    for blend, alone in (((1.0, 0.0), ONE), ((0.0, 2.0), OTHER)):
        blended = replace(config, style_blend=blend)
        assert np.array_equal(
            render(CONTENT, [ONE, OTHER], blended).pixels, render(CONTENT, alone, config).pixels
        )
        assert np.array_equal(texture([ONE, OTHER], blended).pixels, texture(alone, config).pixels)


def test_targets_are_means_of_the_styles_moments_by_weight() -> None:
    jobs = [prepare(style, RenderConfig(**QUICK), CONTENT) for style in (ONE, OTHER)]
    one, other = (style_moments(job, job.levels[-1])[0] for job in jobs)
    job = prepare([ONE, OTHER], RenderConfig(style_blend=(3.0, 1.0), **QUICK), CONTENT)
    (found,) = style_moments(job, job.levels[-1])
    for layer, moments in found.items():
        torch.testing.assert_close(moments.second, 0.75 * one[layer].second + 0.25 * other[layer].second)
        torch.testing.assert_close(moments.mean, 0.75 * one[layer].mean + 0.25 * other[layer].mean)
    equal = prepare([ONE, OTHER], RenderConfig(**QUICK), CONTENT)
    assert equal.styles[0].shares == equal.styles[1].shares == (0.5,)


def test_noise_has_the_colors_of_the_styles_in_proportion() -> None:
    red, blue = (torch.zeros(3, 80, 80) for _ in range(2))
    red[0], blue[2] = 1, 1
    job = prepare([red, blue], RenderConfig(style_blend=(0.8, 0.2), **QUICK))
    start = initial_pixels(job, job.levels[0], region_weights(job, job.levels[0]))
    assert float(start[0].mean()) == pytest.approx(0.8, abs=0.02)
    assert float(start[2].mean()) == pytest.approx(0.2, abs=0.02)


def test_weights_must_be_one_for_each_style() -> None:
    with pytest.raises(SettingError, match="3 weights for 2 styles"):
        render(CONTENT, [ONE, OTHER], RenderConfig(style_blend=(1, 1, 1), **QUICK))
    with pytest.raises(SettingError, match="style-blend cannot be"):
        RenderConfig(style_blend=(0.0, 0.0))
    with pytest.raises(SettingError, match="no style"):
        texture([], RenderConfig(**QUICK))


def test_a_colon_in_a_name_is_no_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "a:b.png", "a.png:b.png.png"):
        Path(name).write_bytes(b"")
    wanted = {
        "a.png": StyleFile(Path("a.png")),
        "a:b.png": StyleFile(Path("a:b.png")),
        "a.png:b.png": StyleFile(Path("a.png"), Path("b.png")),
        "a:b.png:b.png": StyleFile(Path("a:b.png"), Path("b.png")),
        "a.png:#ff0000": StyleFile(Path("a.png"), "#ff0000"),
        "a.png:none.png": StyleFile(Path("a.png"), Path("none.png")),
        "C:\\pictures\\a.png": StyleFile(Path("C:\\pictures\\a.png")),
    }
    assert parse_styles(list(wanted)) == list(wanted.values())


def test_the_command_line_blends(tmp_path: Path) -> None:
    for name, pixels in (("content.png", CONTENT), ("a.png", ONE), ("b.png", OTHER)):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / name)
    common = ["--size", "64", "--sweeps", "1"]
    words = ["render", "content.png", "-s", "a.png", "-s", "b.png", "-o", "o.png", "--style-blend", "0.3,0.7"]
    done = run_cli(tmp_path, *words, *common)
    assert done.returncode == 0, done.stderr
    made = read_provenance(tmp_path / "o.png")
    assert made is not None
    assert made["style"] == ["a.png", "b.png"]
    assert made["settings"] == {"size": 64, "sweeps": 1, "seed": 0, "style_blend": [0.3, 0.7]}
    done = run_cli(tmp_path, "texture", "a.png", "b.png", "-o", "t.png", *common)
    assert done.returncode == 0, done.stderr
    done = run_cli(
        tmp_path, "render", "content.png", "-s", "a.png", "-o", "p.png", "--style-blend", "1,2", *common
    )
    assert done.returncode == 2
    assert "2 weights for 1 style" in done.stderr


@pytest.mark.parametrize("guided", [False, True])
def test_a_turned_style_is_as_its_turns_together(guided: bool) -> None:
    picture = waves(96, 128, 3)
    mask = np.zeros((96, 128, 3), np.uint8)
    mask[:, 30:] = 255

    def seen(pixels: Tensor, *, turn_style: bool, turn: int = 0) -> Mapping[str, Moments]:
        style = Style(pixels, np.ascontiguousarray(np.rot90(mask, turn)) if guided else None)
        settings = {**QUICK, "size": (128, 96), "mask": mask if guided else None}
        task = prepare(style, RenderConfig(turn_style=turn_style, **settings))
        return style_moments(task, task.levels[-1])[-1]

    found = seen(picture, turn_style=True)
    turns = [seen(picture.rot90(turn, (1, 2)), turn_style=False, turn=turn) for turn in range(4)]
    for layer, moments in found.items():
        expected = mix_moments([each[layer] for each in turns], [each[layer].count for each in turns])
        assert moments.count == pytest.approx(expected.count)
        torch.testing.assert_close(moments.second, expected.second, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found["first_1"].second, turns[0]["first_1"].second, rtol=0.01)
