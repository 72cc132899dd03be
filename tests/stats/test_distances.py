"""Distances of moments on a device, which the host does not wait for."""

from __future__ import annotations

import math

import pytest
import torch

from tilestyle.stats.distances import Cotangent, VaryingWassersteinTarget, WassersteinTarget, resolve_launched
from tilestyle.stats.moments import Moments, MomentSum


def test_a_distance_is_the_same_without_waiting() -> None:
    torch.manual_seed(0)
    style, canvas = (moments_of(torch.randn(1, 6, 9, 9)) for _ in range(2))
    target = WassersteinTarget(style)
    numbers, *parts = target.launch(canvas.mean, canvas.second)
    same_cotangent(resolve_launched(numbers.tolist(), *parts), target.cotangent(canvas))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 30.0])
def test_so_is_one_to_a_target_that_varies(scale: float) -> None:
    torch.manual_seed(0)
    canvas = moments_of(torch.randn(1, 6, 9, 9))
    varying = VaryingWassersteinTarget(6, energy=2.0)
    for _ in range(3):
        style = moments_of(scale * torch.randn(1, 6, 9, 9))
        target = WassersteinTarget(style)
        inputs = [part.double() for each in (canvas, style) for part in (each.mean, each.second)]
        numbers, *parts = varying.launch(*inputs)
        found = resolve_launched(numbers.tolist(), *parts)
        if scale < 1:
            assert found is None  # more steps are needed than were foreseen
            continue
        same_cotangent(found, target.cotangent(canvas).scaled(target.energy / 2))


def same_cotangent(found: Cotangent | None, expected: Cotangent) -> None:
    assert found is not None
    assert found.value == pytest.approx(expected.value, rel=1e-6)
    for part, of_host in ((found.matrix, expected.matrix), (found.offset, expected.offset)):
        torch.testing.assert_close(part, of_host, rtol=1e-5, atol=1e-6 * float(of_host.abs().max()))


@pytest.mark.parametrize(
    "numbers", [(1.0, 1.0, 0.5), (1.0, 0.0, 1.5), (math.nan, 0.0, 0.5), (1.0, 0.0, math.nan)]
)
def test_what_is_not_exact_without_waiting_is_computed_again(numbers: tuple[float, float, float]) -> None:
    assert resolve_launched(numbers, torch.zeros(3, 3), torch.zeros(3)) is None


def moments_of(features: torch.Tensor) -> Moments:
    total = MomentSum()
    total.add(features)
    return total.moments()
