"""`tilestyle video`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import folder_row, print_several
from tilestyle.cli.naming import aside, series_names
from tilestyle.cli.parameters import Values, argument, command, option, optional
from tilestyle.cli.progress import Steps, open_display
from tilestyle.cli.series_display import run_series
from tilestyle.cli.terminal import say
from tilestyle.cli.viewer import show
from tilestyle.config.enums import FlowName
from tilestyle.config.readable import format_number
from tilestyle.config.render import FilmConfig, VideoConfig
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.motion.series import Series
    from tilestyle.pipeline.estimate import Repeated

DEFAULTS = VideoConfig()
CLIP = argument("clip", Path, "Video, or folder of pictures.", files=file_roles.CLIP)
OUT = opt.OUT.with_changes(
    help=f"Video to write: {opt.FILM_NAMES}.",
    files=file_roles.VIDEO,
)
SWEEPS = option(
    "sweeps", int, "Sweeps of every frame after the first.", default=DEFAULTS.sweeps, panel=opt.COMPUTATION
)
ANCHOR_WEIGHT = option(
    "anchor_weight",
    float,
    "Weight of agreement with the frame before: larger values flicker less.",
    default=DEFAULTS.anchor_weight,
    panel=opt.LOOK,
)
FLOW = option(
    "flow",
    FlowName,
    "How motion is measured: dis (fast) or raft (needs weights that you download).",
    default=DEFAULTS.flow,
    panel=opt.COMPUTATION,
)
FPS = optional("fps", float, "Frames per second.", shown="from the clip", panel=opt.FILM)


@command(
    *(CLIP, opt.STYLE_WORDS, opt.STYLE, OUT),
    *(opt.PRESET, opt.CONFIG),
    opt.SIZE.with_changes(
        help="Size of the frames in pixels: the long side, or WIDTHxHEIGHT.", shown="that of the video"
    ),
    *opt.STRENGTHS,
    *(opt.STYLE_SCALE, opt.SEED),
    *(
        opt.QUALITY.with_changes(
            help="How long to work on the first frame: draft (fast), normal or best (slow)."
        ),
        SWEEPS,
    ),
    *(ANCHOR_WEIGHT, FLOW),
    *(opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(FPS, opt.CODEC),
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN),
    *(opt.DRY_RUN, opt.GRACE, opt.QUIET, opt.VERBOSE, opt.DEBUG),
)
def video(values: Values) -> None:
    """Repaint a video, with little flicker and with its sound (GIF and WebP have none).

    If it is stopped, run the same command again to continue. Until the video is written, its frames are
    kept in a folder next to it.
    """
    from tilestyle.motion.clip import open_clip
    from tilestyle.motion.film import check_film, is_frame_output
    from tilestyle.motion.film_sound import check_audio
    from tilestyle.motion.optical_flow import import_opencv
    from tilestyle.motion.video import plan_video, stylize_video

    config = config_of(values)
    out, quiet = values[OUT], values[opt.QUIET]
    clip = open_clip(values[CLIP])
    film = FilmConfig(fps=values[FPS] or clip.fps or FilmConfig().fps, codec=values[opt.CODEC])
    import_opencv()
    if is_frame_output(out) and out.suffix:
        raise SettingError(f"{out} is not a folder", hint="give a folder for the frames, or a video file")
    check_film(out, film, creates_folder=True)
    is_film = not is_frame_output(out)
    if is_film:
        check_audio(clip.path, out)
    flow: FlowName = values[FLOW]
    later = VideoConfig(sweeps=values[SWEEPS], anchor_weight=values[ANCHOR_WEIGHT], flow=flow)
    if values[opt.DRY_RUN]:
        print_plan(plan_video(clip, values[opt.STYLE], config, later), out, film if is_film else None)
        return
    is_new = True

    def folders() -> Iterator[Path]:
        nonlocal out, is_new
        for name in series_names(values, out):
            out, is_new = name, not os.path.lexists(name)
            yield out.with_name(f"{out.name}.frames") if is_film else out

    series = run_series(
        lambda folder, watch: stylize_video(clip, values[opt.STYLE], folder, config, later, watch),
        clip.count,
        folders(),
        quiet=quiet,
        verbose=values[opt.VERBOSE],
    )
    if series.count < clip.count:
        return
    if is_film:
        if is_new and os.path.lexists(out):
            out = aside(out)
        write_video(series, out, film, clip.path, quiet=quiet)
    if values[opt.OPEN]:
        show(out)


def write_video(series: Series, out: Path, film: FilmConfig, clip: Path, *, quiet: bool) -> None:
    """Write the frames as a video with the sound of the clip, and remove their folder."""
    from tilestyle.motion.film_sound import write_film
    from tilestyle.motion.series import discard_series

    signals.more_to_do()
    signals.writes(out)
    with open_display(quiet=quiet) as display:
        files = Steps(display, f"writing {out.name}").track(series.picture_paths, series.count)
        write_film(files, out, film, clip)
    discard_series(series)
    if not quiet:
        say(f"wrote {out}")


def print_plan(renders: Sequence[Repeated], out: Path, film: FilmConfig | None) -> None:
    """Print what a video will take; without a film, its frames are the result."""
    rows = [("film", f"{out}, {format_number(film.fps)} frames per second")] if film else []
    folder = out.with_name(f"{out.name}.frames") if film else out
    count = sum(each.count for each in renders)
    print_several(renders, [*rows, folder_row(folder, renders, count)], "one for each frame")
