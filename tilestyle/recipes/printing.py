"""Prepare a render for print: turn paper, ink and stroke width into a size, a style scale and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tilestyle.config.paper import DPI, Fit, Paper, cropped_share, fit_to_paper, stroke_pixels
from tilestyle.config.render import PRINT_SCHEDULE, RenderConfig
from tilestyle.config.validation import check_fields
from tilestyle.errors import SettingError
from tilestyle.images import ImageSource, Proof, as_source, crop_source, fill_transparent, soft_proof
from tilestyle.planning.inputs import Style, as_styles
from tilestyle.planning.sizes import picture_size
from tilestyle.recipes.stroke_width import stroke_width


@dataclass(frozen=True)
class PrintOptions:
    """What is asked for of paper and ink. Without paper, sizes are in pixels.

    Attributes:
        paper: The paper; None for a size in pixels.
        dpi: Dots per inch; None for the default on paper.
        fit: How the content is fitted to the paper.
        bleed: Extra millimeters beyond every edge of the paper.
        stroke: Width of the style's strokes, such as "4mm", or "0.5%" of the long side; None to leave it alone.
        proof: Color profile of the print; None for none.
    """

    paper: Paper | None = None
    dpi: float | None = None
    fit: Fit = Fit.COVER
    bleed: float = 0.0
    stroke: str | None = None
    proof: Proof | None = None

    def __post_init__(self) -> None:
        """Refuse values of the wrong type; ranges depend on the paper (`prepare_inputs`)."""
        check_fields(self)


@dataclass(frozen=True)
class PreparedInputs:
    """The inputs of a render, ready for the renderer.

    Attributes:
        config: The settings.
        styles: The styles, whose pictures are sources.
        content: The content; None for a texture.
        height: Height of the finished picture, pixels.
        width: Width of the finished picture, pixels.
        dpi: Resolution to store in the file; None for none.
        proof: Color profile of the print; None for none.
        style_enlargement: Factor between the style's own size and that at which it is used; 0 without a style.
        cropped: Share of the content that its paper crops, from 0 to 1.
        turned_cropped: The same if the paper were turned by 90 degrees.
    """

    config: RenderConfig
    styles: tuple[Style, ...]
    content: ImageSource | None
    height: int
    width: int
    dpi: float | None
    proof: Proof | None
    style_enlargement: float
    cropped: float = 0.0
    turned_cropped: float = 0.0

    @property
    def first_style(self) -> ImageSource:
        """The picture of the first style."""
        return cast(ImageSource, self.styles[0].picture)

    def soft_proof(self, picture: ImageSource) -> ImageSource:
        """Return the finished picture in colors that the ink can print."""
        return picture if self.proof is None else soft_proof(picture, self.proof)


def prepare_inputs(
    config: RenderConfig,
    styles: ImageSource | Sequence[Style] | None,
    content: ImageSource | None = None,
    options: PrintOptions | None = None,
) -> PreparedInputs:
    """Prepare the inputs of a render.

    For paper, the content is cropped, and fine levels get few sweeps. Transparent pixels get the colors around
    them. Content and styles get the colors of the print, and the style the scale at which its strokes have the
    width asked for.

    The first style is read once if a stroke width is set; nothing else is read.

    Args:
        config: The settings.
        styles: The styles, whose pictures are sources; None for none.
        content: The content; None for a texture.
        options: Paper, ink and strokes; None for pixels alone.

    Raises:
        SettingError: Settings contradict each other or the paper.
    """
    options = options or PrintOptions()
    dpi = options.dpi
    cropped = (0.0, 0.0)
    if options.paper is not None:
        dpi = DPI if dpi is None else dpi
        cropped = _cropped_shares(options, options.paper, dpi, content)
        config, content = _fit_to_paper(config, options, options.paper, dpi, content)
        config = with_print_schedule(config)
    elif options.bleed:
        raise SettingError("a bleed needs a paper", hint="give --print")
    height, width = picture_size(config.size, source_size(content))
    style_inputs = as_styles(styles)
    sources = [fill_transparent(cast(ImageSource, style.picture)) for style in style_inputs]
    enlarged = 0.0
    if sources:
        first = sources[0]
        # Long side of the style at a scale of 1.
        full_side = max(first.height, first.width) if content is None else max(height, width)
        if options.stroke is not None:
            target_width = stroke_pixels(options.stroke, max(height, width), dpi)
            config = _scale_to_stroke(config, first, target_width, full_side)
        enlarged = config.style_scale * full_side / max(first.height, first.width)
    content = None if content is None else fill_transparent(content)
    if options.proof is not None:
        sources = [soft_proof(source, options.proof) for source in sources]
        content = None if content is None else soft_proof(content, options.proof)
    prepared_styles = tuple(
        Style(source, style.mask) for source, style in zip(sources, style_inputs, strict=True)
    )
    return PreparedInputs(
        config, prepared_styles, content, height, width, dpi, options.proof, enlarged, *cropped
    )


def with_print_schedule(config: RenderConfig) -> RenderConfig:
    """Return the settings with the number of sweeps for paper, unless they say it themselves."""
    if config.sweeps is not None or config.quality is not None:
        return config
    counts = [PRINT_SCHEDULE.coarsest_sweeps]
    while counts[-1] > PRINT_SCHEDULE.min_sweeps:
        counts.append(PRINT_SCHEDULE.sweeps(len(counts)))
    return replace(config, sweeps=tuple(counts))


def source_size(source: ImageSource | None) -> tuple[int, int] | None:
    """Return the height and width of a source; None without one."""
    return None if source is None else (source.height, source.width)


def _scale_to_stroke(
    config: RenderConfig, style: ImageSource, target_width: float, full_side: int
) -> RenderConfig:
    """Return the settings with the style scale at which strokes have this width.

    Args:
        config: The settings.
        style: The style.
        target_width: Width of the strokes, pixels.
        full_side: Long side of the style at a scale of 1, pixels.

    Raises:
        SettingError: A style scale is set as well.
    """
    if config.style_scale != RenderConfig().style_scale:
        raise SettingError("stroke and style-scale both set the size of strokes", hint="give one of them")
    style_side = max(style.height, style.width) * target_width / stroke_width(style)
    return replace(config, style_scale=style_side / full_side, enlarge_style=True)


def _fit_to_paper(
    config: RenderConfig, options: PrintOptions, paper: Paper, dpi: float, content: ImageSource | None
) -> tuple[RenderConfig, ImageSource | None]:
    """Return the settings with the size of the paper in pixels, and the part of the content that goes onto it.

    Args:
        config: The settings.
        options: Fit and bleed.
        paper: The paper.
        dpi: Dots per inch.
        content: The content; None for a texture.

    Raises:
        SettingError: A size in pixels is set as well.
    """
    if config.size is not None:
        raise SettingError("print and size both set the size of the picture", hint="give one of them")
    layout = fit_to_paper(paper, dpi, source_size(content), options.fit, options.bleed)
    if content is not None and layout.crop is not None:
        crop = layout.crop
        config = crop_masks(
            config, (crop.top, crop.left, crop.height, crop.width), (content.height, content.width)
        )
        content = crop_source(content, crop.top, crop.left, crop.height, crop.width)
    return replace(config, size=(layout.width, layout.height)), content


def _cropped_shares(
    options: PrintOptions, paper: Paper, dpi: float, content: ImageSource | None
) -> tuple[float, float]:
    """Return the shares of the content that the paper crops, as it lies and turned by 90 degrees."""
    size = source_size(content)
    if size is None:
        return 0.0, 0.0
    sheet = paper.oriented_for(size)
    layouts = (
        fit_to_paper(each, dpi, size, options.fit, options.bleed)
        for each in (sheet, Paper(sheet.width, sheet.height))
    )
    shown, turned = (cropped_share(layout, size) for layout in layouts)
    return shown, turned


def crop_masks(config: RenderConfig, box: tuple[int, int, int, int], size: tuple[int, int]) -> RenderConfig:
    """Return the settings with mask and maps cropped like a part of the picture.

    Args:
        config: The settings.
        box: Top, left, height and width of the part.
        size: Height and width of the whole picture.
    """
    parts: dict[str, Any] = {}
    for name in ("mask", "blend_map", "content_map"):
        guide = getattr(config, name)
        if guide is not None:
            source = as_source(guide)
            rows = _scale_span(box[0], box[2], size[0], source.height)
            columns = _scale_span(box[1], box[3], size[1], source.width)
            parts[name] = crop_source(source, rows[0], columns[0], rows[1], columns[1])
    return replace(config, **parts)


def _scale_span(start: int, length: int, side: int, whole: int) -> tuple[int, int]:
    """Scale a span of a picture's side to the side of another picture.

    Args:
        start: Start of the span, pixels.
        length: Length of the span, pixels.
        side: Side of the picture, pixels.
        whole: Side of the other picture, pixels.

    Returns:
        Start and length in the other picture; at least one pixel.
    """
    first = min(whole - 1, round(start * whole / side))
    return first, max(1, min(whole, round((start + length) * whole / side)) - first)
