"""What is printed: any text, in any role, under any encoding, on streams that fail."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import waves
from tests.support.cli import main
from tilestyle import images
from tilestyle.cli.commands import app
from tilestyle.cli.terminal import console, plain
from tilestyle.errors import PictureError, TilestyleError
from tilestyle.images import (
    Json,
    Picture,
    WriteOptions,
    open_source,
    read_picture,
    read_provenance,
    write_picture,
)

ENCODINGS = ("utf-8", "cp1252", "ascii")
# Texts that no terminal may be sent, or that no one may read anything into; and how they are shown.
TEXTS = {
    "markup": ("IMG [final] [/x] [bold]", "IMG [final] [/x] [bold]"),
    "emoji": (":smile:", ":smile:"),
    "color": ("a\x1b[31mb", r"a\x1b[31mb"),
    "title": ("a\x1b]0;owned\x07b", r"a\x1b]0;owned\x07b"),
    "c1": ("a\x9b31mb", r"a\x9b31mb"),
    "bidi": ("a\u202egpj.b", r"a\u202egpj.b"),
    "lines": ("a\nb\rc\u2028d", r"a\nb\rc\u2028d"),
    "bytes": ("a\udcffb", r"a\xffb"),
    "other script": ("猫", "猫"),
}
SMALL = (
    "--size=64",
    "--sweeps=1",
    "--precision=fp32",
    "--network=wavelet",
    "--style-layer=first_1",
    "--memory=1GiB",
)


def run(folder: Path, *words: str, encoding: str = "utf-8") -> tuple[int, str, str]:
    """Exit code, output and errors of a command whose streams have a strict encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
    code: Any = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["tilestyle", *words]),
        mock.patch.dict(os.environ, {"COLUMNS": "400"}),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    said: list[str] = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        said.append(stream.buffer.getvalue().decode(encoding))
    return code, said[0], said[1]


def harmless(text: str) -> bool:
    """Whether a terminal shows a text as it is."""
    return not any(
        (unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each != "\n") or each in "\u202e\u2066"
        for each in text
    )


def shows(said: str, text: str, encoding: str) -> bool:
    """Whether a text is there, in what its encoding has."""
    return text.encode(encoding, "backslashreplace").decode(encoding) in said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures."""
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)
    for seed, name in enumerate(("content.png", "style.png")):
        pixels = (waves(48, 64, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def named(folder: Path, source: str, text: str) -> str:
    """A copy of a file under a name with this text."""
    name = f"{text.replace('/', '_')}.png"
    try:
        (folder / name).write_bytes((folder / source).read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    return name


@given(st.text())
def test_plain_text_is_one_harmless_line(text: str) -> None:
    found = plain(text)
    assert harmless(found)
    assert "\n" not in found
    found.encode("utf-8")
    if (
        harmless(text)
        and "\n" not in text
        and not set(text) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2067\u2068\u2069")
    ):
        assert found == text


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_from_files(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, encoding: str) -> None:
    """A name, the name of a profile, and settings stored in a picture."""
    text, shown = TEXTS[kind]
    picture = Picture(waves(48, 64).permute(1, 2, 0).numpy().copy())
    made: dict[str, Json] = {"command": f"tilestyle {text}", text: [text]}
    write_picture(folder / "content.png", picture, options=WriteOptions(provenance=made))
    name = named(folder, "content.png", text)
    inspect = images.inspect_picture
    monkeypatch.setattr(
        images, "inspect_picture", lambda file: replace(inspect(file), profile=f"profile {text}")
    )
    monkeypatch.setattr("tilestyle.cli.commands.info.strokes", lambda file, pixels: text)
    code, out, err = run(folder, "info", name, encoding=encoding)
    assert (code, err) == (0, "")
    assert harmless(out)
    assert shows(out, f"{shown.replace('/', '_')}.png, PNG", encoding)
    assert shows(out, f"profile {shown}", encoding)
    assert shows(out, f"tilestyle {shown}", encoding)
    assert shows(out, f"made: {shown}", encoding)


@pytest.mark.parametrize(("kind", "encoding"), list(zip(TEXTS, cycle(ENCODINGS), strict=False)))
def test_texts_in_arguments_and_errors(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, encoding: str
) -> None:
    text, shown = TEXTS[kind]
    missing = f"none {text}.png"
    for words in (
        ("render", missing, "--style", "style.png", "-o", "out.png"),
        ("render", "content.png", "--style", missing, "-o", "out.png"),
        ("render", "content.png", "--style", "style.png", "-o", missing.replace("/", "_") + ".xyz"),
        ("texture", "style.png", "-o", "out.png", "--preset", text),
        ("texture", "style.png", "-o", "out.png", "--size", text),
        ("info", missing),
        ("presets", text),
        ("resume", text),
    ):
        code, out, err = run(folder, *words, encoding=encoding)
        assert (code, out) == (2, ""), (words, err)
        assert err.startswith("tilestyle: ")
        assert err.count("\n") == 1
        assert harmless(err)

    def broken(*arguments: Any) -> None:
        raise PictureError(f"{text} is broken")

    monkeypatch.setattr("tilestyle.images.inspect_picture", broken)
    code, _, err = run(folder, "info", "content.png", encoding=encoding)
    assert shows(err, f"tilestyle: {shown} is broken\n", encoding)


@pytest.mark.parametrize(("kind", "encoding"), list(zip(TEXTS, cycle(ENCODINGS[::-1]), strict=False)))
def test_texts_in_names_of_a_render(folder: Path, kind: str, encoding: str) -> None:
    text, shown = (each.replace("/", "_") for each in TEXTS[kind])
    content, style = named(folder, "content.png", text), named(folder, "style.png", f"s{text}")
    words = ("render", content, "--style", style, "-o", f"o{text}.png", *SMALL, "--preview", f"p{text}.jpg")
    code, out, err = run(folder, *words, encoding=encoding)
    assert (code, out) == (0, ""), err
    assert harmless(err)
    assert shows(err, f"wrote o{shown}.png", encoding)
    code, out, err = run(folder, "info", f"o{text}.png", encoding=encoding)
    assert code == 0, err
    assert shows(out, f"{shown}.png", encoding)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".dzi"])
def test_names_that_are_no_text_are_read_and_written(folder: Path, suffix: str) -> None:
    file = folder / "d\udcffr" / f"b\udcffd [1]{suffix}"
    try:
        file.parent.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    failed = ""
    try:
        picture = Picture(waves(48, 64).permute(1, 2, 0).numpy().copy())
        write_picture(file, picture, options=WriteOptions(provenance={"content": file.name}))
        assert read_provenance(file) == {"content": file.name}
        if suffix == ".dzi":
            return
        assert read_picture(file).pixels.shape == (48, 64, 3)
        with open_source(file, file.parent) as source:
            assert source.downsample(24, 32).pixels.shape == (24, 32, 3)
            assert source.window(0, 0, 48, 64).pixels.shape == (48, 64, 3)
        with open_source(file) as source:
            assert sum(len(strip) for strip in source.strips()) == 48
    except (UnicodeError, TilestyleError) as error:
        failed = plain(error)  # its text could not be reported as it is, nor what it came of
    if failed:
        pytest.fail(failed, pytrace=False)


def commands() -> list[tuple[str, ...]]:
    """All commands, and those of groups."""
    names: list[tuple[str, ...]] = [(command.name or "",) for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for each in group.typer_instance.registered_commands:
            names.append((group.name or "", each.name or str(getattr(each.callback, "__name__", ""))))
        names.append((group.name or "",))
    return [(), *names]


@pytest.mark.parametrize("encoding", ENCODINGS[1:])
@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_under_any_encoding(folder: Path, command: tuple[str, ...], encoding: str) -> None:
    code, out, err = run(folder, *command, "--help", encoding=encoding)
    assert (code, err) == (0, "")
    assert "Usage: " in out


class Broken(io.TextIOWrapper):
    """A stream that takes nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        if not self.closed:
            raise self.error

    def close(self) -> None:
        pass

    @contextlib.contextmanager
    def standing_for(self, name: str) -> Iterator[None]:
        """Be a standard stream; what is put in its place is closed."""
        with mock.patch.object(sys, name, self):
            yield
            if getattr(sys, name) is not self:
                getattr(sys, name).close()


BROKEN = {
    "full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "pipe": BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)),
    "terminal gone": OSError(errno.EIO, os.strerror(errno.EIO)),
    "closed": ValueError("I/O operation on closed file."),
}
RUNS = {
    "render": ("render", "content.png", "--style", "style.png", "-o", "out.png", *SMALL),
    "texture": ("texture", "--like", "style.png", "-o", "out.png", *SMALL),
    "invert": ("invert", "content.png", "-o", "out.png", *SMALL[:3]),
    "sheet": ("sheet", "content.png", "--style", "style.png", "-o", "out.png", *SMALL),
    "preview": ("preview", "content.png", "--style", "style.png", "-o", "out.png", "--crops", "0", *SMALL),
    "drift": ("drift", "content.png", "--style", "style.png", "-o", "out.png", "--cycles", "1", *SMALL[:3]),
    "zoom": ("zoom", "style.png", "--start", "content.png", "-o", "out.png", "--steps", "1", *SMALL[:3]),
    "upscale": (
        "upscale",
        "content.png",
        "--reference",
        "style.png",
        "-o",
        "out.png",
        "--factor",
        "2",
        *SMALL[1:3],
    ),
}


@pytest.mark.parametrize(("command", "how"), list(zip(RUNS, cycle(BROKEN), strict=False)))
def test_standard_error_that_takes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, how: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tilestyle", *RUNS[command]])
    with Broken(BROKEN[how]).standing_for("stderr"), pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert (folder / "out.png").exists()


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("words", [("info", "content.png"), ("presets",), ("presets", "draft"), ("--help",)])
def test_standard_output_that_takes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...],
    how: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with Broken(BROKEN[how]).standing_for("stdout"), pytest.raises(SystemExit) as ended:
        main()
    err = capsys.readouterr().err
    if how in ("full", "terminal gone"):
        assert ended.value.code == 2
        assert err.startswith("tilestyle: cannot write to standard output (")
        assert err.count("\n") == 1
    else:  # whoever reads has had enough
        assert not ended.value.code
        assert err == ""


def test_closed_descriptors_are_not_given_to_files(folder: Path) -> None:
    code = "import os, sys\nos.closerange(0, 3)\nsys.stdin = sys.stdout = sys.stderr = None\n"
    code += "from tilestyle.cli.terminal import streams\nwith streams():\n"
    code += "    assert open('file', 'wb').fileno() > 2\n    print(1, file=sys.stderr)\n    print(1)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
    assert done.returncode == 0


def test_a_console_takes_texts_as_they_are() -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        console().print("[bold]x[/bold] :smile: \x1b[31m[/]")
    assert said.getvalue() == "[bold]x[/bold] :smile: \\x1b[31m[/]\n"
