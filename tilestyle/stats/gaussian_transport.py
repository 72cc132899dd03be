"""Optimal transport of Gaussians: the map from one covariance to another that moves least.

On devices it is computed by polar decompositions from matrix products alone, which devices are fast at.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

# Products with triangular matrices, and squares, of at least this many rows are computed by halves.
MIN_SPLIT_ROWS = 192
# From here on one more step leaves only rounding errors: x -> x (3 - x^2) / 2 squares the distance to 1.
CONVERGED = 1 - 1e-8
# By how much the norm of a canvas's covariance may exceed the target's where no one waits for it.
MAX_NORM_RATIO = 16.0
# Error of the absolute value of an eigenvalue, as a share of the matrix's norm.
ABS_TOLERANCE = 1e-6


def eye_like(like: Tensor) -> Tensor:
    """Return the identity matrix of the size, device and dtype of a square matrix."""
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def add_ridge(covariance: Tensor, ridge: float | Tensor) -> Tensor:
    """Return a covariance [C, C] with `ridge` added to every variance."""
    return covariance + ridge * eye_like(covariance)


def cholesky_or_root(covariance: Tensor) -> Tensor:
    """Return a lower triangular L with L L^T = K for a covariance K [C, C] with a ridge.

    It is Cholesky's factor, at a tenth of the cost of a root. Where the rounding error exceeds the ridge and K
    is not positive definite, it is the factor of K with its negative eigenvalues clamped: R^T of a root Q R.
    """
    lower: Tensor
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return lower
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = torch.linalg.qr((vectors * values.clamp(min=0).sqrt()).mT).R
    return root.mT


def gaussian_transport_map(
    covariance: Tensor, target_factor: Tensor, ridge: float, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return the optimal transport map between two Gaussians, and the trace of the cross term.

    T = L (L^T K L)^-1/2 L^T is the same for every factor L of K*. With the root of K* it is the formula of
    Bhatia, Jain and Lim 2019, section 2, and so is the trace. A host uses an eigendecomposition, a device
    matrix products.

    Args:
        covariance: K [C, C].
        target_factor: L [C, C], a lower triangular factor of K*.
        ridge: The ridge on both covariances.
        dtype: Arithmetic of the last product on a host.

    Returns:
        The symmetric T [C, C] with T K T = K*, and tr (L^T K L)^1/2.
    """
    if covariance.device.type != "cpu":
        result = transport_map_by_newton_schulz(covariance, target_factor, ridge)
        if result is not None:
            return result
    return transport_map_by_eigh(covariance, target_factor, ridge, dtype)


def transport_map_by_eigh(
    covariance: Tensor, target_factor: Tensor, ridge: float, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Compute `gaussian_transport_map` by an eigendecomposition, whatever the rounding error.

    With a `dtype` of float32 only the last digits of T are lost, because it is a sum of positive matrices and
    nothing cancels. The eigenvalues span the square of the condition number, for which float32 is too coarse.
    """
    values, vectors = torch.linalg.eigh(
        congruence_lower(covariance, target_factor)
    )  # eigh reads the lower half
    roots = values.clamp(min=ridge**2).sqrt()  # smaller values are rounding errors
    half = triangular_matmul(target_factor.to(dtype), vectors.to(dtype)) * roots.rsqrt().to(dtype)
    return matmul_transposed(half).to(covariance), roots.sum()


def congruence_lower(covariance: Tensor, lower: Tensor) -> Tensor:
    """Return the lower half of L^T K L for a lower triangular L; above the diagonal blocks it is 0.

    It is computed by halves, because half of L is 0 and half of the product is not needed: for large matrices
    about half of the operations.
    """
    size = len(lower)
    if size < MIN_SPLIT_ROWS:
        return lower.mT @ covariance @ lower
    half = size // 2
    left = covariance @ lower[:, :half]  # left half of K L
    product = torch.zeros_like(covariance)
    product[:half, :half] = lower[:, :half].mT @ left
    product[half:, :half] = lower[half:, half:].mT @ left[half:]
    product[half:, half:] = congruence_lower(covariance[half:, half:], lower[half:, half:])
    return product


def triangular_matmul(lower: Tensor, matrix: Tensor) -> Tensor:
    """Return L A for a lower triangular L."""
    size = len(lower)
    if size < MIN_SPLIT_ROWS:
        return lower @ matrix
    half = size // 2
    return torch.cat([triangular_matmul(lower[:half, :half], matrix[:half]), lower[half:] @ matrix])


def matmul_transposed(matrix: Tensor) -> Tensor:
    """Return A A^T in three quarters of the operations."""
    size = len(matrix)
    if size < MIN_SPLIT_ROWS:
        return matrix @ matrix.mT
    upper, lower = matrix[: size // 2], matrix[size // 2 :]
    across = lower @ upper.mT
    return torch.cat(
        [torch.cat([matmul_transposed(upper), across.mT], 1), torch.cat([across, matmul_transposed(lower)], 1)]
    )


def transport_map_by_newton_schulz(
    covariance: Tensor, target_factor: Tensor, ridge: float
) -> tuple[Tensor, Tensor] | None:
    """Compute `gaussian_transport_map` by matrix products; None if K has no Cholesky factor C.

    With the polar decomposition L^T C = P U, where P = (L^T K L)^1/2, T = L P^-1 L^T = L U C^-1, and tr P is
    the trace of (L^T C) U^T. L^T C has the root of the condition number of L^T K L, and no singular value below
    the ridge.
    """
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        return None
    product = target_factor.mT @ lower
    rotation = polar_newton_schulz(product, ridge)
    transport_map = torch.linalg.solve_triangular(lower, target_factor @ rotation, upper=False, left=False)
    return (transport_map + transport_map.mT) / 2, (product * rotation).sum()


def transport_map_from_factor(
    lower: Tensor, target_factor: Tensor, scales: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `transport_map_by_newton_schulz` without waiting for the device.

    Args:
        lower: Cholesky factor C of K [C, C].
        target_factor: L [C, C], a lower triangular factor of K*.
        scales: Those of the Newton-Schulz steps, whose number must be known beforehand: for the ridge over the
            largest |L^T C| for which they have to suffice.

    Returns:
        T [C, C], tr (L^T K L)^1/2, and |L^T C| to be compared with that largest one.
    """
    product = target_factor.mT @ lower
    norm = torch.linalg.matrix_norm(product)
    rotation = newton_schulz_steps(product / norm, scales)
    transport_map = torch.linalg.solve_triangular(lower, target_factor @ rotation, upper=False, left=False)
    return (transport_map + transport_map.mT) / 2, (product * rotation).sum(), norm


def clamp_eigenvalues(matrix: Tensor, minimum: float, maximum: float) -> Tensor:
    """Clamp the eigenvalues of a symmetric matrix [C, C]."""
    if matrix.device.type != "cpu":
        return clamp_eigenvalues_by_newton_schulz(matrix, minimum, maximum)
    values, vectors = torch.linalg.eigh(matrix)
    result: Tensor = (vectors * values.clamp(minimum, maximum)) @ vectors.mT
    return result


def clamp_eigenvalues_by_newton_schulz(matrix: Tensor, minimum: float, maximum: float) -> Tensor:
    """Clamp eigenvalues by matrix products: (a + b + |X - a| - |X - b|) / 2 for bounds a and b."""
    eye = eye_like(matrix)
    from_minimum, from_maximum = matrix_abs(matrix - minimum * eye), matrix_abs(matrix - maximum * eye)
    return ((minimum + maximum) * eye + from_minimum - from_maximum) / 2


def matrix_abs(matrix: Tensor) -> Tensor:
    """Return a symmetric matrix with the absolute values of its eigenvalues, to ABS_TOLERANCE of its norm."""
    result = polar_newton_schulz(matrix, ABS_TOLERANCE * float(torch.linalg.matrix_norm(matrix))) @ matrix
    return (result + result.mT) / 2


def polar_newton_schulz(matrix: Tensor, min_singular_value: float) -> Tensor:
    """Return the orthogonal U of the polar decomposition of a matrix with no singular value below the minimum.

    It takes scaled Newton-Schulz steps, two products each (Chen and Chow 2014, "A stable scaling of
    Newton-Schulz").
    """
    norm = float(torch.linalg.matrix_norm(matrix))
    return newton_schulz_steps(matrix / norm, newton_schulz_scales(min_singular_value / norm))


def newton_schulz_steps(matrix: Tensor, scales: Sequence[float]) -> Tensor:
    """Take Newton-Schulz steps with these scales from a matrix of norm 1."""
    for scale in scales:
        matrix = torch.addmm(matrix, matrix @ matrix.mT, matrix, beta=1.5 * scale, alpha=-0.5 * scale**3)
    return matrix


def newton_schulz_scales(min_singular_value: float) -> list[float]:
    """Return the scales a that take singular values from [l, 1] to 1 in the fewest Newton-Schulz steps.

    A step is x -> a x (3 - a^2 x^2) / 2.

    With a^2 = 3 / (1 + l + l^2) both ends of [l, 1] map to the same value, the new l, and nothing exceeds 1.
    """
    result = []
    while min_singular_value < CONVERGED:
        result.append(sqrt(3 / (1 + min_singular_value + min_singular_value**2)))
        min_singular_value = result[-1] * min_singular_value * (3 - (result[-1] * min_singular_value) ** 2) / 2
    return [*result, 1.0]
