"""From paper, ink and strokes to what a renderer knows: a size, a scale, and sources as they are printed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilestyle.config import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.images import Proof, Source, cropped, filled, proofed
from tilestyle.paper import DPI, Fit, Paper, lay_out, stroke_pixels
from tilestyle.plan import picture_size
from tilestyle.stroke import stroke_width


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


@dataclass(frozen=True)
class Ready:
    """What goes to the renderer, and how large the picture will be.

    ``dpi`` is what the file is to say, ``enlarged`` how many times its own pixels the style is shown.
    """

    config: RenderConfig
    style: Source | None
    content: Source | None
    height: int
    width: int
    dpi: float | None
    proof: Proof | None
    enlarged: float

    def printed(self, picture: Source) -> Source:
        """The finished picture in colours that the ink can make."""
        return picture if self.proof is None else proofed(picture, self.proof)


def ready(
    config: RenderConfig,
    style: Source | None,
    content: Source | None = None,
    printing: Printing | None = None,
) -> Ready:
    """Content cropped for its paper, what it hides filled, both in the colours of print, strokes as wide.

    Reads the style once where strokes are asked for, and nothing else. Raises SettingError where settings
    contradict each other or the paper.
    """
    printing = printing or Printing()
    dpi = printing.dpi
    if printing.paper is not None:
        dpi = dpi or DPI
        config, content = _on_paper(config, printing, printing.paper, dpi, content)
    elif printing.bleed:
        raise SettingError("a bleed goes beyond the edge of a paper", hint="give --print")
    height, width = picture_size(config.size, sides(content))
    enlarged = 0.0
    if style is not None:
        style = filled(style)
        # What a scale of 1 shows.
        full = max(style.height, style.width) if content is None else max(height, width)
        if printing.stroke is not None:
            wanted = stroke_pixels(printing.stroke, max(height, width), dpi)
            config = _stroked(config, style, wanted, full)
        enlarged = config.style_scale * full / max(style.height, style.width)
    content = None if content is None else filled(content)
    if printing.proof is not None:
        style = None if style is None else proofed(style, printing.proof)
        content = None if content is None else proofed(content, printing.proof)
    return Ready(config, style, content, height, width, dpi, printing.proof, enlarged)


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
        content = cropped(content, crop.top, crop.left, crop.height, crop.width)
    return replace(config, size=(layout.height, layout.width)), content
