"""The loop: level by level, sweep by sweep, patch by patch.

`optimize` runs the levels, coarse to fine. `run_level` is the loop at the top of docs/algorithm.md: in each
sweep, every patch gets a gradient and a step, and the moments of its features, summed over all patches, make
the style gradient of the next sweep.

The rest has modules of its own: measuring moments and computing losses (losses/level.py), turning gradients
into Adam steps (update.py), sharing patches between processes and saving checkpoints in a sweep (pauses.py).
"""

from __future__ import annotations

from collections.abc import Callable

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Optimizer, Sampler
from tilestyle.devices.torch_state import device_state, with_torch_state
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import APRON, PatchContext, grid_patches, random_windows
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import LevelPlanes, level_planes
from tilestyle.optim import lbfgs
from tilestyle.optim.content_weight import ContentWeightController
from tilestyle.optim.initial import begin_level
from tilestyle.optim.pauses import SweepRuns, save_if_due
from tilestyle.optim.state import RenderState, SweepObserver
from tilestyle.optim.update import CanvasUpdater, canvas_for_device, updates_immediately
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import CYCLED_PLACES, GRID_PERIOD, Level, step_decay, step_size
from tilestyle.planning.strength import is_adjustment_sweep

LevelObserver = Callable[[Level], None]


@with_torch_state
def optimize(
    job: Job,
    on_level: LevelObserver,
    on_sweep: SweepObserver,
    should_stop: Callable[[], bool],
    render_state: RenderState | None = None,
) -> tuple[Canvas, bool]:
    """Render a job: optimize the canvas of every level, coarse to fine.

    Args:
        job: Pictures, network and settings.
        on_level: Called before each level.
        on_sweep: Called after each sweep.
        should_stop: Called after each patch; True ends the render early.
        render_state: The state to start from, updated in place. To resume after an error, pass the same state
            again; to resume from a checkpoint, pass the saved one.

    Returns:
        The canvas of the last level that was reached, and whether the render is complete.
    """
    state = render_state or RenderState()
    with device_state(job.network.device, deterministic=job.config.deterministic):
        for level in job.levels[max(state.level, 0) :]:
            if not optimize_level(job, level, state, on_level, on_sweep, should_stop):
                return state.level_canvas, False
    return state.level_canvas, True


def optimize_level(
    job: Job,
    level: Level,
    render_state: RenderState,
    on_level: LevelObserver,
    on_sweep: SweepObserver,
    should_stop: Callable[[], bool],
) -> bool:
    """Run a level, from its beginning or from where the render was; return whether it is complete."""
    planes = None
    if level.index > render_state.level:  # otherwise resumed within this level
        on_level(level)
        # The coarser level's pixels and Adam state, enlarged; at first the content, or noise.
        planes = begin_level(job, level, render_state)
        render_state.checkpointer.on_level_start(render_state)
    if render_state.sweep >= level.sweeps:
        return True
    run = lbfgs.run_level if job.config.optimizer is Optimizer.LBFGS else run_level
    return run(job, level, planes or level_planes(job, level), render_state, on_sweep, should_stop)


def run_level(
    job: Job,
    level: Level,
    planes: LevelPlanes,
    render_state: RenderState,
    on_sweep: SweepObserver,
    should_stop: Callable[[], bool],
) -> bool:
    """Run the remaining sweeps of one level with Adam: one step of every pixel per sweep.

    Args:
        job: The render.
        level: Its level, with the number of sweeps.
        planes: Content and regions at the size of the level.
        render_state: The canvas and the sweep to start with, updated in place.
        on_sweep: Called after each sweep.
        should_stop: Called after each patch; True ends the level early.

    Returns:
        Whether the level is complete, rather than stopped.
    """
    canvas = render_state.level_canvas
    objective = LevelObjective(job, level, planes, render_state.objective_state)
    render_state.objective_state = {}  # a retry after an error measures the moments again
    controller = ContentWeightController(job, level, render_state)
    device_canvas = canvas_for_device(job, canvas, planes.regions)
    for sweep in range(render_state.sweep, level.sweeps):
        objective.set_content_weight(controller.weight)

        # A grid of patches at a random corner; a resumed sweep has its patches already.
        render_state.patches = render_state.patches or sweep_patches(job, level, sweep)
        immediate = updates_immediately(job)
        runs = SweepRuns(job.comm, render_state, objective, should_stop, immediate=immediate)

        # Exact moments of the canvas where they are due, and the gradient of the coarse layers.
        if not render_state.moments_ready:
            objective.begin_sweep(device_canvas, render_state.patches, sweep)
            render_state.moments_ready = True

        # Per patch: features, moments added to the sums, gradient by backward pass, Adam step.
        updater = CanvasUpdater(
            job, device_canvas, step_size(job.config, level, sweep), render_state, planes.regions
        )
        for patches in runs:  # one run, unless a checkpoint or a stop falls within the sweep
            for patch, gradient in objective.gradients(
                device_canvas, updater.reserve(patches), sweep, updater.device_update
            ):
                updater.apply(patch, gradient)
            updater.wait()
        if runs.stopped:
            return False
        updater.end_sweep()  # step what had to wait until neighboring patches had read it
        updater.wait()

        # The summed moments make the style gradient of the next sweep.
        terms = controller.with_content_weight(objective.end_sweep(render_state.patches, sweep))
        on_sweep(level, sweep, terms, canvas)

        # --strength: adjust the content weight by the distance from the content.
        if is_adjustment_sweep(sweep, level.sweeps):
            controller.adjust(canvas, step_decay(level, sweep))
        if render_state.partial_sweep:  # the sums cover only a part of the canvas: measure the moments again
            del objective
            objective = LevelObjective(job, level, planes)
        render_state.end_sweep()
        save_if_due(job.comm, render_state, objective)
    return True


def sweep_patches(job: Job, level: Level, sweep: int) -> list[Patch]:
    """Draw the patches of one sweep.

    By default a grid with a random corner, which covers the torus of the canvas exactly once; with
    `--sampler windows`, independent random windows.

    The position is any pixel. Where content features are kept between sweeps, it is restricted: to the grid of
    the cached features, or to a few places in turn if one patch sees the whole canvas.
    """
    rng = SweepRng(job.config.seed, level.index, sweep)
    if job.cycles_places(level):
        rng = rng.cycled(CYCLED_PLACES, GRID_PERIOD)
    else:
        rng = rng.on_grid(job.grid_stride(level), GRID_PERIOD)
    if job.config.sampler is Sampler.WINDOWS:
        return random_windows(level.extent, job.patch_side_at(level), level.scale_odds, rng)
    scale = 2 ** rng.weighted_choice(level.scale_odds, stream=0)
    return grid_patches(
        level.extent, job.patch_side_at(level), job.unit, rng, scale, PatchContext(job.halo, APRON)
    )
