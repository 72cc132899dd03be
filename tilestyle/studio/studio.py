"""What a server has: its folder, its uploads, its drafts and its jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from tilestyle.studio.draft_sessions import DraftSessions
from tilestyle.studio.jobs import Jobs
from tilestyle.studio.root import Root
from tilestyle.studio.sources import Sources
from tilestyle.studio.uploads import UploadLimits, Uploads

DEFAULT_LIMITS = UploadLimits()


class Studio:
    """All parts of a studio."""

    def __init__(
        self,
        path: Path,
        cap: int,
        limits: UploadLimits = DEFAULT_LIMITS,
        checkpoint_seconds: float = 120.0,
        *,
        warm: bool = True,
    ) -> None:
        """Open the folder, and load what is there.

        Args:
            path: The folder.
            cap: Bytes that it may hold.
            limits: Of uploads.
            checkpoint_seconds: Seconds after which a job saves its work again.
            warm: Whether the process of the drafts starts at once, rather than when it is needed.
        """
        self._warm = warm
        self.root = Root(path, cap)
        self.uploads = Uploads(self.root, limits, self.make_room)
        self.sources = Sources(self.root, self.uploads)
        self.drafts = DraftSessions(self.root.temporary, self.root.path / "drafts.log")
        self.jobs = Jobs(self.root, self.sources, self.uploads, self.drafts, self.make_room, checkpoint_seconds)

    async def start(self) -> None:
        """Start the process of the drafts, and the queue."""
        if self._warm:
            await self.drafts.start()
        await self.jobs.start()

    async def end_streams(self) -> None:
        """End the streams of events: the server waits for them when it ends."""
        await self.jobs.end_streams()
        await self.drafts.end_streams()

    async def close(self) -> None:
        """Save the work of the job that runs, and end all processes."""
        await self.jobs.close()
        await self.drafts.close()
        self.root.close()

    def make_room(self, needed: int, keep: Collection[str] = ()) -> None:
        """Make room for so many bytes; raises Refused if there is none without removing what to keep."""
        self.root.make_room(needed, self._removals(keep))

    def _removals(self, keep: Collection[str]) -> Iterator[tuple[Path, Callable[[], None]]]:
        """Yield what may go: finished jobs, oldest first, then uploads."""
        for job in self.jobs.finished_oldest_first():
            if job.id not in keep:
                yield self.jobs.folder(job), partial(self.jobs.remove, job)
        for facts in self.uploads.oldest_first():
            if facts.id not in keep:
                yield self.uploads.folder(facts), partial(self.uploads.remove, facts.id)
