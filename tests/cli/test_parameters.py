from typing import Any

import pytest

from tilestyle.cli import options as opt
from tilestyle.cli.conversion import convert
from tilestyle.cli.parameters import Parameter, without
from tilestyle.errors import SettingError


def test_options_are_left_out_with_their_values() -> None:
    words = [
        "render",
        "a.png",
        "-y",
        "--work-dir",
        "w",
        "--size",
        "40",
        "--work-dir=v",
        "-o",
        "b.png",
        "--",
        "-y",
    ]
    left = ["render", "a.png", "--size", "40", "-o", "b.png", "--", "-y"]
    assert without(words, opt.YES, opt.WORK_DIR) == left
    assert without(["render", "--colour", "content", "-q"], opt.COLOR) == ["render", "-q"]


@pytest.mark.parametrize(
    "parameter", [each for each in opt.ALL if each.takes_value], ids=lambda each: each.name
)
def test_no_value_is_refused(parameter: Parameter[Any]) -> None:
    """It would be taken for an option that was not given."""
    with pytest.raises(SettingError, match=f"{parameter.label}"):
        convert(parameter, [""] if parameter.is_list else "")
