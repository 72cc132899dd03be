"""The state of a render: all that a retry or a resumed process needs to continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.sharding import shard_patches
from tilestyle.losses.objective import LossTerms
from tilestyle.optim.deferred import DeferredGradients
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import ContentWeightState

SweepObserver = Callable[[Level, int, LossTerms, Canvas], None]
ShouldStop = Callable[[], bool]


class Checkpointer(Protocol):
    """Saves the state of a render in time, so that little is lost when the process is killed.

    Where the canvas is a file that is mapped into memory, it changes between two checkpoints. So
    `before_write` is called before every change of it.
    """

    def before_write(self, canvas: Canvas, *boxes: Box) -> None:
        """Prepare for a step of the pixels in these boxes, which follows."""

    def flush(self) -> None:
        """Make sure that the pixels of all boxes named so far can be overwritten safely."""

    def is_due(self) -> bool:
        """Return whether it is time to save."""

    def save(
        self, render_state: RenderState, objective_state: Mapping[str, Tensor], *, optional: bool = False
    ) -> None:
        """Save the state between two patches.

        Args:
            render_state: The state of the render.
            objective_state: The state of the level's objective: its moments and sums.
            optional: Whether the render continues if the state cannot be saved.
        """

    def on_level_start(self, render_state: RenderState) -> None:
        """Take notice of a new level with its canvas, or of the end of the last level."""


class NullCheckpointer:
    """A checkpointer that saves nothing."""

    def before_write(self, canvas: Canvas, *boxes: Box) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def is_due(self) -> bool:
        """Return False."""
        return False

    def save(
        self, render_state: RenderState, objective_state: Mapping[str, Tensor], *, optional: bool = False
    ) -> None:
        """Do nothing."""

    def on_level_start(self, render_state: RenderState) -> None:
        """Do nothing."""


@dataclass
class RenderState:
    """The current level and sweep, and which patches of the sweep are done.

    The patches that are not done are divided among the processes (ranks). Each rank works through its own shard
    and only counts its own progress; `merge_shards` combines the counts.
    """

    level: int = -1  # index of the level; -1 before the first
    sweep: int = 0
    canvas: Canvas | None = None
    patches: list[Patch] = field(default_factory=list)  # of the sweep; empty before they are drawn
    done: int = 0  # how many of them, from the first on, were done before the rest was divided
    shards: list[list[Patch]] = field(default_factory=list)  # the rest, one list per rank
    shard_index: int = 0  # this rank's shard
    done_in_shard: int = 0  # how many patches of it are done
    content_weight_state: ContentWeightState | None = None  # for --strength; None before the first adjustment
    # Gradients of patch borders that are still to be stepped.
    deferred: DeferredGradients = field(default_factory=DeferredGradients)
    moments_ready: bool = False  # whether the moments for the sweep are measured
    partial_sweep: bool = False  # whether `patches` are only those that a failed attempt left undone
    checkpointer: Checkpointer = field(default_factory=NullCheckpointer)
    # Saved state of the level's objective (losses/level.py).
    objective_state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def level_canvas(self) -> Canvas:
        """The canvas of the current level.

        Raises:
            ValueError: No level has begun.
        """
        if self.canvas is None:
            raise ValueError("no level has begun; a job needs at least one")
        return self.canvas

    @property
    def remaining(self) -> list[Patch]:
        """Patches of the sweep that this rank still has to step."""
        return self.shards[self.shard_index][self.done_in_shard :] if self.shards else self.patches[self.done :]

    @property
    def done_fraction(self) -> float:
        """Fraction of the sweep's patches that were done before the rest was divided."""
        return self.done / len(self.patches) if self.patches else 0.0

    @property
    def sweep_fraction(self) -> float:
        """Fraction of the sweep's patches that are done, if all ranks are as fast as this one."""
        done = self.done + self.done_in_shard * max(1, len(self.shards))
        return min(1.0, done / len(self.patches)) if self.patches else 0.0

    @property
    def other_shards(self) -> list[Patch]:
        """Patches in the shards of other ranks, done or not."""
        others = (shard for index, shard in enumerate(self.shards) if index != self.shard_index)
        return [patch for shard in others for patch in shard]

    def shard(self, comm: Communicator) -> None:
        """Divide the patches that are not done among the ranks."""
        height = self.canvas.extent.height if self.canvas else 1
        self.shards = shard_patches(self.patches[self.done :], height, comm.world_size)
        self.shard_index, self.done_in_shard = comm.rank, 0

    def merge_shards(self, comm: Communicator) -> None:
        """Combine the progress of all ranks and dissolve the shards.

        Afterwards the patches that any rank has done are the first in `patches`.
        """
        if not self.shards:
            return
        counts = comm.all_gather_int(self.done_in_shard)
        done = [patch for shard, count in zip(self.shards, counts, strict=True) for patch in shard[:count]]
        rest = [patch for shard, count in zip(self.shards, counts, strict=True) for patch in shard[count:]]
        self.patches = self.patches[: self.done] + done + rest
        self.done, self.shards, self.done_in_shard = self.done + len(done), [], 0

    def begin_level(self, level: int, canvas: Canvas) -> None:
        """Begin a level with its canvas."""
        self.level, self.canvas, self.sweep, self.objective_state = level, canvas, 0, {}
        self.content_weight_state = self.content_weight_state and ContentWeightState(
            self.content_weight_state.weight
        )

    def begin_sweep(self, patches: list[Patch], *, partial_sweep: bool = False) -> None:
        """Begin a sweep.

        Args:
            patches: The patches to step.
            partial_sweep: Whether they are only the rest of a sweep, after a failed attempt.
        """
        self.patches, self.done, self.moments_ready, self.partial_sweep = patches, 0, False, partial_sweep
        self.shards, self.done_in_shard = [], 0

    def end_sweep(self) -> None:
        """End the sweep."""
        self.sweep += 1
        self.begin_sweep([])
