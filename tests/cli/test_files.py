"""Files of commands: every input and every output of every command, in every state that a file can be in."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import commands, run_cli
from tilestyle.cli import commands as application
from tilestyle.cli import display
from tilestyle.cli.commands import benchmark
from tilestyle.cli.file_roles import SETTINGS, Place, Reads, Writes, path_key
from tilestyle.cli.parameters import parameters_of, roles_of
from tilestyle.config.render import RenderConfig
from tilestyle.files import paths

COMMANDS: dict[str, Any] = {
    **{str(each.name): each.callback for each in application.app.registered_commands},
    **{
        f"benchmark {each.callback.__name__}": each.callback
        for each in benchmark.app.registered_commands
        if each.callback
    },
}
# Parameters of text that name no file: one that is not here, and is not declared, is one that was forgotten.
WORDS = {
    *(
        "preset",
        "name",
        "names",
        "size",
        "sweeps",
        "style_blend",
        "device",
        "memory",
        "host_memory",
        "scale_odds",
        "paper",
    ),
    *(
        "styles",
        "sources",  # folders and patterns, too (cli/batch_plan.py)
        "references",
        "bleed",
        "stroke",
        "content_layer",
        "style_layer",
        "layer",
        "at",
        "vary",
        "megapixels",
        "limit",
        "ranks",
    ),
    *("distance", "scale", "max_file_size", "wrap", "panels", "panel_overlap"),
}
# How each command is called; of words in {}, the file of that parameter.
CALLS = {
    "render": "render {content} -s {style}:{mask_of_style} -o {out} --mask {mask} --config {config_file}",
    "texture": "texture {style} -o {out}",
    "invert": "invert {content} -o {out}",
    "preview": "preview {content} -s {style} -o {out} --preview-size 64 --crop-size 16 --crops 1",
    "looks": "looks {content} -o {out}",
    "sheet": "sheet {content} -s {style} -o {out}",
    "drift": "drift {start} -s {style} -o {out} --cycles 1",
    "zoom": "zoom {style} -o {out} --steps 1",
    "upscale": "upscale {low} --reference {reference} -o {out} --factor 2",
    "video": "video {clip} -s {style} -o {out}",
    "demo": "demo --out {out}",
    "info": "info {file}",
    "paper": "paper {picture} -o {out} --dpi 25.4",
}
OTHERWISE = {
    ("texture", "like"): "texture --like {like} -o {out}",
    ("texture", "like", "out"): "texture --like {like} -o {out}",
    ("texture", "blend_map"): "texture {style} start.png --blend-map {blend_map} -o {out}",
    ("render", "blend_map"): "render {content} -s {style} -s start.png --blend-map {blend_map} -o {out}",
}
QUICK = {"--size": "40", "--sweeps": "1"}
TIMES = {"render", "texture", "invert", "sheet", "drift", "zoom", "video"}


def parameters(kind: type[Any]) -> list[tuple[str, str, Any]]:
    """(command, parameter, role) of all that are declared of a kind."""
    return [
        (command, name, role)
        for command, callback in COMMANDS.items()
        for name, role in roles_of(callback).items()
        if isinstance(role, kind)
    ]


def option_of(command: str, name: str) -> str:
    """How a parameter is given, such as --work-dir."""
    found = commands()
    for word in command.split():
        found = found.commands[word]
    parameter = next(each for each in found.params if each.name == name)
    return str(parameter.opts[0])


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all commands that are refused: they leave it as it was."""
    return filled(tmp_path_factory.mktemp("refused"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one command."""
    return filled(tmp_path)


INPUT_NAMES = (
    "content",
    "style",
    "start",
    "low",
    "reference",
    "file",
    "blend_map",
    "init",
    "content_map",
    "picture",
)


def filled(folder: Path) -> Path:
    """Small pictures for every parameter, and a file of settings."""
    for seed, name in enumerate(INPUT_NAMES):
        picture(folder / f"{name}.png", 36 + seed, 40, seed)
    for name in ("mask", "mask_of_style"):
        Image.new("RGB", (40, 36), (255, 0, 0)).save(folder / f"{name}.png")
    (folder / "config_file.toml").write_text("overlap = 0\n")
    (folder / "clip").mkdir()
    for number in (1, 2):
        picture(folder / "clip" / f"{number}.png", 36, 40, number)
    return folder


def picture(path: Path, height: int, width: int, seed: int = 0) -> None:
    pixels = waves(height, width, seed).permute(1, 2, 0).numpy()
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path, format="PNG")


def words_of(command: str, given: dict[str, str]) -> list[str]:
    """A call of a command with these files; the others are as they should be."""
    text = CALLS.get(command, f"{command}")
    text = OTHERWISE.get((command, *given), text)
    usual = {"out": "made" if command in ("drift", "zoom", "demo", "video") else "out.png", "clip": "clip"}
    usual |= {"config_file": "config_file.toml"}
    names = {name for name in NAMES if f"{{{name}}}" in text}
    values = {name: given.get(name, usual.get(name, f"{name}.png")) for name in names}
    words = [word.format(**values) for word in text.split()]
    for name, value in given.items():
        if name not in names and name != "mask_of_style":
            words += [option_of(command, name), value]
    if command in TIMES:
        words += [word for pair in QUICK.items() for word in pair]
    return words


NAMES = {name for _, name, _ in [*parameters(Reads), *parameters(Writes)]} | {"mask_of_style"}


def seen(folder: Path) -> dict[str, Any]:
    """Everything in a folder, by its name: kinds and bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if stat.S_ISREG(path.lstat().st_mode)
        else (stat.S_IFMT(path.lstat().st_mode), os.readlink(path) if path.is_symlink() else "")
        for path in sorted(folder.rglob("*"))
    }


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """What a refused command says."""
    assert done.returncode == 2, (done.args, done.stdout, done.stderr)
    *before, last = done.stderr.splitlines()  # preview, sheet and texture say first what they are about to do
    assert last.startswith("tilestyle: ") and len(before) <= 2 and len(last) < 600, (done.args, done.stderr)
    for part in parts:
        assert part in last, (done.args, part, last)


# --- one declaration ---


def test_every_parameter_that_may_name_a_file_is_roles_of() -> None:
    for command, callback in COMMANDS.items():
        if command == "studio":  # it has a folder of its own, which studio/root.py checks (tests/studio)
            continue
        roles = roles_of(callback)
        for each in parameters_of(callback):
            if each.name not in roles:
                assert each.item_kind is not Path, f"say in cli/file_roles.py what {each.name} of {command} is"
                is_known = each.item_kind is not str or each.name in WORDS
                assert is_known, f"say in cli/file_roles.py, or above, what {each.name} of {command} is"


def test_every_setting_that_may_be_a_file_is_roles_of() -> None:
    hints = get_type_hints(RenderConfig)
    may_be = {
        each.name
        for each in fields(RenderConfig)
        if any(part in str(hints[each.name]) for part in ("PathLike", "Any", "object"))
    }
    assert may_be == set(SETTINGS)


def test_every_command_is_called() -> None:
    aside = {
        "again",
        "batch",  # test_batch.py
        "pictures",
        "resume",
        "presets",
        "help",
        "studio",  # tests/studio
        *(name for name in COMMANDS if name.startswith("benchmark")),
    }
    assert set(COMMANDS) == set(CALLS) | aside


# --- inputs ---


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:  # names of sockets are short
        made.bind(path.name)


def cut_short(path: Path) -> None:
    picture(path, 90, 90)
    path.write_bytes(path.read_bytes()[:600])


STATES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("not = what [it should be"),
    "bytes": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "cut": cut_short,
    "locked": lambda path: picture(path, 20, 24),
    "fifo": fifo,
    "socket": listening,
    "device": lambda path: path.symlink_to("/dev/null"),
    "dangling": lambda path: path.symlink_to("gone.png"),
    "loop": lambda path: path.symlink_to(path.name),
    "long": lambda path: None,
    "null": lambda path: None,
}
UNIX = {"fifo", "socket", "device"}
READ = [(command, name) for command, name, role in parameters(Reads) if command in CALLS]
READ += [("render", "mask_of_style")]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody open a file: tests may run as the user who may do all."""
    opened = os.open

    def refused(name: Any, *rest: Any, **more: Any) -> int:
        if Path(os.fsdecode(name)).name == path.name:
            raise PermissionError(13, "Permission denied", str(name))
        return opened(name, *rest, **more)

    with mock.patch.object(os, "open", refused):
        yield


@pytest.mark.parametrize(("command", "name"), READ)
def test_an_input_that_cannot_be_used_is_one_line(refused: Path, command: str, name: str) -> None:
    for state, make in STATES.items():
        if not (state in UNIX and not hasattr(os, "mkfifo")):
            check_refused(refused, command, name, state, make)


def check_refused(folder: Path, command: str, name: str, state: str, make: Callable[[Path], object]) -> None:
    suffix = {"config_file": ".toml", "weights": ".pth"}.get(name, ".png")
    bad = f"bad-{ {'long': 'n' * 300, 'null': chr(0)}.get(state, state) }{suffix}"
    words = words_of(command, {name: bad})
    words += ["--network", "vgg19"] if name == "weights" else []
    words += ["-s", "start.png"] if (name, command) == ("blend_map", "preview") else []
    by_content = state in ("text", "bytes", "cut") or (name == "clip" and state == "folder")
    if (command, state) == ("info", "cut") and name in ("file", "style"):
        return  # it reads no pixels
    if name == "clip" and by_content and find_spec("av") is None:
        return
    make(folder / bad)
    before = seen(folder)
    with locked(folder / bad) if state == "locked" else contextlib.nullcontext():
        done = run_cli(folder, *words)
    shown = {"null": "null", "dangling": "gone.png"}.get(state, bad[:150])
    one_line(done, shown)
    if not by_content and state != "null":
        role = "mask of style" if name == "mask_of_style" else roles_of(COMMANDS[command])[name].role
        assert f"{role}: " in done.stderr or (name == "config_file" and "settings: " in done.stderr), (
            done.stderr
        )
    assert seen(folder) == before, (done.args, done.stderr)
    if state not in ("long", "null", "missing"):
        (folder / bad).rmdir() if state == "folder" else (folder / bad).unlink()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_file_that_settings_name_is_checked_like_an_option(folder: Path, setting: str) -> None:
    (folder / "config_file.toml").write_text(f'network = "vgg19"\n{setting} = {{file = "gone.png"}}\n')
    before = seen(folder)
    words = "render content.png -s style.png -o out.png --config config_file.toml"
    one_line(run_cli(folder, *words.split()), "gone.png")
    assert seen(folder) == before


@pytest.mark.parametrize(("text", "meant"), [("nois", "noise"), ("contnt", "content"), ("graay", "gray")])
def test_a_misspelt_beginning_is_understood(folder: Path, text: str, meant: str) -> None:
    one_line(run_cli(folder, *words_of("texture", {"init": text})), text, f"did you mean {meant}?", "uniform")


@pytest.mark.parametrize("command", ["render", "texture", "invert"])
def test_python_says_what_file_is_missing(folder: Path, command: str) -> None:
    import tilestyle
    from tilestyle.errors import PictureError

    pictures = (
        [str(folder / "gone.png")]
        if command != "render"
        else [str(folder / "gone.png"), str(folder / "style.png")]
    )
    with pytest.raises(PictureError, match=r"there is no file .*gone\.png"):
        getattr(tilestyle, command)(*pictures, work=folder / "work")
    assert not (folder / "work").exists()


# --- outputs ---

# What each output is called so that it is, or would write over, the file `target`.
TARGETS = {
    "out": ("x.png", "x.png"),
    "preview": ("x.png", "x.png"),
    "sheet": ("x.png", "x.png"),
    "film": ("x.mp4", "x.mp4"),
    "frames": ("x", "x/frame-00001.png"),
    "save_config": ("x.toml", "x.toml"),
    "work_dir": ("x", "x/input.png"),
}
FOLDERS = {"drift": ("x", "x/0001.png"), "zoom": ("x", "x/0001.png"), "video": ("x", "x/0001.png")}
WRITTEN = [
    (command, name, read)
    for command, name, _ in parameters(Writes)
    for each, read in READ
    if command == each and command in CALLS and command != "demo" and read not in ("config_file", "clip")
]


NAMED = [each[:2] for each in [*parameters(Reads), *parameters(Writes)] if each[0] in CALLS]
NAMED += [("render", "mask_of_style")]


@pytest.mark.parametrize(("command", "name"), NAMED)
def test_an_empty_name_is_said_to_be_empty(refused: Path, command: str, name: str) -> None:
    """It is the value of a variable of the shell that is not set."""
    one_line(run_cli(refused, *words_of(command, {name: ""})), "is empty")


@pytest.mark.parametrize(("command", "name", "read"), WRITTEN)
def test_an_output_that_is_an_input_is_refused(refused: Path, command: str, name: str, read: str) -> None:
    pytest.importorskip("av")
    given, target = FOLDERS[command] if name == "out" and command in FOLDERS else TARGETS[name]
    original, link = refused / target, refused / "link.png"
    original.parent.mkdir(exist_ok=True)
    shutil.copy(refused / ("mask.png" if "mask" in read else "style.png"), original)
    (refused / "elsewhere").symlink_to(".")
    ways = [target, f"./clip/../{target}", f"elsewhere/{target}", os.path.abspath(original)]
    for used in [*ways, os.symlink, os.link]:
        if callable(used):
            if used is os.link and name == "work_dir":
                continue  # to remove one name of a file leaves it under its others
            used(original, link)
        words = words_of(command, {read: link.name if callable(used) else str(used), name: given})
        words += ["--network", "vgg19"] if read == "weights" else []
        before = seen(refused)
        one_line(run_cli(refused, *words), "would replace an input")
        assert seen(refused) == before
        link.unlink(missing_ok=True)
    (refused / "elsewhere").unlink()
    original.unlink()
    if original.parent != refused:
        original.parent.rmdir()


def test_a_file_of_settings_is_an_input(folder: Path) -> None:
    before = seen(folder)
    words = (
        "render content.png -s style.png -o out.png --config config_file.toml --save-config config_file.toml"
    )
    one_line(run_cli(folder, *words.split()), "would replace an input", "config_file.toml")
    text = f'mask = {{file = "{folder / "mask.png"}"}}\n'
    (folder / "config_file.toml").write_text(text)
    before = seen(folder)
    words = "render content.png -s style.png:mask.png -o mask.png --config config_file.toml"
    one_line(run_cli(folder, *words.split()), "would replace an input", "mask.png")
    assert seen(folder) == before


def test_frames_of_a_clip_are_inputs(folder: Path) -> None:
    os.rename(folder / "clip" / "1.png", folder / "clip" / "0001.png")
    before = seen(folder)
    done = run_cli(folder, *["video", "clip", "-s", "style.png", "-o", "clip", "--size", "24"])
    one_line(done, "would replace an input", "0001.png")
    assert seen(folder) == before


FILES = [(command, name) for command, name, _ in parameters(Writes) if command in CALLS and name != "work_dir"]
PAIRS = [
    (command, one, other)
    for command, one in FILES
    for each, other in FILES
    if command == each and one < other and "frames" not in (one, other) and command not in FOLDERS
]


@pytest.mark.parametrize(("command", "one", "other"), PAIRS)
def test_two_outputs_are_two_files(refused: Path, command: str, one: str, other: str) -> None:
    name = "x.mp4" if "film" in (one, other) else "x.png"
    before = seen(refused)
    for second in (name, f"clip/../{name}", name.upper()):
        if {"film", "out"} != {one, other}:  # the endings of films and pictures differ
            one_line(run_cli(refused, *words_of(command, {one: name, other: second})), "would both write to")
            assert seen(refused) == before


def test_an_output_in_a_folder_that_is_written_is_refused(folder: Path) -> None:
    cases = {
        "invert content.png -o d/frame-00003.png --frames d": "out and frames",
        "render content.png -s style.png -o d/out.png --work-dir d": "out and work folder",
    }
    (folder / "d").mkdir()
    for words, message in cases.items():
        one_line(run_cli(folder, *words.split()), message)


BAD_PLACES = ("no-folder/x", "content.png/x", "a-folder", "pipe")


@pytest.mark.parametrize(("command", "name"), [each for each in FILES if each[0] != "demo"])
def test_an_output_that_cannot_be_written_is_one_line(folder: Path, command: str, name: str) -> None:
    pytest.importorskip("av")
    suffix = Path((FOLDERS[command] if name == "out" and command in FOLDERS else TARGETS[name])[0]).suffix
    (folder / f"a-folder{suffix}").mkdir()
    if hasattr(os, "mkfifo"):
        fifo(folder / f"pipe{suffix}")
    before = seen(folder)
    for place in BAD_PLACES:
        if place in ("no-folder/x", "a-folder") and (not suffix or name == "film"):
            continue  # folders are made; frames of a film go into one
        if place == "no-folder/x" and name == "out":
            continue  # made, too
        if place == "pipe" and not hasattr(os, "mkfifo"):
            continue
        one_line(run_cli(folder, *words_of(command, {name: f"{place}{suffix}"})))
        assert seen(folder) == before


@pytest.mark.parametrize("command", ["render", "texture", "invert", "upscale", "sheet"])
def test_a_complete_picture_replaces_an_input_where_that_was_asked_for(folder: Path, command: str) -> None:
    read = {"texture": "style", "upscale": "low"}.get(command, "content")
    words = [*words_of(command, {"out": f"{read}.png"}), "--overwrite-input", "-q"]
    words += ["--sweeps", "1"] if command == "upscale" else []
    before = (folder / f"{read}.png").read_bytes()
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    assert (folder / f"{read}.png").read_bytes() != before


@pytest.mark.parametrize("command", ["render", "texture", "invert"])
def test_a_stopped_render_leaves_its_input_and_can_be_resumed(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = {"texture": "style"}.get(command, "content")
    words = [*words_of(command, {"out": f"{read}.png"}), "--overwrite-input"]
    whole = [*words_of(command, {"out": "whole.png"}), "-q"]
    assert run_cli(folder, *whole).returncode == 0
    expected = Image.open(folder / "whole.png").tobytes()
    before = (folder / f"{read}.png").read_bytes()

    @contextlib.contextmanager
    def stopped(**_: object) -> Iterator[Callable[[], bool]]:
        yield lambda: True

    with monkeypatch.context() as patched:
        patched.setattr(display, "stop_on_interrupt", stopped)
        done = run_cli(folder, *words)
    assert done.returncode == 130, done.stderr
    assert (
        "is an input and was not replaced" in done.stderr
        and f"to continue: tilestyle resume {read}.png.work" in done.stderr
    )
    assert (folder / f"{read}.png").read_bytes() == before
    again = run_cli(folder, "resume", f"{read}.png.work")
    assert again.returncode == 0, again.stderr
    assert Image.open(folder / f"{read}.png").tobytes() == expected
    assert not (folder / f"{read}.png.work").exists()


def test_files_are_known_by_more_than_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    assert paths.file_id(tmp_path / "a") == paths.file_id(tmp_path / "b") is not None
    assert paths.file_id(tmp_path / "c") is None
    assert (
        path_key(tmp_path / "new.png") == path_key(tmp_path / "." / "NEW.png") != path_key(tmp_path / "old.png")
    )
    assert Place(tmp_path / "b").holds(tmp_path / "a")
    assert Place(tmp_path, is_whole_folder=True).holds(tmp_path / "a")
