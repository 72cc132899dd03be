"""Assign styles to parts of the canvas: blends, masks and maps, resolved before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tilestyle.canvas.storage import PlaneStore
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.planning.inputs import Style, load_planes
from tilestyle.planning.masks import (
    FlatMask,
    RgbColor,
    blend_planes,
    color_or_mask,
    hex_color,
    is_mask_picture,
    label_planes,
    parse_hex_color,
    read_flat_mask,
    same_color,
)
from tilestyle.planning.sizes import oversampled_sides
from tilestyle.planning.style_images import Exemplar


@dataclass(frozen=True)
class StyleAssignment:
    """Styles with their shares of every region, and the pictures that say where the regions lie.

    Attributes:
        styles: The styles in use.
        shares: For each style, its share of the target of every region.
        masks: For each style, its mask.
        mask: Mask over the canvas.
        region_indices: Indices of its colors that are regions with a style.
        blend_map: Gray map from the first style to the last, over the canvas.
        blend_map_size: Height and width of that map; None before they are known.
        canvas_size: Height and width of the finest canvas; None before they are known.
        style_side: Long side at which styles are used, pixels; None: their own sizes.
    """

    styles: tuple[Style, ...]
    shares: tuple[tuple[float, ...], ...]
    masks: tuple[FlatMask | None, ...]
    mask: FlatMask | None = None
    region_indices: tuple[int, ...] = ()
    blend_map: object = None
    blend_map_size: tuple[int, int] | None = None
    canvas_size: tuple[int, int] | None = None
    style_side: float | None = None

    @property
    def region_count(self) -> int:
        """Number of regions."""
        return len(self.shares[0]) if self.shares else 1

    @property
    def plane_numbers(self) -> int:
        """Number of values in all guides and region weights, for the memory model."""
        sides = [self.style_sides(mask.size) for mask in self.masks if mask and mask.picture is not None]
        over_canvas = (self.mask.size if self.mask else None, self.blend_map_size)
        sides += [self._canvas_sides(size) for size in over_canvas if size]
        return self.region_count * sum(height * width for height, width in sides)

    def style_sides(self, own_sides: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width at which a picture or mask of a style with these is read."""
        if self.style_side is None:
            return own_sides
        factor = self.style_side / max(own_sides)
        return oversampled_sides(own_sides, (own_sides[0] * factor, own_sides[1] * factor))

    def _canvas_sides(self, own_sides: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width at which a mask or map over the canvas with these is read."""
        return own_sides if self.canvas_size is None else oversampled_sides(own_sides, self.canvas_size)

    def region_weights(self, store: PlaneStore) -> Tensor | None:
        """Load the weight of every region in each canvas pixel, [K, h, w]; None if there is only one region."""
        if self.blend_map_size is not None:
            sides = self._canvas_sides(self.blend_map_size)
            return blend_planes(self.blend_map, self.region_count, store, sides)
        if self.mask is None:
            return None
        return label_planes(self.mask, self.region_indices, store, self._canvas_sides(self.mask.size))

    def exemplars(self, store: PlaneStore, sides: Sequence[tuple[int, int]]) -> tuple[Exemplar, ...]:
        """Load the styles with their guides.

        Args:
            store: Where the planes go.
            sides: Height and width at which the picture of each style is read (`style_sides`).
        """
        return tuple(
            Exemplar(load_planes(style.picture, store, size)[0], shares, self._guide(mask, store))
            for style, shares, mask, size in zip(self.styles, self.shares, self.masks, sides, strict=True)
        )

    def _guide(self, mask: FlatMask | None, store: PlaneStore) -> Tensor | None:
        """Load the guide of a style: the weight of every region in each pixel, [K, h, w].

        It is None if the style has no mask, or only a color.
        """
        if self.mask is None or mask is None or mask.picture is None:
            return None
        planes = label_planes(mask, range(len(mask.colors)), store, self.style_sides(mask.size))
        guide = store.zeros(self.region_count, *planes.shape[1:])
        for region, index in enumerate(self.region_indices):
            for row, color in enumerate(mask.colors):
                if same_color(color, self.mask.colors[index]):
                    guide[region] += planes[row]
        return guide


def assign_styles(styles: Sequence[Style], config: RenderConfig, *, with_content: bool) -> StyleAssignment:
    """Match styles with masks and maps.

    Args:
        styles: The styles, with their masks.
        config: The settings, with the mask or map over the canvas.
        with_content: Whether there is a content, which shows where no style is assigned.

    Raises:
        SettingError: The settings contradict each other.
    """
    weights = blend_weights(config, len(styles))
    masked = any(style.mask is not None for style in styles)
    if config.blend_map is not None:
        if masked or config.mask is not None or config.style_blend:
            raise SettingError(
                "a blend map cannot be combined with masks or --style-blend", hint="give only one of them"
            )
        if len(styles) < 2:
            raise SettingError("a blend map needs at least two styles", hint="give --style twice")
        _check_global(config, "a blend map")
        rows = tuple(tuple(float(i == k) for i in range(len(styles))) for k in range(len(styles)))
        return StyleAssignment(tuple(styles), rows, (None,) * len(styles), blend_map=config.blend_map)
    used = [(style, weight) for style, weight in zip(styles, weights, strict=True) if weight]
    used_styles = tuple(style for style, _ in used)
    if config.mask is None:
        if masked:
            raise SettingError("a style has a mask, but the canvas has none", hint="give --mask")
        shares = tuple((weight,) for _, weight in used)
        return StyleAssignment(used_styles, shares, (None,) * len(used))
    _check_global(config, "a mask")
    return _assign_by_mask(used_styles, [weight for _, weight in used], config.mask, with_content=with_content)


def blend_weights(config: RenderConfig, count: int) -> list[float]:
    """Return the share of each style; they sum to one.

    Raises:
        SettingError: `style_blend` does not have one weight for each style.
    """
    weights = config.style_blend or (1.0,) * count
    if len(weights) != count:
        raise SettingError(
            f"style-blend has {len(weights)} weights for {count} style{'s' * (count > 1)}",
            hint="give one for each",
        )
    return [weight / sum(weights) for weight in weights]


def _check_global(config: RenderConfig, what: str) -> None:
    """Raise SettingError if locality is set as well, which also assigns styles to places."""
    if config.locality:
        raise SettingError(f"{what} cannot be combined with --locality", hint="give only one of them")


def _assign_by_mask(
    styles: Sequence[Style], weights: Sequence[float], mask: object, *, with_content: bool
) -> StyleAssignment:
    """Assign styles to the colors of a mask.

    A style without a mask serves all colors that no style with a mask serves.
    """
    canvas_mask = read_flat_mask(mask)
    masks = tuple(None if style.mask is None else color_or_mask(style.mask) for style in styles)
    mask_colors, style_colors = canvas_mask.colors, [each.colors if each else None for each in masks]
    for style, colors_of_style in zip(styles, style_colors, strict=True):
        if colors_of_style is not None and not any(
            same_color(a, b) for a in colors_of_style for b in mask_colors
        ):
            raise SettingError(
                f"style {style.name} is for {_listed_colors(colors_of_style)}, but the mask has "
                f"{_listed_colors(mask_colors)}",
                hint="name a color of the mask after the style, or give regions that belong together the same "
                "color; transparent areas are black",
            )
    rows: dict[int, list[float]] = {}
    for index, mask_color in enumerate(mask_colors):
        matching = [
            colors_of_style is not None and any(same_color(mask_color, each) for each in colors_of_style)
            for colors_of_style in style_colors
        ]
        serving = matching if any(matching) else [colors_of_style is None for colors_of_style in style_colors]
        if any(serving):
            rows[index] = [weight * serves for weight, serves in zip(weights, serving, strict=True)]
        elif not with_content:
            raise SettingError(
                f"no style is assigned to the mask's color {hex_color(mask_color)}",
                hint="give each color a style, since a texture has no content to show there",
            )
    shares = tuple(tuple(row[style] / sum(row) for row in rows.values()) for style in range(len(styles)))
    return StyleAssignment(tuple(styles), shares, masks, canvas_mask, tuple(rows))


def with_labels(styles: Iterable[Style]) -> Iterator[tuple[str, Style]]:
    """Yield each style with its name in messages: "style", "style 2", ..."""
    for number, style in enumerate(styles, 1):
        yield ("style" if number == 1 else f"style {number}"), style


def labelled_images(styles: Iterable[Style]) -> dict[str, object]:
    """Return the pictures and masks of styles by their names in messages."""
    images: dict[str, object] = {}
    for role, style in with_labels(styles):
        images[role] = style.picture
        if style.mask is not None:
            images[f"{role} mask"] = style.mask if is_mask_picture(style.mask) else _solid_color(style.mask)
    return images


def _solid_color(color: object) -> object:
    """Return a picture of a single color "#rrggbb"."""
    return np.full((2, 2, 3), parse_hex_color(str(color)), np.uint8)


def _listed_colors(colors: Sequence[RgbColor]) -> str:
    """Return colors separated by commas, for a message."""
    return ", ".join(map(hex_color, colors))
