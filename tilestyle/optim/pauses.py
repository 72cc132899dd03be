"""Pauses amid a sweep: to save a checkpoint, or to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tilestyle.geometry.boxes import Patch
from tilestyle.losses.level import Sight
from tilestyle.optim.state import Careless, Standing
from tilestyle.optim.update import steps_at_once
from tilestyle.planning.job import Job

# What processes tell one another at a pause: the largest counts.
DONE, PAUSE, STOP = range(3)


class SweepRuns:
    """The patches of one sweep in runs: one run, unless a checkpoint or a stop falls within the sweep.

    Between two runs all processes have finished the same patches, and the checkpoint is written. The first
    process decides when; the others hear of it after every patch.
    """

    def __init__(self, job: Job, at: Standing, sight: Sight, stop: Callable[[], bool]) -> None:
        """Note what a checkpoint amid the sweep will need.

        Args:
            job: The render.
            at: Its state, with the patches of the sweep.
            sight: The objective of the level, before the sweep begins.
            stop: Asked after every patch.
        """
        self._ranks, self._at, self._sight, self._stop = job.ranks, at, sight, stop
        self._at_once = steps_at_once(job)
        # Where patches overlap, none has stepped the canvas before the end: the sweep is saved as it began.
        overlapping = not self._at_once and not isinstance(at.keeper, Careless)
        self._beginning = sight.remembered if overlapping else None
        self._unfinished = False
        self._stop_asked = False
        self.stopped = False

    def __iter__(self) -> Iterator[Iterator[Patch]]:
        """Iterate over the runs, each an iterator over patches of this process."""
        while True:
            self._at.deal(self._ranks)
            yield self._until_pause()
            agreed = self._agree()
            self._at.gather(self._ranks)
            if agreed == DONE:
                return
            self._save()
            if agreed == STOP:
                self.stopped = True
                return

    def _save(self) -> None:
        if self._beginning is None:
            self._sight.gather()
            self._at.keeper.keep(self._at, self._sight.state_dict())
            return
        self._at.begin(self._at.patches, cut_short=self._at.cut_short)
        self._at.keeper.keep(self._at, self._beginning)

    def _until_pause(self) -> Iterator[Patch]:
        """Iterate over the patches left until a pause, but at least one."""
        self._unfinished = False
        for count, patch in enumerate(self._at.left):
            self._unfinished = bool(count) and self._pause_wanted()
            if self._unfinished:
                return
            yield patch

    def _agree(self) -> int:
        """Wait for all processes; return DONE when none has patches left, else PAUSE or STOP."""
        stopped = self._ranks.first and self._asked_to_stop()
        return self._ranks.meet(STOP if stopped else PAUSE if self._unfinished else DONE)

    def _pause_wanted(self) -> bool:
        self._ranks.listen()
        if not self._ranks.first:
            return self._ranks.paused
        wanted = self._asked_to_stop() or (self._at_once and self._at.keeper.due())
        if wanted:
            self._ranks.pause()
        return wanted

    def _asked_to_stop(self) -> bool:
        self._stop_asked = self._stop_asked or self._stop()
        return self._stop_asked


def save_if_due(job: Job, at: Standing, sight: Sight) -> None:
    """Save a checkpoint between two sweeps, if the first process finds that it is time."""
    if job.ranks.meet(job.ranks.first and at.keeper.due()):
        at.keeper.keep(at, sight.state_dict())
