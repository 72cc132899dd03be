"""`tilestyle paper`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tilestyle.cli import file_roles, signals
from tilestyle.cli import options as opt
from tilestyle.cli.inputs import CROP_WORTH_A_LINE, color_of
from tilestyle.cli.naming import aside
from tilestyle.cli.parameters import Values, argument, command, option, optional
from tilestyle.cli.print_file import PrintFile
from tilestyle.cli.progress import Display, Steps, open_display
from tilestyle.cli.provenance import affecting_result
from tilestyle.cli.terminal import say
from tilestyle.cli.times import elapsed
from tilestyle.cli.viewer import show
from tilestyle.config.enums import SUFFIXES, Compression, Format
from tilestyle.config.paper import (
    MILLIMETERS,
    check_dpi,
    format_area,
    format_length,
    parse_length,
    parse_paper,
    unit_of,
)
from tilestyle.config.print_plan import (
    Edge,
    PanelSpan,
    Placing,
    PrintPlan,
    PrintSize,
    check_panels,
    panel_spans,
    plan_print,
)
from tilestyle.config.readable import format_number, format_percent
from tilestyle.errors import OutputError, SettingError

if TYPE_CHECKING:
    from tilestyle.images import ImageSource, Json, PageBoxes, StoredColors, WriteOptions

LOW_DPI = 60  # below this, pixels show even from three meters
ROUNDING = 0.02  # dots per inch
PLAN_SIDE = 1200  # pixels of the long side of the picture on the plan

PICTURE = argument(
    "picture",
    Path,
    "Finished picture, or the name of an included one.",
    files=file_roles.FINISHED,
)
OUT = opt.OUT.with_changes(
    help="File to write: .pdf, .tif, .jpg or .png.", shown="PICTURE-paper.pdf", files=file_roles.PANELS
)
PAPER = opt.PAPER.with_changes(
    help="Size of the print: A0 to A6, B0 to B6, letter, a photo size such as 4x6 or 10x15, or width x height: "
    "60x90cm, 24x36in, 3x2m.",
    shown="from the picture's dots per inch",
)
RESOLUTION = opt.RESOLUTION.with_changes(
    help="Dots per inch of the print, instead of --print.", shown="that of the picture"
)
FIT = option(
    "fit",
    Placing,
    "If picture and paper differ in shape: cover (crop the picture) or contain (smaller).",
    default=Placing.COVER,
    panel=opt.PRINT,
)
BLEED = opt.BLEED.with_changes(
    help="Part at each edge that is cut off after printing, such as 3mm. It is taken from the picture, "
    "unless --edge mirror adds it.",
    basic=True,
)
WRAP = option(
    "wrap",
    str,
    "Part at each edge that is folded round the frame of a canvas, such as 4cm.",
    default="0mm",
    panel=opt.PRINT,
    metavar="LENGTH",
    basic=True,
)
EDGE = option(
    "edge",
    Edge,
    "What bleed and wrap show: picture (its own edge, so that less of it is seen from the front) or mirror (a "
    "mirror image of its edge, so that all of it is).",
    default=Edge.PICTURE,
    panel=opt.PRINT,
    basic=True,
)
PANELS = optional(
    "panels",
    str,
    "Cut the print into panels, each at most this wide, such as 48in, with a numbered plan.",
    panel=opt.PRINT,
    metavar="LENGTH",
    basic=True,
)
PANEL_OVERLAP = option(
    "panel_overlap",
    str,
    "What neighboring panels share, to be overlapped on the wall: 10mm to 25mm are usual.",
    default="15mm",
    panel=opt.PRINT,
    metavar="LENGTH",
)
COMPRESSION = optional(
    "compression",
    Compression,
    opt.COMPRESSION.help,
    shown="lzw (TIFF), deflate (PDF)",
    panel=opt.OUTPUT,
)


@command(
    *(PICTURE, OUT),
    *(PAPER, RESOLUTION, FIT, BLEED, WRAP, EDGE, PANELS, PANEL_OVERLAP),
    opt.PROFILE.with_changes(shown="that of the picture"),
    opt.INTENT,
    *(opt.BLACK_POINT, opt.INK_LIMIT, opt.SCALE, opt.MARKS.with_changes(basic=True)),
    *(opt.DEPTH, COMPRESSION, opt.FORMAT, opt.JPEG_QUALITY, opt.MAX_FILE_SIZE),
    opt.MAX_INPUT_PIXELS_OPTION,
    *(opt.OVERWRITE, opt.OVERWRITE_INPUT, opt.OPEN, opt.QUIET, opt.DEBUG),
)
def paper(values: Values) -> None:
    """Turn a finished picture into the file that a print shop wants.

    A PDF with bleed and crop marks, a plain TIFF or a JPEG, in the colors of the press or lab; canvas wraps and
    wall panels. The picture keeps its pixels: nothing is enlarged.
    """
    from tilestyle.images import (
        StoredColors,
        built_in_profile,
        open_source,
        with_format_suffix,
        working_space,
    )

    start = time.monotonic()
    file = with_format_suffix(values[OUT], values[opt.FORMAT])
    color = color_of(values)
    with ExitStack() as stack:
        if color is not None and color.exceeds_srgb:  # for what has to be converted to be read
            stack.enter_context(working_space(built_in_profile("display-p3")))
        source = stack.enter_context(open_source(values[PICTURE]))
        plan = plan_of(values, source)
        job = PaperJob.of(values, file, plan, source.height * source.width)
        job.check()
        stack.enter_context(converted(source, file.parent))
        picture = StoredColors.of(source, plan.crop, plan.added)
        job = replace(job, shop=job.colored(picture))
        job.check()  # now that the colors of the file are known
        display = stack.enter_context(open_display(quiet=values[opt.QUIET]))
        written = job.write(picture, source, values[PICTURE], display)
    if not values[opt.QUIET]:
        for name in written:
            say(f"wrote {name}")
        for line in job.facts(time.monotonic() - start):
            say(line)
    if values[opt.OPEN]:
        show(job.plan_file if job.panels is not None else written[0])


@dataclass(frozen=True)
class Units:
    """The units of lengths in messages: those in which they were given.

    Attributes:
        size: Of the print.
        bleed: Of the bleed.
        wrap: Of what is folded.
        panels: Of the panels.
    """

    size: str = "mm"
    bleed: str = "mm"
    wrap: str = "mm"
    panels: str = "mm"

    @classmethod
    def of(cls, values: Values) -> Units:
        """From the options of the command."""
        bleed, wrap, panels = values[BLEED], values[WRAP], values[PANELS]
        others = [panels] * values.given(PANELS) + [bleed] * values.given(BLEED) + [wrap] * values.given(WRAP)
        size = next((each for each in (values[PAPER], *others) if each), "0mm")
        return cls(*(unit_of(each or "0mm") for each in (size, bleed, wrap, panels)))


@dataclass(frozen=True)
class PaperJob:
    """What is written, and how.

    Attributes:
        file: The file, of which panels have numbers.
        plan: How the picture lies on the print.
        shop: Colors, boxes and limits.
        depth: Bits per channel.
        compression: Of TIFF and PDF.
        quality: Of JPEG.
        panels: The panels; None for one file.
        quiet: Whether nothing is said.
        is_new: Whether the file did not exist, so that none is replaced.
        cropped: Share of the picture that the shape of the print crops.
        units: The units of the print, its bleed, its wrap and its panels, as they were given.
    """

    file: Path
    plan: PrintPlan
    shop: PrintFile
    depth: int
    compression: Compression
    quality: int
    panels: list[PanelSpan] | None
    quiet: bool
    is_new: bool
    cropped: float = 0.0
    units: Units = Units()

    @classmethod
    def of(cls, values: Values, file: Path, plan: PrintPlan, pixels: int) -> PaperJob:
        """From the options of the command."""
        is_tiff = SUFFIXES.get(file.suffix.lower()) is Format.TIFF
        compression = values[COMPRESSION] or (Compression.LZW if is_tiff else Compression.DEFLATE)
        return cls(
            file=file,
            plan=plan,
            shop=replace(PrintFile.of(values), flat=True, is_rendered=False),
            depth=values[opt.DEPTH],
            compression=compression,
            quality=values[opt.JPEG_QUALITY],
            panels=_panels(values, plan),
            quiet=values[opt.QUIET],
            is_new=not values[opt.OVERWRITE] and not values[opt.OVERWRITE_INPUT],
            cropped=1 - plan.crop.height * plan.crop.width / pixels,
            units=Units.of(values),
        )

    @property
    def spans(self) -> list[PanelSpan]:
        """The columns of every file."""
        return [PanelSpan(0, self.plan.width)] if self.panels is None else self.panels

    @property
    def files(self) -> list[Path]:
        """The files, in the order of the panels from left to right."""
        if self.panels is None:
            return [self.file]
        numbers = range(1, len(self.panels) + 1)
        return [self.file.with_name(f"{self.file.stem}-panel-{number}{self.file.suffix}") for number in numbers]

    @property
    def plan_file(self) -> Path:
        """The plan of the panels."""
        return self.file.with_name(f"{self.file.stem}-plan.png")

    def check(self) -> None:
        """Raise what writing would, before it begins."""
        from tilestyle.files.folders import nearest_folder
        from tilestyle.images import WriteOptions, check_writable, max_disk_bytes
        from tilestyle.images.disk_space import check_disk_space

        dpi = self.plan.dpi
        WriteOptions(depth=self.depth, quality=self.quality, dpi=self.shop.file_dpi(dpi))
        total = 0
        for file, span in zip(self.files, self.spans, strict=True):
            size = self.plan.height, span.width
            check_writable(file, *size, self.depth, self.compression, creates_folder=True)
            self.shop.check(file, size, dpi, (self.depth, self.compression, self.quality))
            total += max_disk_bytes(file, *size, self.shop.channels, self.depth, flat=True)
        check_disk_space(nearest_folder(self.file.parent), total, "the print")

    def colored(self, picture: StoredColors) -> PrintFile:
        """Colors of the file: those of the picture, if no others are asked for."""
        from tilestyle.images import OutputColor

        return replace(self.shop, color=self.shop.color or OutputColor(picture.profile))

    def write(self, picture: StoredColors, source: ImageSource, original: Path, display: Display) -> list[Path]:
        """Write all files, and return them.

        Args:
            picture: The samples of the print.
            source: The finished picture, for the plan of the panels.
            original: Its file.
            display: Shows how far it is.
        """
        from tilestyle.files.folders import created_folder
        from tilestyle.images import InkMeter, read_provenance, write_samples

        provenance_json: dict[str, Json] = dict(read_provenance(original) or {})
        provenance_json["paper"] = " ".join(
            ["tilestyle", *affecting_result([Path(word).name for word in sys.argv[1:]])]
        )
        written: list[Path] = []
        ink = InkMeter(self.shop.ink_limit)
        with created_folder(self.file.parent), removed_unless_all(written, is_new=self.is_new):
            for number, (file, span) in enumerate(zip(self.files, self.spans, strict=True)):
                steps = Steps(display, f"writing {file.name}")
                share = (number / len(self.files), (number + 1) / len(self.files))
                strips = _watched(picture.strips(span.left, span.width), picture.height, steps, share)
                target = aside(file) if self.is_new and file.exists() else file
                if self.panels is None:
                    signals.writes(target)
                written.append(target)
                options = self._options(span, provenance_json, ink, target.stem)
                write_samples(target, (picture.height, span.width), strips, picture.profile, options=options)
            if self.panels is not None:
                signals.writes(self.plan_file)
                self.write_plan(source)
                written.append(self.plan_file)
        if not self.quiet:
            self.shop.say_ink(self.file, ink)
        return written

    def write_plan(self, source: ImageSource) -> None:
        """Write the plan of the panels."""
        from tilestyle.images import draw_panel_plan, write_picture

        assert self.panels is not None, "there are panels"
        small = _small(source, self.plan)
        print_width, millimeter = self.plan.width, self.plan.dpi / MILLIMETERS["in"]
        shares = [(each.left / print_width, (each.left + each.width) / print_width) for each in self.panels]
        unit = self.units.panels
        captions = [
            f"{number}: {format_length(each.width / millimeter, unit, coarse=True)}"
            for number, each in enumerate(self.panels, 1)
        ]
        shared = (self.panels[0].width - self.panels[1].left) / millimeter if len(self.panels) > 1 else 0.0
        title = (
            f"{self._area()} in {len(self.panels)} panels, from left to right; "
            f"neighbors share {format_length(shared, unit, coarse=True)} (light)"
        )
        write_picture(self.plan_file, draw_panel_plan(small, shares, captions, title))

    def facts(self, seconds: float) -> Iterator[str]:
        """Lines about the files to print."""
        plan, color = self.plan, self.shop.color
        dots = format_number(plan.dpi, 3)
        scale = f"; the file is at 1:{format_number(self.shop.scale)}" if self.shop.scale > 1 else ""
        yield (
            f"print of {self._size} at {dots} dpi{scale}; "
            f"{color.name if color else 'sRGB'}, {self.depth} bits; {elapsed(seconds)}"
        )
        if self.panels is not None and len(self.panels) == 1:
            width = format_length(plan.width / self._millimeter, self.units.size, coarse=True)
            yield f"one panel is enough for {width}: without --panels the print is one file, {self.file}"
        if self.cropped > CROP_WORTH_A_LINE:
            cropped = format_percent(self.cropped)
            yield f"the print crops {cropped} of the picture: give --fit contain to keep all of it"
        if plan.dpi < LOW_DPI:
            yield (
                f"seen from nearer than {180 / plan.dpi:.0f} m, the print will look coarse: "
                f"an inch of it has only {dots} pixels of the picture"
            )
        if SUFFIXES.get(self.file.suffix.lower()) is Format.PDF and color is not None and not color.is_printer:
            yield (
                f"the PDF is not a PDF/X-4: {color.name} is not the profile of a press (give --profile press, "
                "or the file of the print shop, if it asks for PDF/X)"
            )

    @property
    def _millimeter(self) -> float:
        """Pixels per millimeter of the print."""
        return self.plan.dpi / MILLIMETERS["in"]

    def _area(self, hidden: float = 0.0) -> str:
        """The size of all that is printed, without so many pixels at each edge."""
        width, height = ((side - 2 * hidden) / self._millimeter for side in (self.plan.width, self.plan.height))
        return format_area(width, height, self.units.size, coarse=True)

    @property
    def _size(self) -> str:
        """The size that is seen from the front, and that of all that is printed if it is larger."""
        plan, edges = self.plan, []
        if plan.trim >= 1:  # less is rounding
            edges.append(f"{format_length(plan.trim / self._millimeter, self.units.bleed)} of bleed")
        if plan.fold:
            folded = (plan.fold - plan.trim) / self._millimeter
            edges.append(f"{format_length(folded, self.units.wrap)} to fold")
        if not edges:
            return self._area()
        front = self._area(max(plan.trim, plan.fold))
        return f"{front} ({self._area()} with {' and '.join(edges)} at each edge)"

    def _options(self, span: PanelSpan, provenance_json: dict[str, Json], ink: Any, title: str) -> WriteOptions:
        from tilestyle.images import WriteOptions

        options = self.shop.settings(self.plan.dpi, title)
        options["boxes"] = self._boxes(span)
        return WriteOptions(
            depth=self.depth,
            quality=self.quality,
            compression=self.compression,
            provenance=provenance_json,
            ink=ink,
            **options,
        )

    def _boxes(self, span: PanelSpan) -> PageBoxes:
        """The boxes of a file: a panel is cut only where the print ends."""
        from tilestyle.images import Insets, PageBoxes

        is_last = span.left + span.width == self.plan.width

        def insets(width: float) -> Insets:
            return Insets(width, width if is_last else 0.0, width, 0.0 if span.left else width)

        return PageBoxes(insets(self.plan.trim), insets(self.plan.fold), self.shop.marks)


@contextmanager
def removed_unless_all(written: list[Path], *, is_new: bool) -> Iterator[None]:
    """Remove the files of a list if the block fails: some panels are no print, and would stand in the way.

    Args:
        written: The files so far, and the one that is being written.
        is_new: Whether none of them has replaced another.
    """
    try:
        yield
    except BaseException:
        for file in written if is_new else ():
            with suppress(OSError):
                file.unlink()
        raise


def plan_of(values: Values, source: ImageSource) -> PrintPlan:
    """How the picture lies on the print, from the options of the command."""
    size, dpi = values[PAPER], values[RESOLUTION]
    if size is None and dpi is None and source.dpi is not None:
        dpi = source.dpi[0]
        dpi = round(dpi) if abs(dpi - round(dpi)) < ROUNDING else dpi  # PNG states pixels per meter
    if dpi is not None:
        check_dpi(dpi)
    print_size = PrintSize(None if size is None else parse_paper(size), dpi, values[FIT])
    bleed, wrap = parse_length(values[BLEED], "bleed"), parse_length(values[WRAP], "wrap")
    units = Units.of(values)
    unit = units.wrap if wrap else units.bleed
    return plan_print((source.height, source.width), print_size, bleed, wrap, values[EDGE], unit)


@contextmanager
def converted(source: Any, folder: Path) -> Iterator[None]:
    """Keep what has to be converted to be read by windows beside the output, inside the block."""
    from tilestyle.files.folders import nearest_folder

    place = nearest_folder(folder)
    try:
        scratch = TemporaryDirectory(prefix=".tilestyle-paper-", dir=place)
    except OSError as error:  # not all folders tell beforehand that nothing can be created there
        raise OutputError(
            f"out: nothing can be written to {place} ({error.strerror})", hint="choose another folder"
        ) from error
    with scratch as work, source.converting_into(Path(work)):
        yield


def _panels(values: Values, plan: PrintPlan) -> list[PanelSpan] | None:
    widest = values[PANELS]
    if widest is None:
        if values.given(PANEL_OVERLAP):
            raise SettingError("panel-overlap needs panels", hint="give --panels, such as --panels 48in")
        return None
    millimeter = plan.dpi / MILLIMETERS["in"]
    largest = parse_length(widest, "panels")
    overlap = parse_length(values[PANEL_OVERLAP], "panel-overlap")
    check_panels(plan.width / millimeter, largest, overlap, unit_of(widest), unit_of(values[PANEL_OVERLAP]))
    return panel_spans(plan.width, int(largest * millimeter), round(overlap * millimeter))


def _watched(strips: Iterator[Any], height: int, steps: Steps, share: tuple[float, float]) -> Iterator[Any]:
    """Pass strips on, and show how far they are in this share of all work."""
    rows = 0
    for strip in strips:
        yield strip
        rows += len(strip)
        steps.at(share[0] + (share[1] - share[0]) * rows / height)


def _small(source: ImageSource, plan: PrintPlan) -> Any:
    """The print at a small size."""
    import numpy as np

    from tilestyle.images import crop_source

    crop = crop_source(source, plan.crop.top, plan.crop.left, plan.crop.height, plan.crop.width)
    factor = min(1.0, PLAN_SIDE / max(crop.height, crop.width))
    small = crop.downsample(max(1, round(crop.height * factor)), max(1, round(crop.width * factor)))
    added = round(plan.added * factor)
    edges = ((added, added), (added, added))
    alpha = None if small.alpha is None else np.pad(small.alpha, edges, "symmetric")
    return replace(small, pixels=np.pad(small.pixels, (*edges, (0, 0)), "symmetric"), alpha=alpha)
