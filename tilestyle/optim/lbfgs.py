"""L-BFGS (Liu and Nocedal 1989) on the canvas of a level, with the exact loss: torch's, an iteration at a time.

What it remembers of a canvas costs 24 bytes a pixel for every pair of its history, and lies beside the canvas
in RAM. Pixels are clamped to [0, 1] after every round of iterations, as in the write-ups that called an
optimiser in rounds, and line search and history begin anew. Within a round there is a slope outside in place of
a wall, of which both can know: pixels that are free come back as specks of pure colours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.canvas import ROWS, Canvas
from tilestyle.losses.exact import Exact
from tilestyle.losses.objective import Terms
from tilestyle.optim.content_weight import Balance
from tilestyle.optim.state import Standing, StopAsker, SweepObserver
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

# Sweeps of Adam whose adjustments of the content's weight are made at once, at the end of a round.
AT_ONCE = 6.0
EVALUATIONS = 25  # of one iteration, at most
LEAST = 1e-30  # mean slope of a canvas that is not at rest
# What the slope grows by with every unit outside [0, 1], where that of the loss is 1 on average.
WALL = 100.0
# Numbers of torch's state that are one each.
NUMBERS = ("t", "H_diag", "prev_loss", "n_iter", "func_evals")
VECTORS = ("d", "prev_flat_grad")
LISTS = ("old_dirs", "old_stps", "ro")


def refine(
    job: Job, level: Level, canvas: Canvas, at: Standing, observe: SweepObserver, stop: StopAsker
) -> bool:
    """The iterations of one level that are not done yet; answers whether it was let to the end.

    A sweep is an iteration, the terms told after it are those it began with. Stopping waits for its end.
    """
    descent = Descent(job, level, canvas, at.sight)
    balance = Balance(job, level, at)
    descent.weigh(balance.weight)
    at.sight = {}
    for sweep in range(at.sweep, level.sweeps):
        terms = descent.step()
        if (sweep + 1) % job.config.round == 0 or sweep + 1 == level.sweeps:
            descent.end_round()
            balance.turn(canvas, AT_ONCE)
            descent.weigh(balance.weight)
        observe(level, sweep, balance.noted(terms), canvas)
        at.turn()
        stopped = stop()
        if stopped or at.keeper.due():
            at.keeper.keep(at, descent.state)
        if stopped:
            return False
    return True


class Descent:
    """The optimiser of one level with what it has seen of the canvas."""

    def __init__(self, job: Job, level: Level, canvas: Canvas, state: Mapping[str, Tensor]) -> None:
        """`state` is what an earlier one remembered of this canvas."""
        self._exact = Exact(job, level)
        self._canvas = canvas
        self._history = job.history
        # The first step of a round, along the gradient, changes a pixel by the learning rate on average.
        self._first = job.config.learning_rate * canvas.pixels.numel()
        # What the last evaluation was of, its terms, and what the pixels outside [0, 1] add to the loss.
        self._seen: tuple[bytes, Terms, float] | None = None
        # Factor of the loss, of any size in absolute units, for thresholds of torch's: slopes of 1 on average.
        self._scale = 0.0
        self._optimiser = self._begun()
        if state:
            self._scale = float(state["scale"])
            self._memory.update(restored(state))

    def step(self) -> Terms:
        """One iteration; answers the terms that it began with."""
        found: list[Terms] = []
        self._optimiser.param_groups[0]["lr"] = 1.0 if self._memory.get("n_iter") else self._first

        def evaluate() -> float:
            loss, terms = self._evaluated()
            found.append(terms)
            return loss

        self._optimiser.step(evaluate)  # type: ignore[no-untyped-call]
        return found[0]

    def weigh(self, content: float) -> None:
        """Give the content another weight: between rounds, since it makes another loss."""
        self._exact.weigh(content)

    def end_round(self) -> None:
        """Clamp the pixels and forget what was remembered: it was of other pixels."""
        self._canvas.pixels.clamp_(0, 1)
        self._optimiser = self._begun()
        self._seen, self._scale = None, 0.0

    @property
    def state(self) -> dict[str, Tensor]:
        """All that is remembered, as tensors by name, to be stored between two iterations."""
        if not self._memory.get("n_iter"):
            return {}
        return {**stored(self._memory), "scale": torch.tensor(self._scale, dtype=torch.float64)}

    @property
    def _memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = self._optimiser.state[self._canvas.pixels]
        return memory

    def _begun(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            [self._canvas.pixels],
            max_iter=1,
            max_eval=EVALUATIONS,
            tolerance_grad=0.0,
            history_size=self._history,
            line_search_fn="strong_wolfe",
        )

    def _evaluated(self) -> tuple[float, Terms]:
        """The loss of the canvas as it is; its gradient is then the pixels'.

        An iteration begins where the line search of the last one mostly ended: that is not computed again.
        """
        pixels = self._canvas.pixels
        mark = hashlib.blake2b(pixels.detach().numpy().data, digest_size=16).digest()
        if self._seen is None or self._seen[0] != mark:
            terms, gradient = self._exact(self._canvas)
            if not self._scale:
                self._scale = 1 / max(float(gradient.abs().mean(dtype=torch.float64)), LEAST)
            pixels.grad = gradient.mul_(self._scale)
            self._seen = mark, terms, walled(pixels.detach(), gradient)
        _, terms, outside = self._seen
        return self._scale * self._exact.loss(terms) + outside, terms


def walled(pixels: Tensor, gradient: Tensor) -> float:
    """What pixels [3, h, w] outside [0, 1] add to the loss; its gradient is added in place."""
    found = 0.0
    for top in range(0, pixels.shape[1], ROWS):
        rows = pixels[:, top : top + ROWS]
        outside = rows - rows.clamp(0, 1)
        gradient[:, top : top + ROWS].add_(outside, alpha=WALL)
        found += WALL / 2 * float(outside.square_().sum(dtype=torch.float64))
    return found


def stored(memory: Mapping[str, Any]) -> dict[str, Tensor]:
    """What torch's L-BFGS remembers, as tensors by name."""
    numbers = torch.tensor([float(memory[name]) for name in NUMBERS], dtype=torch.float64)
    lists = {f"{name} {k}": value for name in LISTS for k, value in enumerate(memory[name])}
    return {"numbers": numbers, **{name: memory[name] for name in VECTORS}, **lists}


def restored(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The memory that `state` was of."""
    t, diagonal, loss, iterations, evaluations = state["numbers"].tolist()
    memory: dict[str, Any] = {name: state[name] for name in VECTORS}
    memory |= {"t": t, "H_diag": torch.tensor(diagonal), "prev_loss": loss}
    memory |= {"n_iter": int(iterations), "func_evals": int(evaluations)}
    for name in LISTS:
        count = sum(key.startswith(f"{name} ") for key in state)
        memory[name] = [state[f"{name} {k}"] for k in range(count)]
    return memory
