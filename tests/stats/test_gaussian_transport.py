"""Maps of optimal transport, whichever way they are computed."""

import math

import pytest
import torch

from tests.stats.test_moments import features, moments_of
from tilestyle.stats.gaussian_transport import (
    MIN_SPLIT_ROWS,
    add_ridge,
    cholesky_or_root,
    clamp_eigenvalues,
    clamp_eigenvalues_by_newton_schulz,
    congruence_lower,
    gaussian_transport_map,
    matmul_transposed,
    newton_schulz_scales,
    polar_newton_schulz,
    transport_map_by_eigh,
    transport_map_by_newton_schulz,
    triangular_matmul,
)


@pytest.mark.parametrize("cells", [4, 60])  # 4: fewer than channels
def test_transport_takes_one_covariance_to_the_other_symmetrically(cells: int) -> None:
    one, other = (add_ridge(moments_of(features(6, 1, cells, seed=seed)).covariance, 1e-3) for seed in (1, 2))
    for way in (transport_map_by_eigh, transport_map_by_newton_schulz):
        answer = way(one, cholesky_or_root(other), 1e-3)
        assert answer
        found, crossed = answer
        torch.testing.assert_close(found @ one @ found, other)
        torch.testing.assert_close(found, found.mT)
        assert crossed == pytest.approx(torch.linalg.eigvals(one @ other).real.sqrt().sum().item())


@pytest.mark.parametrize("size", [MIN_SPLIT_ROWS - 1, MIN_SPLIT_ROWS, 2 * MIN_SPLIT_ROWS + 1])
def test_products_by_halves_are_the_products(size: int) -> None:
    lower = torch.randn(size, size, dtype=torch.float64).tril()
    other = torch.randn(size, size, dtype=torch.float64)
    covariance = other @ other.mT
    torch.testing.assert_close(
        congruence_lower(covariance, lower).tril(), (lower.mT @ covariance @ lower).tril()
    )
    torch.testing.assert_close(triangular_matmul(lower, other), lower @ other)
    torch.testing.assert_close(matmul_transposed(other), other @ other.mT)


# Name, and variances along directions of their own: of the canvas, of the style.
LOG = torch.logspace(0, -6, 200, dtype=torch.float64)
HARD = {
    "equal": (LOG, LOG),
    "far apart": (LOG, LOG.flip(0)),
    "flat canvas": (0 * LOG, LOG),
    "flat style": (LOG, 1e-9 * LOG),
    "flat both": (0 * LOG, 0 * LOG),
    "few directions": (LOG * (LOG > 1e-1), LOG * (LOG > 1e-2)),
    "tiny": (1e-12 * LOG, 1e-12 * LOG.flip(0)),
    "huge": (1e12 * LOG, 1e12 * LOG.flip(0)),
    "a jump": (1e6 * LOG, LOG),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("case", HARD)
def test_maps_of_hard_cases_are_right_where_canvases_have_variance(case: str, turned: bool) -> None:
    """In float32, |(T - T*) K^1/2| over |(I - T*) K^1/2| or, where that is 0, |K^1/2|."""
    size = len(LOG)
    generator = torch.Generator().manual_seed(1)
    one, other = (
        torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator)).Q for _ in range(2)
    )
    other = other if turned else one
    variances, wanted = HARD[case]
    ridge = 1e-3 * max(float(wanted.mean()), 1e-12)
    root = (one * (variances + ridge).sqrt()) @ one.mT
    target_root = cholesky_or_root((other * (wanted + ridge)) @ other.mT)
    covariance = root @ root
    # T = L U S^-1 U^T L^T with L^T K^1/2 = U S V^T, whose values do not span the square of the condition.
    left, values, _ = torch.linalg.svd(target_root.mT @ root)
    half = target_root @ left
    expected = (half / values) @ half.mT
    found, crossed = gaussian_transport_map(covariance, target_root, ridge, torch.float32)
    assert found.dtype == torch.float64
    error = torch.linalg.matrix_norm((found - expected) @ root)
    apart = torch.linalg.matrix_norm((torch.eye(size, dtype=torch.float64) - expected) @ root)
    assert error <= 1e-3 * apart + 1e-5 * torch.linalg.matrix_norm(root)
    assert crossed == pytest.approx(float(values.sum()), rel=1e-5)


def test_products_have_nothing_to_say_of_what_is_no_covariance() -> None:
    assert transport_map_by_newton_schulz(torch.diag(torch.tensor([1.0, -1.0])), torch.eye(2), 1e-3) is None


def test_eigenvalues_are_clamped_by_products_as_they_are_by_decomposition() -> None:
    vectors = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    values = torch.tensor([-2.0, 0.1, 0.5, 1.0, 1.5, 9.0], dtype=torch.float64)
    expected = (vectors * values.clamp(0.5, 1.5)) @ vectors.mT
    for way in (clamp_eigenvalues, clamp_eigenvalues_by_newton_schulz):
        torch.testing.assert_close(way((vectors * values) @ vectors.mT, 0.5, 1.5), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("least", [1e-7, 1e-3, 0.5, 1.0])
def test_polar_factors_are_orthogonal_whatever_the_singular_values(least: float) -> None:
    one, other = (torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64)).Q for _ in range(2))
    values = torch.logspace(0, math.log10(least), 9, dtype=torch.float64)
    matrix = 5 * one * values @ other.mT
    found = polar_newton_schulz(matrix, 5 * least)
    # What is small is rounded by as much as what is large.
    torch.testing.assert_close(found, one @ other.mT, rtol=0, atol=1e-14 / least + 1e-13)
    torch.testing.assert_close(found @ found.mT, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_scaled_steps_take_all_singular_values_to_one_and_none_above() -> None:
    values = torch.logspace(-6, 0, 1000, dtype=torch.float64)
    for scale in newton_schulz_scales(1e-6):
        values = 1.5 * scale * values - 0.5 * (scale * values) ** 3
        assert values.max() < 1 + 1e-12
    torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-12)
    assert len(newton_schulz_scales(1e-6)) < 0.6 * len(scales_of_one(1e-6))


def scales_of_one(least: float) -> list[float]:
    """Steps that the same takes without a scale."""
    found = []
    while least < 1 - 1e-8:
        found.append(1.0)
        least = least * (3 - least**2) / 2
    return [*found, 1.0]


def test_where_rounding_is_larger_than_the_ridge_a_factor_is_of_what_is_left() -> None:
    vectors = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    values = torch.tensor([4.0, 1.0, 0.5, 0.0, -1e-6], dtype=torch.float64)
    found = cholesky_or_root((vectors * values) @ vectors.mT)
    torch.testing.assert_close(found @ found.mT, (vectors * values.clamp(min=0)) @ vectors.mT)
    assert found.equal(found.tril())
