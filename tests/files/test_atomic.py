"""Which files can be written, as far as it can be told before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tilestyle.errors import OutputError
from tilestyle.files import mounts
from tilestyle.files.atomic import check_output_path
from tilestyle.files.mounts import file_system_type, mounted_types

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
MOUNTS = b"""/dev/a / ext4 rw 0 0
server:/x /home/a\\040b nfs4 rw 0 0
/dev/b /home/\xff\\134 vfat rw 0 0
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the system says of its mounts."""
    file = tmp_path / "mounts"
    file.write_bytes(MOUNTS)
    monkeypatch.setattr(mounts, "_TABLE", file)
    return file


@POSIX
def test_mount_points_of_any_name_are_understood(table: Path) -> None:
    home = os.fsdecode(b"/home/\xff\\")
    assert mounted_types() == {"/": "ext4", "/home/a b": "nfs4", home: "vfat"}
    assert file_system_type(Path("/home/a b/c")) == "nfs4"
    assert file_system_type(Path("/home/a")) == "ext4"
    assert file_system_type(Path(home) / "x") == "vfat"
    table.unlink()
    assert mounted_types() == {} and file_system_type(Path("/home")) == ""


@POSIX
@pytest.mark.parametrize("name", ["out.png", "link.png"])
def test_a_file_that_is_mounted_by_itself_is_refused_before_anything_is_rendered(
    tmp_path: Path, table: Path, name: str
) -> None:
    """As containers do it: `-v /home/me/out.png:/out.png`. A rename cannot replace it."""
    file = tmp_path / "out.png"
    file.write_bytes(b"mine")
    (tmp_path / "link.png").symlink_to(file)
    check_output_path(tmp_path / name)
    table.write_bytes(MOUNTS + b"/dev/a " + os.fsencode(os.path.realpath(file)) + b" ext4 rw 0 0\n")
    with pytest.raises(OutputError, match=r"mounted by itself.*mount its folder instead"):
        check_output_path(tmp_path / name)


@POSIX
def test_in_a_shared_folder_a_file_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may have let everybody write to it, but the sticky bit lets nobody else replace it."""
    file = tmp_path / "out.png"
    file.write_bytes(b"theirs")
    stranger = file.stat().st_uid + 1000
    for mode, user, fits in (
        (0o777, stranger, True),
        (0o1777, stranger, False),
        (0o1777, file.stat().st_uid, True),
        (0o1777, 0, True),
    ):
        tmp_path.chmod(mode)
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        if fits:
            check_output_path(file)
            check_output_path(tmp_path / "new.png")
            continue
        with pytest.raises(OutputError, match="belongs to another user"):
            check_output_path(file)
        check_output_path(tmp_path / "new.png")
