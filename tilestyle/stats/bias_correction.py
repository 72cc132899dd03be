"""What takes biased moments to the exact ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.stats.gaussian_transport import bounded, factor, ridged, transport
from tilestyle.stats.moments import Moments

# Ridge on covariances, as a share of their mean variance. Larger than that of distances: what has no variance
# now may have some later.
RIDGE = 1e-2
# No direction is stretched by more than this: where few cells were measured the map is mostly chance.
LARGEST = 1.5


class Correction:
    """What takes biased moments to the exact ones of the same canvas, and moments of later canvases alike.

    The mean is shifted; the covariance goes K -> T K T with T the optimal transport map from the biased to
    the exact Gaussian. (Adding the difference of the covariances instead leaves them indefinite on
    a later canvas, and the distance's gradient explodes: tried.)
    """

    def __init__(self, shift: Tensor, matrix: Tensor) -> None:
        """`shift` [C] of means and `matrix` [C, C] of covariances, float64 on the `matrix_device`."""
        self._shift, self._map = shift, matrix

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        return {"shift": self._shift, "map": self._map}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> Correction:
        """The correction that `state` was of."""
        return cls(state["shift"], state["map"])

    @classmethod
    def between(cls, biased: Moments, exact: Moments) -> Correction:
        """From these moments to those of the same canvas."""
        biased, exact = biased.double(), exact.double()
        covariance = exact.covariance
        ridge = RIDGE * float(covariance.diagonal().mean().clamp(min=1e-12))
        moved, _ = transport(ridged(biased.covariance, ridge), factor(ridged(covariance, ridge)), ridge)
        return cls(exact.mean - biased.mean, bounded(moved, 1 / LARGEST, LARGEST))

    def __call__(self, moments: Moments) -> Moments:
        """Corrected moments, where these were."""
        found = moments.double()
        mean = found.mean + self._shift
        second = self._map @ found.covariance @ self._map + torch.outer(mean, mean)
        return Moments(moments.count, mean.to(moments.mean), second.to(moments.mean))
