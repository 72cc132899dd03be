"""Picture files to arrays and back.

The only package that speaks Pillow, tifffile and imagecodecs. Everything inside tilestyle sees a Picture:
float32 sRGB, the right way up.
"""

from tilestyle.images.inspect import PictureInfo, inspect_picture
from tilestyle.images.picture import Picture
from tilestyle.images.provenance import Json, read_provenance
from tilestyle.images.read import picture_from, read_picture
from tilestyle.images.write import OUTPUT_SUFFIXES, WriteOptions, check_writable, write_picture

__all__ = [
    "OUTPUT_SUFFIXES",
    "Json",
    "Picture",
    "PictureInfo",
    "WriteOptions",
    "check_writable",
    "inspect_picture",
    "picture_from",
    "read_picture",
    "read_provenance",
    "write_picture",
]
