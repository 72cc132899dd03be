"""What a picture file says about itself, without decoding its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tilestyle.config.enums import Format
from tilestyle.files.paths import PathLike, ordinary_file
from tilestyle.images import deepzoom
from tilestyle.images.color_management import profile_name
from tilestyle.images.library_errors import decoding
from tilestyle.images.orientation import UPRIGHT
from tilestyle.images.read_header import describe


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """Facts of a picture file; height and width in pixels, the right way up.

    ``depth`` counts bits per channel (8, 16 or 32), ``mode`` names the kind of channels ("RGB + alpha"),
    ``has_alpha`` whether they include transparency, ``orientation`` is how the picture is stored (1 to 8),
    ``profile`` describes the embedded profile ("sRGB" for none), ``dpi`` is (across, down), ``format``
    is a short name such as "PNG", ``file_bytes`` the size of the file with its tiles, ``name`` its name without
    folders.
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
    """Read the facts of a picture file. Raises PictureError when it is missing, broken or unknown."""
    path = ordinary_file(path)
    if deepzoom.is_deep_zoom(path):
        with decoding(path.name):
            return _deep_zoom_info(path)
    seen = describe(path)
    return PictureInfo(
        name=seen.name,
        height=seen.height,
        width=seen.width,
        depth=seen.depth,
        mode=seen.mode,
        has_alpha=seen.has_alpha,
        orientation=seen.orientation,
        profile=seen.colours,
        dpi=seen.dpi,
        format=seen.format,
        file_bytes=seen.file_bytes,
    )


def _deep_zoom_info(path: Path) -> PictureInfo:
    found = deepzoom.descriptor_of(path)
    has_alpha = found.form == "png"  # as ours are written: opaque ones are JPEG
    tiles = f"{found.form} tiles of {found.tile} + {found.overlap} pixels"
    return PictureInfo(
        name=path.name,
        height=found.height,
        width=found.width,
        depth=8,
        mode=f"{'RGB + alpha' if has_alpha else 'RGB'} in {tiles}",
        has_alpha=has_alpha,
        orientation=UPRIGHT,
        profile=profile_name(None),
        dpi=None,
        format=Format.DEEP_ZOOM.label,
        file_bytes=deepzoom.stored_bytes(path),
    )
