r"""The settings that a picture was made with, stored inside its file.

They are one JSON object in ASCII (other characters as \u escapes), because the EXIF and TIFF fields that hold
it allow nothing else. PNG stores it in an iTXt chunk with the keyword "tilestyle"; JPEG, WebP and TIFF in the
ImageDescription tag, next to the Software tag. EXIF is used and not XMP: it is the same single tag in three
formats, needs no XML, and programs that copy any metadata copy EXIF. Deep Zoom stores it in a separate file
among the tiles, and PDF among the facts of the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from PIL import Image

from tilestyle.errors import SettingError
from tilestyle.files.paths import PathLike, regular_file
from tilestyle.images import deepzoom, read_pillow, read_png, read_tiff, write_pdf
from tilestyle.images.library_errors import translating_decode_errors
from tilestyle.images.read_header import is_png, is_tiff
from tilestyle.version import __version__

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

KEYWORD = "tilestyle"
"""Keyword of the PNG chunk, and the JSON key that distinguishes the settings from other descriptions."""

_IMAGE_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2


def read_provenance(path: PathLike) -> dict[str, Json] | None:
    """Read the settings stored in a picture file.

    Returns:
        The settings, or None if there are none.

    Raises:
        PictureError: The file is missing, broken or in an unknown format.
    """
    path = regular_file(path)
    with translating_decode_errors(path.name):
        if path.suffix.lower() == ".dzi":
            return _parse_settings(deepzoom.read_settings_text(path))
        if write_pdf.is_pdf(path):
            with path.open("rb") as file:
                return _parse_settings(write_pdf.stored_settings(file))
        if is_tiff(path):
            with read_tiff.open_main_page(path) as page:
                return _parse_settings(page.description)
        if is_png(path):
            own, described = read_png.provenance_texts(path)
            return _parse_settings(own) or _parse_settings(described)
        with Image.open(path, formats=read_pillow.readable_formats()) as image:
            return _parse_settings(image.getexif().get(_IMAGE_DESCRIPTION))


def provenance_text(settings: Mapping[str, Json]) -> str:
    """Encode settings as ASCII JSON; raises SettingError for values that JSON does not have."""
    try:
        return json.dumps({KEYWORD: dict(settings)}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingError(
            f"the settings to store are not JSON ({error})", hint="use numbers, text, lists and dicts"
        ) from error


def provenance_exif(text: str | None, dpi: float | None) -> bytes:
    """Encode EXIF data with settings, software and resolution.

    Args:
        text: Text of the settings. None: leave them out.
        dpi: Dots per inch. None: leave them out. WebP has no other field for them.
    """
    exif = Image.Exif()
    if text is not None:
        exif[_IMAGE_DESCRIPTION] = text
    exif[_SOFTWARE] = software_name()
    if dpi is not None:
        exif[_X_RESOLUTION] = exif[_Y_RESOLUTION] = dpi
        exif[_RESOLUTION_UNIT] = _INCH
    return exif.tobytes()


def software_name() -> str:
    """Return "tilestyle VERSION"."""
    return f"tilestyle {__version__}"


def _parse_settings(text: object) -> dict[str, Json] | None:
    if not isinstance(text, str):
        return None
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    settings = stored.get(KEYWORD) if isinstance(stored, dict) else None
    return settings if isinstance(settings, dict) else None
