"""The training of `compact`: its parts, and the whole course on a few small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from tests.conftest import waves
from tilestyle.config.enums import NetworkName
from tilestyle.errors import NetworkError, OutputError, PictureError
from tilestyle.networks.random_vgg import WIDTHS, random_vgg
from tilestyle.networks.vgg import convolution_keys
from tilestyle.networks.vgg_weights import load_vgg
from tilestyle.training import distillation, export, student
from tilestyle.training.channel_selection import select_greedily
from tilestyle.training.crops import CropStream, pictures_in
from tilestyle.training.gradient_descent import DescentSettings

COMPACT = NetworkName.COMPACT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures."""
    path = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        pixels = (waves(96, 80, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(path / f"{seed}.png")
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG-16 of random weights in an eighth of its width."""
    network = random_vgg(NetworkName.VGG16, width_divisor=8)
    tensors = {}
    for name, key in convolution_keys(NetworkName.VGG16).items():
        part = network.convolutions[name]
        tensors[f"{key}.weight"], tensors[f"{key}.bias"] = part.weight.contiguous(), part.bias
    file = tmp_path_factory.mktemp("teacher") / "vgg16.safetensors"
    save_file(tensors, file)
    return file


def test_a_course_is_the_same_each_time_and_goes_on_where_it_was_cut(
    tmp_path: Path, folder: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "WIDTHS", (6, 8, 10, 12, 12))
    monkeypatch.setattr(student, "COMPONENTS", dict.fromkeys(student.TAPS, 4))
    monkeypatch.setattr("tilestyle.training.channel_selection.COMPONENTS", dict.fromkeys(student.TAPS, 4))
    monkeypatch.setattr(distillation, "SAVE_EVERY", 1)
    asked = distillation.DistillationConfig(
        (folder,), (folder,), side=32, batches=3, descent=DescentSettings(steps=3, batch=2, kept=4)
    )
    said: list[str] = []
    for name in ("one", "two"):
        setup = distillation.DistillationPaths(
            teacher, tmp_path / name, tmp_path / f"{name}.safetensors", torch.device("cpu")
        )
        distillation.distill(asked, setup, said.append)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    distillation.distill(asked, setup, said.append)  # nothing is left to do
    assert "resuming at step 3" in said
    with safe_open(tmp_path / "one.safetensors", "pt") as stored:
        facts = json.loads(stored.metadata()["tilestyle"])
    assert facts["pictures"] == {"photographs": 3, "paintings": 4}
    assert "vgg16.safetensors (SHA-256 " in facts["teacher"]
    made = load_vgg(COMPACT, tmp_path / "one.safetensors")
    assert made.layers["relu4_1"].channels == 12
    assert torch.isfinite(made.features(waves(32, 32)[None], ["relu5_1"])["relu5_1"]).all()


def test_the_file_answers_as_the_network_that_was_trained(tmp_path: Path) -> None:
    weights = {name: (part.weight, part.bias) for name, part in random_vgg(COMPACT).convolutions.items()}
    export.write_weights(weights, tmp_path / "x.safetensors", {})
    pixels = waves(64, 48)[None]
    expected = student.student_network(weights).features(pixels, student.TAPS)
    found = load_vgg(COMPACT, tmp_path / "x.safetensors").features(pixels, student.TAPS)
    for layer in student.TAPS:
        torch.testing.assert_close(found[layer], expected[layer], rtol=0.02, atol=0.01)


def test_factors_of_channels_leave_the_network_what_it_is() -> None:
    weights = {name: (part.weight, part.bias) for name, part in random_vgg(COMPACT).convolutions.items()}
    generator = torch.Generator().manual_seed(0)
    factors = {name: torch.rand(len(bias), generator=generator) + 0.5 for name, (_, bias) in weights.items()}
    pixels = waves(32, 48)[None]
    before = student.student_network(weights).features(pixels, student.TAPS)
    after = student.student_network(student.scale_channels(weights, factors)).features(pixels, student.TAPS)
    for layer in student.TAPS:
        factor = factors[layer.replace("relu", "conv")][:, None, None]
        torch.testing.assert_close(after[layer], before[layer] * factor, rtol=1e-3, atol=1e-5)


def test_channels_that_say_the_same_are_chosen_once() -> None:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    cells = torch.cat([cells, cells * 3], 1)
    assert sorted((select_greedily(cells.T @ cells, 4) % 4).tolist()) == [0, 1, 2, 3]


def test_crops_are_pictures_and_the_same_for_a_seed(folder: Path) -> None:
    groups = [(0.7, pictures_in([folder])), (0.3, pictures_in([folder]))]
    one, other = (CropStream(groups, 48, 3).batch(20) for _ in range(2))
    assert one.shape == (20, 3, 48, 48)
    assert torch.equal(one, other)
    assert one.min() >= -0.02
    assert one.max() <= 1.02


def test_what_is_missing_is_said(tmp_path: Path, folder: Path, teacher: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match="no pictures"):
        pictures_in([tmp_path / "empty"])
    (tmp_path / "file").touch()
    setup = distillation.DistillationPaths(teacher, tmp_path / "file", tmp_path / "x", torch.device("cpu"))
    with pytest.raises(OutputError, match="cannot create the folder"):
        distillation.distill(
            distillation.DistillationConfig((folder,), (folder,), side=32, batches=1), setup, print
        )
    for name in ("gone.safetensors", "gone.onnx"):
        with pytest.raises(NetworkError):
            distillation.distill(
                distillation.DistillationConfig((folder,), (folder,)),
                distillation.DistillationPaths(tmp_path / name, tmp_path, tmp_path / "x", torch.device("cpu")),
                print,
            )


def test_the_weights_that_ship_are_whole() -> None:
    network = load_vgg(COMPACT)
    assert tuple(network.layers[f"relu{block}_1"].channels for block in range(1, 6)) == WIDTHS[COMPACT]
    assert list(network.style_layers) == ["relu1_1", *student.TAPS]
    with safe_open(Path(load_vgg.__code__.co_filename).with_name("compact.safetensors"), "pt") as stored:
        facts = json.loads(stored.metadata()["tilestyle"])
    assert {"teacher", "seed", "pictures", "widths"} <= set(facts)
