"""`tilestyle drift`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import file_roles
from tilestyle.cli import options as opt
from tilestyle.cli.config_options import config_of
from tilestyle.cli.dry_run_series import folder_row, print_several
from tilestyle.cli.film_options import FilmOptions
from tilestyle.cli.naming import series_names
from tilestyle.cli.parameters import Values, argument, command, option
from tilestyle.cli.series_display import run_series, write_film
from tilestyle.cli.viewer import show
from tilestyle.config.render import DRIFT_DEFAULTS

if TYPE_CHECKING:
    from tilestyle.motion.film import Frame
    from tilestyle.motion.series import Series

START = argument(
    "start", Path, "Photo or other picture to start from.", metavar="PHOTO", files=file_roles.START
)
STYLES = option(
    "style",
    list[Path],
    "Picture whose style is used; can be repeated, the styles then take turns.",
    "--style",
    "-s",
    default=opt.UNSET,
    basic=True,
    files=file_roles.STYLE_FILE,
)
CYCLES = option("cycles", int, "How often each style is applied.", default=10, basic=True)
STRENGTH = opt.STRENGTH.with_changes(
    help="How much style: 0 is nearly the picture before, 1 nearly only the style. Replaces --content-weight.",
    shown="from --content-weight",
)
BETWEEN = opt.BETWEEN.with_changes(default=11)


@command(
    *(START, opt.STYLE_WORDS, STYLES, opt.OUT_FOLDER, CYCLES),
    *(opt.PRESET, opt.CONFIG),
    *(opt.SERIES_SIZE, STRENGTH, opt.CONTENT_WEIGHT, opt.CONTENT_MAP, opt.KEEP_FACES),
    *(opt.STYLE_SCALE, opt.SEED),
    *(opt.SWEEPS, opt.NETWORK, opt.WEIGHTS),
    *opt.HARDWARE,
    opt.MAX_INPUT_PIXELS_OPTION,
    *(opt.SERIES_FILM, BETWEEN, opt.FPS, opt.CODEC),
    *(opt.OVERWRITE.with_changes(help="Replace a film that exists."), opt.OPEN),
    *(opt.DRY_RUN, opt.GRACE, opt.QUIET, opt.VERBOSE, opt.DEBUG),
    base=DRIFT_DEFAULTS,
)
def drift(values: Values) -> None:
    """Repaint a photo again and again, with styles in turn, and keep every picture.

    If it is stopped, run the same command again to continue. Run it with more cycles to go on.
    """
    from tilestyle.motion.drift import drift as make_drift
    from tilestyle.motion.drift import plan_drift
    from tilestyle.motion.optical_flow import import_opencv

    config = config_of(values)
    styles, quiet = values[STYLES], values[opt.QUIET]
    film = FilmOptions.of(values)
    if film:
        film.check()
        import_opencv()
    total = values[CYCLES] * len(styles)
    if values[opt.DRY_RUN]:
        renders = plan_drift(values[START], styles, config, values[CYCLES])
        count = (total - 1) * (values[BETWEEN] + 1) + 1
        rows = [("film", f"{film.path}, {count} frames")] if film else []
        rows.append(folder_row(values[opt.OUT_FOLDER], renders, total))
        print_several(renders, rows, "each made from the one before")
        return
    series = run_series(
        lambda folder, watch: make_drift(values[START], styles, folder, config, values[CYCLES], watch),
        total,
        series_names(values, values[opt.OUT_FOLDER]),
        quiet=quiet,
        verbose=values[opt.VERBOSE],
    )
    count = (series.count - 1) * (values[BETWEEN] + 1) + 1
    write_film(film, frames(series, values[BETWEEN]), count, complete=series.count >= total, quiet=quiet)
    if values[opt.OPEN] and series.count >= total:
        show(film.path if film else series.path)


def frames(series: Series, count: int) -> Iterator[Frame]:
    """All pictures, `count` frames between two."""
    from tilestyle.images import read_picture
    from tilestyle.motion.film import quantize_frame
    from tilestyle.motion.optical_flow import interpolate_frames

    previous = None
    shares = [number / (count + 1) for number in range(1, count + 1)]
    for file in series.picture_paths:
        current = read_picture(file).pixels
        if previous is not None:
            yield from map(quantize_frame, interpolate_frames(previous, current, shares))
        yield quantize_frame(current)
        previous = current
