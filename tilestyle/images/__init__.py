"""Picture files as arrays.

The only package that speaks Pillow, tifffile, imagecodecs and libvips. Everything inside tilestyle sees a
Picture: float32 sRGB, the right way up; or a Source, which is one read by windows.
"""

from tilestyle.config.enums import Compression, Format, Intent
from tilestyle.images.alpha import composited
from tilestyle.images.area_average import Means, area_mean
from tilestyle.images.bilinear import enlarged
from tilestyle.images.captioned_rows import Row, captioned
from tilestyle.images.contact_sheet import contact_sheet
from tilestyle.images.file_source import open_source, source_from
from tilestyle.images.format_limits import OUTPUT_SUFFIXES, check_writable, disk_bytes, named
from tilestyle.images.info import PictureInfo, inspect_picture
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_pixels, pixel_limit
from tilestyle.images.provenance import Json, read_provenance
from tilestyle.images.read import picture_from, read_picture
from tilestyle.images.soft_proof import Proof, open_proof
from tilestyle.images.source import Source, gathered
from tilestyle.images.source_filters import cropped, filled, proofed
from tilestyle.images.strips import strips_of
from tilestyle.images.write import write_picture, write_stream
from tilestyle.images.write_options import WriteOptions

__all__ = [
    "OUTPUT_SUFFIXES",
    "Compression",
    "FloatArray",
    "Format",
    "Intent",
    "Json",
    "Means",
    "Picture",
    "PictureInfo",
    "Proof",
    "Row",
    "Source",
    "WriteOptions",
    "area_mean",
    "captioned",
    "check_pixels",
    "check_writable",
    "composited",
    "contact_sheet",
    "cropped",
    "disk_bytes",
    "enlarged",
    "filled",
    "gathered",
    "inspect_picture",
    "named",
    "open_proof",
    "open_source",
    "picture_from",
    "pixel_limit",
    "proofed",
    "read_picture",
    "read_provenance",
    "source_from",
    "strips_of",
    "write_picture",
    "write_stream",
]
