"""`tilestyle video`."""

from __future__ import annotations

from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.parameters import Values, argument, command, option, optional
from tilestyle.cli.series_display import run_series
from tilestyle.cli.terminal import say
from tilestyle.config.enums import FlowName
from tilestyle.config.render import FilmConfig, VideoConfig
from tilestyle.errors import SettingError

DEFAULTS = VideoConfig()
CLIP = argument("clip", Path, "Video, or folder of images.", files=file_roles.CLIP)
OUT = option(
    "out",
    Path,
    "Video to write (.mp4, .mov, .mkv, .webm), or a folder for PNG frames.",
    "--out",
    "-o",
    files=file_roles.VIDEO,
)
SWEEPS = option(
    "sweeps", int, "Sweeps of every frame after the first.", default=DEFAULTS.sweeps, panel=opt.COMPUTATION
)
ANCHOR_WEIGHT = option(
    "anchor_weight",
    float,
    "Weight of agreement with the previous frame.",
    default=DEFAULTS.anchor_weight,
    panel=opt.LOOK,
)
FLOW = option("flow", FlowName, "Optical flow: dis or raft.", default=DEFAULTS.flow, panel=opt.COMPUTATION)
FPS = optional("fps", float, "Frames per second.", shown="from the clip", panel=opt.FILM)


@command(
    *(CLIP, opt.STYLE, OUT),
    *(opt.PRESET, opt.CONFIG),
    opt.SIZE,
    *opt.STRENGTHS,
    *(opt.STYLE_SCALE, opt.SEED),
    *(opt.QUALITY.but(help="Number of sweeps of the first frame: draft, normal or best."), SWEEPS),
    *(ANCHOR_WEIGHT, FLOW),
    *(opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(FPS, opt.CODEC),
    *(opt.OVERWRITE_INPUT, opt.QUIET, opt.DEBUG),
)
def video(values: Values) -> None:
    """Stylize a video with temporally consistent frames; the sound is kept.

    Run the same command again to resume. Until the video is written, its frames are kept in a folder next to
    it.
    """
    from tilestyle.motion.clip import open_clip
    from tilestyle.motion.film import check_film, is_frame_output
    from tilestyle.motion.film_sound import check_audio, write_film
    from tilestyle.motion.optical_flow import import_opencv
    from tilestyle.motion.series import discard_series
    from tilestyle.motion.video import stylize_video

    config = config_of(values)
    out, quiet = values[OUT], values[opt.QUIET]
    clip = open_clip(values[CLIP])
    film = FilmConfig(fps=values[FPS] or clip.fps or FilmConfig().fps, codec=values[opt.CODEC])
    import_opencv()
    if is_frame_output(out) and out.suffix:
        raise SettingError(f"{out} is not a folder", hint="give a folder for the frames, or a video file")
    check_film(out, film)
    folder = out
    if not is_frame_output(out):
        check_audio(clip.path, out)
        folder = out.with_name(f"{out.name}.frames")
    later = VideoConfig(sweeps=values[SWEEPS], anchor_weight=values[ANCHOR_WEIGHT], flow=values[FLOW])
    done = run_series(
        lambda watch: stylize_video(clip, values[opt.STYLE], folder, config, later, watch),
        clip.count,
        folder,
        quiet=quiet,
    )
    if is_frame_output(out) or done.count < clip.count:
        return
    write_film(done.picture_paths, out, film, clip.path)
    discard_series(done)
    if not quiet:
        say(f"wrote {out}")
