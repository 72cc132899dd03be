"""What README.md and docs/ show works as it is written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from tests.support import pages
from tests.support.cli import commands, run_cli
from tilestyle.config.enums import Quality
from tilestyle.config.render import SCHEDULES, FilmConfig, Schedule
from tilestyle.images import output_color
from tilestyle.motion.film import open_film

pytestmark = pytest.mark.skipif(not (pages.ROOT / "README.md").exists(), reason="the pages are not here")

LOOK = ("render", "coffee", "swirls", "--size", "16", "--sweeps", "1", "--network", "wavelet", "-o")
WITH_COMMANDS = [page for page in pages.PAGES if page.exists() and any(pages.commands_of(page))]


@pytest.fixture
def folder(tmp_path: Path, thumbnails: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it but what readers have themselves."""
    # For commands without an option for sweeps, such as of the first frame of a video.
    monkeypatch.setitem(SCHEDULES, Quality.DRAFT, Schedule(coarsest_sweeps=1, ratio=1.0, min_sweeps=1))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "press.icc").write_bytes(bytes(pyvips.Operation.call("profile_load", "cmyk")))
    monkeypatch.setattr(output_color, "profile_folders", lambda: [tmp_path / "profiles"])
    place = tmp_path / "folder"
    place.mkdir()
    for name in pages.BROUGHT:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if name == "liked.png":
            assert run_cli(place, *LOOK, name).returncode == 0
        elif name.endswith(".png"):
            shutil.copy(thumbnails / "coffee.jpg", place / name)
        else:
            with open_film(place / name, FilmConfig()) as film, Image.open(thumbnails / "coffee.jpg") as image:
                film.add(np.asarray(image))
                film.add(np.asarray(image))
    return place


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_every_command_runs_in_an_empty_folder(page: Path, folder: Path) -> None:
    for command in pages.commands_of(page):
        pages.run(command, folder)


CODE = {
    f"{page.name}:{number}": code
    for page in pages.PAGES
    if page.exists()
    for number, code in pages.code_of(page)
}


@pytest.mark.parametrize("place", CODE)
def test_every_block_of_python_runs_by_itself(
    place: str, folder: Path, thumbnails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each begins with its imports, so that it can be pasted."""
    for quality in Quality:
        monkeypatch.setitem(SCHEDULES, quality, Schedule(coarsest_sweeps=1, ratio=1.0, min_sweeps=1))
    monkeypatch.chdir(folder)
    for name in ("photo", "painting", "bricks", "a", "b"):
        shutil.copy(thumbnails / "coffee.jpg", f"{name}.jpg")
    pages.run_code(CODE[place], place)


def test_every_picture_is_made_by_a_command_that_is_shown() -> None:
    shown = (each.text for page in WITH_COMMANDS for each in pages.commands_of(page))
    made = set(re.findall(r"[\w.-]+\.jpg", " ".join(shown))) | pages.OF_SCRIPTS
    for picture in sorted((pages.ROOT / "docs/pictures").iterdir()):
        assert picture.name in made, picture.name
        assert picture.stat().st_size < 400_000, picture.name


def test_all_pictures_together_stay_small() -> None:
    folders = (pages.ROOT / "docs/pictures", pages.ROOT / "tilestyle/pictures")
    pictures = [file for folder in folders for file in folder.iterdir() if file.suffix in (".jpg", ".png")]
    assert sum(picture.stat().st_size for picture in pictures) < 9_000_000


def test_every_option_that_a_page_names_exists() -> None:
    known = set(pages.OTHER_FLAGS)
    pending = [commands()]
    while pending:
        command = pending.pop()
        known |= {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)} | {"--help"}
        pending += getattr(command, "commands", {}).values()
    for page in pages.PAGES:
        if page.name in pages.OF_PROGRAMS:
            continue
        for code in re.findall(r"`([^`\n]+)`", page.read_text()):
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
                assert flag in known, f"{page.name}: {code}"
