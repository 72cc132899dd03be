"""Where the output of a command goes, and in which format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import options
from tilestyle.cli.config_options import SaveRequest, save_request
from tilestyle.cli.film_options import FilmOptions
from tilestyle.config.enums import Compression, Format

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.images import ImageSource, Json


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

    @classmethod
    def of(cls, values: Values) -> Output:
        """From the options of a command."""
        return cls(
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
        )

    def silent(self) -> Output:
        """The same for a process that says nothing and writes nothing beside the picture."""
        return replace(self, quiet=True, preview=None, frames=None, film=None, settings=None)

    @property
    def file(self) -> Path:
        """The file, with the suffix of its format."""
        from tilestyle.images import with_format_suffix

        return with_format_suffix(self.path, self.format)

    def check(self, file: Path, height: int, width: int, dpi: float | None) -> None:
        """Raise what writing a picture of this size would, before it is rendered."""
        from tilestyle.files.atomic import check_output_path
        from tilestyle.images import WriteOptions, check_writable, max_disk_bytes
        from tilestyle.motion.snapshots import check_snapshot_folder
        from tilestyle.pipeline.workdir import check_disk_space

        WriteOptions(depth=self.depth, quality=self.quality, dpi=dpi)
        check_writable(file, height, width, self.depth, self.compression)
        check_disk_space(file.parent, max_disk_bytes(file, height, width, 3, self.depth), "the picture")
        if self.preview:
            check_writable(self.preview, height, width)
        if self.frames:
            check_snapshot_folder(self.frames)
        if self.film:
            self.film.check()
        if self.settings:
            check_output_path(self.settings.file)

    def write(self, source: ImageSource, dpi: float | None, made: dict[str, Json]) -> None:
        """Write the finished picture with its settings, in strips."""
        from tilestyle.canvas.storage import releasing_mapped_pages
        from tilestyle.images import WriteOptions, write_stream

        how = WriteOptions(
            depth=self.depth,
            quality=self.quality,
            compression=self.compression,
            dpi=dpi,
            provenance=made,
        )
        strips = releasing_mapped_pages(source.strips())
        write_stream(self.file, source.height, source.width, strips, options=how, name=source.name)
