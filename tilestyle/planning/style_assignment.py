"""Which style is for which part of the canvas: blends, masks and maps, resolved before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tilestyle.canvas.storage import Store
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.planning.inputs import Style, ample_sides, opened, planes_of
from tilestyle.planning.masks import (
    Colour,
    blend_planes,
    colour_of,
    is_picture,
    label_planes,
    palette,
    same,
    shown,
)
from tilestyle.planning.style_images import Exemplar


@dataclass(frozen=True)
class Guides:
    """Styles with their shares of every region, and where the regions lie."""

    styles: tuple[Style, ...]
    shares: tuple[tuple[float, ...], ...]  # for each style, of the target of every region
    mask: object = None  # over the canvas
    colours: tuple[Colour, ...] = ()  # of the mask
    styled: tuple[int, ...] = ()  # those that are regions
    blend_map: object = None
    needed: tuple[int, int] | None = None  # height and width of the finest canvas
    style_side: float | None = None  # long side at which styles are looked at; None: at their own sizes

    @property
    def count(self) -> int:
        """Regions."""
        return len(self.shares[0]) if self.shares else 1

    @property
    def planes(self) -> int:
        """Numbers that guides and layout hold, at the sizes of their pictures."""
        sides = [self.style_sides(style.mask) for style in self.styles if is_picture(style.mask)]
        sides += [self._canvas_sides(source) for source in (self.mask, self.blend_map) if source is not None]
        return self.count * sum(height * width for height, width in sides)

    def style_sides(self, source: object) -> tuple[int, int]:
        """Height and width at which the picture or mask of a style is read."""
        own = _sides(source)
        if self.style_side is None:
            return own
        factor = self.style_side / max(own)
        return ample_sides(own, (own[0] * factor, own[1] * factor))

    def _canvas_sides(self, source: object) -> tuple[int, int]:
        """Height and width at which a mask or map over the canvas is read."""
        own = _sides(source)
        return own if self.needed is None else ample_sides(own, self.needed)

    def layout(self, store: Store) -> Tensor | None:
        """How much of every region the canvas is to be, [K, h, w]; None where there is but one."""
        if self.blend_map is not None:
            return blend_planes(self.blend_map, self.count, store, self._canvas_sides(self.blend_map))
        if self.mask is None:
            return None
        return label_planes(self.mask, self.colours, self.styled, store, self._canvas_sides(self.mask))

    def exemplars(self, store: Store) -> tuple[Exemplar, ...]:
        """The styles with their guides."""
        return tuple(
            Exemplar(
                planes_of(style.picture, store, self.style_sides(style.picture))[0],
                shares,
                self._guide(style, store),
            )
            for style, shares in zip(self.styles, self.shares, strict=True)
        )

    def _guide(self, style: Style, store: Store) -> Tensor | None:
        if not is_picture(style.mask):
            return None
        own = palette(style.mask)
        planes = label_planes(style.mask, own, range(len(own)), store, self.style_sides(style.mask))
        guide = store.zeros(self.count, *planes.shape[1:])
        for region, index in enumerate(self.styled):
            for row, colour in enumerate(own):
                if same(colour, self.colours[index]):
                    guide[region] += planes[row]
        return guide


def guided(styles: Sequence[Style], config: RenderConfig, *, with_content: bool) -> Guides:
    """Match styles, masks and maps; raises SettingError for what does not go together."""
    weights = blend_weights(config, len(styles))
    masked = any(style.mask is not None for style in styles)
    if config.blend_map is not None:
        if masked or config.mask is not None or config.style_blend:
            raise SettingError(
                "a blend map alone says where each style is", hint="drop masks and --style-blend"
            )
        if len(styles) < 2:
            raise SettingError("a blend map goes from one style to another", hint="give --style twice")
        _check_global(config, "a blend map")
        rows = tuple(tuple(float(i == k) for i in range(len(styles))) for k in range(len(styles)))
        return Guides(tuple(styles), rows, blend_map=config.blend_map)
    used = [(style, weight) for style, weight in zip(styles, weights, strict=True) if weight]
    kept = tuple(style for style, _ in used)
    if config.mask is None:
        if masked:
            raise SettingError("a style has a mask, the canvas has none", hint="give --mask")
        return Guides(kept, tuple((weight,) for _, weight in used))
    _check_global(config, "a mask")
    return _masked(kept, [weight for _, weight in used], config.mask, with_content=with_content)


def blend_weights(config: RenderConfig, count: int) -> list[float]:
    """Shares of so many styles, which sum to one."""
    given = config.style_blend or (1.0,) * count
    if len(given) != count:
        raise SettingError(
            f"style-blend has {len(given)} weights for {count} style{'s' * (count > 1)}",
            hint="give one for each",
        )
    return [weight / sum(given) for weight in given]


def _check_global(config: RenderConfig, what: str) -> None:
    if config.locality:
        raise SettingError(f"{what} and locality both say where a style is", hint="give one of them")


def _masked(styles: Sequence[Style], weights: Sequence[float], mask: object, *, with_content: bool) -> Guides:
    colours = palette(mask)
    own = [None if style.mask is None else palette(style.mask) for style in styles]
    for style, found in zip(styles, own, strict=True):
        if found is not None and not any(same(a, b) for a in found for b in colours):
            raise SettingError(
                f"style {style.name} is for {_list(found)}, the mask has {_list(colours)}",
                hint="give regions that belong together the same colour",
            )
    rows: dict[int, list[float]] = {}
    for index, colour in enumerate(colours):
        named = [found is not None and any(same(colour, each) for each in found) for found in own]
        serving = named if any(named) else [found is None for found in own]
        if any(serving):
            rows[index] = [weight * serves for weight, serves in zip(weights, serving, strict=True)]
        elif not with_content:
            raise SettingError(
                f"no style is for the mask's {shown(colour)}", hint="a texture has nothing else to show there"
            )
    shares = tuple(tuple(row[style] / sum(row) for row in rows.values()) for style in range(len(styles)))
    return Guides(tuple(styles), shares, mask, tuple(colours), tuple(rows))


def roled(styles: Iterable[Style]) -> Iterator[tuple[str, Style]]:
    """Styles by what messages call them."""
    for number, style in enumerate(styles, 1):
        yield ("style" if number == 1 else f"style {number}"), style


def roles(styles: Iterable[Style]) -> dict[str, object]:
    """Pictures of styles, and their masks, by what they are called."""
    found: dict[str, object] = {}
    for role, style in roled(styles):
        found[role] = style.picture
        if style.mask is not None:
            found[f"{role} mask"] = style.mask if is_picture(style.mask) else _dab(style.mask)
    return found


def _dab(colour: object) -> object:
    """A picture of nothing but a colour #rrggbb."""
    return np.full((2, 2, 3), colour_of(str(colour)), np.uint8)


def _sides(source: object) -> tuple[int, int]:
    with opened(source, None) as found:
        return found.height, found.width


def _list(colours: Sequence[Colour]) -> str:
    return ", ".join(map(shown, colours))
