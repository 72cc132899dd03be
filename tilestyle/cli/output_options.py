"""Where the output of a command goes, and in which format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import options, signals
from tilestyle.cli.config_options import SaveRequest, run_options, save_request
from tilestyle.cli.file_roles import Writes
from tilestyle.cli.film_options import FilmOptions
from tilestyle.cli.naming import AutomaticName, aside, stored_name
from tilestyle.cli.print_file import PrintFile
from tilestyle.cli.terminal import say
from tilestyle.config.enums import Compression, Format
from tilestyle.config.stored import portable_run

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.distributed import Communicator
    from tilestyle.images import ImageSource, Json


def remembered_run(values: Values) -> dict[str, Any]:
    """The options that a picture stores in addition to the settings: not defaults, nor other written files."""
    left_out = {
        each.name
        for each in values.parameters
        if isinstance(each.files, Writes) or values[each] == each.default
    }
    return portable_run({name: value for name, value in run_options(values).items() if name not in left_out})


@dataclass(frozen=True)
class Output:
    """The picture that a command writes, and what else it writes on the way."""

    path: Path
    format: Format | None = None  # None: from the file name
    depth: int = 8
    quality: int = 95
    compression: Compression = Compression.DEFLATE
    preview: Path | None = None
    frames: Path | None = None
    quiet: bool = False
    settings: SaveRequest | None = None
    film: FilmOptions | None = None
    verbose: bool = False
    name: AutomaticName | None = None  # None: the path was given
    is_new: bool = False  # whether there was no such file when the command began, so that none is replaced
    shown: bool = False  # in the system's viewer, when it is complete
    run: Mapping[str, Any] = field(
        default_factory=dict
    )  # options that the picture stores in addition to settings
    paper: PrintFile = field(default_factory=PrintFile)

    @classmethod
    def of(cls, values: Values) -> Output:
        """From the options of a command."""
        output = cls(
            values[options.OUT],
            values[options.FORMAT],
            values[options.DEPTH],
            values[options.JPEG_QUALITY],
            values[options.COMPRESSION],
            values[options.PREVIEW_FILE],
            values[options.FRAMES],
            values[options.QUIET],
            save_request(values),
            FilmOptions.of(values),
            values[options.VERBOSE],
            AutomaticName.of(values),
            shown=values[options.OPEN],
            run=remembered_run(values),
            paper=PrintFile.of(values),
        )
        return output.named(output.path)

    def named(self, path: Path) -> Output:
        """The same with another name, before anything is written."""
        renamed = replace(self, path=path)
        return replace(renamed, is_new=not os.path.lexists(renamed.file))

    def settled(
        self, is_own: Callable[[Path], bool], work: Path | None, ranks: Communicator | None = None
    ) -> Output:
        """The same with its automatic name, now that the work of the command can be recognized.

        Args:
            is_own: Whether a work folder holds unfinished work of this very command.
            work: The work folder that was given.
            ranks: The processes that render together; the first one decides.
        """
        if self.name is None:
            return self
        chosen = None
        if ranks is None or ranks.is_rank_zero:
            chosen = str(self.name.choose(is_own, lambda: stored_name(work) if work and is_own(work) else None))
        path = self.name.take(Path(ranks.broadcast(chosen) if ranks else str(chosen)))
        if not self.quiet:
            say(f"output: {self.named(path).file}")
        return self.named(path)

    def on_screen(self) -> Output:
        """The same for a picture that only shows what a print will look like."""
        return replace(self, paper=replace(self.paper, color=None))

    def silent(self) -> Output:
        """The same for a process that says nothing and writes nothing except the picture."""
        return replace(self, quiet=True, preview=None, frames=None, film=None, settings=None)

    @property
    def file(self) -> Path:
        """The file, with the suffix of its format."""
        from tilestyle.images import with_format_suffix

        return with_format_suffix(self.path, self.format)

    def check(self, file: Path, height: int, width: int, dpi: float | None) -> None:
        """Raise what writing a picture of this size would, before it is rendered."""
        from tilestyle.files.atomic import check_output_path
        from tilestyle.files.folders import nearest_folder
        from tilestyle.images import WriteOptions, check_writable, max_disk_bytes
        from tilestyle.images.disk_space import check_disk_space
        from tilestyle.motion.snapshots import check_snapshot_folder

        WriteOptions(depth=self.depth, quality=self.quality, dpi=dpi)
        check_writable(file, height, width, self.depth, self.compression, creates_folder=True)
        self.paper.check(file, (height, width), dpi, (self.depth, self.compression, self.quality))
        largest = max_disk_bytes(file, height, width, self.paper.channels, self.depth, flat=self.paper.flat)
        check_disk_space(nearest_folder(file.parent), largest, "the picture")
        if self.preview:
            check_writable(self.preview, height, width)
        if self.frames:
            check_snapshot_folder(self.frames)
        if self.film:
            self.film.check()
        if self.settings:
            check_output_path(self.settings.file)

    def write(self, source: ImageSource, dpi: float | None, provenance_json: dict[str, Json]) -> Path:
        """Write the finished picture with its settings, in strips, and return the file.

        That is another one if somebody has created a file of this name since the command began. Once it is
        there, signals change nothing, unless the command has more to do.
        """
        from tilestyle.canvas.mapped_pages import releasing_mapped_pages
        from tilestyle.images import InkMeter, WriteOptions, write_stream

        ink = InkMeter(self.paper.ink_limit)
        options = WriteOptions(
            depth=self.depth,
            quality=self.quality,
            compression=self.compression,
            provenance=provenance_json,
            ink=ink,
            **self.paper.settings(dpi, self.file.stem),
        )
        strips = releasing_mapped_pages(source.strips())
        file = aside(self.file) if self.is_new and os.path.lexists(self.file) else self.file
        signals.writes(file)
        write_stream(file, source.height, source.width, strips, options=options, name=source.name)
        if not self.quiet:
            self.paper.say_ink(file, ink)
        return file
