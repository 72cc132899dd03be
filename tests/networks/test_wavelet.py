"""The wavelet network: its arithmetic is the one it declares."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tilestyle.canvas.canvas import pyramid_reduce
from tilestyle.errors import LayerError
from tilestyle.geometry.boxes import Box
from tilestyle.networks import wavelet
from tilestyle.networks.wavelet import WaveletNetwork
from tilestyle.networks.wavelet_filters import detail_filters, gabor_pairs, stroke_pairs

DOUBLE = WaveletNetwork().to(torch.device("cpu"), torch.float64)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", DOUBLE.layers)
def test_stride_and_receptive_field_are_the_declared(name: str) -> None:
    layer = DOUBLE.layers[name]
    side = layer.receptive_field + 4 * layer.stride
    side += -side % 64
    pixels = noise(side, side).requires_grad_()
    cells = DOUBLE.features(pixels, [name])[name]
    assert cells.shape == (1, layer.channels, side // layer.stride, side // layer.stride)
    middle = side // layer.stride // 2
    weights = torch.linspace(1.0, 2.0, layer.channels, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((cells[0, :, middle, middle] * weights).sum(), pixels)
    rows = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0]
    columns = gradient.abs().sum((0, 1, 2)).nonzero()[:, 0]
    center = layer.stride * middle + (layer.stride - 1) / 2
    for found in (rows, columns):
        assert len(found) == layer.receptive_field
        assert found.double().mean().item() == center


@pytest.mark.parametrize("name", DOUBLE.layers)
def test_a_shifted_picture_has_shifted_features(name: str) -> None:
    layer = DOUBLE.layers[name]
    margin = layer.receptive_field // (2 * layer.stride) + 1
    side = (2 * margin + 4) * layer.stride
    side += -side % 64
    pixels = noise(side + 64, side)
    upper = DOUBLE.features(pixels[:, :, :side], [name])[name]
    whole = DOUBLE.features(pixels, [name])[name]
    lower = DOUBLE.features(pixels[:, :, 64:], [name])[name]
    shift = 64 // layer.stride
    inner = slice(margin, -margin)
    torch.testing.assert_close(whole[:, :, :-shift][:, :, inner], upper[:, :, inner])
    torch.testing.assert_close(whole[:, :, shift:][:, :, inner], lower[:, :, inner])


def test_octaves_answer_the_same_on_the_reduced_picture() -> None:
    picture = noise(640, 704)[0]
    octaves = DOUBLE.scale_groups(DOUBLE.layers)
    assert set(octaves) == {1, 4}
    assert octaves[1].keys() | octaves[4].keys() == DOUBLE.layers.keys()
    assert all(layer == name for layer, name in octaves[1].items())
    from_near = DOUBLE.features(picture[None], octaves[4])
    small = pyramid_reduce(picture, Box(0, 0, 640, 704), 4)
    from_afar = DOUBLE.features(small[None], octaves[4].values())
    for layer, name in octaves[4].items():
        border = DOUBLE.layers[layer].receptive_field // (2 * DOUBLE.layers[layer].stride) + 1
        inside = (..., slice(border, -border), slice(border, -border))
        near, far = from_near[layer][inside], from_afar[name][inside]
        assert near.shape == far.shape and near.numel()
        torch.testing.assert_close(near, far)


BANKS = {
    "gabor_pairs": gabor_pairs(8, 12, 4.5, 2.0, 0.6),
    "stroke_pairs": stroke_pairs(8, 8, 4.5, 2.0),
    "details": detail_filters(),
}


@pytest.mark.parametrize("bank", BANKS.values(), ids=BANKS)
def test_filters_have_no_mean_and_unit_norm(bank: Tensor) -> None:
    filters = bank.flatten(1)
    torch.testing.assert_close(filters.sum(1), torch.zeros_like(filters[:, 0]))
    torch.testing.assert_close(filters.norm(dim=1), torch.ones_like(filters[:, 0]))


@pytest.mark.parametrize("names", [["color_2"], ["first_3"], ["second_1"], ["contour_2"], list(DOUBLE.layers)])
def test_the_declared_multiply_adds_are_those_run(names: list[str]) -> None:
    with FlopCounterMode(display=False) as counter:
        DOUBLE.features(noise(64, 64), names)
    assert counter.get_total_flops() / 2 / 64**2 == pytest.approx(DOUBLE.multiply_adds_per_pixel(names))


def test_the_gradient_is_the_numerical_one() -> None:
    pixels = noise(64, 64).requires_grad_()
    direction = noise(64, 64, seed=1) - 0.5

    def energy(picture: Tensor) -> Tensor:
        cells = DOUBLE.features(picture, list(DOUBLE.layers))
        return torch.stack([cell.square().mean() + cell.mean() for cell in cells.values()]).sum()

    (gradient,) = torch.autograd.grad(energy(pixels), pixels)
    step = 1e-6
    with torch.no_grad():
        rise = energy(pixels + step * direction) - energy(pixels - step * direction)
    torch.testing.assert_close((gradient * direction).sum(), rise / (2 * step), rtol=1e-5, atol=1e-9)


def test_a_flat_picture_has_a_finite_gradient() -> None:
    pixels = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    network = WaveletNetwork().to(torch.device("cpu"), torch.float32)
    cells = network.features(pixels, list(network.layers))
    (gradient,) = torch.autograd.grad(torch.stack([cell.sum() for cell in cells.values()]).sum(), pixels)
    assert gradient.isfinite().all()


def test_only_the_layers_asked_for_are_answered() -> None:
    cells = DOUBLE.features(noise(64, 64), ["second_1", "first_2"])
    assert list(cells) == ["second_1", "first_2"]


def test_default_layers_exist() -> None:
    for name in [*DOUBLE.style_layers, *DOUBLE.content_layers]:
        assert DOUBLE.resolve_layer_name(name) == name


def test_an_unknown_layer_is_named_with_its_neighbor() -> None:
    with pytest.raises(LayerError, match="did you mean 'first_1'"):
        DOUBLE.resolve_layer_name("first1")
    with pytest.raises(LayerError, match="no layer 'x'; the layers are "):
        DOUBLE.resolve_layer_name("x")


def test_filters_are_computed_once_and_serve_every_network() -> None:
    wavelet._constants.cache_clear()
    with torch.inference_mode():
        WaveletNetwork()
    WaveletNetwork().to(torch.device("cpu"), torch.bfloat16)
    network = WaveletNetwork()
    assert network.dtype is torch.float64
    assert not any(constant.is_inference() for constant in network._constants.values())
    pixels = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    network.features(pixels, ["first_1"])["first_1"].sum().backward()  # type: ignore[no-untyped-call]
    assert pixels.grad is not None and bool(pixels.grad.any())
