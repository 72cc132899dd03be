"""Numbers of commands: every option that takes one, at both ends of its range and beyond them."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from math import inf, nan
from pathlib import Path
from typing import NoReturn
from unittest import mock

import pytest

from tests.cli.test_files import COMMANDS, filled, one_line, option_of, seen
from tests.support.cli import run_cli
from tilestyle.cli.parameters import parameters_of
from tilestyle.config.byte_size import format_bytes, parse_bytes
from tilestyle.config.enums import SUFFIXES
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.images import check_writable

# How each command is called; what it would take the longest for is left out by `unstarted`.
CALLS = {
    "render": "render content.png -s style.png -s start.png -o out.png",
    "texture": "texture style.png start.png -o out.png",
    "invert": "invert content.png -o out.png",
    "preview": "preview content.png -s style.png -o out.png",
    "looks": "looks content.png -o out.png",
    "sheet": "sheet content.png -s style.png -o out.png",
    "drift": "drift start.png -s style.png -o made",
    "zoom": "zoom style.png -o made",
    "upscale": "upscale low.png --reference reference.png -o out.png",
    "video": "video clip -s style.png -o made",
    "demo": "demo --out made",
    "info": "info file.png",
    "benchmark memory": "benchmark memory",
    "benchmark speed": "benchmark speed",
    "benchmark scaling": "benchmark scaling",
    "benchmark quality": "benchmark quality",
    "benchmark distributed": "benchmark distributed",
}
# Options of text that hold numbers, and how.
TEXTS = {
    "size": ("{}", "{}x40", "40x{}"),
    "sweeps": ("{}", "1,{}"),
    "style_blend": ("{}", "1,{}", "{},1"),
    "scale_odds": ("{}", "1,{}"),
    "memory": ("{}", "{}GiB", "{}kb"),
    "host_memory": ("{}", "{}GiB"),
    "limit": ("{}", "{}GiB"),
    "paper": ("{}x{}in", "{}x10mm", "10x{}cm"),
    "bleed": ("{}", "{}mm"),
    "stroke": ("{}", "{}%", "{}mm"),
    "content_layer": ("relu2_1={}",),
    "style_layer": ("relu1_1={}",),
    "layer": ("relu2_1={}",),
    "at": ("{}", "{},0.5", "0.5,{}"),
    "vary": (
        "content-weight={}",
        "strength={}",
        "seed={}",
        "size={}",
        "sweeps={}",
        "scale-odds=1+{}",
        "patch={}",
        "memory={}",
    ),
    "megapixels": ("{}", "1,{}"),
    "ranks": ("{}", "1,{}"),
}
VALUES = (
    *(
        "-1",
        "-0.5",
        "0",
        "1",
        "1e-320",
        "1000000",
        "1000000000000",
        "1" + "0" * 30,
        "1e308",
        "nan",
        "inf",
        "-inf",
    ),
    *(
        "1e400",
        "0x10",
        "",
        " ",
        "1,",
        ",1",
        "1,,2",
        "1,000",
        "1_000",
        "-1,-1",
        "\u0663",
        "\u00b2",
        "1" + "0" * 5000,
    ),
)
FULL = "render"  # the command that all values go through: the others have most options in common with it
ENDS = ("-1", "0", "1000000000000", "1e308", "nan")
# Without what belongs to them, some options mean nothing.
MORE = {
    "dpi": ("--print=10x10mm",),
    "bleed": ("--print=10x10mm", "--dpi=120"),
    "history": ("--optimizer=lbfgs",),
    "fps": ("--film=x.mp4",),
    "film_step": ("--film=x.mp4",),
    "locality_window": ("--locality=1",),
    "paper": ("--dpi=120",),
    "crop_size": ("--crops=1",),
}
SIZED = {"size", "paper", "dpi", "bleed"}  # what says itself how large the picture is
# What messages call an option, where that is not its name.
CALLED = {
    "paper": ("print", "pixels"),
    "dpi": ("dots per inch", "pixels", "DPI"),
    "bleed": ("bleed", "print", "pixels"),
    "content_layer": ("content layer", "layer"),
    "style_layer": ("style layer", "layer"),
    "layer": ("content layer", "layer"),
    "size": ("size", "pixels", "GiB", "PiB", "EiB", "TiB"),
    "preview_size": ("preview-size", "pixels", "TiB", "GiB"),
    "ink_limit": ("ink limit", "profile"),
    "jpeg_quality": ("JPEG quality", "jpeg-quality"),
    "steps": ("steps",),
    "factor": ("factor", "zoom", "enlargement", "pixels"),
    "style_scale": ("style-scale", "reference"),
    "vary": ("content-weight", "strength", "seed", "size", "sweeps", "scale-odds", "patch", "memory", "vary"),
}


class BegunError(Exception):
    """A render would begin now."""


def begun(*_: object, **__: object) -> NoReturn:
    raise BegunError


@pytest.fixture(autouse=True)
def unstarted() -> Iterator[None]:
    """Nothing is rendered or measured: what is refused is refused before."""
    # The last of these is where the others have it from.
    places = [f"{module}.render_job" for module in ("pipeline.api", "recipes.preview", "motion.repeated_job")]
    places += ["pipeline.run.render_job"]
    places += [f"benchmark.{part}.measure_in_subprocess" for part in ("memory", "scaling")]
    places += ["benchmark.workload.prepare", "benchmark.quality.prepare", "benchmark.speed.Workload.job"]
    with ExitStack() as patched:
        for place in places:
            patched.enter_context(mock.patch(f"tilestyle.{place}", begun))
        patched.enter_context(mock.patch("subprocess.Popen", begun))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures for all commands, which are left as they are."""
    return filled(tmp_path_factory.mktemp("numbers"))


def declared_names(command: str) -> set[str]:
    """Parameters of a command."""
    return {each.name for each in parameters_of(COMMANDS[command])}


def parameters() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(command, parameter, option, forms) of all that take numbers."""
    found: list[tuple[str, str, str, tuple[str, ...]]] = []
    for command in CALLS:
        for each in parameters_of(COMMANDS[command]):
            if each.item_kind in (int, float):
                found.append((command, each.name, option_of(command, each.name), ("{}",)))
            elif each.name in TEXTS and each.item_kind is str:
                found.append((command, each.name, option_of(command, each.name), TEXTS[each.name]))
    return found


@pytest.mark.parametrize(("command", "name", "option", "forms"), parameters())
def test_a_number_at_its_ends_is_taken_or_refused_in_one_line(
    folder: Path, command: str, name: str, option: str, forms: tuple[str, ...]
) -> None:
    before = seen(folder)
    usual = () if name in SIZED or "size" not in declared_names(command) else ("--size=40",)
    more = () if (command, name) == ("video", "fps") else MORE.get(name, ())
    known = command != FULL and name in declared_names(FULL)  # parsed as there
    for form, value in product(forms[:1] if known else forms, VALUES if command == FULL else ENDS):
        words = [*CALLS[command].split(), f"{option}={form.replace('{}', value)}", *usual, *more]
        try:
            done = run_cli(folder, *words)
        except BegunError:
            continue
        if command == "info" and done.returncode == 0:
            continue  # it says what a render would require
        one_line(done)
        last = done.stderr.splitlines()[-1]
        assert any(word in last for word in (option.lstrip("-"), *CALLED.get(name, ()))), (words, last)
        assert not re.search(r"\b0(\.0+)? [KMGT]iB", last), last
    assert seen(folder) == before


def test_an_odd_number_of_a_film_or_a_zoom_is_seen_before_anything_is_made(folder: Path) -> None:
    """Options of commands that only begin to count when all is rendered."""
    before = seen(folder)
    for words in (
        "zoom style.png -o made --between 99999999",
        "drift start.png -s style.png -o made --between -1",
    ):
        one_line(run_cli(folder, *words.split()), "--between")
    assert seen(folder) == before


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (10**7, "9.54 MiB"),
        (171 * 2**20, "171 MiB"),
        (1023 * 2**20, "0.999 GiB"),
        (2**31, "2 GiB"),
        (int(2.51e15), "2.23 PiB"),
        (10**30, "867361737988 EiB"),
    ],
)
def test_sizes_have_three_digits(count: int, shown: str) -> None:
    assert format_bytes(count) == shown


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".dzi"])
@pytest.mark.parametrize("side", [20_000, 70_000, 11_000_000, 2**31, 2**32])
@pytest.mark.parametrize("depth", [8, 16])
def test_the_format_that_is_advised_takes_the_size(tmp_path: Path, suffix: str, side: int, depth: int) -> None:
    if depth == 16 and suffix not in (".png", ".tif"):
        return
    try:
        check_writable(tmp_path / f"x{suffix}", 9, side, depth)
    except OutputError as error:
        advised = re.findall("PNG|JPEG|WebP|TIFF|Deep Zoom", error.hint)
        endings = {form.label: suffix for suffix, form in reversed(SUFFIXES.items())}
        assert advised or "at most 4294967295" in error.hint
        for label in advised:
            check_writable(tmp_path / f"x{endings[label]}", 9, side, depth)


def test_numbers_that_are_no_shares_are_refused() -> None:
    for odds in ((1.0, nan), (inf,), (1.0, inf), (nan,)):
        with pytest.raises(SettingError, match="scale-odds"):
            RenderConfig(scale_odds=odds)
    with pytest.raises(SettingError, match="too large"):
        parse_bytes("9" * 400)
