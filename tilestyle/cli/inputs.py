"""The pictures that a command reads, and how they are printed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import options
from tilestyle.cli.file_roles import SETTINGS
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.terminal import say
from tilestyle.config.paper import (
    Fit,
    dpi_at_distance,
    parse_length,
    parse_paper,
    parse_scale,
    turned_spelling,
)
from tilestyle.config.readable import format_number, format_percent
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values
    from tilestyle.images import ImageSource, OutputColor
    from tilestyle.recipes.printing import PreparedInputs, PrintOptions

MAX_ENLARGEMENT = 2.0
"""Factor beyond which an enlarged style looks soft."""

CROP_WORTH_A_LINE = 0.03  # share of the picture
OVER_CANVAS = ("mask", "blend_map", "content_map")
"""Settings that are pictures over the canvas."""


@dataclass(frozen=True)
class Inputs:
    """The files of a render, and how it is printed."""

    styles: Sequence[StyleFile] = ()
    content: Path | None = None
    printing: PrintOptions | None = None
    color: OutputColor | None = None  # of the file; None for sRGB

    @cached_property
    def is_wide(self) -> bool:
        """Whether colors outside sRGB are kept: the file has them, and so may an input."""
        from tilestyle.images import has_wide_colors

        if self.color is None or not self.color.exceeds_srgb:
            return False
        files = [each.path for each in self.styles] + ([] if self.content is None else [self.content])
        return any(has_wide_colors(file) for file in files)

    @property
    def working_profile(self) -> bytes:
        """The profile of the colors that the render computes in."""
        from tilestyle.images import built_in_profile

        return built_in_profile("display-p3" if self.is_wide else "srgb")

    def files(self, config: RenderConfig) -> list[object]:
        """Everything that the render reads, files among them."""
        settings = [getattr(config, name) for name in SETTINGS]
        return [*(part for each in self.styles for part in (each.path, each.mask)), self.content, *settings]

    def identity(self, config: RenderConfig) -> dict[str, Any]:
        """What the render is made of, as JSON: settings, paper and ink, and digests of the files."""
        from tilestyle.pipeline.fingerprint import render_fingerprint
        from tilestyle.planning.inputs import Style
        from tilestyle.planning.style_assignment import labelled_images
        from tilestyle.recipes.printing import with_print_schedule

        files = labelled_images([Style(each.path, each.mask) for each in self.styles])
        files |= {} if self.content is None else {"content": self.content}
        printing = self.printing
        wide: dict[str, Any] = {"colors": "display-p3"} if self.is_wide else {}
        if printing is None:
            return {**render_fingerprint(config, files), **wide}
        if printing.paper is not None:
            config = with_print_schedule(config)
        print_options = {field.name: getattr(printing, field.name) for field in fields(printing)}
        if printing.proof is not None:
            print_options["proof"] = [sha256(printing.proof.profile).hexdigest(), printing.proof.intent]
        if printing.paper is not None:
            print_options["paper"] = {
                name: each for name, each in asdict(printing.paper).items() if name != "text"
            }
        return {**render_fingerprint(config, files), **print_options, **wide}

    @contextmanager
    def opened(self, config: RenderConfig) -> Iterator[PreparedInputs]:
        """Open the pictures and fit them to their paper; they are closed at the end.

        No pixels are read, except for the strokes of a style that are measured.
        """
        from tilestyle.images import open_source, pixel_limit, srgb_profile, working_space
        from tilestyle.planning.inputs import Style
        from tilestyle.recipes.printing import prepare_inputs

        with (
            pixel_limit(config.max_input_pixels),
            working_space(self.working_profile),
            ExitStack() as stack,
        ):

            def source(file: Path) -> ImageSource:
                return stack.enter_context(open_source(file))

            def guide(file: Path) -> ImageSource:  # its colors are names, not colors
                with working_space(srgb_profile()):
                    return source(file)

            content = None if self.content is None else source(self.content)
            styles = [
                Style(source(each.path), guide(each.mask) if isinstance(each.mask, Path) else each.mask)
                for each in self.styles
            ]
            guides: dict[str, Any] = {
                name: guide(file) for name in OVER_CANVAS if isinstance(file := getattr(config, name), Path)
            }
            yield prepare_inputs(replace(config, **guides), styles or None, content, self.printing)

    def say_stroke_scale(self, prepared: PreparedInputs) -> None:
        """Print the style scale that --stroke came to, and warn of strokes that will look soft."""
        if self.printing is not None and self.printing.stroke is not None:
            scale = format_number(prepared.config.style_scale, 3)
            text = f"strokes of {self.printing.stroke}: style scale {scale}"
            text += (
                f", style enlarged {prepared.style_enlargement:.1f} times"
                if prepared.style_enlargement > 1
                else ""
            )
            say(text)
        if warning := self.enlargement_warning(prepared):
            say(f"tilestyle: {warning}")

    def enlargement_warning(self, prepared: PreparedInputs) -> str:
        """What to do about a style that is enlarged far beyond its own pixels; "" if it is not."""
        if not (prepared.config.enlarge_style and prepared.style_enlargement > MAX_ENLARGEMENT):
            return ""
        stroke = None if self.printing is None else self.printing.stroke
        option, value = (
            ("--stroke", stroke) if stroke else ("--style-scale", format_number(prepared.config.style_scale))
        )
        smaller = _times(value, MAX_ENLARGEMENT / prepared.style_enlargement)
        return (
            f"the strokes are enlarged {prepared.style_enlargement:.1f} times beyond the style's own pixels "
            f"and will look soft (use a larger scan of the style, or {option} {smaller})"
        )

    def say_crop(self, prepared: PreparedInputs) -> None:
        """Print how much of the content the paper crops, if that is more than a few percent."""
        if advice := self.crop_advice(prepared):
            paper = None if self.printing is None else self.printing.paper
            say(
                f"{(paper and paper.text) or 'the paper'} crops {format_percent(prepared.cropped)} of the "
                f"picture: {advice}"
            )

    def crop_advice(self, prepared: PreparedInputs) -> str:
        """What to do about a paper that crops more than a few percent of the content; "" if it does not."""
        paper = None if self.printing is None else self.printing.paper
        if paper is None or prepared.cropped <= CROP_WORTH_A_LINE:
            return ""
        ways = "--fit contain to keep all of it"
        turned = turned_spelling(paper.text)
        if turned and prepared.turned_cropped < prepared.cropped:
            ways = f"--print {turned} to turn the paper, or {ways}"
        return f"give {ways}"


def color_of(values: Values) -> OutputColor | None:
    """Colors of the file, from the options of a command; None for those of the picture."""
    from tilestyle.images import open_output_color

    profile = values[options.PROFILE]
    if profile is None:
        return None
    return open_output_color(profile, values[options.INTENT], values[options.BLACK_POINT])


def _dpi(values: Values) -> float | None:
    """Dots per inch: as they were given, or by the distance from which the print is seen."""
    distance = values[options.DISTANCE]
    if distance is None:
        return values[options.RESOLUTION]
    if values.given(options.DISTANCE) and values.given(options.RESOLUTION):
        raise SettingError("distance and dpi both set the dots per inch", hint="give one of them")
    if values.given(options.RESOLUTION):  # typed, over the distance of a file of settings
        return values[options.RESOLUTION]
    return dpi_at_distance(parse_length(distance, "distance"))


def printing_of(values: Values) -> PrintOptions:
    """Paper and ink, from the options of a command; without --fit, the picture fills the paper exactly."""
    from tilestyle.images import open_proof
    from tilestyle.recipes.printing import PrintOptions

    paper, proof, stroke = values[options.PAPER], values[options.PROOF], values[options.STROKE]
    bleed = values[options.BLEED]
    # What is typed replaces what a file of settings says in another way.
    if values.given(options.SIZE) and not values.given(options.PAPER):
        paper = None
        if not values.given(options.BLEED):
            bleed = str(options.BLEED.default)
    if values.given(options.STYLE_SCALE) and not values.given(options.STROKE):
        stroke = None
    if (
        paper is None
        and values.given(options.SCALE)
        and parse_scale(values[options.SCALE]) > 1
        and not _dpi(values)
    ):
        raise SettingError(
            "a scale needs the size of the print", hint="give --print or --dpi, or leave out --scale"
        )
    has_fit = any(each.name == options.FIT.name for each in values.parameters)
    return PrintOptions(
        paper=None if paper is None else parse_paper(paper),
        dpi=_dpi(values),
        fit=values[options.FIT] if has_fit else Fit.EXACT,
        bleed=parse_length(bleed, "bleed"),
        stroke=stroke,
        proof=None if proof is None else open_proof(proof, values[options.INTENT]),
    )


def _times(length: str, factor: float) -> str:
    """A number, and the unit that may follow it, times a factor; two digits, rounded down."""
    number = re.match(r"[0-9.]+", length.strip())
    assert number is not None, "the length has been parsed before"
    value = float(number[0]) * factor
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{format_number(math.floor(value / step) * step, 2)}{length.strip()[number.end() :].strip()}"
