"""Save checkpoints and resume from them: a render killed at any moment continues from the last one.

On a CPU the resumed render gives the same bytes. A canvas in memory is copied into the work folder, with the
state of the losses. A memory-mapped canvas is there already: its checkpoint is a journal of the old values of
whatever changes afterwards. Either becomes the checkpoint in one instant, when its manifest replaces the one
before.

Ranks that share a canvas copy it, too, each its rows: a journal of every sweep would have to go through the one
file system that they share.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.canvas import PLANES, Canvas
from tilestyle.canvas.mapped_pages import file_of, flush_mapped, is_mapped, release_mapped_pages
from tilestyle.canvas.storage import MappedStore, PlaneStore
from tilestyle.config.reuse import with_current_names
from tilestyle.errors import OutputError, WorkError
from tilestyle.files import ownership
from tilestyle.geometry.boxes import Box, CanvasExtent
from tilestyle.images.disk_space import check_disk_space
from tilestyle.notices import notice
from tilestyle.optim.state import RenderState
from tilestyle.pipeline import checksums, journal, manifest, tensor_archive
from tilestyle.pipeline.checkpoint_tensors import (
    BORDER_PREFIX,
    PLANE_PREFIX,
    border_tensors,
    restore_state,
    state_tensors,
)
from tilestyle.pipeline.checksums import BandChecksums
from tilestyle.pipeline.journal import Journal
from tilestyle.pipeline.manifest import RESTART_HINT, ArchiveEntry, Manifest, MappedCanvas, RenderPosition
from tilestyle.pipeline.resume_point import ResumePoint
from tilestyle.pipeline.workdir import LockedWorkDir, Work, translating_errors
from tilestyle.planning.resolve import MemoryDecisions
from tilestyle.planning.schedule import Level

# A level starts with a checkpoint if the last one is older than this, seconds.
LEVEL_INTERVAL = 30.0
# A journal ends with a checkpoint when it is larger than this fraction of the canvas, and this many bytes.
MAX_JOURNAL_SHARE, MIN_JOURNAL_BYTES = 1 / 4, 2**30
MAX_DIFFERENCES = 8  # settings that a message names
SHARED_SUFFIX = " gradient"  # suffix of planes of gradients, which rank 0 restores for all
PIXELS_PLANE = "pixels"  # the only plane that a finished render keeps


class WorkDirCheckpointer:
    """Saves a render in its work folder (the Checkpointer of optim.state)."""

    def __init__(self, folder: LockedWorkDir, fingerprint: Mapping[str, Any], work: Work) -> None:
        """Read the checkpoint of an earlier run, if there is one.

        Args:
            folder: The locked work folder.
            fingerprint: What the render is made of, as JSON.
            work: How often to save, and the processes that render together.

        Raises:
            WorkError: The folder belongs to another render, or is damaged.
        """
        self._folder = folder
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._work = work
        self.ranks = work.ranks
        self._resumed: Manifest | None = None
        earlier = folder.read_manifest() if self.ranks.is_rank_zero else None
        about = with_current_names(earlier.about) if earlier else None
        if about is not None and about != self._fingerprint:
            raise WorkError(
                f"{folder.path} was left by another render ({differing_settings(about, self._fingerprint)})",
                # `resume` has neither option.
                hint="change that back, or run the command of the render with --restart to start over, or with "
                "another --work-dir",
            )
        content = self.ranks.broadcast(asdict(earlier) if earlier else None)
        self._resumed = manifest.parse(content) if content else None
        self._decisions: MemoryDecisions | None = None
        self.complete = False  # set when the render is complete, and only its picture is left to write
        self.holds_finished = False  # whether the last checkpoint holds the finished picture
        self._journal: Journal | None = None
        self._checksums: BandChecksums | None = None  # of a memory-mapped canvas
        self._canvas_bytes = 0
        self._number = 0
        self._last_save = self._start_time = time.monotonic()
        self._seconds_before = 0.0  # seconds, in earlier runs

    @property
    def path(self) -> Path:
        """The work folder."""
        return self._folder.path

    @property
    def resume_point(self) -> ResumePoint | None:
        """How far an earlier run came; None if there was none."""
        if self._resumed is None:
            return None
        resumed = self._resumed
        try:
            decisions = MemoryDecisions(**resumed.settled)
        except ValueError as error:
            raise WorkError(f"the manifest of {self.path} is damaged ({error})", hint=RESTART_HINT) from error
        return ResumePoint(decisions, resumed.place.level, resumed.place.sweep, resumed.seconds)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, of this run or an earlier one."""
        return self._resumed is not None or self._number > 0

    def start(self, decisions: MemoryDecisions, disk_bytes: int) -> None:
        """Start a render.

        Args:
            decisions: What has been decided from free memory; saved with every checkpoint.
            disk_bytes: Disk space that the render needs; checked unless it is resumed.

        Raises:
            DiskError: There is too little disk space.
        """
        self._decisions = decisions
        if self._resumed is None and self.ranks.is_rank_zero:
            with translating_errors(self.path):
                self._folder.remove_stale_planes(())
                check_disk_space(self.path, disk_bytes, "the render")

    def before_write(self, canvas: Canvas, *boxes: Box) -> None:
        """Start to record the old values in boxes that are about to be updated."""
        if self._journal:
            self._journal.record(canvas, *boxes)
        if self._checksums:
            self._checksums.invalidate(*boxes)

    def flush(self) -> None:
        """Wait until all recorded boxes are on disk and may be updated."""
        if self._journal:
            with self._translating_errors():
                self._journal.flush()

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        is_long = self._journal is not None and self._journal.size > max(
            MIN_JOURNAL_BYTES, MAX_JOURNAL_SHARE * self._canvas_bytes
        )
        return is_long or time.monotonic() - self._last_save >= self._work.every

    def on_level_start(self, render_state: RenderState) -> None:
        """Note that a level starts.

        A memory-mapped canvas is saved at once, so that the files of the one before can be removed.
        """
        self._checksums = None
        mapped = render_state.canvas is not None and self._stays_mapped(render_state.canvas)
        is_old = time.monotonic() - self._last_save >= min(LEVEL_INTERVAL, self._work.every)
        must_save = mapped or self._journal is not None
        if self.ranks.broadcast(must_save or is_old):
            self.save(render_state, {}, optional=not must_save)

    def save_finished(self, render_state: RenderState) -> None:
        """Save the pixels of the finished render, so that it can be resumed if writing the picture fails.

        A disk too full for them must not prevent writing the picture, so a single process only gives a notice.
        """
        if self.holds_finished:  # by an earlier run
            return
        try:
            self._save(render_state, {}, finished=True)
        except OutputError as error:
            if self.ranks.world_size > 1:  # the others wait for this one
                raise
            notice(f"the finished render could not be saved in the work folder: {error.message}")
            return
        self.holds_finished = True

    def save(
        self, render_state: RenderState, objective_state: Mapping[str, Tensor], *, optional: bool = False
    ) -> None:
        """Save a checkpoint; if that fails, the one before stays valid.

        Every rank saves its rows of the canvas, and its gradients of borders that are still to be applied. The
        first one saves the rest, and replaces the manifest.

        Args:
            render_state: The state of the render.
            objective_state: Tensors of the losses.
            optional: Whether a single process whose canvas is in memory only gives a notice if it cannot save,
                and continues. A memory-mapped canvas needs the disk for its journal anyway.

        Raises:
            OutputError: The folder cannot be written.
            DiskError: The disk is full.
        """
        try:
            self._save(render_state, objective_state, finished=False)
        except OutputError as error:
            if not optional or self._journal or self.ranks.world_size > 1:
                raise
            kept = "; the last checkpoint is kept" if self.has_checkpoint else ""
            then = f"the render continues and tries again later{kept}"
            notice(f"no checkpoint could be saved: {error.message}; {then}")
            self._last_save = time.monotonic()

    def _save(
        self, render_state: RenderState, objective_state: Mapping[str, Tensor], *, finished: bool
    ) -> None:
        """Save a checkpoint, or of a finished render only the pixels."""
        canvas, ranks = render_state.canvas, self.ranks
        if canvas is None:
            raise ValueError("there is no canvas to save")
        mapped, extent = self._stays_mapped(canvas), canvas.extent
        with self._translating_errors():
            number = ranks.broadcast(self._next_number() if ranks.is_rank_zero else None)
            self._flush_planes(canvas, mapped=mapped)
            tensors = border_tensors(render_state)
            if ranks.is_rank_zero:
                tensors |= {**state_tensors(render_state), **objective_state}
            if not mapped:
                rows = slice(*ranks.row_share(extent.height))
                planes = {PIXELS_PLANE: canvas.pixels} if finished else canvas.planes
                tensors |= {
                    f"{PLANE_PREFIX}{name} {rows.start}": plane[:, rows] for name, plane in planes.items()
                }
            names = _archive_names(number, ranks.world_size)
            if ranks.is_rank_zero:
                for name in names:
                    ownership.claim(self.path / name)
            ranks.barrier()
            size, sha256 = tensor_archive.write_file(self.path / names[ranks.rank], tensors)
            archives = ranks.gather(asdict(ArchiveEntry(names[ranks.rank], size, sha256)))
            new_journal, mapped_canvas = self._start_journal(canvas, number) if mapped else (None, None)
            try:
                if ranks.is_rank_zero:
                    self._folder.write_manifest(
                        Manifest(
                            number=number,
                            seconds=self._seconds_before + time.monotonic() - self._start_time,
                            finished=finished,
                            place=RenderPosition(
                                render_state.level,
                                render_state.sweep,
                                render_state.done,
                                render_state.moments_ready,
                                render_state.partial_sweep,
                            ),
                            archives=[ArchiveEntry(**entry) for entry in archives],
                            filed=mapped_canvas,
                            settled=asdict(self._decisions) if self._decisions else {},
                            about=self._fingerprint,
                            words=list(self._work.command.get("words", [])),
                            folder=str(self._work.command.get("folder", "")),
                        )
                    )
            except BaseException:
                if new_journal:
                    new_journal.close()
                raise
            if self._journal:
                self._journal.close()
        self._journal, self._number = new_journal, number
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())
        self._last_save = time.monotonic()

    def _start_journal(self, canvas: Canvas, number: int) -> tuple[Journal, MappedCanvas]:
        """Start a journal of a memory-mapped canvas; return it and the entry of both in the manifest."""
        extent, nonce = canvas.extent, secrets.token_bytes(journal.NONCE_BYTES)
        self._checksums = self._checksums or BandChecksums(extent.height)
        band_checksums = self._checksums.checksums(canvas)
        name = _journal_name(number)
        planes = [file_of(canvas.planes[plane]) for plane in PLANES]
        for plane in planes:
            plane.lstat()  # fails if somebody has removed it; writing to it would not
        files = [plane.name for plane in planes]
        return Journal(self.path / name, nonce), MappedCanvas(files, name, nonce.hex(), band_checksums)

    def _next_number(self) -> int:
        """Return a number for a checkpoint whose file names are free.

        The folder is set up again first if somebody has emptied it in the meantime.
        """
        self._folder.reclaim()
        number, own_names = self._number + 1, ownership.owned_names(self.path)
        while any(
            name not in own_names and (self.path / name).exists()
            for name in (*_archive_names(number, self.ranks.world_size), _journal_name(number))
        ):
            number += 1
        return number

    def _translating_errors(self) -> AbstractContextManager[None]:
        """Turn operating system errors of all that a checkpoint reads and writes into errors of tilestyle."""
        return translating_errors(self.path, lambda: self.has_checkpoint)

    def _stays_mapped(self, canvas: Canvas) -> bool:
        """Return whether a canvas stays in its files, with a journal, rather than being copied."""
        return self.ranks.world_size == 1 and is_mapped(canvas.pixels)

    def load_render_state(self, levels: Sequence[Level], store: PlaneStore) -> RenderState:
        """Load the state in which an earlier run stopped, or return the initial state.

        Everything is checked before anything is changed.

        Args:
            levels: The levels of the render.
            store: Where the planes of a canvas that is not memory-mapped are allocated.

        Raises:
            WorkError: The checkpoint is damaged.
        """
        resumed = self._resumed
        if resumed is None:
            return RenderState(checkpointer=self)
        position, ranks = resumed.place, self.ranks
        if position.level >= len(levels) or position.sweep > levels[position.level].sweeps:
            raise self._damage_error("its position is beyond the end of the render")
        extent = levels[position.level].extent
        with self._translating_errors():
            for index, archive in enumerate(resumed.archives):
                if index % ranks.world_size == ranks.rank:
                    tensor_archive.verify_file(self.path / archive.name, archive.size, archive.sha256)
            ranks.barrier()
            self._number, self._seconds_before, self.holds_finished = (
                resumed.number,
                resumed.seconds,
                resumed.finished,
            )
            state = RenderState(
                level=position.level,
                sweep=position.sweep,
                done=position.stepped,
                moments_ready=position.prepared,
                partial_sweep=position.cut_short,
                checkpointer=self,
            )
            archives = [self.path / archive.name for archive in resumed.archives]
            # Checked before planes are created, which may overwrite existing files.
            rows = sum(
                ranks.all_gather_int(sum(map(_count_plane_rows, archives[ranks.rank :: ranks.world_size])))
            )
            if resumed.filed is None and rows != (1 if resumed.finished else len(PLANES)) * extent.height:
                raise self._damage_error("it lacks planes")
            state.canvas = canvas = self._load_canvas(resumed, extent, store)
            self._load_archives(archives, state, canvas)
            if not position.stepped <= len(state.patches):
                raise self._damage_error("it lacks patches")
            if resumed.filed is not None:
                self._restore_canvas(state, resumed.filed)
            if ranks.is_rank_zero:
                mapped = [plane for plane in canvas.planes.values() if is_mapped(plane)]
                self._folder.remove_stale_planes({file_of(plane).name for plane in mapped})
        return state

    def _load_canvas(self, manifest: Manifest, extent: CanvasExtent, store: PlaneStore) -> Canvas:
        """Return the canvas of a checkpoint: the memory-mapped one, or planes to load the archives into.

        Args:
            manifest: The manifest of the checkpoint.
            extent: Size of the canvas.
            store: Where the planes are allocated.
        """
        if manifest.filed is not None:
            planes = self._open_planes(manifest.filed, extent)
        else:
            planes = {}
            for name, (channels, _) in PLANES.items():
                if (
                    manifest.finished and name != PIXELS_PLANE
                ):  # no more updates: a plane without memory will do
                    planes[name] = torch.zeros(()).expand(channels, extent.height, extent.width)
                else:
                    planes[name] = store.zeros(channels, extent.height, extent.width, name)
        return Canvas(extent, planes[PIXELS_PLANE], (planes["first"], planes["second"], planes["steps"]))

    def _damage_error(self, reason: str) -> WorkError:
        """Return the error for a damaged work folder."""
        return WorkError(f"{self.path} is damaged ({reason})", hint=RESTART_HINT)

    def _restore_canvas(self, render_state: RenderState, mapped_canvas: MappedCanvas) -> None:
        """Roll a memory-mapped canvas back to its checkpoint; from there on several ranks save copies of it."""
        canvas = render_state.canvas
        if canvas is None:
            return
        nonce = bytes.fromhex(mapped_canvas.nonce)
        if self.ranks.is_rank_zero:
            self._roll_back(canvas, self.path / mapped_canvas.journal, nonce, mapped_canvas.sums)
        self.ranks.barrier()
        if self.ranks.world_size > 1:
            self._save(render_state, render_state.objective_state, finished=self.holds_finished)
            return
        self._flush_planes(canvas, mapped=True)
        self._journal = Journal(self.path / mapped_canvas.journal, nonce)
        self._checksums = BandChecksums(canvas.extent.height, mapped_canvas.sums)
        self._canvas_bytes = sum(4 * plane.numel() for plane in canvas.planes.values())

    def _roll_back(self, canvas: Canvas, path: Path, nonce: bytes, expected: list[int]) -> None:
        """Roll back a journal, after checking that this restores the canvas of the checkpoint.

        Args:
            canvas: The canvas to restore.
            path: The journal.
            nonce: Identifies the journal.
            expected: Checksum of every band of the canvas at the checkpoint.
        """
        if path.is_symlink() or not path.is_file():
            raise self._damage_error(f"{path.name} is missing")
        if len(expected) != checksums.band_count(canvas.extent.height):
            raise self._damage_error("it lacks checksums")
        with path.open("rb") as file:
            records = journal.read_records(file, nonce, canvas.extent.height, canvas.extent.width)
            wrong = checksums.first_mismatch(canvas, expected, journal.row_restorer(file, records, canvas))
            if wrong is not None:
                raise self._damage_error(
                    f"{path.name}, or the canvas near row {wrong * checksums.BAND_ROWS}, has changed since"
                )
            journal.roll_back(file, records, canvas)

    def _load_archives(self, archives: list[Path], render_state: RenderState, canvas: Canvas) -> None:
        """Load the state of the losses, the gradients of borders, and the rows of the planes.

        What another rank has saved is loaded by the rank of the same number, counted modulo the number of
        ranks.
        """
        ranks, planes = self.ranks, canvas.planes

        def place(name: str, shape: tuple[int, ...]) -> Tensor | None:
            if not name.startswith(PLANE_PREFIX):
                return None
            plane, top = name.removeprefix(PLANE_PREFIX).split()
            if len(shape) != 3 or not 0 <= int(top) < canvas.extent.height:
                raise ValueError("a plane does not fit this canvas")
            view = planes[plane][:, int(top) : int(top) + shape[1]]
            if view.shape != shape:
                raise ValueError("a plane does not fit this canvas")
            return view

        def is_needed(name: str) -> bool:
            return ranks.is_rank_zero or not (
                name.startswith((BORDER_PREFIX, PLANE_PREFIX)) or name.endswith(SHARED_SUFFIX)
            )

        render_state.objective_state = tensor_archive.load_tensors(archives[0], place, is_needed)
        for path in archives[ranks.rank or ranks.world_size :: ranks.world_size]:
            render_state.objective_state |= tensor_archive.load_tensors(path, place)
        try:
            restore_state(render_state, canvas)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._damage_error("a patch or border in it does not fit this canvas") from error

    def close(self) -> None:
        """Close the files."""
        if self._journal:
            with suppress(OSError):  # everything that mattered is on disk already
                self._journal.close()

    def _open_planes(self, mapped_canvas: MappedCanvas, extent: CanvasExtent) -> dict[str, Tensor]:
        """Open the planes of a memory-mapped canvas, by name."""
        store = MappedStore(self.path)
        size = extent.height, extent.width
        if len(mapped_canvas.planes) != len(PLANES) or not all(
            store.is_plane_name(file, name, *size)
            for file, name in zip(mapped_canvas.planes, PLANES, strict=True)
        ):
            raise self._damage_error("its planes have the wrong size")
        try:
            return {
                name: store.open_plane(self.path / file, count, *size)
                for file, (name, (count, _)) in zip(mapped_canvas.planes, PLANES.items(), strict=True)
            }
        except ValueError as error:
            raise self._damage_error(str(error)) from error

    def _flush_planes(self, canvas: Canvas, *, mapped: bool) -> None:
        """Wait until the journal, and the planes if they are memory-mapped, are on disk."""
        if self._journal:
            self._journal.flush()
        if mapped:
            release_mapped_pages()
            for plane in canvas.planes.values():
                flush_mapped(plane)


def _count_plane_rows(path: Path) -> int:
    """Return the number of rows in an archive, summed over all planes."""
    shapes = tensor_archive.read_shapes(path)
    return sum(shape[1] for name, shape in shapes.items() if name.startswith(PLANE_PREFIX) and len(shape) == 3)


def _archive_names(number: int, count: int) -> list[str]:
    """Return the names of a checkpoint's archives, one for every rank."""
    return [f"checkpoint-{number}{f'-{index}' if index else ''}.npz" for index in range(count)]


def _journal_name(number: int) -> str:
    """Return the name of a checkpoint's journal."""
    return f"checkpoint-{number}.journal"


def differing_settings(one: Any, other: Any, name: str = "") -> str:
    """Name the settings of `other` that differ from those of `one`, for a message."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return name or "all of it"
    names = [
        differing_settings(one.get(key), value, key) for key, value in other.items() if one.get(key) != value
    ]
    if not set(one) <= set(other):
        names.append("settings that this render does not have")
    more = [f"and {len(names) - MAX_DIFFERENCES} more"] if len(names) > MAX_DIFFERENCES else []
    return ", ".join([*names[:MAX_DIFFERENCES], *more])
