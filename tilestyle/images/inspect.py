"""What a picture file says about itself, without decoding its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tilestyle.choices import Format
from tilestyle.images import deepzoom, pillow, png, tiff
from tilestyle.images.border import decoding
from tilestyle.images.colour import profile_name
from tilestyle.images.orientation import UPRIGHT, swaps_sides
from tilestyle.images.read import PathLike, existing_file, is_tiff


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
    path = existing_file(path)
    with decoding(path.name):
        if deepzoom.is_deep_zoom(path):
            return _deep_zoom_info(path)
        return _tiff_info(path) if is_tiff(path) else _pillow_info(path)


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


def _tiff_info(path: Path) -> PictureInfo:
    with tiff.main_page(path) as page:
        sides = (page.imagelength, page.imagewidth)
        orientation = tiff.page_orientation(page)
        height, width = sides[::-1] if swaps_sides(orientation) else sides
        mode = tiff.mode_description(page)
        return PictureInfo(
            name=path.name,
            height=height,
            width=width,
            depth=tiff.page_depth(page),
            mode=mode,
            has_alpha="alpha" in mode,
            orientation=orientation,
            profile=profile_name(tiff.page_profile(page)),
            dpi=tiff.page_dots_per_inch(page),
            format="TIFF",
            file_bytes=path.stat().st_size,
        )


def _pillow_info(path: Path) -> PictureInfo:
    with Image.open(path) as image:
        sides = (image.height, image.width)
        orientation = pillow.stored_orientation(path, image)
        height, width = sides[::-1] if swaps_sides(orientation) else sides
        mode = pillow.mode_description(image)
        is_png = image.format == "PNG"
        return PictureInfo(
            name=path.name,
            height=height,
            width=width,
            depth=png.bits_per_channel(path) if is_png else pillow.mode_depth(image),
            mode=mode,
            has_alpha="alpha" in mode,
            orientation=orientation,
            profile=profile_name(image.info.get("icc_profile") or None),
            dpi=pillow.dots_per_inch(image),
            format=image.format or "unknown",
            file_bytes=path.stat().st_size,
        )
