"""The VGG networks: their arithmetic is torchvision's, and a file that does not fit is told why."""

from __future__ import annotations

import math
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tilestyle.config.enums import NetworkName, Pooling
from tilestyle.errors import LayerError, NetworkError
from tilestyle.networks.random_vgg import random_vgg, repeat_channels
from tilestyle.networks.vgg import BLOCKS, Convolution, Vgg, convolution_keys, layer_names
from tilestyle.networks.vgg_files import cached_file, downloaded_file
from tilestyle.networks.vgg_weights import MEAN, STD, load_vgg

COMPACT, VGG16, VGG19 = NetworkName.COMPACT, NetworkName.VGG16, NetworkName.VGG19
CPU = torch.device("cpu")
WIDTHS = (8, 12, 16, 20, 24)
State = dict[str, Tensor]


def state_dict(name: NetworkName, seed: int = 0) -> State:
    """Random weights of narrow layers under torchvision's keys."""
    generator = torch.Generator().manual_seed(seed)
    state, channels = {}, 3
    for layer, key in convolution_keys(name).items():
        width = WIDTHS[int(layer[4]) - 1]
        weight = torch.randn(width, channels, 3, 3, generator=generator)
        state[f"{key}.weight"] = weight * math.sqrt(2 / (9 * channels))
        state[f"{key}.bias"] = torch.randn(width, generator=generator) / 10
        channels = width
    return state


def noise(side: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, side, side, generator=generator, dtype=torch.float64)


def torchvision_features(name: NetworkName, state: State, pixels: Tensor) -> dict[str, Tensor]:
    """What torchvision's own modules make of a normalized picture, every layer."""
    from torchvision.models.vgg import make_layers

    table: list[str | int] = []
    for count, width in zip(BLOCKS[name], WIDTHS, strict=True):
        table += [*[width] * count, "M"]
    modules = make_layers(table).double()
    if name is COMPACT:
        kept = [torch.nn.AvgPool2d(2) if isinstance(each, torch.nn.MaxPool2d) else each for each in modules]
        modules = torch.nn.Sequential(*kept)
    modules.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    mean, deviation = torch.tensor([MEAN, STD], dtype=torch.float64)[:, :, None, None]
    values = (pixels - mean) / deviation
    found = {}
    with torch.no_grad():
        for layer, module in zip(layer_names(name), modules, strict=True):
            values = module(values.clone())
            found[layer] = values
    return found


def positive(name: NetworkName) -> Vgg:
    """A network whose rectifiers let everything through, so that every pixel a cell can see counts."""
    narrow = random_vgg(name, width_divisor=16).to(CPU, torch.float64)
    parts = {
        layer: Convolution(part.weight.abs(), torch.ones_like(part.bias))
        for layer, part in narrow.convolutions.items()
    }
    return Vgg(name, parts, Pooling.AVERAGE)


DECLARED = {
    (VGG19, "relu1_1"): (3, 1),
    (VGG19, "relu2_1"): (10, 2),
    (VGG19, "relu3_1"): (24, 4),
    (VGG19, "relu4_1"): (68, 8),
    (VGG19, "relu4_2"): (84, 8),
    (VGG19, "pool4"): (124, 16),
    (VGG19, "relu5_1"): (156, 16),
    (VGG16, "relu3_3"): (40, 4),
    (VGG16, "relu4_2"): (76, 8),
    (VGG16, "relu5_1"): (132, 16),
    (COMPACT, "relu3_3"): (40, 4),
    (COMPACT, "relu4_1"): (60, 8),
    (COMPACT, "relu5_1"): (116, 16),
}


@pytest.mark.parametrize(("name", "layer"), DECLARED)
def test_stride_and_receptive_field_are_the_declared(name: NetworkName, layer: str) -> None:
    network = positive(name)
    described = network.layers[layer]
    assert (described.receptive_field, described.stride) == DECLARED[name, layer]
    side = described.receptive_field + 4 * described.stride
    side += -side % (2 * described.stride)
    pixels = noise(side).requires_grad_()
    cells = network.features(pixels, [layer])[layer]
    assert cells.shape == (1, described.channels, side // described.stride, side // described.stride)
    middle = side // described.stride // 2
    (gradient,) = torch.autograd.grad(cells[0, :, middle, middle].sum(), pixels)
    center = described.stride * middle + (described.stride - 1) / 2
    for dims in ((0, 1, 3), (0, 1, 2)):
        seen = gradient.abs().sum(dims).nonzero()[:, 0]
        assert len(seen) == described.receptive_field
        assert seen.double().mean().item() == center


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", [COMPACT, VGG16, VGG19])
def test_features_are_those_of_torchvision_away_from_the_edge(
    name: NetworkName, suffix: str, tmp_path: Path
) -> None:
    state = state_dict(name)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"epoch": 3, "state_dict": state | {"classifier.0.bias": torch.zeros(4)}}, file)
    else:
        save_file(state, file)
    network = load_vgg(name, file).to(CPU, torch.float64)
    pixels = noise(320)
    wanted = torchvision_features(name, state, pixels)
    found = network.features(pixels, list(network.layers))
    assert list(found) == list(wanted)
    for layer, described in network.layers.items():
        margin = described.receptive_field // (2 * described.stride) + 1
        inner = slice(margin, 320 // described.stride - margin)
        expected = wanted[layer][:, :, inner, inner]
        torch.testing.assert_close(found[layer][:, :, inner, inner], expected, rtol=1e-5, atol=1e-5)


def test_the_first_layer_continues_the_picture_beyond_its_edge() -> None:
    network = random_vgg(VGG19, width_divisor=8)
    cells = network.features(torch.full((1, 3, 32, 32), 0.3), ["relu1_1"])["relu1_1"]
    torch.testing.assert_close(cells, cells[:, :, :1, :1].expand_as(cells))


def test_a_convolution_and_its_rectified_are_both_right_when_both_are_wanted() -> None:
    network = random_vgg(VGG19, width_divisor=16)
    pixels = noise(64).float().requires_grad_()
    both = network.features(pixels, ["relu4_2", "conv4_2"])
    assert list(both) == ["relu4_2", "conv4_2"]
    assert both["conv4_2"].min() < 0
    torch.testing.assert_close(both["conv4_2"].relu(), both["relu4_2"])
    for layer in ("relu4_2", "conv4_2"):
        (wanted,) = torch.autograd.grad(network.features(pixels, [layer])[layer].square().sum(), pixels)
        (found,) = torch.autograd.grad(both[layer].square().sum(), pixels, retain_graph=True)
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("pooling", Pooling)
def test_the_gradient_is_the_numerical_one(pooling: Pooling) -> None:
    network = random_vgg(VGG19, width_divisor=16).to(CPU, torch.float64)
    network = Vgg(VGG19, network.convolutions, pooling)
    pixels, direction = noise(32).requires_grad_(), noise(32, seed=1) - 0.5

    def energy(picture: Tensor) -> Tensor:
        cells = network.features(picture, ["relu1_1", "conv3_2", "pool3", "relu4_2"])
        return torch.stack([cell.square().mean() for cell in cells.values()]).sum()

    (gradient,) = torch.autograd.grad(energy(pixels), pixels)
    step = 1e-7
    with torch.no_grad():
        rise = energy(pixels + step * direction) - energy(pixels - step * direction)
    torch.testing.assert_close((gradient * direction).sum(), rise / (2 * step), rtol=1e-5, atol=1e-9)


def test_poolings_differ_and_agree_on_a_flat_picture() -> None:
    largest = random_vgg(VGG19, width_divisor=16)
    average = Vgg(VGG19, largest.convolutions, Pooling.AVERAGE)
    flat, rough = torch.full((1, 3, 16, 16), 0.6), noise(16).float()
    torch.testing.assert_close(
        largest.features(flat, ["pool1"])["pool1"][:, :, 1:-1, 1:-1],
        average.features(flat, ["pool1"])["pool1"][:, :, 1:-1, 1:-1],
    )
    assert (largest.features(rough, ["pool1"])["pool1"] > average.features(rough, ["pool1"])["pool1"]).any()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("relu4_1", "relu4_1"),
        ("ReLU4_1", "relu4_1"),
        ("conv4_2", "conv4_2"),
        ("block4_conv2", "relu4_2"),
        ("block3_pool", "pool3"),
        ("pool3", "pool3"),
        ("features.0", "conv1_1"),
        ("features.22", "relu4_2"),
        ("features.36", "pool5"),
    ],
)
def test_layers_go_by_several_names(given: str, meant: str) -> None:
    assert random_vgg(VGG19, width_divisor=32).resolve_layer_name(given) == meant


@pytest.mark.parametrize("given", ["relu4-1", "features.37", "features.x", "block9_conv1", "relu9_1", ""])
def test_an_unknown_layer_is_refused(given: str) -> None:
    with pytest.raises(LayerError, match="network vgg19 has no layer"):
        random_vgg(VGG19, width_divisor=32).resolve_layer_name(given)


def test_an_unknown_layer_is_named_with_its_neighbor() -> None:
    with pytest.raises(LayerError, match="did you mean 'relu4_1'"):
        random_vgg(VGG19, width_divisor=32).resolve_layer_name("relu4-1")


def test_cost_is_arithmetic_on_shapes() -> None:
    network = random_vgg(VGG19)
    kernels = [9 * (3 * 64 + 64 * 64), 9 * (64 * 128 + 128**2) // 4, 9 * (128 * 256 + 3 * 256**2) // 16]
    kernels += [9 * (256 * 512 + 3 * 512**2) // 64, 9 * 512**2 // 256]
    assert network.multiply_adds_per_pixel(["relu5_1", "relu1_1"]) == sum(kernels) == 361_152
    assert network.multiply_adds_per_pixel(["conv1_1"]) == 9 * 3 * 64
    average = Vgg(VGG19, network.convolutions, Pooling.AVERAGE)
    # relu1_1 and its cotangent, the gradient before and after its rectifier.
    assert average.bytes_per_pixel(["relu1_1"], torch.float32) == pytest.approx(1.1 * 4 * 4 * 64)
    for layers in (["relu1_1"], list(network.style_layers)):
        whole, half = (average.bytes_per_pixel(layers, dtype) for dtype in (torch.float32, torch.bfloat16))
        assert whole == pytest.approx(2 * half)
    # Max pooling remembers where: eight bytes for each of 64/4 + 128/16 + 256/64 answers, before the
    # fourth block, where the peak is.
    style = list(network.style_layers)
    more = [each.bytes_per_pixel(style, torch.float32) for each in (average, network)]
    assert more[1] - more[0] == pytest.approx(1.1 * 8 * 28)


def test_a_widened_network_answers_the_same_features_repeated() -> None:
    network = random_vgg(VGG19, width_divisor=16)
    wide = repeat_channels(network, 3)
    pixels = noise(64).float()
    for layer in ("relu1_1", "conv3_2", "relu5_1"):
        cells = network.features(pixels, [layer])[layer]
        torch.testing.assert_close(
            wide.features(pixels, [layer])[layer], cells.repeat(1, 3, 1, 1), rtol=1e-4, atol=1e-5
        )
        assert wide.layers[layer].channels == 3 * network.layers[layer].channels


def test_random_weights_follow_their_seed() -> None:
    first, again, other = (random_vgg(VGG16, seed, 16).convolutions["conv1_1"].weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_network_ends_where_its_weights_end(tmp_path: Path) -> None:
    state = state_dict(VGG19)
    short = {key: value for key, value in state.items() if int(key.split(".")[1]) <= 19}  # to conv4_1
    save_file(short | {"to_vgg19.relu1_1.bias": torch.zeros(64)}, tmp_path / "short.safetensors")
    network = load_vgg(VGG19, tmp_path / "short.safetensors")
    assert list(network.layers)[-1] == "relu4_1"
    assert list(network.style_layers) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    assert network.content_layers == {"relu4_1": 1.0}
    with pytest.raises(LayerError, match="no layer 'relu5_1'"):
        network.resolve_layer_name("relu5_1")


def test_half_precision_files_and_bfloat16_networks_work(tmp_path: Path) -> None:
    save_file({key: value.half() for key, value in state_dict(VGG19).items()}, tmp_path / "half.safetensors")
    network = load_vgg(VGG19, tmp_path / "half.safetensors")
    assert network.dtype is torch.float32
    small = network.to(CPU, torch.bfloat16)
    assert small.dtype is torch.bfloat16
    pixels = noise(64).bfloat16().requires_grad_()
    cells = small.features(pixels, list(small.style_layers))
    (gradient,) = torch.autograd.grad([cell.sum() for cell in cells.values()], pixels)
    assert gradient.dtype is torch.bfloat16
    assert gradient.isfinite().all()


def without(key: str) -> Callable[[State], State]:
    return lambda state: {other: value for other, value in state.items() if other != key}


def having(key: str, value: Tensor) -> Callable[[State], State]:
    return lambda state: state | {key: value}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (without("features.5.weight"), "does not contain 'features.5.weight'"),
        (without("features.34.bias"), "does not contain 'features.34.bias'"),
        (having("features.5.weight", torch.zeros(12, 8, 5, 5)), "has shape [12, 8, 5, 5] instead of"),
        (having("features.5.weight", torch.zeros(12, 9, 3, 3)), "instead of [12, 8, 3, 3]"),
        (having("features.5.weight", torch.zeros(())), "'features.5.weight' has shape []"),
        (having("features.7.bias", torch.zeros(13)), "'features.7.bias' has shape [13] instead of [12]"),
        (having("features.0.bias", torch.full((8,), math.nan)), "'features.0.bias' contains NaN"),
        (having("features.0.bias", torch.zeros(8).int()), "'features.0.bias' is torch.int32"),
        (having("features.1.running_mean", torch.zeros(8)), "without batch normalization"),
        (lambda state: state_dict(VGG16), "contains vgg16, not vgg19; use --network vgg16 with it"),
        (lambda state: {"net.0.weight": torch.zeros(1)}, "does not contain 'features.0.weight'"),
    ],
)
def test_what_does_not_fit_is_named(change: Callable[[State], State], line: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(change(state_dict(VGG19)), file)
    with pytest.raises(NetworkError) as caught:
        load_vgg(VGG19, file)
    assert line in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04" + bytes(99), bytes(500)])
def test_a_file_of_something_else_is_one_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(NetworkError) as caught:
        load_vgg(VGG19, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_cut_off_is_one_line(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state_dict(VGG19), file)
    else:
        save_file(state_dict(VGG19), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(NetworkError, match="is damaged or has no weights"):
        load_vgg(VGG19, file)


@pytest.mark.parametrize("found", [[1, 2], 3, {"state_dict": 3}, {3: torch.zeros(1)}])
def test_a_file_of_other_objects_holds_no_weights(found: object, tmp_path: Path) -> None:
    torch.save(found, tmp_path / "weights.pth")
    with pytest.raises(NetworkError, match=r"does not contain 'features\.0\.weight'"):
        load_vgg(VGG19, tmp_path / "weights.pth")


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        with pytest.raises(NetworkError, match="weights: there is no file"):
            load_vgg(VGG19, tmp_path / f"none{suffix}")
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(NetworkError, match="folder"):
            load_vgg(VGG19, tmp_path / f"folder{suffix}")


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", [VGG16, VGG19])
def test_the_cached_file_is_where_torchvision_puts_it(name: NetworkName, torch_home: Path) -> None:
    from torchvision.models import VGG16_Weights, VGG19_Weights

    source = {VGG16: VGG16_Weights, VGG19: VGG19_Weights}[name].IMAGENET1K_V1
    assert cached_file(name) == torch_home / "hub" / "checkpoints" / source.url.rpartition("/")[2]
    assert downloaded_file(name) is None
    cached_file(name).parent.mkdir(parents=True)
    torch.save(state_dict(name), cached_file(name))
    assert downloaded_file(name) == cached_file(name)
    assert load_vgg(name).layers["relu5_1"].channels == WIDTHS[4]


def failing(error: Exception) -> Callable[..., State]:
    def load(*_arguments: object, **_settings: object) -> State:
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            urllib.error.URLError("Name or service not known"),
            [
                "cannot download",
                "(Name or service not known)",
                "connect to the internet once",
                "--weights FILE",
                "omit --network",
                "checkpoints",
            ],
        ),
        (ConnectionResetError("reset by peer"), ["cannot download", "reset by peer"]),
        (OSError(28, "No space left on device"), ["cannot save", "No space left on device", "TORCH_HOME"]),
        (RuntimeError('invalid hash value (expected "a", got "b")'), ["are damaged", "try again"]),
    ],
)
def test_a_download_that_fails_says_what_to_do(
    error: Exception, lines: list[str], torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", failing(error))
    with pytest.raises(NetworkError) as caught:
        load_vgg(VGG19)
    message = str(caught.value)
    assert "\n" not in message
    for line in lines:
        assert line in message


def test_a_download_is_loaded_and_keeps_the_standard_output_clean(
    torch_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(url: str, **_settings: object) -> State:
        sys.stdout.write(f"Downloading {url}")
        return state_dict(VGG19) | {"classifier.0.bias": torch.zeros(4)}

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    assert load_vgg(VGG19).content_layers == {"relu4_2": 1.0}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Downloading" in captured.err


def test_a_damaged_cached_file_is_to_be_deleted(torch_home: Path) -> None:
    cached_file(VGG19).parent.mkdir(parents=True)
    cached_file(VGG19).write_bytes(b"half of it")
    with pytest.raises(NetworkError) as caught:
        load_vgg(VGG19)
    assert f"delete {cached_file(VGG19)}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_compact_network_loads(assets: Path) -> None:
    file = assets / "weights" / "vgg19_slim.safetensors"
    network = load_vgg(VGG19, file)
    assert list(network.layers)[-1] == "relu5_1"
    assert [network.layers[layer].channels for layer in network.style_layers] == [16, 32, 64, 128, 128]
    with pytest.raises(NetworkError, match="contains vgg19, not vgg16"):
        load_vgg(VGG16, file)
