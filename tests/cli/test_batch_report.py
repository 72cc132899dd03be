"""Reports of a batch: whose file may be replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilestyle.cli.batch_report import Row, check_report, write_report
from tilestyle.errors import OutputError


@pytest.mark.parametrize(
    "content", ['{"a": 1}', "[]", "1", "null", '{"results": 1}', '{"results": [1]}', "{", ""]
)
def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(OutputError, match=r"mine.json exists"):
        check_report(file, overwrite=False)


@pytest.mark.parametrize("name", ["r.json", "r.csv"])
def test_an_earlier_report_is_replaced(tmp_path: Path, name: str) -> None:
    write_report(tmp_path / name, [Row("a.jpg", "ink.png", "out/a-ink.png")])
    check_report(tmp_path / name, overwrite=False)
