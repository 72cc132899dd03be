"""Lists of files in work folders: where their beginning is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilestyle.files import ownership


def test_a_list_whose_marker_is_gone_is_not_begun_without_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ownership.mark_folder(tmp_path)
    monkeypatch.setattr(ownership, "is_marked", lambda folder: True)  # as it was a moment ago
    (tmp_path / ownership.MARKER).unlink()
    with pytest.raises(FileNotFoundError):
        ownership.claim(tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())
