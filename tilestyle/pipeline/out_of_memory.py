"""Recover from running out of memory: continue the render with smaller patches, or with its canvas in RAM."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

import torch

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import MemoryStore
from tilestyle.devices.device_memory import free_bytes
from tilestyle.devices.failures import is_library_failure, is_out_of_memory, may_be_out_of_memory, reason_of
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.devices.staging import drop_staging_buffers
from tilestyle.distributed import SINGLE
from tilestyle.errors import MemoryLimit
from tilestyle.geometry.boxes import Patch, tile_grid
from tilestyle.losses.planes import region_weights
from tilestyle.networks.vgg import Vgg
from tilestyle.optim.loop import LevelObserver, optimize
from tilestyle.optim.state import RenderState, SweepObserver
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline.events import CanvasMoved, PatchHalved
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import RAM_SHARE
from tilestyle.planning.schedule import step_size

CPU = torch.device("cpu")
# The canvas moves to RAM if that frees at least this fraction of what halving the patches would free. Then the
# patches, and so the picture, stay as they are.
MIN_FREED_SHARE = 1 / 6


def optimize_with_oom_retry(
    job: Job,
    on_level: LevelObserver,
    on_sweep: SweepObserver,
    should_stop: Callable[[], bool],
    notify: Callable[[PatchHalved | CanvasMoved], None] = lambda event: None,
    render_state: RenderState | None = None,
) -> tuple[Canvas, bool]:
    """Optimize like `optimize`, but continue with less memory where memory runs out.

    A canvas on a device moves to RAM. If it is there already, or moving it would free little, the patches are
    halved. An error of a library, which may have another cause, is first answered by emptying the caches and
    trying once more.

    Nothing finished is lost, and every pixel is still updated once a sweep: of the current sweep, only the
    patches that have not been done are cut up.

    Args:
        job: The job to render.
        on_level: As for `optimize`.
        on_sweep: As for `optimize`.
        should_stop: As for `optimize`.
        notify: Called with an event that says how the render continues.
        render_state: As for `optimize`.

    Returns:
        The finished canvas, and whether the render is complete.

    Raises:
        MemoryLimit: Patches cannot be made smaller, or several processes render together.
    """
    render_state = render_state or RenderState()
    retrying, last_retry = False, None
    while True:
        try:
            if retrying:
                requeue_unfinished(render_state, job)
            return optimize(job, on_level, on_sweep, should_stop, render_state)
        except (RuntimeError, MemoryError, OSError) as error:
            doubtful = may_be_out_of_memory(error)
            if not (doubtful or is_out_of_memory(error)) or (doubtful and job.comm.world_size > 1):
                raise
            reason, is_library_error = reason_of(error), is_library_failure(error)
        if job.comm.world_size > 1:
            raise MemoryLimit(
                f"{job.comm} ran out of memory with patches of {job.patch_side} pixels ({reason})",
                hint="give a smaller --patch or run fewer processes per machine; the work folder is kept",
            )
        # Not in the handler: there the exception still refers to the tensors of its traceback.
        retrying = True
        if isinstance(job.network, Vgg):
            job.network.drop_captured_passes()  # what graphs hold is worth more to patches now
        drop_staging_buffers()
        gc.collect()  # circles of references may hold memory of the device
        release_cached_memory(pinned=True)
        place = render_state.level, render_state.sweep, len(render_state.remaining)
        if is_library_error and last_retry != place:
            last_retry = place
            continue
        last_retry = None
        if is_worth_moving(job, render_state) or (is_min_patch_side(job) and can_move(job)):
            job = with_canvas_in_ram(job, render_state)
            notify(CanvasMoved())
        else:
            job = halve_patch_side(job, reason)
            notify(PatchHalved(job.patch_side))
        release_cached_memory()


def is_worth_moving(job: Job, render_state: RenderState) -> bool:
    """Return whether a canvas on a device should move to RAM, rather than patches become smaller.

    It should if memory ran out while its planes were allocated, when patches were not the cause, or if it is
    large.
    """
    if not can_move(job):
        return False
    canvas = render_state.canvas
    if canvas is None or render_state.sweep >= job.levels[render_state.level].sweeps:
        return True
    share = canvas.extent.area / job.levels[-1].extent.area
    freed = 3 / 4 * job.memory_estimate.patch  # by patches of half the side
    return share * job.memory_estimate.resident >= MIN_FREED_SHARE * freed


def can_move(job: Job) -> bool:
    """Return whether the canvas is on a device, and RAM has room for it, within the limits that are set."""
    if job.canvas_device == CPU:
        return False
    return job.memory_estimate.resident <= min(
        job.memory_limits.host or job.memory_estimate.resident, RAM_SHARE * free_bytes(CPU)
    )


def with_canvas_in_ram(job: Job, render_state: RenderState) -> Job:
    """Return the job with its canvas in RAM; move the existing canvas and the gradients of borders there."""
    canvas, store = render_state.canvas, MemoryStore(CPU)
    if canvas is not None:
        planes = {name: plane.to(CPU) for name, plane in canvas.planes.items()}
        state = planes["first"], planes["second"], planes["steps"]
        render_state.canvas = Canvas(canvas.extent, planes["pixels"], state, store)
    for border, gradient in list(render_state.deferred.items()):
        render_state.deferred[border] = gradient.to(CPU)
    return replace(job, store=store)


def requeue_unfinished(render_state: RenderState, job: Job) -> None:
    """Prepare to finish the current sweep with smaller patches; if none has been done, it is sampled again."""
    render_state.merge_shards(SINGLE)
    if not (render_state.partial_sweep or render_state.done):
        render_state.begin_sweep([])
        return
    remaining_patches = [
        piece for patch in render_state.remaining for piece in split_patch(patch, job.patch_side, job.unit)
    ]
    render_state.begin_sweep(remaining_patches, partial_sweep=True)
    if not remaining_patches and render_state.canvas:
        level = job.levels[render_state.level]
        rate = step_size(job.config, level, render_state.sweep)
        CanvasUpdater(job, render_state.canvas, rate, render_state, region_weights(job, level)).end_sweep()
        render_state.end_sweep()


def halve_patch_side(job: Job, reason: str) -> Job:
    """Return the job with patches of half the side, but not below the smallest side.

    Raises:
        MemoryLimit: Patches have the smallest side already.
    """
    smallest = min_patch_side(job.unit, job.halo)
    new_side = max(job.patch_side // 2 // job.unit * job.unit, smallest)
    if new_side >= job.patch_side:
        raise MemoryLimit(
            f"{job.network.device} has too little memory for the smallest patch, {job.patch_side} pixels "
            f"({reason})",
            hint="close other programs, or choose a smaller --size or fewer layers",
        )
    return replace(job, patch_side=new_side)


def is_min_patch_side(job: Job) -> bool:
    """Return whether patches cannot be smaller."""
    return job.patch_side <= min_patch_side(job.unit, job.halo)


def min_patch_side(unit: int, halo: int) -> int:
    """Return the smallest useful side of a patch, pixels: two units, and a halo on either side."""
    return 2 * (unit + halo)


def split_patch(patch: Patch, side: int, unit: int) -> list[Patch]:
    """Cut a patch into patches of at most `side` patch pixels.

    Together they own what this one owns, and read what it reads.

    Args:
        patch: The patch to cut.
        side: Largest side of the new patches, patch pixels.
        unit: Deepest stride in use: a multiple of which their sides are.
    """
    patches = []
    for part in tile_grid(patch.read.height // patch.scale, patch.read.width // patch.scale, side, unit):
        window = part.scaled(patch.scale)
        window = replace(window, top=window.top + patch.read.top, left=window.left + patch.read.left)
        owned = patch.owned.intersection(window)
        if owned.area:
            patches.append(Patch(owned, window, patch.scale))
    return patches
