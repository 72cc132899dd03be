"""Where a command keeps its render, and whether it goes on with what was kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.distributed import Ranks
    from tilestyle.pipeline.checkpoint import Left
    from tilestyle.pipeline.workdir import Work


@dataclass(frozen=True)
class Keeping:
    """What was asked for."""

    folder: Path | None = None  # None: beside the picture
    minutes: float = 10.0
    restart: bool = False
    keep: bool = False
    yes: bool = False  # go on without asking
    none: bool = False  # keep nothing

    def work(self, file: Path, ranks: Ranks) -> Work | None:
        """The work folder of a picture that these ranks render."""
        from tilestyle.pipeline.workdir import Work

        if self.none:
            if ranks.count > 1:
                raise SettingError("several ranks need a work folder", hint="run this command without torchrun")
            return None
        if not self.minutes >= 0:
            raise SettingError(f"checkpoint-every cannot be {self.minutes}", hint="give minutes, from 0 up")
        path = self.folder or file.with_name(f"{file.name}.work")
        command = {"words": sys.argv[1:], "folder": str(Path.cwd())}
        return Work(path, self.minutes * 60, self.restart, self.keep, command, ranks)

    def agree(self, left: Left) -> bool:
        """Ask the user whether to go on; without a terminal, go on."""
        if self.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return True
        from tilestyle.cli.display import clock

        where = f"level {left.level + 1}, sweep {left.sweep + 1}, after {clock(left.seconds)}"
        return typer.confirm(f"This render was kept at {where}. Go on with it?", default=True, err=True)
