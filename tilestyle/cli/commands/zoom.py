"""`tilestyle zoom`."""

from __future__ import annotations

from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import folder_row, print_several
from tilestyle.cli.film_options import FilmOptions
from tilestyle.cli.naming import series_names
from tilestyle.cli.parameters import Values, command, option, optional, optional_argument, switch
from tilestyle.cli.series_display import run_series, write_film
from tilestyle.cli.viewer import show
from tilestyle.config.render import ZOOM_DEFAULTS
from tilestyle.errors import SettingError

STYLE = optional_argument(
    "style",
    Path,
    "Picture whose style is used, such as a painting.",
    shown="that of --preset or --config",
    metavar="STYLE",
    files=file_roles.STYLE_FILE,
)
START = optional(
    "start",
    Path,
    "Photo or other picture to start from.",
    shown="a texture of the style",
    files=file_roles.START,
    basic=True,
)
STEPS = option("steps", int, "Number of pictures.", default=100, basic=True)
FACTOR = option("factor", float, "Enlargement from one picture to the next.", default=1.05, basic=True)
LOOP = switch("loop", "Make the last pictures lead back to the first.", basic=True)
BETWEEN = opt.BETWEEN.with_changes(default=2)


@command(
    *(STYLE, opt.OUT_FOLDER, START, STEPS, FACTOR, LOOP),
    *(opt.PRESET, opt.CONFIG),
    *(opt.SERIES_SIZE, opt.SAMPLE_SCALE, opt.SEED, opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(opt.SERIES_FILM, BETWEEN, opt.FPS, opt.CODEC),
    *(opt.OVERWRITE.with_changes(help="Replace a film that exists."), opt.OPEN),
    *(opt.DRY_RUN, opt.GRACE, opt.QUIET, opt.VERBOSE, opt.DEBUG),
    base=ZOOM_DEFAULTS,
)
def zoom(values: Values) -> None:
    """Zoom into a painting without end: enlarge the picture, paint new detail, repeat.

    If it is stopped, run the same command again to continue. Run it with more steps to go on.
    """
    from tilestyle.motion.zoom import plan_zoom
    from tilestyle.motion.zoom import zoom as make_zoom
    from tilestyle.motion.zoom_path import ZoomPath

    config = config_of(values)
    style = values[STYLE]
    if style is None:
        raise SettingError("no style image", hint="give one, such as swirls; tilestyle looks PHOTO shows all")
    steps, quiet = values[STEPS], values[opt.QUIET]
    path = ZoomPath(steps, values[FACTOR], values[LOOP])
    film = FilmOptions.of(values)
    if film:
        film.check()
    if values[opt.DRY_RUN]:
        renders = plan_zoom(style, config, path, values[START])
        rows = [("film", f"{film.path}, {path.frame_count(steps, values[BETWEEN])} frames")] if film else []
        rows.append(folder_row(values[opt.OUT_FOLDER], renders, steps))
        print_several(renders, rows, "each made from the one before")
        return
    series = run_series(
        lambda folder, watch: make_zoom(style, folder, config, path, values[START], watch),
        steps,
        series_names(values, values[opt.OUT_FOLDER]),
        quiet=quiet,
        verbose=values[opt.VERBOSE],
    )
    between = values[BETWEEN]
    count = path.frame_count(series.count, between)
    write_film(film, path.frames(series, between), count, complete=series.count >= steps, quiet=quiet)
    if values[opt.OPEN] and series.count >= steps:
        show(film.path if film else series.path)
