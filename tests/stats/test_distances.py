"""Distances of moments on a device, which the host does not wait for."""

from __future__ import annotations

import math

import pytest
import torch

from tilestyle.stats.distances import WassersteinTarget
from tilestyle.stats.moments import Moments, MomentSum


def test_a_distance_is_the_same_without_waiting() -> None:
    torch.manual_seed(0)
    style, canvas = (moments_of(torch.randn(1, 6, 9, 9)) for _ in range(2))
    target = WassersteinTarget(style)
    numbers, *parts = target.launch(canvas.mean, canvas.second)
    found, expected = target.resolve(numbers.tolist(), *parts), target.cotangent(canvas)
    assert found is not None
    assert found.value == pytest.approx(expected.value, rel=1e-6)
    torch.testing.assert_close(found.matrix, expected.matrix, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.offset, expected.offset, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "numbers", [(1.0, 1.0, 0.5), (1.0, 0.0, 1.5), (math.nan, 0.0, 0.5), (1.0, 0.0, math.nan)]
)
def test_what_is_not_exact_without_waiting_is_computed_again(numbers: tuple[float, float, float]) -> None:
    target = WassersteinTarget(moments_of(torch.randn(1, 3, 9, 9)))
    assert target.resolve(numbers, torch.zeros(3, 3), torch.zeros(3)) is None


def moments_of(features: torch.Tensor) -> Moments:
    total = MomentSum()
    total.add(features)
    return total.moments()
