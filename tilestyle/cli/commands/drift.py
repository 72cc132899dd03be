"""`tilestyle drift`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.film_options import FilmOptions
from tilestyle.cli.parameters import Values, argument, command, option
from tilestyle.cli.series_display import run_series, write_film
from tilestyle.config.render import DRIFT_DEFAULTS

if TYPE_CHECKING:
    from tilestyle.motion.film import Frame
    from tilestyle.motion.series import Series

START = argument("start", Path, "Image to start from.", files=file_roles.START)
STYLES = option(
    "style",
    list[Path],
    "Style image; can be repeated, the styles then take turns.",
    "--style",
    "-s",
    files=file_roles.STYLE_FILE,
)
CYCLES = option("cycles", int, "Passes through all styles.", default=10)
BETWEEN = opt.BETWEEN.but(default=11)


@command(
    *(START, STYLES, opt.OUT_FOLDER, CYCLES),
    *(opt.PRESET, opt.CONFIG),
    *(opt.SIZE, opt.STRENGTH, opt.CONTENT_WEIGHT, opt.STYLE_SCALE, opt.SEED),
    *(opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(opt.SERIES_FILM, BETWEEN, opt.FPS, opt.CODEC),
    *(opt.QUIET, opt.DEBUG),
    base=DRIFT_DEFAULTS,
)
def drift(values: Values) -> None:
    """Apply styles in turn, each to the result of the one before, and write every image.

    Run the same command again to resume, or with more cycles to continue.
    """
    from tilestyle.motion.drift import drift as make_drift
    from tilestyle.motion.optical_flow import import_opencv

    config = config_of(values)
    styles, out, quiet = values[STYLES], values[opt.OUT_FOLDER], values[opt.QUIET]
    film = FilmOptions.of(values)
    if film:
        film.check()
        import_opencv()
    total = values[CYCLES] * len(styles)
    done = run_series(
        lambda watch: make_drift(values[START], styles, out, config, values[CYCLES], watch),
        total,
        out,
        quiet=quiet,
    )
    write_film(film, frames(done, values[BETWEEN]), complete=done.count >= total, quiet=quiet)


def frames(done: Series, count: int) -> Iterator[Frame]:
    """All pictures, `count` frames between two."""
    from tilestyle.images import read_picture
    from tilestyle.motion.film import quantize_frame
    from tilestyle.motion.optical_flow import interpolate_frames

    before = None
    shares = [number / (count + 1) for number in range(1, count + 1)]
    for file in done.picture_paths:
        now = read_picture(file).pixels
        if before is not None:
            yield from map(quantize_frame, interpolate_frames(before, now, shares))
        yield quantize_frame(now)
        before = now
