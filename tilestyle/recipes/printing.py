"""From paper, ink and strokes to what a renderer knows: a size, a scale, and sources as they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tilestyle.config.render import RenderConfig
from tilestyle.config.validation import check
from tilestyle.errors import SettingError
from tilestyle.geometry.paper import DPI, Fit, Paper, lay_out, stroke_pixels
from tilestyle.images import Proof, Source, cropped, filled, picture_from, proofed, source_from
from tilestyle.planning.inputs import Style, style_list
from tilestyle.planning.schedule import picture_size
from tilestyle.recipes.stroke_width import stroke_width


@dataclass(frozen=True)
class Printing:
    """What is asked for of paper and ink. Without paper, sizes are in pixels as ever.

    ``dpi`` is dots per inch, DPI on paper if None, ``bleed`` millimetres beyond every edge of the paper,
    ``stroke`` the width of the style's strokes, `4mm` or `0.5%` of the long side.
    """

    paper: Paper | None = None
    dpi: float | None = None
    fit: Fit = Fit.COVER
    bleed: float = 0.0
    stroke: str | None = None
    proof: Proof | None = None

    def __post_init__(self) -> None:
        """Refuse values of the wrong type; ranges depend on the paper (`ready`)."""
        check(self)


@dataclass(frozen=True)
class Ready:
    """What goes to the renderer, and how large the picture will be.

    ``dpi`` is what the file is to say, ``enlarged`` how many times its own pixels the style is shown.
    """

    config: RenderConfig
    styles: tuple[Style, ...]
    content: Source | None
    height: int
    width: int
    dpi: float | None
    proof: Proof | None
    enlarged: float

    @property
    def style(self) -> Source:
        """The first."""
        return cast(Source, self.styles[0].picture)

    def printed(self, picture: Source) -> Source:
        """The finished picture in colours that the ink can make."""
        return picture if self.proof is None else proofed(picture, self.proof)


def ready(
    config: RenderConfig,
    styles: Source | Sequence[Style] | None,
    content: Source | None = None,
    printing: Printing | None = None,
) -> Ready:
    """Content cropped for its paper, what it hides filled, both in the colours of print, strokes as wide.

    The pictures of the styles are sources. Reads the first style once where strokes are asked for, and nothing
    else. Raises SettingError where settings contradict each other or the paper.
    """
    printing = printing or Printing()
    dpi = printing.dpi
    if printing.paper is not None:
        dpi = dpi or DPI
        config, content = _on_paper(config, printing, printing.paper, dpi, content)
    elif printing.bleed:
        raise SettingError("a bleed goes beyond the edge of a paper", hint="give --print")
    height, width = picture_size(config.size, sides(content))
    given = style_list(styles)
    sources = [filled(cast(Source, style.picture)) for style in given]
    enlarged = 0.0
    if sources:
        first = sources[0]
        # What a scale of 1 shows.
        full = max(first.height, first.width) if content is None else max(height, width)
        if printing.stroke is not None:
            wanted = stroke_pixels(printing.stroke, max(height, width), dpi)
            config = _stroked(config, first, wanted, full)
        enlarged = config.style_scale * full / max(first.height, first.width)
    content = None if content is None else filled(content)
    if printing.proof is not None:
        sources = [proofed(source, printing.proof) for source in sources]
        content = None if content is None else proofed(content, printing.proof)
    shown = tuple(Style(source, style.mask) for source, style in zip(sources, given, strict=True))
    return Ready(config, shown, content, height, width, dpi, printing.proof, enlarged)


def sides(source: Source | None) -> tuple[int, int] | None:
    """Height and width, where there is a source."""
    return None if source is None else (source.height, source.width)


def _stroked(config: RenderConfig, style: Source, wanted: float, full: int) -> RenderConfig:
    """The style scale at which strokes are as wide as wanted, pixels, where 1 shows the style ``full`` long."""
    if config.style_scale != RenderConfig().style_scale:
        raise SettingError("stroke and style-scale both say how large strokes are", hint="give one of them")
    shown = max(style.height, style.width) * wanted / stroke_width(style)
    return replace(config, style_scale=shown / full, enlarge_style=True)


def _on_paper(
    config: RenderConfig, printing: Printing, paper: Paper, dpi: float, content: Source | None
) -> tuple[RenderConfig, Source | None]:
    """The size that the paper asks for, and the part of the content that goes onto it."""
    if config.size is not None:
        raise SettingError("print and size both say how large the picture is", hint="give one of them")
    layout = lay_out(paper, dpi, sides(content), printing.fit, printing.bleed)
    if content is not None and layout.crop is not None:
        crop = layout.crop
        config = with_guides(
            config, (crop.top, crop.left, crop.height, crop.width), (content.height, content.width)
        )
        content = cropped(content, crop.top, crop.left, crop.height, crop.width)
    return replace(config, size=(layout.height, layout.width)), content


def with_guides(config: RenderConfig, box: tuple[int, int, int, int], size: tuple[int, int]) -> RenderConfig:
    """Settings with the part of mask and map under a box (top, left, height, width) of a picture this large."""
    parts: dict[str, Any] = {}
    for name in ("mask", "blend_map"):
        given = getattr(config, name)
        if given is not None:
            source = given if isinstance(given, Source) else source_from(picture_from(given))
            rows = _part(box[0], box[2], size[0], source.height)
            columns = _part(box[1], box[3], size[1], source.width)
            parts[name] = cropped(source, rows[0], columns[0], rows[1], columns[1])
    return replace(config, **parts)


def _part(start: int, length: int, side: int, whole: int) -> tuple[int, int]:
    """Start and length of a span of a side in another picture, `whole` pixels long; one pixel at least."""
    first = min(whole - 1, round(start * whole / side))
    return first, max(1, min(whole, round((start + length) * whole / side)) - first)
