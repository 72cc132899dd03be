"""`tilestyle zoom`."""

from __future__ import annotations

from pathlib import Path

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.film_options import FilmOptions
from tilestyle.cli.parameters import Values, argument, command, option, optional, switch
from tilestyle.cli.series_display import run_series, write_film
from tilestyle.config.render import ZOOM_DEFAULTS

STYLE = argument("style", Path, "Style image.", files=file_roles.STYLE_FILE)
START = optional("start", Path, "Image to start from.", shown="a texture of the style", files=file_roles.START)
STEPS = option("steps", int, "Number of images.", default=100)
FACTOR = option("factor", float, "Enlargement from one image to the next.", default=1.05)
LOOP = switch("loop", "Make the last images lead back to the first.")
BETWEEN = opt.BETWEEN.but(default=2)


@command(
    *(STYLE, opt.OUT_FOLDER, START, STEPS, FACTOR, LOOP),
    *(opt.PRESET, opt.CONFIG),
    *(opt.SIZE, opt.STYLE_SCALE, opt.SEED, opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(opt.SERIES_FILM, BETWEEN, opt.FPS, opt.CODEC),
    *(opt.QUIET, opt.DEBUG),
    base=ZOOM_DEFAULTS,
)
def zoom(values: Values) -> None:
    """Zoom into a style endlessly: enlarge the image, let the style add detail, repeat.

    Run the same command again to resume, or with more steps to continue.
    """
    from tilestyle.motion.zoom import zoom as make_zoom
    from tilestyle.motion.zoom_path import ZoomPath

    config = config_of(values)
    out, steps, quiet = values[opt.OUT_FOLDER], values[STEPS], values[opt.QUIET]
    path = ZoomPath(steps, values[FACTOR], values[LOOP])
    film = FilmOptions.of(values)
    if film:
        film.check()
    done = run_series(
        lambda watch: make_zoom(values[STYLE], out, config, path, values[START], watch),
        steps,
        out,
        quiet=quiet,
    )
    write_film(film, path.frames(done, values[BETWEEN]), complete=done.count >= steps, quiet=quiet)
