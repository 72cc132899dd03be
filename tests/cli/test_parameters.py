from tilestyle.cli import options as opt
from tilestyle.cli.parameters import without


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
