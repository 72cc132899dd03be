"""Checkpoints: a render killed at any moment goes on from the last, on a CPU to the same bytes.

A canvas in memory is copied into the work folder, with what has been seen of it. A mapped one is there already:
its checkpoint is a journal of what it was wherever it is changed afterwards. Either becomes the checkpoint in
one instant, when the manifest that names it replaces the one before.

Ranks that share a canvas copy it, too, each its rows: what a journal writes down in every sweep would have to
go through the one file system that they share.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, astuple, dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.canvas import PLANES, Canvas
from tilestyle.canvas.storage import Folder, file_of, hand_back, is_mapped, synchronise
from tilestyle.errors import OutputError, WorkError
from tilestyle.files import ownership
from tilestyle.files.durable import synchronise as synchronise_file
from tilestyle.geometry.boxes import Box, Extent, Patch
from tilestyle.notices import notice
from tilestyle.optim.state import Standing
from tilestyle.pipeline import checksums, journal, manifest, tensor_archive
from tilestyle.pipeline.checksums import Sums
from tilestyle.pipeline.journal import Journal
from tilestyle.pipeline.manifest import ANEW, Archive, Filed, Manifest, Place
from tilestyle.pipeline.workdir import Work, WorkFolder, check_disk, translated
from tilestyle.planning.job import Job
from tilestyle.planning.resolve import Settled
from tilestyle.planning.strength import Held

# A level begins with a checkpoint if the last is older than this, seconds.
LEVEL = 30.0
# A journal ends with a checkpoint when it is longer than this share of the canvas, and this many bytes.
SHARE, LEAST = 1 / 4, 2**30
PLANE, RIM, PATCHES, HELD = "plane ", "rim ", "patches", "content weight"
MANY = 8  # settings that are named
SHARED = " gradient"  # what ends the name of a plane that the first rank puts back for all
PIXELS = "pixels"  # the plane that is all that is left of a finished render


@dataclass(frozen=True)
class Left:
    """How far an earlier run came."""

    settled: Settled
    level: int
    sweep: int
    seconds: float  # that it took


class Checkpoints:
    """Keeps a render in its work folder (the Keeper of loop.py)."""

    def __init__(self, folder: WorkFolder, about: Mapping[str, Any], work: Work) -> None:
        """`about` is what the render is of, as JSON.

        Raises WorkError when the folder was left by another render, or is damaged.
        """
        self._folder = folder
        self._about = json.loads(json.dumps(about))
        self._work = work
        self.ranks = work.ranks
        self._left: Manifest | None = None
        found = folder.manifest() if self.ranks.first else None
        if found and found.about != self._about:
            raise WorkError(
                f"{folder.path} was left by another render ({differences(found.about, self._about)})",
                hint="begin anew with --restart, or give another --work-dir",
            )
        told = self.ranks.told(asdict(found) if found else None)
        self._left = manifest.parsed(told) if told else None
        self._settled: Settled | None = None
        self.complete = False  # set when the picture is all there is to keep
        self.finished = False  # whether the last checkpoint is of the finished picture
        self._journal: Journal | None = None
        self._sums: Sums | None = None  # of a mapped canvas
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
        left = self._left
        try:
            chosen = Settled(**left.settled)
        except ValueError as error:
            raise WorkError(f"the manifest of {self.path} is damaged ({error})", hint=ANEW) from error
        return Left(chosen, left.place.level, left.place.sweep, left.seconds)

    @property
    def any(self) -> bool:
        """Whether there is a checkpoint, of this run or an earlier one."""
        return self._left is not None or self._number > 0

    def begin(self, settled: Settled, disk: int) -> None:
        """Say what was settled; raises DiskError when `disk` bytes are not to be had, for what is new."""
        self._settled = settled
        if self._left is None and self.ranks.first:
            with translated(self.path):
                self._folder.tidy(())
                check_disk(self.path, disk, "the render")

    def guard(self, canvas: Canvas, *boxes: Box) -> None:
        """Begin to write down what is under boxes that are going to be stepped."""
        if self._journal:
            self._journal.add(canvas, *boxes)
        if self._sums:
            self._sums.mark(*boxes)

    def settle(self) -> None:
        """Wait until all that is guarded may be stepped."""
        if self._journal:
            with self._translated():
                self._journal.settle()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        long = self._journal is not None and self._journal.bytes > max(LEAST, SHARE * self._canvas_bytes)
        return long or time.monotonic() - self._last >= self._work.every

    def enter(self, at: Standing) -> None:
        """A level begins. A mapped canvas is kept at once: then the one before it can go."""
        self._sums = None
        mapped = at.canvas is not None and self._stays(at.canvas)
        late = time.monotonic() - self._last >= min(LEVEL, self._work.every)
        if self.ranks.told(mapped or self._journal is not None or late):
            self.keep(at, {})

    def finish(self, at: Standing) -> None:
        """All sweeps are done: keep the pixels, to be gone on with where writing the picture fails.

        A disk without room for them is no reason not to write the picture.
        """
        if self.finished:  # by the run before
            return
        try:
            self._keep(at, {}, finished=True)
        except OutputError as error:
            if self.ranks.count > 1:  # which wait for each other
                raise
            notice(f"the finished render cannot be kept before it is written: {error}")
            return
        self.finished = True

    def keep(self, at: Standing, sight: Mapping[str, Tensor]) -> None:
        """Make a checkpoint of what there is. Raises DiskError; the checkpoint before it stays good.

        Every rank keeps the rims that it is still to step and its rows of the canvas; the first one keeps the
        rest, and makes all of it the checkpoint.
        """
        self._keep(at, sight, finished=False)

    def _keep(self, at: Standing, sight: Mapping[str, Tensor], *, finished: bool) -> None:
        canvas, ranks = at.canvas, self.ranks
        if canvas is None:
            raise ValueError("a checkpoint is of a canvas")
        mapped, extent = self._stays(canvas), canvas.extent
        with self._translated():
            number = ranks.told(self._next_number() if ranks.first else None)
            self._settle_planes(canvas, mapped=mapped)
            tensors = {f"{RIM}{s.top} {s.left}": g for s, g in at.rims.items()}
            if ranks.first:
                tensors |= {PATCHES: _table(at.patches), **_kept(at.held), **sight}
            if not mapped:
                rows = slice(*ranks.rows(extent.height))
                kept = {PIXELS: canvas.pixels} if finished else canvas.planes
                tensors |= {f"{PLANE}{name} {rows.start}": plane[:, rows] for name, plane in kept.items()}
            names = _archives(number, ranks.count)
            if ranks.first:
                for name in names:
                    ownership.claim(self.path / name)
            ranks.meet()
            archives = ranks.gathered(asdict(self._archive(names[ranks.index], tensors)))
            begun, filed = self._begun(canvas, number) if mapped else (None, None)
            try:
                if ranks.first:
                    self._folder.write(
                        Manifest(
                            number=number,
                            seconds=self._spent + time.monotonic() - self._start,
                            finished=finished,
                            place=Place(at.level, at.sweep, at.stepped, at.prepared, at.cut_short),
                            archives=[Archive(**each) for each in archives],
                            filed=filed,
                            settled=asdict(self._settled) if self._settled else {},
                            about=self._about,
                            words=list(self._work.command.get("words", [])),
                            folder=str(self._work.command.get("folder", "")),
                        )
                    )
            except BaseException:
                if begun:
                    begun.close()
                raise
            if self._journal:
                self._journal.close()
        self._journal, self._number = begun, number
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())
        self._last = time.monotonic()

    def _begun(self, canvas: Canvas, number: int) -> tuple[Journal, Filed]:
        """A new journal of a canvas that stays in its files, and what the manifest says of both."""
        extent, nonce = canvas.extent, secrets.token_bytes(journal.NONCE)
        self._sums = self._sums or Sums(extent.height)
        counted = self._sums.of(canvas)
        name = _journal(number)
        planes = [file_of(canvas.planes[plane]) for plane in PLANES]
        for plane in planes:
            plane.lstat()  # somebody may have removed it: it can be written to all the same
        files = [plane.name for plane in planes]
        return Journal(self.path / name, nonce), Filed(files, name, nonce.hex(), counted)

    def _next_number(self) -> int:
        """Of a checkpoint whose names nobody else has taken in the folder, which is to be ours (again)."""
        self._folder.take_again()
        number, ours = self._number + 1, ownership.names(self.path)
        while any(
            name not in ours and (self.path / name).exists()
            for name in (*_archives(number, self.ranks.count), _journal(number))
        ):
            number += 1
        return number

    def _translated(self) -> AbstractContextManager[None]:
        """The one place where errors of the system become ours: of all that a checkpoint reads and writes."""
        return translated(self.path, lambda: self.any)

    def _stays(self, canvas: Canvas) -> bool:
        """Whether a canvas stays where it is, with a journal, rather than being copied."""
        return self.ranks.count == 1 and is_mapped(canvas.pixels)

    def standing(self, job: Job) -> Standing:
        """Where an earlier run left off, or the beginning.

        Everything is checked before anything is changed. Raises WorkError where that is damaged.
        """
        left = self._left
        if left is None:
            return Standing(keeper=self)
        if left.place.level >= len(job.levels) or left.place.sweep > job.levels[left.place.level].sweeps:
            raise self._damaged("its place is beyond the render's end")
        place, extent, ranks = left.place, job.levels[left.place.level].extent, self.ranks
        with self._translated():
            for index, each in enumerate(left.archives):
                if index % ranks.count == ranks.index:
                    tensor_archive.check(self.path / each.name, each.size, each.sha256)
            ranks.meet()
            self._number, self._spent, self.finished = left.number, left.seconds, left.finished
            at = Standing(
                level=place.level,
                sweep=place.sweep,
                stepped=place.stepped,
                prepared=place.prepared,
                cut_short=place.cut_short,
                keeper=self,
            )
            archives = [self.path / each.name for each in left.archives]
            # Before planes are made for them, whose files may be there.
            rows = sum(ranks.counts(sum(map(_plane_rows, archives[ranks.index :: ranks.count]))))
            if left.filed is None and rows != (1 if left.finished else len(PLANES)) * extent.height:
                raise self._damaged("it lacks planes")
            at.canvas = canvas = self._canvas(job, left, extent)
            self._load(archives, at, canvas)
            if not place.stepped <= len(at.patches):
                raise self._damaged("it lacks patches")
            if left.filed is not None:
                self._put_back(at, left.filed)
            if ranks.first:
                mapped = [plane for plane in canvas.planes.values() if is_mapped(plane)]
                self._folder.tidy({file_of(plane).name for plane in mapped})
        return at

    def _canvas(self, job: Job, left: Manifest, extent: Extent) -> Canvas:
        """The canvas of a checkpoint: in its files, or made for what is in the archives."""
        if left.filed is not None:
            planes = self._opened(left.filed, extent)
        else:
            planes = {}
            for name, (channels, _) in PLANES.items():
                if left.finished and name != PIXELS:  # which nobody steps any more
                    planes[name] = torch.zeros(()).expand(channels, extent.height, extent.width)
                else:
                    planes[name] = job.store.zeros(channels, extent.height, extent.width, name)
        return Canvas(extent, planes[PIXELS], (planes["first"], planes["second"], planes["steps"]))

    def _damaged(self, reason: str) -> WorkError:
        return WorkError(f"{self.path} is damaged ({reason})", hint=ANEW)

    def _put_back(self, at: Standing, filed: Filed) -> None:
        """Bring a canvas in files back to its checkpoint; from there on ranks keep copies of it."""
        canvas = at.canvas
        if canvas is None:
            return
        nonce = bytes.fromhex(filed.nonce)
        if self.ranks.first:
            self._undo(canvas, self.path / filed.journal, nonce, filed.sums)
        self.ranks.meet()
        if self.ranks.count > 1:
            self._keep(at, at.sight, finished=self.finished)
            return
        self._settle_planes(canvas, mapped=True)
        self._journal = Journal(self.path / filed.journal, nonce)
        self._sums = Sums(canvas.extent.height, filed.sums)
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())

    def _undo(self, canvas: Canvas, path: Path, nonce: bytes, expected: list[int]) -> None:
        """Undo a journal, once it is known that this gives the canvas of the checkpoint."""
        if path.is_symlink() or not path.is_file():
            raise self._damaged(f"{path.name} is missing")
        if len(expected) != checksums.count(canvas.extent.height):
            raise self._damaged("it lacks checksums")
        with path.open("rb") as file:
            found = journal.records(file, nonce, canvas.extent.height, canvas.extent.width)
            wrong = checksums.mismatch(canvas, expected, journal.restoring(file, found, canvas))
            if wrong is not None:
                raise self._damaged(
                    f"{path.name} or the canvas at row {wrong * checksums.BAND} is not what was written"
                )
            journal.undo(file, found, canvas)

    def _load(self, archives: list[Path], at: Standing, canvas: Canvas) -> None:
        """Read what was seen, rims, and rows into the planes.

        What another rank has kept is read by the one of its number, or whose it would be if there are fewer.
        """
        ranks, planes = self.ranks, canvas.planes

        def place(name: str, shape: tuple[int, ...]) -> Tensor | None:
            if not name.startswith(PLANE):
                return None
            plane, top = name.removeprefix(PLANE).split()
            if len(shape) != 3 or not 0 <= int(top) < canvas.extent.height:
                raise ValueError("a plane is not of this canvas")
            view = planes[plane][:, int(top) : int(top) + shape[1]]
            if view.shape != shape:
                raise ValueError("a plane is not of this canvas")
            return view

        def wanted(name: str) -> bool:
            return ranks.first or not (name.startswith((RIM, PLANE)) or name.endswith(SHARED))

        at.sight = tensor_archive.load(archives[0], place, wanted)
        for path in archives[ranks.index or ranks.count :: ranks.count]:
            at.sight |= tensor_archive.load(path, place)
        try:
            at.patches = _patches(at.sight.pop(PATCHES), canvas.extent)
            at.held = _held(at.sight.pop(HELD)) if HELD in at.sight else None
            for name in [name for name in at.sight if name.startswith((RIM, PLANE))]:
                tensor = at.sight.pop(name)
                if name.startswith(RIM):
                    top, left = map(int, name.removeprefix(RIM).split())
                    at.rims[_within(Box(top, left, *tensor.shape[1:]), canvas.extent)] = tensor.to(
                        canvas.pixels.device
                    )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._damaged("a patch or rim in it is none of this canvas") from error

    def close(self) -> None:
        """Let go of the files."""
        if self._journal:
            with suppress(OSError):  # what was guarded has been on the disk before it was stepped
                self._journal.close()

    def _opened(self, filed: Filed, extent: Extent) -> dict[str, Tensor]:
        store = Folder(self.path)
        size = extent.height, extent.width
        if len(filed.planes) != len(PLANES) or not all(
            store.holds(file, name, *size) for file, name in zip(filed.planes, PLANES, strict=True)
        ):
            raise self._damaged("its planes are not of this size")
        try:
            return {
                name: store.opened(self.path / file, count, *size)
                for file, (name, (count, _)) in zip(filed.planes, PLANES.items(), strict=True)
            }
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _settle_planes(self, canvas: Canvas, *, mapped: bool) -> None:
        if self._journal:
            self._journal.settle()
        if mapped:
            hand_back()
            for plane in canvas.planes.values():
                synchronise(plane)

    def _archive(self, name: str, tensors: Mapping[str, Tensor]) -> Archive:
        """Write an archive; answers its name and digest."""
        path = self.path / name
        try:
            with path.open("wb") as file:
                digest = tensor_archive.Digesting(file)
                tensor_archive.save(digest, tensors)
                file.flush()
                synchronise_file(file.fileno(), path)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return Archive(name, digest.size, digest.sha256)


def _plane_rows(path: Path) -> int:
    """Rows of planes in an archive, of all planes together."""
    found = tensor_archive.shapes(path)
    return sum(shape[1] for name, shape in found.items() if name.startswith(PLANE) and len(shape) == 3)


def _archives(number: int, count: int) -> list[str]:
    """Files of a checkpoint, one for every rank."""
    return [f"checkpoint-{number}{f'-{index}' if index else ''}.npz" for index in range(count)]


def _journal(number: int) -> str:
    return f"checkpoint-{number}.journal"


def differences(one: Any, other: Any, name: str = "") -> str:
    """Which settings of `other` differ from those of `one`; names that only `one` has are not shown."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return name or "all of it"
    found = [differences(one.get(key), value, key) for key, value in other.items() if one.get(key) != value]
    if not set(one) <= set(other):
        found.append("settings that this one has not")
    more = [f"and {len(found) - MANY} more"] if len(found) > MANY else []
    return ", ".join([*found[:MANY], *more])


def _table(patches: list[Patch]) -> Tensor:
    """Patches as numbers [n, 9]."""
    rows = [(*astuple(patch.owned), *astuple(patch.read), patch.scale) for patch in patches]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 9)


def _patches(table: Tensor, extent: Extent) -> list[Patch]:
    """The patches of a table, each within the canvas. Raises ValueError."""
    if table.ndim != 2 or table.shape[1] != 9 or table.dtype != torch.int64:
        raise ValueError("the patches are no table")
    found = [Patch(Box(*row[:4]), Box(*row[4:8]), row[8]) for row in table.tolist()]
    for patch in found:
        scale, own, seen = patch.scale, _within(patch.owned, extent), _near(patch.read, extent)
        laps = own.top - seen.top, own.left - seen.left
        ends = seen.height - own.height - laps[0], seen.width - own.width - laps[1]
        sides = (own.height, own.width, seen.height, seen.width, *laps, *ends)
        if (
            not 0 < scale <= 64
            or min(sides[:4]) < scale
            or min(sides) < 0
            or any(side % scale for side in sides)
        ):
            raise ValueError("a patch is not of this canvas")
    return found


def _kept(held: Held | None) -> dict[str, Tensor]:
    """The content's weight as a tensor by name, to be stored; none where it is not adjusted."""
    if held is None:
        return {}
    known = [each for each in astuple(held) if each is not None]
    return {HELD: torch.tensor(known, dtype=torch.float64)}


def _held(stored: Tensor) -> Held:
    """The content's weight, and the distance before it if there was one. Raises ValueError."""
    weight, *rest = stored.flatten().tolist()
    if not (0 < weight < inf and all(0 <= distance <= 2 for distance in rest)):
        raise ValueError("the content's weight is none")
    return Held(weight, *rest)


def _within(box: Box, extent: Extent) -> Box:
    """A box that fits on the torus. Raises ValueError."""
    if not (0 < box.height <= extent.height and 0 < box.width <= extent.width):
        raise ValueError("a box is not of this canvas")
    return _near(box, extent)


def _near(box: Box, extent: Extent) -> Box:
    """A box of a sensible place and size. Raises ValueError."""
    far = 4 * max(extent.height, extent.width)
    if max(abs(box.top), abs(box.left), box.height, box.width) > far:
        raise ValueError("a box is not of this canvas")
    return box
