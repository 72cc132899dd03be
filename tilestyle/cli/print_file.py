"""What a print shop wants of a file, from the options of a command: colors, size, boxes, marks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import options
from tilestyle.cli.inputs import color_of
from tilestyle.cli.terminal import plain, say
from tilestyle.config.byte_size import parse_bytes
from tilestyle.config.enums import SUFFIXES, Compression, Format
from tilestyle.config.paper import DPI, millimeters_to_pixels, parse_length, parse_scale
from tilestyle.config.readable import format_number
from tilestyle.errors import OutputError, SettingError

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.images import InkMeter, OutputColor, PageBoxes

LARGEST_INK = 400.0  # percent: four inks


@dataclass(frozen=True)
class PrintFile:
    """How a file for print is written.

    Attributes:
        color: Colors of the file; None for those of the picture.
        ink_limit: Percent of total ink above which a CMYK file is warned of.
        flat: Whether a TIFF has no smaller copies.
        largest: Bytes that the file may have; None for any.
        scale: How many times the print is larger than the page of the file.
        marks: Whether a PDF has crop marks.
        bleed: Millimeters at every edge of the print that are cut off.
        is_rendered: Whether the picture is rendered now, so that its size is free.
    """

    color: OutputColor | None = None
    ink_limit: float = LARGEST_INK
    flat: bool = False
    largest: int | None = None
    scale: float = 1.0
    marks: bool = False
    bleed: float = 0.0
    is_rendered: bool = True

    @classmethod
    def of(cls, values: Values) -> PrintFile:
        """From the options of a command; those it does not have are as if they were not given."""
        limit = values[options.INK_LIMIT]
        if not 100 <= limit <= LARGEST_INK:
            raise SettingError(
                f"an ink limit of {format_number(limit)} % is out of range", hint="give 100 to 400"
            )
        largest = values[options.MAX_FILE_SIZE]
        bleed = parse_length(values[options.BLEED], "bleed") if values[options.PAPER] else 0.0
        return cls(
            color=color_of(values),
            ink_limit=limit,
            flat=values[options.FLAT],
            largest=None if largest is None else parse_bytes(largest, "max-file-size"),
            scale=parse_scale(values[options.SCALE]),
            marks=values[options.MARKS],
            bleed=bleed,
        )

    @property
    def channels(self) -> int:
        """Channels of the file."""
        return 3 if self.color is None else self.color.channels

    @property
    def space(self) -> str:
        """Color space of the file."""
        return "RGB" if self.color is None else self.color.space

    def file_dpi(self, dpi: float | None) -> float | None:
        """Dots per inch of the page of the file, which may be smaller than the print."""
        return None if dpi is None else dpi * self.scale

    def boxes(self, dpi: float | None) -> PageBoxes:
        """The boxes of a PDF, for dots per inch of the print."""
        from tilestyle.images import Insets, PageBoxes

        # As many whole pixels as the render has.
        trim = float(millimeters_to_pixels(self.bleed, dpi or DPI))
        return PageBoxes(trim=Insets(trim, trim, trim, trim), marks=self.marks)

    def settings(self, dpi: float | None, title: str) -> dict[str, Any]:
        """What `WriteOptions` takes of it."""
        color = {} if self.color is None else {"color": self.color}
        return color | {
            "flat": self.flat,
            "dpi": self.file_dpi(dpi),
            "boxes": self.boxes(dpi),
            "title": title,
        }

    def check(
        self, file: Path, size: tuple[int, int], dpi: float | None, how: tuple[int, Compression, int]
    ) -> None:
        """Raise what writing a picture of this size would, before it is made.

        Args:
            file: The file.
            size: Height and width in pixels.
            dpi: Dots per inch of the print.
            how: Bits per channel, compression and quality.

        Raises:
            OutputError: The file would not be what is asked for.
        """
        from tilestyle.images.format_limits import check_color
        from tilestyle.images.write_pdf import check_page

        check_color(file, self.space)
        form = SUFFIXES.get(file.suffix.lower())
        if self.marks and form is not Format.PDF:
            raise OutputError(
                f"crop marks need a PDF, not {file.name}", hint="give -o FILE.pdf, or leave out --marks"
            )
        if form is Format.DEEP_ZOOM and self.color is not None:
            raise OutputError("a Deep Zoom picture is always in sRGB", hint="leave out --profile")
        if form is Format.PDF:
            check_page(*size, self.file_dpi(dpi) or DPI, self.boxes(dpi))
        if self.largest is not None:
            self._check_bytes(file, size, dpi, how)

    def _check_bytes(
        self, file: Path, size: tuple[int, int], dpi: float | None, how: tuple[int, Compression, int]
    ) -> None:
        from tilestyle.images.file_size import FilePlan

        assert self.largest is not None, "there is a limit"
        depth, compression, quality = how
        plan = FilePlan(file, *size, self.channels, depth, compression, quality, self.flat)
        most = plan.most_bytes()
        if most <= self.largest:
            return
        ways = list(plan.smaller(self.largest))
        if self.is_rendered:
            share = plan.fitting_share(self.largest)
            option, largest = ("--dpi", dpi * share) if dpi else ("--size", max(size) * share)
            ways += [f"{option} {int(largest)}"] if largest >= 1 else []
        raise OutputError(
            f"{file.name} may become {decimal(most)}, more than --max-file-size {decimal(self.largest)}",
            hint=f"give {' or '.join(ways)}"
            if ways
            else "render a smaller picture, or give a larger --max-file-size",
        )

    def say_ink(self, file: Path, ink: InkMeter) -> None:
        """Print the total ink of a CMYK file, with a warning above the limit."""
        if self.space != "CMYK" or not ink.pixels:
            return
        assert self.color is not None, "CMYK has a profile"
        say(f"total ink of {file.name}: at most {ink.most:.0f} %, in {plain(self.color.name)}")
        if ink.above:
            share = max(0.01, 100 * ink.above / ink.pixels)
            say(
                f"tilestyle: {share:.2f} % of the pixels have more than {format_number(self.ink_limit)} % "
                "of ink (ask the print shop for a profile of its paper, or for its limit, and give --ink-limit)"
            )


def decimal(count: float) -> str:
    """A number of bytes as file managers and print shops count them: 1.25 GB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * size:  # else 1000 kB
            return f"{format_number(count / size, 3)} {unit}"
    return f"{count:.0f} bytes"
