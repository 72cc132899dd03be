"""Sheets to choose from: a photograph in every look and style, or in one style at several strengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tilestyle.config.presets import look_names
from tilestyle.config.render import RenderConfig
from tilestyle.config.toml import load_preset
from tilestyle.images import CaptionedRow, Picture, draw_captioned_rows
from tilestyle.pictures import STYLES, picture_path
from tilestyle.recipes.comparison import Cell, read_downsampled

COLUMNS = 6  # of the sheet of all looks
STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8)
STYLE_SCALES = (1.0, 0.5)


@dataclass(frozen=True)
class Look:
    """A way to render a photograph.

    Attributes:
        words: Options that select it on the command line.
        style: File of the style.
        config: The settings.
    """

    words: str
    style: Path
    config: RenderConfig


@dataclass(frozen=True)
class LookSheet:
    """A photograph in several looks.

    Attributes:
        content: File of the photograph.
        looks: The looks, row by row.
        columns: How many stand in a row.
        style: File of a style to show beside the photograph, in a row above the looks. None: the photograph
            comes first in the first row.
    """

    content: Path
    looks: Sequence[Look]
    columns: int = COLUMNS
    style: Path | None = None

    def cells(self) -> Iterator[Cell]:
        """Yield the renders, row by row."""
        for look in self.looks:
            yield Cell(self.content, look.style, look.config)

    def sheet(self, pictures: Sequence[Picture], title: str = "") -> Picture:
        """Assemble the sheet.

        Args:
            pictures: The rendered looks, at least one; the last ones may be missing.
            title: Text above all.

        Returns:
            Photograph and looks, each with the words that select it above.
        """
        side = max(max(picture.height, picture.width) for picture in pictures)
        inputs = [("photograph", read_downsampled(self.content, side))]
        if self.style is not None:
            inputs.append(("style", read_downsampled(self.style, side)))
        cells = [(look.words, picture) for look, picture in zip(self.looks, pictures, strict=False)]
        first = [] if self.style is None else [CaptionedRow(inputs)]
        cells = cells if first else inputs + cells
        starts = range(0, len(cells), self.columns)
        rows = [CaptionedRow(cells[start : start + self.columns]) for start in starts]
        return draw_captioned_rows([*first, *rows], title)


def every_look(content: Path, config: RenderConfig) -> LookSheet:
    """Return the sheet of a photograph in all looks and in all bundled styles.

    Args:
        content: File of the photograph.
        config: Settings that all cells share.
    """
    presets = [(name, load_preset(name)) for name in look_names()]
    looks = [
        Look(f"--preset {name}", picture_path(preset.style), replace(config, **preset.settings))
        for name, preset in presets
    ]
    return LookSheet(
        content, [*looks, *(Look(f"--style {name}", picture_path(name), config) for name in STYLES)]
    )


def one_style(content: Path, style: Path, config: RenderConfig) -> LookSheet:
    """Return the sheet of a photograph in one style, with several strengths and stroke sizes.

    Args:
        content: File of the photograph.
        style: File of the style.
        config: Settings that all cells share.
    """
    looks = [
        Look(
            f"--strength {strength:g}" + (f" --style-scale {scale:g}" if scale != 1 else ""),
            style,
            replace(config, strength=strength, style_scale=scale),
        )
        for scale in STYLE_SCALES
        for strength in STRENGTHS
    ]
    return LookSheet(content, looks, len(STRENGTHS), style)
