from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run_cli
from tilestyle.cli.commands import studio as command
from tilestyle.studio import server


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    answer = run_cli(tmp_path, "studio", "--root", "root")
    assert answer.returncode != 0 and "pip install 'tilestyle[studio]'" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1 and not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--storage", "much"), "storage"),
        (("--port", "99999"), "65535"),
        (("--host", "no.such.name.invalid"), "--host"),
        (("--root", "file"), "--root"),
    ],
)
def test_what_is_wrong_is_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    answer = run_cli(tmp_path, "studio", "--no-browser", *words)
    assert answer.returncode != 0 and message in answer.stderr and len(answer.stderr.strip().splitlines()) == 1


def test_options_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda options, say: seen.append(options))
    words = ("--root", "prints", "--storage", "1GB", "--port", "0", "--host", "::1", "--no-browser")
    assert run_cli(tmp_path, "studio", *words).returncode == 0
    assert run_cli(tmp_path, "studio").returncode == 0
    first, second = seen
    assert (first.root, first.storage, first.port, first.host) == (Path("prints"), 10**9, 0, "::1")
    assert not first.browser and second.browser and second.host == "127.0.0.1" and second.port is None
    assert second.storage == 20 * 2**30 and second.root.name == "studio"
