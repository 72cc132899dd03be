"""Facts about a picture file, read without decoding its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tilestyle.config.enums import Format
from tilestyle.files.paths import PathLike, regular_file
from tilestyle.images import deepzoom
from tilestyle.images.color_management import profile_name
from tilestyle.images.library_errors import translating_decode_errors
from tilestyle.images.orientation import UPRIGHT
from tilestyle.images.read_header import describe


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """Facts about a picture file.

    Attributes:
        name: File name without folders.
        height: Height of the upright picture in pixels.
        width: Width of the upright picture in pixels.
        depth: Bits per channel: 8, 16 or 32.
        mode: Kind of channels, such as "RGB + alpha".
        has_alpha: Whether there is transparency.
        orientation: EXIF orientation of the stored picture, 1 to 8.
        profile: Description of the embedded profile; "sRGB" without one.
        dpi: Dots per inch (x, y), if the file states them.
        format: Short name of the format, such as "PNG".
        file_bytes: Size of the file, including the tiles of a Deep Zoom picture.
    """

    name: str
    height: int
    width: int
    depth: int
    mode: str
    has_alpha: bool
    orientation: int
    profile: str
    dpi: tuple[float, float] | None
    format: str
    file_bytes: int


def inspect_picture(path: PathLike) -> PictureInfo:
    """Read the facts about a picture file; raises PictureError if it is missing, broken or unknown."""
    path = regular_file(path)
    if deepzoom.is_deep_zoom(path):
        with translating_decode_errors(path.name):
            return _deep_zoom_info(path)
    header = describe(path)
    return PictureInfo(
        name=header.name,
        height=header.height,
        width=header.width,
        depth=header.depth,
        mode=header.mode,
        has_alpha=header.has_alpha,
        orientation=header.orientation,
        profile=header.color_description,
        dpi=header.dpi,
        format=header.format,
        file_bytes=header.file_bytes,
    )


def _deep_zoom_info(path: Path) -> PictureInfo:
    descriptor = deepzoom.read_descriptor(path)
    has_alpha = descriptor.tile_format == "png"  # tilestyle writes opaque pictures as JPEG
    tiles = f"{descriptor.tile_format} tiles of {descriptor.tile_side} + {descriptor.overlap} pixels"
    return PictureInfo(
        name=path.name,
        height=descriptor.height,
        width=descriptor.width,
        depth=8,
        mode=f"{'RGB + alpha' if has_alpha else 'RGB'} in {tiles}",
        has_alpha=has_alpha,
        orientation=UPRIGHT,
        profile=profile_name(None),
        dpi=None,
        format=Format.DEEP_ZOOM.label,
        file_bytes=deepzoom.total_bytes(path),
    )
