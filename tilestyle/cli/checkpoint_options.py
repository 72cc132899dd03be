"""Where a command keeps the work of its render, and whether it resumes an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tilestyle.cli import options
from tilestyle.cli.naming import with_options, work_folder
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.distributed import Communicator
    from tilestyle.pipeline.resume_point import ResumePoint
    from tilestyle.pipeline.workdir import Work


@dataclass(frozen=True)
class CheckpointOptions:
    """What was asked for."""

    folder: Path | None = None  # None: beside the picture
    minutes: float = 10.0
    restart: bool = False
    keep: bool = False
    yes: bool = False  # resume without asking
    enabled: bool = True

    @classmethod
    def of(cls, values: Values) -> CheckpointOptions:
        """From the options of a command."""
        return cls(
            values[options.WORK_DIR],
            values[options.CHECKPOINT_EVERY],
            values[options.RESTART],
            values[options.KEEP],
            values[options.YES],
        )

    def work(
        self, file: Path, ranks: Communicator, about: Callable[[], Mapping[str, Any]], name: Path | None = None
    ) -> Work | None:
        """The work folder of a picture.

        Args:
            file: The picture.
            ranks: The processes that render it.
            about: Says what it is made of.
            name: The value of --out where it was not given, which resuming the render has to know.
        """
        from tilestyle.pipeline.workdir import Work

        if not self.enabled:
            if ranks.world_size > 1:
                raise SettingError(
                    "several processes need a work folder", hint="run this command without torchrun"
                )
            return None
        path = self.folder or work_folder(file)
        words = sys.argv[1:] if name is None else with_options(sys.argv[1:], f"--out={name}")
        command = {"words": words, "folder": str(Path.cwd())}
        return Work(
            path, self.minutes * 60, self.restart, self.keep, command, ranks, about=about, agree=self.agree
        )

    def agree(self, resume_point: ResumePoint) -> bool:
        """Ask the user whether to resume; without a terminal, resume."""
        if self.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return True
        from tilestyle.cli.times import elapsed

        where = f"level {resume_point.level + 1}, sweep {resume_point.sweep + 1}"
        question = f"There is a checkpoint at {where}, after {elapsed(resume_point.seconds)}. Resume it?"
        return typer.confirm(question, default=True, err=True)
