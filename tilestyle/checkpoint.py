"""Checkpoints: a render killed at any moment goes on from the last, to the same bytes.

A canvas in memory is copied into the work folder, with what has been seen of it. A mapped one is there already:
its checkpoint is a journal of what it was wherever it is changed afterwards. Either becomes the checkpoint in
one instant, when the manifest that names it replaces the one before.

Ranks that share a canvas copy it, too, each its rows: what a journal writes down in every sweep would have to
go through the one file system that they share.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tilestyle import archive
from tilestyle.canvas import PLANES, Canvas
from tilestyle.errors import DiskError, WorkError
from tilestyle.geometry import Box, Patch
from tilestyle.job import Job
from tilestyle.journal import Journal, undo
from tilestyle.planes import Folder, hand_back, is_mapped, synchronise
from tilestyle.resolved import Settled
from tilestyle.standing import Standing
from tilestyle.work import Work, WorkFolder, check_disk

# A level begins with a checkpoint if the last is older than this, seconds.
LEVEL = 30.0
# A journal ends with a checkpoint when it is longer than this share of the canvas, and this many bytes.
SHARE, LEAST = 1 / 4, 2**30
PLANE, RIM = "plane ", "rim "
SHARED = " gradient"  # what ends the name of a plane that the first rank puts back for all
ANEW = "begin anew with --restart"


@dataclass(frozen=True)
class Left:
    """How far an earlier run came."""

    settled: Settled
    level: int
    sweep: int
    seconds: float  # that it took


class Checkpoints:
    """Keeps a render in its work folder (the Keeper of renderer.py)."""

    def __init__(self, folder: WorkFolder, about: Mapping[str, Any], work: Work) -> None:
        """`about` is what the render is of, as JSON.

        Raises WorkError when the folder was left by another render, or is damaged.
        """
        self._folder = folder
        self._about = json.loads(json.dumps(about))
        self._work = work
        self.ranks = work.ranks
        self._left: dict[str, Any] | None = self.ranks.told(folder.manifest() if self.ranks.first else None)
        if self.ranks.first and self._left and self._left.get("about") != self._about:
            differing = differences(self._left.get("about"), self._about)
            raise WorkError(
                f"{folder.path} was left by another render ({differing})",
                hint="begin anew with --restart, or give another --work-dir",
            )
        self._settled: Settled | None = None
        self.complete = False  # set when there is nothing left to go on with
        self._journal: Journal | None = None
        self._canvas_bytes = 0
        self._number = 0
        self._last = self._start = time.monotonic()
        self._spent = 0.0  # seconds, before this run

    @property
    def path(self) -> Path:
        """The work folder."""
        return self._folder.path

    @property
    def left(self) -> Left | None:
        """How far an earlier run came; None if there was none."""
        if self._left is None:
            return None
        try:
            standing = self._left["standing"]
            return Left(
                Settled(**self._left["settled"]),
                int(standing["level"]),
                int(standing["sweep"]),
                float(self._left["seconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(f"the manifest of {self.path} is damaged ({error})", hint=ANEW) from error

    @property
    def any(self) -> bool:
        """Whether there is a checkpoint, of this run or an earlier one."""
        return self._left is not None or self._number > 0

    def begin(self, settled: Settled, disk: int) -> None:
        """Say what was settled; raises DiskError when `disk` bytes are not to be had, for what is new."""
        self._settled = settled
        if self._left is None and self.ranks.first:
            check_disk(self.path, disk, "the render")

    def guard(self, canvas: Canvas, *boxes: Box) -> None:
        """Begin to write down what is under boxes that are going to be stepped."""
        if self._journal:
            self._journal.add(canvas, *boxes)

    def settle(self) -> None:
        """Wait until all that is guarded may be stepped."""
        if self._journal:
            with _disk(self._folder.path):
                self._journal.settle()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        long = self._journal is not None and self._journal.bytes > max(LEAST, SHARE * self._canvas_bytes)
        return long or time.monotonic() - self._last >= self._work.every

    def enter(self, at: Standing) -> None:
        """A level begins, or all is done. A mapped canvas is kept at once: then the one before it can go."""
        mapped = at.canvas is not None and self._stays(at.canvas)
        late = time.monotonic() - self._last >= min(LEVEL, self._work.every)
        if self.ranks.told(mapped or self._journal is not None or late):
            self.keep(at, {})

    def keep(self, at: Standing, sight: Mapping[str, Tensor]) -> None:
        """Make a checkpoint of what there is. Raises DiskError; the checkpoint before it stays good.

        Every rank keeps the rims that it is still to step and its rows of the canvas; the first one keeps the
        rest, and makes all of it the checkpoint.
        """
        canvas, number, ranks = at.canvas, self._number + 1, self.ranks
        if canvas is None:
            raise ValueError("a checkpoint is of a canvas")
        mapped, extent = self._stays(canvas), canvas.extent
        archives, journal = _archives(number, ranks.count), f"checkpoint-{number}.journal"
        with _disk(self._folder.path):
            self._settle_planes(canvas, mapped=mapped)
            tensors = {f"{RIM}{s.top} {s.left}": g for s, g in at.rims.items()}
            if ranks.first:
                tensors |= sight
            if not mapped:
                rows = slice(*ranks.rows(extent.height))
                tensors |= {f"{PLANE}{name} {rows.start}": p[:, rows] for name, p in canvas.planes.items()}
            self._archive(archives[ranks.index], tensors)
            ranks.meet()
            store = Folder(self._folder.path)
            planes = [store.file(name, extent.height, extent.width).name for name in PLANES] if mapped else []
            begun = Journal(self._folder.path / journal) if mapped else None
            manifest = {
                "about": self._about,
                "command": dict(self._work.command),
                "settled": asdict(self._settled) if self._settled else None,
                "number": number,
                "archives": archives,
                "journal": journal if mapped else None,
                "planes": planes,
                "seconds": self._spent + time.monotonic() - self._start,
                "standing": _described(at),
            }
            try:
                if ranks.first:
                    self._folder.write(manifest, [*archives, journal, *planes])
            except OSError:
                if begun:
                    begun.close()
                raise
        if self._journal:
            self._journal.close()
        self._journal, self._number = begun, number
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())
        self._last = time.monotonic()

    def _stays(self, canvas: Canvas) -> bool:
        """Whether a canvas stays where it is, with a journal, rather than being copied."""
        return self.ranks.count == 1 and is_mapped(canvas.pixels)

    def standing(self, job: Job) -> Standing:
        """Where an earlier run left off, or the beginning; raises WorkError where that is damaged."""
        manifest = self._left
        if manifest is None:
            return Standing(keeper=self)
        try:
            at = _standing(manifest["standing"])
            at.keeper = self
            extent = job.levels[at.level].extent
            archives = [self._folder.path / name for name in manifest["archives"]]
            journal = None if manifest["journal"] is None else self._folder.path / manifest["journal"]
            self._number, self._spent = int(manifest["number"]), float(manifest["seconds"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise WorkError(f"the manifest of {self._folder.path} is damaged ({error})", hint=ANEW) from error
        planes = (
            {
                name: job.store.zeros(channels, extent.height, extent.width, name)
                for name, (channels, _) in PLANES.items()
            }
            if journal is None
            else self._opened(extent.height, extent.width)
        )
        canvas = Canvas(extent, planes["pixels"], (planes["first"], planes["second"], planes["steps"]))
        at.canvas = canvas
        rows = self._load(archives, at, canvas)
        if journal is not None:
            self._put_back(at, journal)
        elif sum(self.ranks.counts(rows)) != len(PLANES) * extent.height:
            raise WorkError(f"{archives[0]} is damaged (it lacks planes)", hint=ANEW)
        return at

    def _put_back(self, at: Standing, journal: Path) -> None:
        """Bring a canvas in files back to its checkpoint; from there on ranks keep copies of it."""
        canvas = at.canvas
        if canvas is None:
            return
        if self.ranks.first:
            undo(journal, canvas)
        self.ranks.meet()
        if self.ranks.count > 1:
            self.keep(at, at.sight)
            return
        self._settle_planes(canvas, mapped=True)
        self._journal = Journal(journal)
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())

    def _load(self, archives: list[Path], at: Standing, canvas: Canvas) -> int:
        """Read what was seen, rims, and rows into the planes; answers how many of these.

        What another rank has kept is read by the one of its number, or whose it would be if there are fewer.
        """
        ranks, planes, rows = self.ranks, canvas.planes, 0

        def place(name: str, shape: tuple[int, ...]) -> Tensor | None:
            nonlocal rows
            if not name.startswith(PLANE):
                return None
            plane, top = name.removeprefix(PLANE).split()
            view = planes[plane][:, int(top) : int(top) + shape[1]]
            if view.shape != shape:
                raise ValueError(f"{name} is not of this canvas")
            rows += shape[1]
            return view

        def wanted(name: str) -> bool:
            return ranks.first or not (name.startswith((RIM, PLANE)) or name.endswith(SHARED))

        at.sight = archive.load(archives[0], place, wanted)
        for path in archives[ranks.index or ranks.count :: ranks.count]:
            at.sight |= archive.load(path, place)
        for name in [name for name in at.sight if name.startswith((RIM, PLANE))]:
            tensor = at.sight.pop(name)
            if name.startswith(RIM):
                top, left = map(int, name.removeprefix(RIM).split())
                at.rims[Box(top, left, *tensor.shape[1:])] = tensor.to(canvas.pixels.device)
        return rows

    def close(self) -> None:
        """Let go of the files."""
        if self._journal:
            self._journal.close()

    def _opened(self, height: int, width: int) -> dict[str, Tensor]:
        store = Folder(self._folder.path)
        try:
            return {name: store.opened(name, count, height, width) for name, (count, _) in PLANES.items()}
        except (OSError, ValueError) as error:
            raise WorkError(f"{self._folder.path} lacks its canvas ({error})", hint=ANEW) from error

    def _settle_planes(self, canvas: Canvas, *, mapped: bool) -> None:
        if self._journal:
            self._journal.settle()
        if mapped:
            hand_back()
            for plane in canvas.planes.values():
                synchronise(plane)

    def _archive(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        path = self._folder.path / name
        try:
            with path.open("wb") as file:
                archive.save(file, tensors)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _archives(number: int, count: int) -> list[str]:
    """Files of a checkpoint, one for every rank."""
    return [f"checkpoint-{number}{f'-{index}' if index else ''}.npz" for index in range(count)]


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """A full disk, said in our words."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        raise DiskError(
            f"{path} cannot be written ({error.strerror})",
            hint="the last checkpoint is kept: make room and give the same command again",
        ) from error


def differences(one: Any, other: Any, name: str = "") -> str:
    """Which settings differ, by name."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return name
    names = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(differences(one.get(key), other.get(key), key) for key in names)


def _described(at: Standing) -> dict[str, Any]:
    """All of a standing but its tensors, for JSON."""
    return {
        "level": at.level,
        "sweep": at.sweep,
        "stepped": at.stepped,
        "prepared": at.prepared,
        "cut_short": at.cut_short,
        "patches": [asdict(patch) for patch in at.patches],
    }


def _standing(found: Mapping[str, Any]) -> Standing:
    patches = [Patch(Box(**each["owned"]), Box(**each["read"]), each["scale"]) for each in found["patches"]]
    return Standing(
        level=int(found["level"]),
        sweep=int(found["sweep"]),
        patches=patches,
        stepped=int(found["stepped"]),
        prepared=bool(found["prepared"]),
        cut_short=bool(found["cut_short"]),
    )
