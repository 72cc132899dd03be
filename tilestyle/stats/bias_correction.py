"""Correction of biased moments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.stats.gaussian_transport import (
    add_ridge,
    cholesky_or_root,
    clamp_eigenvalues,
    gaussian_transport_map,
)
from tilestyle.stats.moments import Moments

# Ridge on covariances, as a share of their mean variance. It is larger than that of distances: a direction
# without variance may gain some later.
RIDGE = 1e-2
# Largest stretch of any direction: where few cells were measured the map is mostly chance.
MAX_STRETCH = 1.5


class MomentCorrection:
    """Maps biased moments to the exact ones of the same canvas, and applies to later canvases as well.

    The mean is shifted. The covariance goes from K to T K T, where T is the optimal transport map from the
    biased to the exact Gaussian. (Adding the difference of the covariances instead was tried: on a later canvas
    it leaves them indefinite, and the gradient of the distance explodes.)
    """

    def __init__(self, shift: Tensor, matrix: Tensor) -> None:
        """Take the `shift` [C] of means and the `matrix` [C, C]: float64 on the `float64_device`."""
        self._shift, self._transport = shift, matrix

    def state_dict(self) -> dict[str, Tensor]:
        """Return the correction as tensors by name, to be saved."""
        return {"shift": self._shift, "map": self._transport}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> MomentCorrection:
        """Load a correction from such a state."""
        return cls(state["shift"], state["map"])

    @classmethod
    def between(cls, biased: Moments, exact: Moments) -> MomentCorrection:
        """Return the correction from biased moments to exact ones of the same canvas."""
        biased, exact = biased.double(), exact.double()
        covariance = exact.covariance
        ridge = RIDGE * float(covariance.diagonal().mean().clamp(min=1e-12))
        transport_map, _ = gaussian_transport_map(
            add_ridge(biased.covariance, ridge), cholesky_or_root(add_ridge(covariance, ridge)), ridge
        )
        return cls(exact.mean - biased.mean, clamp_eigenvalues(transport_map, 1 / MAX_STRETCH, MAX_STRETCH))

    def __call__(self, moments: Moments) -> Moments:
        """Return corrected moments, on the device and in the dtype of the given ones."""
        biased = moments.double()
        mean = biased.mean + self._shift
        second = self._transport @ biased.covariance @ self._transport + torch.outer(mean, mean)
        return Moments(moments.count, mean.to(moments.mean), second.to(moments.mean))
