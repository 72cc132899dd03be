"""Which pictures a batch finds, and what it calls their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilestyle import notices
from tilestyle.cli.batch_plan import find_pictures, plan_items
from tilestyle.errors import OutputError, PictureError, SettingError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of files, whose content does not matter here."""
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/sub/a.png", "photos/.hidden.jpg", "photos/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(
    *sources: str, styles: tuple[str, ...] = ("ink.png",), out: str = "out", together: bool = False
) -> list[str]:
    items = plan_items(find_pictures(sources, Path(out)), styles, {}, uses_all_styles=together)
    return [item.name.as_posix() for item in items]


def test_pictures_of_a_folder_are_found_in_order(folder: Path) -> None:
    assert names("photos") == ["a-ink.png", "b-ink.png"]


def test_patterns_keep_the_folders_below_their_fixed_part(folder: Path) -> None:
    assert names("photos/**/*") == ["a-ink.png", "b-ink.png", "sub/a-ink.png"]
    assert names("photos/*.jpg", "photos/sub/a.png") == ["b-ink.png", "sub/a-ink.png"]
    assert names("photos", "photos/*.jpg") == ["a-ink.png", "b-ink.png"]  # each once


def test_each_picture_is_made_in_each_style_or_in_all(folder: Path) -> None:
    styles = ("ink.png", "oil.jpg")
    assert names("photos/*.jpg", styles=styles) == ["b-ink.png", "b-oil.png"]
    assert names("photos/*.jpg", styles=styles, together=True) == ["b-ink-oil.png"]


def test_names_that_would_be_equal_get_their_endings(folder: Path) -> None:
    (folder / "photos" / "b.tif").touch()
    assert names("photos") == ["a-ink.png", "b-jpg-ink.png", "b-tif-ink.png"]
    with pytest.raises(SettingError, match=r"b.jpg in x/ink.png and .* in y/ink.png would both become b-ink"):
        names("photos/b.jpg", styles=("x/ink.png", "y/ink.png"))


def test_results_are_not_pictures(folder: Path) -> None:
    (folder / "photos" / "out").mkdir()
    (folder / "photos" / "out" / "b-ink.png").touch()
    assert names("photos/**/*", out="photos/out") == ["a-ink.png", "b-ink.png", "sub/a-ink.png"]
    with pytest.raises(OutputError, match="is the folder of the pictures"):
        names("photos", out="photos")


@pytest.mark.parametrize("source", ["missing", "photos/*.webp", "empty"])
def test_what_is_not_there_is_said(folder: Path, source: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(PictureError, match=r"there (is no file or folder|are no pictures)"):
        names(source)


def test_folders_of_folders_are_pointed_at(folder: Path) -> None:
    (folder / "photos").rename(folder / "photographs")
    (folder / "all").mkdir()
    (folder / "photographs").rename(folder / "all" / "photos")
    with pytest.raises(PictureError) as error:
        names("all")
    assert str(Path("all/**/*")) in (error.value.hint or "")
    assert names("all/**/*") == ["photos/a-ink.png", "photos/b-ink.png", "photos/sub/a-ink.png"]


def test_a_picture_is_rendered_once_whatever_leads_to_it(folder: Path) -> None:
    (folder / "photos" / "zelda").symlink_to(folder / "photos", target_is_directory=True)
    (folder / "photos" / "c.jpg").symlink_to(folder / "photos" / "b.jpg")  # a second name is a second picture
    expected = ["a-ink.png", "b-ink.png", "c-ink.png"]
    assert names("photos/**/*") == [*expected, "sub/a-ink.png"]
    assert names("photos", str(folder / "photos")) == expected


def test_a_map_among_the_photographs_is_no_photograph(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    maps = {"content map": Path("photos", "b.jpg")}
    for sources in (["photos"], ["photos/*"]):
        notices._logged.clear()
        assert [file.name for file, _ in find_pictures(sources, Path("out"), maps)] == ["a.PNG"]
        assert "b.jpg is the content map, and is not rendered itself" in caplog.text
    assert len(find_pictures(["photos/b.jpg"], Path("out"), maps)) == 1
    with pytest.raises(PictureError, match="there are no pictures"):
        find_pictures(["photos/*.jpg"], Path("out"), maps)


def test_an_empty_name_is_not_the_current_folder(folder: Path) -> None:
    with pytest.raises(PictureError, match="the name of the folder is empty"):
        find_pictures([""], Path("out"))


def test_a_link_that_leads_nowhere_is_no_map_that_is_missing(folder: Path) -> None:
    (folder / "photos" / "broken.jpg").symlink_to("gone.jpg")
    found = find_pictures(["photos"], Path("out"), {"mask": Path("missing.png")})
    assert [file.name for file, _ in found] == ["a.PNG", "b.jpg", "broken.jpg"]
