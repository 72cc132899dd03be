"""What Pillow opens, as samples and as facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.images import png
from tilestyle.images.border import check_size
from tilestyle.images.colour import ColourModel
from tilestyle.images.orientation import known_orientation
from tilestyle.images.samples import Samples

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_CENTIMETRE = 3
_JFIF_UNITS = (1, 2)

# Pillow's mode -> (mode to decode as, what people call it). Modes not named here decode as RGB.
_MODES = {
    "1": ("L", "black and white"),
    "L": ("L", "grey"),
    "LA": ("LA", "grey + alpha"),
    "La": ("LA", "grey + alpha"),
    "I": ("I", "grey"),
    "F": ("F", "grey, float"),
    "P": ("RGB", "palette"),
    "PA": ("RGBA", "palette + alpha"),
    "RGBA": ("RGBA", "RGB + alpha"),
    "RGBa": ("RGBA", "RGB + alpha"),
    "CMYK": ("CMYK", "CMYK"),
    "YCbCr": ("RGB", "YCbCr"),
    "LAB": ("LAB", "CIELAB"),
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


def samples_from_pillow(image: Image.Image) -> Samples:
    """Decode the current frame of an opened image, which is left as it is.

    Raises PictureError for pictures without pixels, and for whole numbers beyond 16 bits, of which
    nothing says where white is.
    """
    check_size(_label(image), image.height, image.width)
    image.load()
    values, model, depth = _values(image)
    channels = 1 if model is ColourModel.GREY else 3
    has_alpha = model is not ColourModel.CMYK and values.shape[2] > channels
    return Samples(
        values=values[..., :channels] if has_alpha else values,
        model=model,
        depth=depth,
        alpha=values[..., channels] if has_alpha else None,
        profile=_profile(image),
        orientation=known_orientation(image.getexif().get(_ORIENTATION)),
        dpi=dots_per_inch(image),
    )


def samples_from_deep_png(path: Path) -> Samples:
    """Decode a PNG of 16 bits per channel; Pillow reads what is written around the pixels."""
    with Image.open(path) as image:
        check_size(path.name, image.height, image.width)
        values = png.read_deep(path)
        colours = 1 if values.shape[2] < 3 else 3
        return Samples(
            values=values[..., :colours],
            model=ColourModel.GREY if colours == 1 else ColourModel.RGB,
            depth=16,
            alpha=values[..., colours] if values.shape[2] > colours else None,
            profile=_profile(image),
            orientation=stored_orientation(path, image),
            dpi=dots_per_inch(image),
        )


def mode_description(image: Image.Image) -> str:
    """Name the kind of channels for people, such as "RGB + alpha"."""
    name = "grey" if image.mode.startswith("I;16") else _MODES.get(image.mode, ("", image.mode))[1]
    return f"{name} + alpha" if "transparency" in image.info and "alpha" not in name else name


def mode_depth(image: Image.Image) -> int:
    """Bits per channel as decoded by Pillow: 8, 16 or 32."""
    if image.mode == "F":
        return 32
    return 16 if image.mode.startswith("I") else 8


def stored_orientation(path: Path, image: Image.Image) -> int:
    """Orientation of an opened file, found without decoding pixels.

    Some editors put the EXIF of a PNG after the image data, where Pillow looks only by decoding.
    """
    exif = Image.Exif()
    if image.format == "PNG" and "exif" not in image.info:
        late = next((content for kind, content in png.read_chunks(path) if kind == b"eXIf"), None)
        if late is not None:
            exif.load(late)
            return known_orientation(exif.get(_ORIENTATION))
        exif = Image.Image.getexif(image)  # of the base class: the one of PNG decodes
    else:
        exif = image.getexif()
    return known_orientation(exif.get(_ORIENTATION))


def dots_per_inch(image: Image.Image) -> tuple[float, float] | None:
    """Return (across, down), from the format's own field or else from EXIF; None when neither says."""
    stated: Any = image.info.get("dpi")
    factor = 1.0
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in _JFIF_UNITS:
        stated = None  # Pillow fills in 72, so that what is not stated looks stated
    if stated is None:
        exif = Image.Image.getexif(image)
        stated = (exif.get(_X_RESOLUTION), exif.get(_Y_RESOLUTION))
        factor = 2.54 if exif.get(_RESOLUTION_UNIT) == _CENTIMETRE else 1.0
    try:
        across, down = (factor * float(value) for value in stated)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def _values(image: Image.Image) -> tuple[NDArray[Any], ColourModel, int]:
    """Decode to uint8, uint16 or float32 [H, W, C], alpha still among the channels."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None], ColourModel.GREY, 16
    mode = _MODES.get(image.mode, ("RGB", ""))[0]
    if "transparency" in image.info:
        mode = _WITH_ALPHA.get(mode, mode)
    values = np.asarray(image if image.mode == mode else image.convert(mode))
    if values.ndim == 2:
        values = values[..., None]
    if mode == "I":
        return _sixteen_bits(values, _label(image)), ColourModel.GREY, 16
    if mode == "F":
        return values, ColourModel.GREY, 32
    if mode == "LAB":
        return lab_from_bytes(values), ColourModel.LAB, 8
    models = {"L": ColourModel.GREY, "LA": ColourModel.GREY, "CMYK": ColourModel.CMYK}
    return values, models.get(mode, ColourModel.RGB), 8


def lab_from_bytes(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """L as 0 to 255 and a, b as signed bytes, the way of TIFF and of Pillow, to L* a* b*."""
    lightness = values[..., :1].astype(np.float32) * np.float32(100 / 255)
    return np.concatenate([lightness, values[..., 1:3].view(np.int8).astype(np.float32)], axis=2)


def _sixteen_bits(values: NDArray[Any], label: str) -> NDArray[np.uint16]:
    """Pillow reads 16-bit grey of several formats as 32-bit numbers, so that is what they are."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise PictureError(
            f"{label} holds whole numbers from {low} to {high}, beyond 16 bits",
            hint="convert it to 16 bits, or to floats in [0, 1]",
        )
    return values.astype(np.uint16)


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _label(image: Image.Image) -> str:
    filename = getattr(image, "filename", "")
    return Path(filename).name if isinstance(filename, str) and filename else "the image"
