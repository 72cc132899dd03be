"""Small pictures as JPEG in memory, for pages that show them."""

from __future__ import annotations

from io import BytesIO

from tilestyle.images.picture import Picture
from tilestyle.images.source import stack_channels
from tilestyle.images.strips import composite_on_white
from tilestyle.images.write import pillow_image


def jpeg_bytes(picture: Picture, quality: int = 85) -> bytes:
    """Encode a picture as JPEG; transparent areas become white.

    Args:
        picture: A picture of a modest size.
        quality: Quality, 1 to 100.
    """
    if picture.alpha is not None:
        picture = Picture(composite_on_white(stack_channels(picture)))
    out = BytesIO()
    pillow_image(picture).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()
