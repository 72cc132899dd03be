"""L-BFGS (Liu and Nocedal 1989) on the canvas of a level, with the exact loss; the optimizer is torch's.

The history takes 24 bytes of RAM per pixel and pair of vectors. Iterations come in rounds. After each round the
pixels are clamped to [0, 1] and the optimizer starts over, as in early style transfer code, which called an
optimizer in rounds. Within a round, a quadratic penalty outside [0, 1] takes the place of the bounds, so that
line search and history see it. Without it, pixels leave [0, 1] freely and end as specks of pure color.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.objective import LossTerms
from tilestyle.losses.planes import LevelPlanes
from tilestyle.optim.content_weight import ContentWeightController
from tilestyle.optim.state import RenderState, ShouldStop, SweepObserver
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

# Gain of the content weight's adjustment at the end of a round: it takes the place of those of many sweeps.
ADJUSTMENTS_PER_ROUND = 6.0
MAX_EVALUATIONS = 25  # at most so many evaluations of the loss per iteration
# Least mean slope, relative to the weights of the loss. Smaller slopes are rounding errors of a picture that is
# as it should be, as a black one in a black style. Where losses are about 1, real slopes are above 1e-4.
MIN_MEAN_SLOPE = 1e-10
# Second derivative of the penalty outside [0, 1], where the slope of the loss is 1 on average.
BOUND_PENALTY = 100.0
# Keys of torch's optimizer state: numbers, tensors and lists of tensors.
SCALAR_KEYS = ("t", "H_diag", "prev_loss", "n_iter", "func_evals")
TENSOR_KEYS = ("d", "prev_flat_grad")
LIST_KEYS = ("old_dirs", "old_stps", "ro")


def run_level(
    job: Job,
    level: Level,
    planes: LevelPlanes,
    render_state: RenderState,
    on_sweep: SweepObserver,
    should_stop: ShouldStop,
) -> bool:
    """Run the remaining iterations of one level with L-BFGS; a sweep is one iteration.

    Args:
        job: The render.
        level: Its level, with the number of iterations.
        planes: Content and regions at the size of the level.
        render_state: The canvas and the iteration to start with; kept up to date.
        on_sweep: Called after each iteration, with the loss terms from before it.
        should_stop: Called after each iteration; True ends the level early.

    Returns:
        Whether the level is complete, rather than stopped.
    """
    canvas = render_state.level_canvas
    objective = ExactObjective(job, level, planes)
    optimizer = LBFGSOptimizer(job, objective, canvas, render_state.objective_state)
    controller = ContentWeightController(job, level, render_state)
    optimizer.set_content_weight(controller.weight)
    render_state.objective_state = {}
    for sweep in range(render_state.sweep, level.sweeps):
        terms = optimizer.step()
        if (sweep + 1) % job.config.round == 0 or sweep + 1 == level.sweeps:
            optimizer.end_round()
            controller.adjust(canvas, ADJUSTMENTS_PER_ROUND)
            optimizer.set_content_weight(controller.weight)
        on_sweep(level, sweep, controller.with_content_weight(terms), canvas)
        render_state.end_sweep()
        stopped = should_stop()
        if stopped or render_state.checkpointer.is_due():
            render_state.checkpointer.save(render_state, optimizer.state_dict(), optional=not stopped)
        if stopped:
            return False
    return True


class LBFGSOptimizer:
    """torch's L-BFGS on the exact loss of one level."""

    def __init__(
        self, job: Job, objective: ExactObjective, canvas: Canvas, state: Mapping[str, Tensor]
    ) -> None:
        """Begin a round, or continue one.

        Args:
            job: The render.
            objective: The loss of its level.
            canvas: The canvas, changed in place.
            state: A saved `state_dict` for this canvas; empty to begin a round.
        """
        self._exact = objective
        self._canvas = canvas
        self._history = job.history
        # The first step of a round, along the gradient, changes a pixel by the learning rate on average.
        self._first_step = job.config.learning_rate * canvas.pixels.numel()
        weights = job.weights
        self._min_slope = MIN_MEAN_SLOPE * (weights.style + weights.content + weights.tv + weights.palette)
        # The last evaluation: hash of the pixels, loss terms, and penalty of the pixels outside [0, 1].
        self._last_evaluation: tuple[bytes, LossTerms, float] | None = None
        # Factor of the loss that makes its slopes 1 on average: torch's thresholds are absolute.
        self._scale = 0.0
        self._optimizer = self._new_optimizer()
        if state:
            self._scale = float(state["scale"])
            self._optimizer_state.update(unpack_state(state))

    def step(self) -> LossTerms:
        """Run one iteration; return the loss terms from before it."""
        evaluations: list[LossTerms] = []
        self._optimizer.param_groups[0]["lr"] = 1.0 if self._optimizer_state.get("n_iter") else self._first_step

        def evaluate() -> float:
            loss, terms = self._evaluate()
            evaluations.append(terms)
            return loss

        self._optimizer.step(evaluate)  # type: ignore[no-untyped-call]
        return evaluations[0]

    def set_content_weight(self, weight: float) -> None:
        """Set the content weight; only between rounds, because it changes the loss."""
        self._exact.set_content_weight(weight)

    def end_round(self) -> None:
        """Clamp the pixels to [0, 1] and start the optimizer over."""
        self._canvas.pixels.clamp_(0, 1)
        self._optimizer = self._new_optimizer()
        self._last_evaluation, self._scale = None, 0.0

    def state_dict(self) -> dict[str, Tensor]:
        """The optimizer's state between two iterations, as tensors by name; empty at the start of a round."""
        if not self._optimizer_state.get("n_iter"):
            return {}
        return {**pack_state(self._optimizer_state), "scale": torch.tensor(self._scale, dtype=torch.float64)}

    @property
    def _optimizer_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._optimizer.state[self._canvas.pixels]
        return state

    def _new_optimizer(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            [self._canvas.pixels],
            max_iter=1,
            max_eval=MAX_EVALUATIONS,
            tolerance_grad=0.0,
            history_size=self._history,
            line_search_fn="strong_wolfe",
        )

    def _evaluate(self) -> tuple[float, LossTerms]:
        """Compute the loss of the canvas and set the gradient of the pixels.

        An iteration usually begins with the pixels at which the last line search ended. A hash of the pixels
        tells, so that the loss is not computed twice.

        Returns:
            - The scaled loss with the penalty.
            - The loss terms.
        """
        pixels = self._canvas.pixels
        digest = hashlib.blake2b(pixels.detach().numpy().data, digest_size=16).digest()
        if self._last_evaluation is None or self._last_evaluation[0] != digest:
            terms, gradient = self._exact(self._canvas)
            if not self._scale:
                slope = float(gradient.abs().mean(dtype=torch.float64))
                self._scale = 1 / slope if slope > self._min_slope else 0.0
            pixels.grad = gradient.mul_(
                self._scale
            )  # all 0 if it is nothing but rounding: then there is no step
            self._last_evaluation = digest, terms, bound_penalty(pixels.detach(), gradient)
        _, terms, penalty = self._last_evaluation
        return self._scale * self._exact.loss(terms) + penalty, terms


def bound_penalty(pixels: Tensor, gradient: Tensor) -> float:
    """Return the penalty of pixels outside [0, 1] and add its gradient.

    Args:
        pixels: Pixels, [3, h, w].
        gradient: Gradient in them, [3, h, w]; that of the penalty is added in place.

    Returns:
        The penalty, summed over pixels and channels.
    """
    penalty = 0.0
    for top in range(0, pixels.shape[1], STRIP_ROWS):
        rows = pixels[:, top : top + STRIP_ROWS]
        outside = rows - rows.clamp(0, 1)
        gradient[:, top : top + STRIP_ROWS].add_(outside, alpha=BOUND_PENALTY)
        penalty += BOUND_PENALTY / 2 * float(outside.square_().sum(dtype=torch.float64))
    return penalty


def pack_state(optimizer_state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert the state of torch's L-BFGS to tensors by name."""
    numbers = torch.tensor([float(optimizer_state[name]) for name in SCALAR_KEYS], dtype=torch.float64)
    lists = {f"{name} {k}": value for name in LIST_KEYS for k, value in enumerate(optimizer_state[name])}
    return {"numbers": numbers, **{name: optimizer_state[name] for name in TENSOR_KEYS}, **lists}


def unpack_state(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Convert tensors by name back to the state of torch's L-BFGS."""
    t, diagonal, loss, iterations, evaluations = state["numbers"].tolist()
    optimizer_state: dict[str, Any] = {name: state[name] for name in TENSOR_KEYS}
    optimizer_state |= {"t": t, "H_diag": torch.tensor(diagonal), "prev_loss": loss}
    optimizer_state |= {"n_iter": int(iterations), "func_evals": int(evaluations)}
    for name in LIST_KEYS:
        count = sum(key.startswith(f"{name} ") for key in state)
        optimizer_state[name] = [state[f"{name} {k}"] for k in range(count)]
    return optimizer_state
