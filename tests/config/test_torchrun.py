"""What torchrun, or another program, has written into the environment."""

from __future__ import annotations

import pytest

from tilestyle.config.torchrun import RANK, WORLD_SIZE, environment_number, world_size
from tilestyle.distributed import process_group
from tilestyle.errors import SettingError


@pytest.mark.parametrize("text", ["two", "-1", "0", "1.5", "nan", "0x2", "9" * 5000])
def test_a_number_that_is_none_is_refused_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORLD_SIZE, text)
    with pytest.raises(SettingError, match=WORLD_SIZE) as caught:
        world_size()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize("text", [None, "", " "])
def test_an_empty_variable_counts_as_not_set(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORLD_SIZE, raising=False)
    if text is not None:
        monkeypatch.setenv(WORLD_SIZE, text)
    assert world_size() == 1


def test_both_ends_of_a_range() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for text, fits in (("0", False), ("1", True), ("2", True), ("3", False)):
            patch.setenv(RANK, text)
            if fits:
                assert environment_number(RANK, 7, lowest=1, end=3) == int(text)
                continue
            with pytest.raises(SettingError, match="from 1 to 2"):
                environment_number(RANK, 7, lowest=1, end=3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WORLD_SIZE", "many"),
        ("RANK", "2"),
        ("RANK", "first"),
        ("LOCAL_WORLD_SIZE", "0"),
        ("LOCAL_WORLD_SIZE", "3"),
        ("LOCAL_WORLD_SIZE", "all"),
    ],
)
def test_ranks_that_cannot_be_are_refused_before_anybody_waits(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_WORLD_SIZE": "2", name: text}.items():
        monkeypatch.setenv(each, value)
    with pytest.raises(SettingError, match=f"environment variable {name} is '{text}'"), process_group():
        pass
