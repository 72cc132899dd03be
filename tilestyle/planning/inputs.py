"""Load input pictures as planes: in memory, or in a memory-mapped file if they are large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tilestyle import pictures
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import MIN_MAPPED_PIXELS, MappedStore, PlaneStore
from tilestyle.errors import PictureError, SettingError
from tilestyle.images import (
    ImageSource,
    Picture,
    as_source,
    fill_transparent,
    open_source,
    picture_from,
    read_all,
)


@dataclass(frozen=True)
class Style:
    """A style picture, with a mask if it is for certain regions.

    Attributes:
        picture: The picture, given like the content of `render`.
        mask: A picture of flat colors, whose areas are the style of the regions of the same color in
            `RenderConfig.mask`; or a color "#rrggbb", if the whole picture is for that region. None: no mask.

    Example:
        >>> from tilestyle import Style, texture
        >>> styles = [Style("grass.jpg", "#00ff00"), Style("stone.jpg", "#808080")]
        >>> texture(styles, mask="map.png").save("garden.png")
    """

    picture: object
    mask: object | None = None

    @property
    def name(self) -> str:
        """The name of its file; "picture" if it has none."""
        if isinstance(self.picture, str | os.PathLike):
            return os.path.basename(os.fspath(self.picture))
        name = getattr(self.picture, "name", None)
        return name if isinstance(name, str) else "picture"


def as_styles(style: object) -> list[Style]:
    """Return one style or several as a list of Styles; an empty list for None.

    Raises:
        SettingError: The list is empty.
    """
    styles = style if isinstance(style, list | tuple) else [style]
    if style is None:
        return []
    if not styles:
        raise SettingError("no style is given", hint="give at least one")
    return [item if isinstance(item, Style) else Style(item) for item in styles]


@contextmanager
def open_image(image: object, convert_into: Path | None = None, role: str = "") -> Iterator[ImageSource]:
    """Open anything that holds a picture as a source, which is read in windows.

    Args:
        image: A path, an array, a tensor, a PIL image or a source; a source is not closed afterwards.
        convert_into: Folder for a converted copy of a file that cannot be read in windows; None for memory.
        role: What the picture is, such as "content": errors about one that is no file begin with it.

    Raises:
        PictureError: It cannot be used.
    """
    if isinstance(image, str | os.PathLike):
        if image in pictures.NAMES and not os.path.lexists(image):  # a name of the command line
            raise PictureError(
                f"there is no file {image}",
                hint=f"for the included picture give tilestyle.picture_path({str(image)!r})",
            )
        with open_source(image, convert_into) as file:
            yield file
        return
    try:
        source = as_source(image)
    except PictureError as error:
        if not role:
            raise
        raise PictureError(f"{role}: {error.message}", hint=error.hint) from error
    yield source


def load_planes(
    image: object, store: PlaneStore, sides: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Load a picture as planes, in memory or memory-mapped.

    Transparent pixels get the colors around them, except those of a Source, which is taken as it is.

    Args:
        image: Anything that holds a picture.
        store: Where the planes go.
        sides: Height and width to which it is downsampled, by area means; None for its own size.

    Returns:
        Pixels [3, h, w], and alpha [1, h, w] or None. They may be views of the picture's memory.
    """
    if sides is not None:
        with open_image(image) as source:
            if sides != (source.height, source.width):
                smaller = (source if isinstance(image, ImageSource) else fill_transparent(source)).downsample(
                    *sides
                )
                return load_planes(as_source(smaller), store)
    folder = store.path if isinstance(store, MappedStore) else None
    if folder is None and not isinstance(image, ImageSource):
        picture = picture_from(image)
        return _picture_planes(
            picture if picture.alpha is None else read_all(fill_transparent(as_source(picture)))
        )
    with open_image(image, folder) as source:
        source = source if isinstance(image, ImageSource) else fill_transparent(source)
        if folder is None or source.height * source.width <= MIN_MAPPED_PIXELS:
            return _picture_planes(read_all(source))
        pixels = store.empty(3, source.height, source.width)
        alpha = store.empty(1, source.height, source.width) if source.has_alpha else None
        store.comm.on_rank_zero(lambda: _copy_source(source, pixels, alpha))
        return pixels, alpha


def _copy_source(source: ImageSource, pixels: Tensor, alpha: Tensor | None) -> None:
    """Copy a source to planes [3, h, w] and [1, h, w], strip by strip."""
    top = 0
    for strip in source.strips():
        values = torch.from_numpy(strip).permute(2, 0, 1)  # [3 or 4, rows, w]
        rows = slice(top, top + values.shape[1])
        pixels[:, rows] = values[:3]
        if alpha is not None:
            alpha[:, rows] = values[3:]
        note_mapped_access(values)
        top = rows.stop


def _picture_planes(picture: Picture) -> tuple[Tensor, Tensor | None]:
    """Return views [3, h, w] and [1, h, w] of a picture in memory."""
    alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)[None]
    return torch.from_numpy(picture.pixels).permute(2, 0, 1), alpha  # [3, h, w]


def image_size(image: object, unit: int = 1, role: str = "the picture") -> tuple[int, int]:
    """Return the height and width of a picture, and check that the network can process it.

    Args:
        image: Anything that holds a picture.
        unit: Deepest stride in use, pixels.
        role: What the picture is, for the message.

    Raises:
        PictureError: The picture is too small for the layers in use.
    """
    with open_image(image, role=role) as source:
        if min(source.height, source.width) < unit:
            raise PictureError(
                f"{role} {source.name or 'picture'} is {source.width} x {source.height} pixels, "
                f"too small for the layers in use, which need at least {unit} pixels a side",
                hint="give a larger picture or shallower layers",
            )
        return source.height, source.width
