"""VGG in few kernels is VGG: the same features, and the gradient of autograd."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle import NetworkName, Pooling
from tilestyle.kernels.cells import (
    convolve_pixels_by_torch,
    fold_gradient_by_torch,
    pool_and_pad_by_torch,
)
from tilestyle.networks.captured_passes import REPLACED_AFTER, CapturedPass, PassGraphs
from tilestyle.networks.fused_vgg import (
    SLOW_UNPADDED,
    TURNED,
    FusedVgg,
    Operations,
    convolve_and_rectify,
    convolve_back,
    fused_stages,
)
from tilestyle.networks.vgg import Convolution, Vgg, convolution_keys


def rectified(gradient: Tensor, features: Tensor, cotangent: Tensor | None = None) -> Tensor:
    return fold_gradient_by_torch(gradient, features=features, cotangent=cotangent)


BY_TORCH = Operations(pool_and_pad_by_torch, fold_gradient_by_torch, rectified, convolve_pixels_by_torch)
LAYERS = ["relu1_1", "relu2_1", "relu3_1"]


def network(name: NetworkName, pooling: Pooling, scale: float = 1.0) -> Vgg:
    """Of few channels, up to relu3_1."""
    torch.manual_seed(0)
    convolutions, before = {}, 3
    for layer in convolution_keys(name):
        count = 8 * int(layer[4])
        weight = torch.randn(count, before, 3, 3) / (4.5 * before) ** 0.5
        convolutions[layer] = Convolution(weight, torch.randn(count) / 10)
        before = count
        if layer == "conv3_1":
            break
    return Vgg(name, convolutions, pooling, scale)


def by_torch(vgg: Vgg) -> FusedVgg:
    return FusedVgg(vgg._fused.stages, BY_TORCH)


@pytest.mark.parametrize("name", [NetworkName.VGG19, NetworkName.COMPACT])
@pytest.mark.parametrize(("pooling", "scale"), [(Pooling.MAX, 1.0), (Pooling.AVERAGE, 1.0), (Pooling.MAX, 2.0)])
@pytest.mark.parametrize("layers", [LAYERS, ["relu2_2"], ["relu3_1", "relu1_2"]])
def test_features_and_gradient_are_those_of_the_network(
    name: NetworkName, pooling: Pooling, scale: float, layers: list[str]
) -> None:
    vgg = network(name, pooling, scale)
    pixels = torch.rand(1, 3, 16, 24).requires_grad_()
    expected, found = vgg.features(pixels, layers), by_torch(vgg).features(pixels, layers)
    assert list(found) == layers
    cotangents = [torch.randn_like(expected[layer]) for layer in layers]
    for layer in layers:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-4, atol=1e-4)
    ours, theirs = (
        torch.autograd.grad([each[layer] for layer in layers], pixels, cotangents)[0]
        for each in (found, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("replicates_edges", [False, True])
@pytest.mark.parametrize("channels", [*TURNED[:3], *SLOW_UNPADDED, 24])
def test_convolutions_are_the_same_whichever_way_is_faster(channels: int, replicates_edges: bool) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(channels, channels, 3, 3) / 20, torch.randn(channels) / 10
    made = [("conv1_1", torch.randn(channels, 3, 3, 3), bias), ("conv1_2", weight, bias)]
    stage = fused_stages(made, Pooling.MAX, 1.0, replicates_edges=replicates_edges)[1]
    assert (stage.turned is not None) == (channels in TURNED)
    values = torch.randn(1, channels, 7, 9).requires_grad_()
    expected = F.conv2d(values, stage.weight, bias, padding=1 if stage.zeros else 0)
    gradient = torch.randn_like(expected)
    (slope,) = torch.autograd.grad((expected * gradient).sum(), values)
    torch.testing.assert_close(convolve_back(gradient, stage), slope, rtol=1e-4, atol=1e-4)
    halves = replace(stage, weight=stage.weight.bfloat16(), bias=bias.bfloat16())
    found = convolve_and_rectify(values.detach().bfloat16(), halves)
    torch.testing.assert_close(found.float(), expected.relu(), rtol=0.05, atol=0.05)
    assert found.is_contiguous(memory_format=torch.channels_last) or channels not in SLOW_UNPADDED


def test_a_layer_without_a_cotangent_adds_nothing() -> None:
    vgg = network(NetworkName.VGG19, Pooling.MAX)
    pixels = torch.rand(1, 3, 8, 8).requires_grad_()
    ours, theirs = (
        torch.autograd.grad(each.features(pixels, LAYERS)["relu2_1"].square().sum(), pixels)[0]
        for each in (by_torch(vgg), vgg)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_without_a_gradient_nothing_is_kept() -> None:
    vgg = by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE))
    with torch.no_grad():
        found = vgg.features(torch.rand(1, 3, 8, 8), LAYERS)
    assert not any(each.requires_grad for each in found.values())
    assert vgg.forward(torch.rand(1, 3, 8, 8), LAYERS, keep=False)[1] == []


def test_responses_do_not_keep_the_pass_alive() -> None:
    """A circle of references would keep a patch's features until somebody collects garbage."""
    vgg = by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE))
    pixels = torch.rand(1, 3, 8, 8).requires_grad_()
    responses = vgg.features(pixels, LAYERS)
    kept = responses["relu3_1"].grad_fn.kept  # type: ignore[union-attr]
    torch.autograd.grad(responses["relu3_1"].sum(), pixels)
    assert kept == []  # each was freed on the way


def shaped(side: int, device: str = "cuda") -> Any:
    return SimpleNamespace(shape=(1, 3, side, side), dtype=torch.bfloat16, device=torch.device(device))


def test_passes_of_the_size_that_comes_most_are_captured() -> None:
    vgg = replace(by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE)), graphs=PassGraphs())
    graphs, layers = vgg.graphs, ("relu1_1",)
    with mock.patch.object(CapturedPass, "capture", side_effect=lambda *facts: object()) as capture:
        assert [graphs.find(vgg, shaped(8), layers) for _ in range(2)] == [None, None]
        first = graphs.find(vgg, shaped(8), layers)
        assert first is graphs.find(vgg, shaped(8), layers) is not None
        assert graphs.find(vgg, shaped(4), layers) is None  # a patch at an edge
        assert graphs.find(vgg, shaped(8), layers) is first
        assert capture.call_count == 1
        found = [graphs.find(vgg, shaped(4), layers) for _ in range(REPLACED_AFTER + 3)]
        assert found[0] is None and found[-1] not in (None, first)  # the next level
    assert graphs.captured


def test_what_cannot_be_captured_is_tried_once() -> None:
    vgg = replace(by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE)), graphs=PassGraphs())
    with mock.patch.object(CapturedPass, "capture", return_value=None) as capture:
        assert not any(vgg.graphs.find(vgg, shaped(8), ("relu1_1",)) for _ in range(9))
        assert not any(vgg.graphs.find(vgg, shaped(8, "cpu"), ("relu1_1",)) for _ in range(9))
    assert capture.call_count == 1
    assert not vgg.graphs.captured


def test_what_is_dropped_is_not_captured_again() -> None:
    vgg = replace(by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE)), graphs=PassGraphs())
    with mock.patch.object(CapturedPass, "capture", side_effect=lambda *facts: object()) as capture:
        assert any(vgg.graphs.find(vgg, shaped(8), ("relu1_1",)) for _ in range(4))
        vgg.graphs.drop()
        assert not vgg.graphs.captured
        assert not any(vgg.graphs.find(vgg, shaped(8), ("relu1_1",)) for _ in range(9))
    assert capture.call_count == 1
