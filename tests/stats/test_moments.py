"""Moments add; the linear cotangent is the gradient of the distance; a correction takes one to another."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tilestyle.reference.autograd_distances import gram_distance, statistics_distance, wasserstein_distance
from tilestyle.stats.bias_correction import MomentCorrection
from tilestyle.stats.distances import GramTarget, StatisticsTarget, WassersteinTarget
from tilestyle.stats.moments import Moments, MomentSum, mix_moments, union_moments


def features(channels: int = 5, height: int = 6, width: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)
    return torch.einsum("cd,bdhw->bchw", mix, noise).add(0.5).relu()


def moments_of(response: Tensor) -> Moments:
    total = MomentSum()
    total.add(response)
    return total.moments()


def test_moments_are_what_they_are_called() -> None:
    response = features()
    flat = response[0].flatten(1)
    found = moments_of(response)
    assert found.count == 42
    torch.testing.assert_close(found.mean, flat.mean(1))
    torch.testing.assert_close(found.covariance, torch.cov(flat, correction=0))


@given(st.lists(st.integers(0, 5), min_size=0, max_size=4), st.integers(0, 99))
def test_moments_over_any_partition_are_the_global_ones(cuts: list[int], seed: int) -> None:
    response = features(seed=seed)
    edges = [0, *sorted(set(cuts) - {0}), 6]
    strips = [response[:, :, a:b] for a, b in pairwise(edges) if a < b]
    parts = [part for strip in strips for part in (strip[..., :3], strip[..., 3:])]
    whole = moments_of(response)
    total = MomentSum()
    for part in parts:
        total.add(part)
    for found in (union_moments([moments_of(part) for part in parts]), total.moments()):
        assert found.count == whole.count
        torch.testing.assert_close(found.mean, whole.mean)
        torch.testing.assert_close(found.second, whole.second)


def test_a_mixture_weighs_its_parts() -> None:
    one, two = moments_of(features(seed=1)), moments_of(features(seed=2))
    torch.testing.assert_close(mix_moments([one, two], [5, 0]).second, one.second)
    torch.testing.assert_close(mix_moments([one, two], [1, 3]).mean, 0.25 * one.mean + 0.75 * two.mean)


def with_statistics(goal: Moments, *, absolute: bool) -> StatisticsTarget:
    return StatisticsTarget(goal, 0.7, absolute=absolute)


def gram_and_statistics(found: Moments, goal: Moments, *, absolute: bool) -> torch.Tensor:
    return gram_distance(found, goal, absolute=absolute) + 0.7 * statistics_distance(
        found, goal, absolute=absolute
    )


@pytest.mark.parametrize(
    ("target", "distance"),
    [
        (WassersteinTarget, wasserstein_distance),
        (GramTarget, gram_distance),
        (with_statistics, gram_and_statistics),
    ],
)
@pytest.mark.parametrize("channels", [3, 60])  # 60: fewer cells than channels, singular covariances
@pytest.mark.parametrize("absolute", [False, True])
def test_the_linear_cotangent_is_autograds(
    target: Callable[..., Any], distance: Callable[..., Any], channels: int, absolute: bool
) -> None:
    goal = moments_of(features(channels, 9, 9, seed=1))
    response = features(channels, seed=2).requires_grad_()
    flat = response[0].flatten(1)
    count = flat.shape[1]
    found = Moments(count, flat.mean(1), flat @ flat.mT / count)
    value = distance(found, goal, absolute=absolute)
    (gradient,) = torch.autograd.grad(value, response)
    cotangent = target(goal, absolute=absolute).cotangent(moments_of(response.detach()))
    assert cotangent.value == pytest.approx(value.item(), rel=1e-9)
    torch.testing.assert_close(
        cotangent.affine(response.dtype).at(response.detach()) / count, gradient, rtol=1e-5, atol=1e-8
    )


@pytest.mark.parametrize("target", [WassersteinTarget, GramTarget])
def test_the_distance_to_itself_is_nothing(target: type) -> None:
    found = moments_of(features())
    cotangent = target(found).cotangent(found)
    assert cotangent.value == pytest.approx(0, abs=1e-9)
    assert cotangent.affine(torch.float64).at(features()).abs().max() < 1e-6


def test_the_distance_of_black_is_one() -> None:
    goal = moments_of(features())
    black = Moments(42, torch.zeros(5), torch.zeros(5, 5))
    assert GramTarget(goal).cotangent(black).value == pytest.approx(1)
    assert WassersteinTarget(goal).cotangent(black).value == pytest.approx(1, abs=0.1)  # but for the ridge


def test_nothing_added_is_no_moment() -> None:
    with pytest.raises(ValueError, match="no features"):
        MomentSum().moments()


def test_a_correction_undoes_the_bias_it_was_made_from() -> None:
    response = features(height=30, width=30)
    exact, biased = moments_of(response), moments_of(response * 1.2 + 0.1)
    corrected = MomentCorrection.between(biased, exact)(biased)
    torch.testing.assert_close(corrected.mean, exact.mean)
    # To within the ridge, a hundredth of the variance.
    torch.testing.assert_close(corrected.covariance, exact.covariance, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("channels", [5, 60])
def test_corrected_covariances_stay_positive(channels: int) -> None:
    exact, biased, later = (moments_of(features(channels, seed=seed)) for seed in (1, 2, 3))
    values = torch.linalg.eigvalsh(MomentCorrection.between(biased, exact)(later).covariance)
    assert values.min() > -1e-9 * values.max()


def test_moments_without_bias_are_left_alone() -> None:
    one, later = moments_of(features(seed=1)), moments_of(features(seed=3))
    corrected = MomentCorrection.between(one, one)(later)
    torch.testing.assert_close(corrected.second, later.second)


@pytest.mark.parametrize("shape", [(60, 100), (400, 7), (6, 900), (11, 13)])
@pytest.mark.parametrize("inside", [False, True])
def test_products_of_bfloat16_are_summed_in_float32(shape: tuple[int, int], inside: bool) -> None:
    features = (torch.rand(1, 24, *shape) + 1).bfloat16().to(memory_format=torch.channels_last)
    features += torch.linspace(0, 1, shape[0])[:, None]  # no part of it has the mean of the whole
    features = features[:, :, 2:-1, 1:-3] if inside else features
    total = MomentSum()
    total.add(features)
    found = total.moments()
    flat = features.float().flatten(2)[0]
    assert found.mean.dtype is found.second.dtype is torch.float32
    torch.testing.assert_close(found.mean, flat.mean(1), rtol=5e-4, atol=0)
    # bfloat16 alone would be off by 1 in 500.
    torch.testing.assert_close(found.second, flat @ flat.mT / flat.shape[1], rtol=5e-4, atol=0)


def test_sums_are_the_same_in_however_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    response = features(height=40, width=9)
    whole = moments_of(response)
    monkeypatch.setattr("tilestyle.stats.moments.CACHE_BYTES", 5000)
    found = moments_of(response)
    assert found.count == whole.count
    torch.testing.assert_close(found.mean, whole.mean)
    torch.testing.assert_close(found.second, whole.second)
