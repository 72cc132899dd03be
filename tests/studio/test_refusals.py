from __future__ import annotations

from typing import Any

import pytest

from tests.support.cli import commands
from tilestyle.cli.parameters import parameters_of
from tilestyle.errors import OutputError, SettingError, TilestyleError
from tilestyle.planning.device_choice import find_device
from tilestyle.studio.refusals import FIELDS, Refused, page_words, split_message
from tilestyle.studio.settings import resolve


def _flags() -> list[str]:
    return sorted(
        {
            name
            for command in commands().commands.values()
            for each in parameters_of(command.callback)
            for name in each.names
            if name.startswith("--")
        }
    )


def test_no_option_of_the_command_line_is_left_in_a_message() -> None:
    for flag in _flags():
        for text in (f"give {flag}", f"give a smaller {flag} or {flag}", f"{flag} cannot be this, {flag}=7"):
            assert "--" not in page_words(text), flag


def test_fields_stand_for_options_that_exist() -> None:
    assert {f"--{name}" for name in FIELDS} <= set(_flags())


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"stroke": "4mm"}, "give a paper or resolution, or a percentage such as 0.5%"),
        ({"history": 5}, "add optimizer lbfgs"),
    ],
)
def test_the_library_is_quoted_in_words_of_the_page(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(SettingError) as refused:
        resolve("render", options, [1.0])
    assert split_message(refused.value)[1] == hint


def test_a_missing_device_is_told_without_options() -> None:
    with pytest.raises(TilestyleError) as refused:
        find_device("cuda:99")
    assert "--" not in " ".join(split_message(refused.value))


def test_hints_about_the_work_folder_are_replaced() -> None:
    error = OutputError("the folder is full", hint="give another --work-dir")
    assert split_message(error) == ("the folder is full", "make it again, as a new job")


def test_what_the_studio_itself_says_stays() -> None:
    error = Refused(507, "the studio is full", "start it with a larger --storage")
    assert split_message(error) == ("the studio is full", "start it with a larger --storage")
