"""How much do the optimal transport maps of a canvas change from one sweep to the next?

They are computed anew in each sweep. A map could be found from the last one instead, if the moments changed
little. Renders one level of each size, and prints medians over its sweeps, for each layer:

* directions: in how many of them the variance, with its ridge, more than doubled or halved;
* factor: the largest change of a variance, up or down;
* kept, series, corrected: the error of the gradient over the gradient, over the canvas's cells, with the last
  map; with the first order around the last eigenvectors; with one correction of that.

    python -m benchmarks.map_changes [--networks vgg16 --weights vgg16.safetensors] [--sizes 128 384 1024]
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.jobs import PAIRS, job, parser, settings
from benchmarks.record import report
from tilestyle.canvas.canvas import Canvas
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import LayerGradient, TargetDistances
from tilestyle.optim.loop import optimize
from tilestyle.planning.job import Job
from tilestyle.stats.distances import RIDGE
from tilestyle.stats.gaussian_transport import add_ridge, cholesky_or_root, eye_like
from tilestyle.stats.moments import Moments

FIGURES = ("directions", "factor", "kept", "series", "corrected")


def recorded(task: Job) -> list[dict[str, Moments]]:
    """Render a job, and return the moments that its gradients were computed at, sweep by sweep."""
    record: list[dict[str, Moments]] = []
    gradients = TargetDistances.gradients

    def recording(self: TargetDistances, moments: Mapping[str, Moments]) -> dict[str, LayerGradient]:
        record.append({layer: each.double() for layer, each in moments.items()})
        return gradients(self, moments)

    def observe(level: object, sweep: int, terms: object, canvas: Canvas) -> None:
        print(f"sweep {sweep}", flush=True)

    with mock.patch.object(TargetDistances, "gradients", recording):
        optimize(task, lambda level: None, observe, lambda: False)
    return record


def changes(before: Tensor, after: Tensor, factor: Tensor, ridge: float) -> dict[str, float]:
    """Compare the map at one covariance with the map at the next.

    Args:
        before: Covariance of the canvas [C, C] with its ridge, one sweep earlier.
        after: The same now.
        factor: Lower triangular L with L L^T = K*.
        ridge: The ridge.
    """
    lower = torch.linalg.cholesky(before)
    ratio = torch.linalg.solve_triangular(lower, after, upper=False)
    ratio = torch.linalg.eigvalsh(torch.linalg.solve_triangular(lower, ratio.mT, upper=False))
    # In the last eigenvectors, with W = L Q, L^T K L is nearly diagonal: N = W^T K W.
    values, vectors = torch.linalg.eigh(factor.mT @ before @ factor)
    basis = factor @ vectors
    kept = (basis * values.clamp(min=ridge**2).rsqrt()) @ basis.mT
    product = basis.mT @ after @ basis
    values, vectors = torch.linalg.eigh(product)
    rotated = basis @ vectors
    exact = (rotated * values.clamp(min=ridge**2).rsqrt()) @ rotated.mT
    # With R = diag(N)^1/2 and B = R^-1/2 N R^-1/2, (I + D) B (I + D) = R, which is solved for a small D.
    roots = product.diagonal().clamp(min=ridge**2).sqrt()
    scaled = product / torch.outer(roots, roots).sqrt()
    eye, sums = eye_like(scaled), roots[:, None] + roots
    basis = basis / roots.sqrt()
    shift = (torch.diag(scaled.diagonal()) - scaled) / sums
    series = basis @ (eye + shift) @ basis.mT
    shift -= ((eye + shift) @ scaled @ (eye + shift) - torch.diag(roots)) / sums
    corrected = basis @ (eye + shift) @ basis.mT
    cells = torch.linalg.cholesky(after)

    def size(matrix: Tensor) -> float:
        return float(torch.linalg.matrix_norm(matrix @ cells))

    gradient = size(eye_like(exact) - exact)
    return {
        "directions": float(((ratio > 2) | (ratio < 0.5)).sum()),
        "factor": float(max(ratio[-1], 1 / ratio[0])),
        "kept": size(kept - exact) / gradient,
        "series": size(series - exact) / gradient,
        "corrected": size(corrected - exact) / gradient,
    }


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 0)
    arguments.add_argument("--sizes", nargs="+", type=int, default=[128, 384], help="long sides, pixels")
    arguments.add_argument("--sweeps", type=int, default=24, help="sweeps of the level")
    arguments.set_defaults(networks=["compact"], pairs=1, patch=512)
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for side in options.sizes:
            options.size = side
            task = job(PAIRS[0], settings(options, network, coarsest=side, sweeps=options.sweeps))
            record = recorded(task)
            targets = {k: each.double() for k, each in style_moments(task, task.levels[-1])[0].items()}
            for layer, target in targets.items():
                ridge = RIDGE * float(target.covariance.diagonal().mean())
                factor = cholesky_or_root(add_ridge(target.covariance, ridge))
                covariances = [add_ridge(each[layer].covariance, ridge) for each in record if layer in each]
                # The first sweeps change more than those after them.
                compared = [changes(*pair, factor, ridge) for pair in pairwise(covariances[4:])]
                figures = {name: median(each[name] for each in compared) for name in FIGURES}
                rows.append({"network": network, "size": side, "layer": layer} | figures)
    report(rows, "changes of transport maps between sweeps", options.keep)


if __name__ == "__main__":
    main()
