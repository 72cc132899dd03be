"""The pages of --help: what they show, at every width."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_files import COMMANDS
from tests.support.cli import commands, run_cli
from tilestyle.cli.examples import EXAMPLES
from tilestyle.cli.help_pages import MANY, hidden
from tilestyle.cli.parameters import HELP_ALL, REQUIRED, parameters_of
from tilestyle.pictures import NAMES

WIDTHS = (60, 80, 120)
LONG = {"render", "texture", "preview", "sheet", "drift", "zoom", "upscale", "video", "invert"}


def page(monkeypatch: pytest.MonkeyPatch, folder: Path, width: int, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    done = run_cli(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["", "benchmark", *COMMANDS])
def test_help_fits_and_breaks_no_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, width: int
) -> None:
    for flag in ("--help", "--help-all") if command in COMMANDS else ("--help",):
        shown = page(monkeypatch, tmp_path, width, *command.split(), flag)
        assert max(map(len, shown.splitlines())) <= width
        assert not re.search("[│╭…<>]|None|[ ]\n", shown), shown
        parts = set(re.split(r"[\s,;:()\[\]]+|\.\s", shown))
        for each in parameters_of(COMMANDS.get(command)):
            is_shown = flag == "--help-all" or each not in hidden(own_of(command))
            for name in set(each.names) - set(each.aliases) if each is not HELP_ALL else ():
                listed = re.search(rf"^  (\S+,? (/ )?)*{name}([ ,]|$)", shown, re.MULTILINE)
                assert bool(listed) == is_shown, (name, shown)
            if is_shown and hasattr(each.item_kind, "__members__"):
                assert {choice.value for choice in each.item_kind} <= parts, (each.name, shown)


@pytest.mark.parametrize("width", [0, 1, 2, 5, 8, 20, 40])
def test_help_is_shown_however_narrow_the_terminal_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int
) -> None:
    """Programs that start others set COLUMNS=0 if they have no terminal."""
    for command in ["", "benchmark", *COMMANDS]:
        shown = page(monkeypatch, tmp_path, width, *command.split(), "--help")
        if width in (20, 40):
            assert max(map(len, shown.splitlines())) <= width, (command, shown)
        if not width:
            assert shown == page(monkeypatch, tmp_path, 80, *command.split(), "--help")
            monkeypatch.setenv("COLUMNS", "0")


def own_of(command: str) -> list[Any]:
    return [each for each in parameters_of(COMMANDS[command]) if each is not HELP_ALL]


def test_short_help_is_short_and_leads_to_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for command in COMMANDS:
        options = [each for each in own_of(command) if each.flags]
        left_out = hidden(own_of(command))
        assert bool(left_out) == (len(options) > MANY)
        shown = page(monkeypatch, tmp_path, 80, *command.split(), "--help")
        more = f"More options: tilestyle {command} --help-all"
        assert shown.rstrip().endswith(more) if left_out else more not in shown
        if command in LONG:
            assert left_out
            assert sum(each not in left_out for each in options) <= 20
            assert len(EXAMPLES[command]) == 3
        assert (
            all(each.basic or each.default is REQUIRED for each in options if each not in left_out)
            or not left_out
        )


def test_who_reads_help_finds_strokes_photo_print_and_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = flat(page(monkeypatch, tmp_path, 80, "render", "--help"))
    assert re.search(r"--stroke LENGTH [^\[]*bigger strokes", shown)
    assert re.search(r"--strength NUMBER [^\[]*more of the photo", shown)
    assert re.search(r"--print PAPER [^\[]*60x90cm", shown)
    assert re.search(r"--size SIZE [^\[]*larger", shown)


def test_defaults_are_numbers_and_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = flat(page(monkeypatch, tmp_path, 80, "render", "--help-all"))
    defaults = ("0.5", "that of the photo", "25", "10", "from --quality", "--finish", "--upright-style", "0")
    for default in defaults:
        assert f"[default: {default}]" in shown
    assert not re.search(r"default: \d+\.0\]", shown)
    assert "[default: 384]" in flat(page(monkeypatch, tmp_path, 80, "sheet", "--help"))
    for command in COMMANDS:
        for each in own_of(command):
            if each.field is not None and each.default is None and each.files is None:
                assert isinstance(each.shown, str), f"say what --{each.name} of {command} is by default"


def test_help_names_options_that_the_command_has() -> None:
    for command in COMMANDS:
        flags = {name for each in parameters_of(COMMANDS[command]) for name in each.names}
        for each in own_of(command):
            named = set(re.findall(r"(?<!render )(?<![\w-])--[a-z][a-z-]+", f"{each.help} {each.shown}"))
            assert named <= flags | {"--config"}, (command, each.name)


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_parse(command: str) -> None:
    for example in EXAMPLES[command]:
        words = shlex.split(example.words)
        assert words == example.words.split()
        assert not command or words[0] == command
        words[0] = "render" if words[0] == "again" else words[0]  # it hands its options on
        context = commands().commands[words[0]].make_context(words[0], words[1:])
        assert not context.args
        styles = [value for flag, value in pairwise(words) if flag == "--style"]
        assert {style for style in styles if "." not in style} <= {*NAMES}, "styles without a file are included"


def test_commands_are_in_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = page(monkeypatch, tmp_path, 80, "--help")
    assert "Commands" not in shown, "give rich_help_panel where the command is registered"
    for command in commands().commands:
        assert re.search(rf"^  {command} +[A-Z]", shown, re.MULTILINE)


def test_help_is_a_command_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for words in ((), ("render",), ("benchmark",), ("benchmark", "memory")):
        by_flag = page(monkeypatch, tmp_path, 80, *words, "--help")
        assert page(monkeypatch, tmp_path, 80, "help", *words).strip() == by_flag.strip()
    assert run_cli(tmp_path, "-V").stdout == run_cli(tmp_path, "--version").stdout
    done = run_cli(tmp_path, "help", "render", "more")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def completed(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> list[str]:
    monkeypatch.setenv("_TILESTYLE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["tilestyle", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    return run_cli(folder).stdout.split()


def test_the_shell_completes_commands_options_choices_and_presets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert completed(monkeypatch, tmp_path, "re") == ["render", "resume"]
    assert completed(monkeypatch, tmp_path, "render", "a", "--col") == ["--color"]
    assert completed(monkeypatch, tmp_path, "render", "a", "--quality", "") == ["draft", "normal", "best"]
    assert completed(monkeypatch, tmp_path, "render", "a", "--preset", "ga") == ["gatys"]
    assert completed(monkeypatch, tmp_path, "presets", "ga") == ["gatys"]
    assert completed(monkeypatch, tmp_path, "help", "ren") == ["render"]
    assert completed(monkeypatch, tmp_path, "render", "a", "--style", "") == []  # the shell completes files


def test_help_and_completion_need_no_torch() -> None:
    code = (
        "import sys, tilestyle.cli.app as app, os\n"
        "words = 'tilestyle render -'\n"
        "os.environ.update(_TILESTYLE_COMPLETE='complete_bash', COMP_WORDS=words, COMP_CWORD='2')\n"
        "try: app.main()\n"
        "except SystemExit: print('torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["False", "False"]
    assert "--quality" in done.stdout


def test_python_m_is_the_same_program() -> None:
    command = [sys.executable, "-m", "tilestyle", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: tilestyle COMMAND")
