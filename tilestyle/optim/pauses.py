"""Pauses within a sweep, to save a checkpoint or to stop, on all processes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.level import LevelObjective
from tilestyle.optim.state import NullCheckpointer, RenderState

# What each process reports at the end of a run of patches; all follow the largest.
DONE, PAUSE, STOP = range(3)


class SweepRuns:
    """The patches of one sweep, as runs between pauses.

    Without a pause there is one run. At a pause all processes wait for each other; then the checkpoint is saved
    and the remaining patches are divided again. Rank 0 decides when to pause; the others check for it after
    every patch.
    """

    def __init__(
        self,
        comm: Communicator,
        render_state: RenderState,
        objective: LevelObjective,
        should_stop: Callable[[], bool],
        *,
        immediate: bool,
    ) -> None:
        """Prepare for checkpoints within the sweep.

        Args:
            comm: The processes that render together.
            render_state: The state of the render, with the patches of the sweep.
            objective: The level's objective, before the sweep begins.
            should_stop: Called after each patch; True ends the render early.
            immediate: Whether patches step the canvas when they are applied.
        """
        self._comm, self._state = comm, render_state
        self._objective, self._should_stop = objective, should_stop
        self._immediate = immediate
        # Overlapping patches do not step the canvas before the end of the sweep. So a checkpoint saves the
        # state from the beginning of the sweep, and a resumed render repeats it.
        overlapping = not self._immediate and not isinstance(render_state.checkpointer, NullCheckpointer)
        self._beginning = objective.state_snapshot if overlapping else None
        self._unfinished = False
        self._stop_requested = False
        self.stopped = False

    def __iter__(self) -> Iterator[Iterator[Patch]]:
        """Iterate over the runs; each is an iterator over patches of this process."""
        while True:
            self._state.shard(self._comm)
            yield self._until_pause()
            decision = self._agree()
            self._state.merge_shards(self._comm)
            if decision == DONE:
                return
            self._save(optional=decision == PAUSE)
            if decision == STOP:
                self.stopped = True
                return

    def _save(self, *, optional: bool) -> None:
        """Save a checkpoint within the sweep (Checkpointer.save)."""
        if self._beginning is None:
            self._objective.reduce_to_rank_zero()
            self._state.checkpointer.save(self._state, self._objective.state_dict(), optional=optional)
            return
        self._state.begin_sweep(self._state.patches, partial_sweep=self._state.partial_sweep)
        self._state.checkpointer.save(self._state, self._beginning, optional=optional)

    def _until_pause(self) -> Iterator[Patch]:
        """Iterate over the remaining patches, at least one, until a pause is wanted."""
        self._unfinished = False
        for count, patch in enumerate(self._state.remaining):
            self._unfinished = bool(count) and self._pause_wanted()
            if self._unfinished:
                return
            yield patch

    def _agree(self) -> int:
        """Wait for all processes; return DONE if none has patches left, else PAUSE or STOP."""
        stopped = self._comm.is_rank_zero and self._is_stop_requested()
        return self._comm.all_max(STOP if stopped else PAUSE if self._unfinished else DONE)

    def _pause_wanted(self) -> bool:
        """Return whether to pause before the next patch; rank 0 also tells the others."""
        self._comm.raise_if_peer_failed()
        if not self._comm.is_rank_zero:
            self._should_stop()  # rank 0 decides; a signal to this process waits for its checkpoint
            return self._comm.pause_requested
        pause = self._is_stop_requested() or (self._immediate and self._state.checkpointer.is_due())
        if pause:
            self._comm.request_pause()
        return pause

    def _is_stop_requested(self) -> bool:
        """Return whether `should_stop` has ever answered yes in this sweep."""
        self._stop_requested = self._stop_requested or self._should_stop()
        return self._stop_requested


def save_if_due(comm: Communicator, render_state: RenderState, objective: LevelObjective) -> None:
    """Save a checkpoint between two sweeps, if rank 0 finds that it is time."""
    if comm.all_max(comm.is_rank_zero and render_state.checkpointer.is_due()):
        render_state.checkpointer.save(render_state, objective.state_dict(), optional=True)
