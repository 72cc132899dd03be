"""The settings that made a picture, kept inside its file.

They are one JSON object, written with ASCII characters only (others as \\u escapes) because the EXIF and
TIFF fields it lives in allow no more. PNG keeps it in an iTXt chunk of the keyword "tilestyle"; JPEG,
WebP and TIFF in the ImageDescription tag, with the Software tag beside it. EXIF and not XMP: it is one
tag, the same one in three formats, needs no XML, and programs that copy any metadata copy EXIF. Deep Zoom
keeps it in a file of its own among the tiles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from PIL import Image

from tilestyle.errors import SettingError
from tilestyle.files.paths import PathLike, ordinary_file
from tilestyle.images import deepzoom, read_pillow, read_png, read_tiff
from tilestyle.images.library_errors import decoding
from tilestyle.images.read_header import is_png, is_tiff
from tilestyle.version import __version__

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

KEYWORD = "tilestyle"
"""Keyword of the PNG chunk, and the key around the settings that tells them from other descriptions."""

_IMAGE_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2


def read_provenance(path: PathLike) -> dict[str, Json] | None:
    """Return the settings stored in a picture file, or None when there are none.

    Raises PictureError when the file is missing, broken or unknown.
    """
    path = ordinary_file(path)
    with decoding(path.name):
        if path.suffix.lower() == ".dzi":
            return _settings(deepzoom.settings_of(path))
        if is_tiff(path):
            with read_tiff.main_page(path) as page:
                return _settings(page.description)
        if is_png(path):
            own, described = read_png.provenance_texts(path)
            return _settings(own) or _settings(described)
        with Image.open(path, formats=read_pillow.formats()) as image:
            return _settings(image.getexif().get(_IMAGE_DESCRIPTION))


def provenance_text(settings: Mapping[str, Json]) -> str:
    """Encode settings as ASCII JSON. Raises SettingError when they hold something JSON has not."""
    try:
        return json.dumps({KEYWORD: dict(settings)}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingError(
            f"the settings to store are not JSON ({error})", hint="use numbers, texts, lists and dicts"
        ) from error


def provenance_exif(text: str | None, dpi: float | None) -> bytes:
    """Return EXIF with encoded settings, software, and dots per inch, which WebP keeps nowhere else."""
    exif = Image.Exif()
    if text is not None:
        exif[_IMAGE_DESCRIPTION] = text
    exif[_SOFTWARE] = software()
    if dpi is not None:
        exif[_X_RESOLUTION] = exif[_Y_RESOLUTION] = dpi
        exif[_RESOLUTION_UNIT] = _INCH
    return exif.tobytes()


def software() -> str:
    """Return "tilestyle VERSION"."""
    return f"tilestyle {__version__}"


def _settings(text: object) -> dict[str, Json] | None:
    if not isinstance(text, str):
        return None
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    settings = stored.get(KEYWORD) if isinstance(stored, dict) else None
    return settings if isinstance(settings, dict) else None
