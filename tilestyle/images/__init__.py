"""Picture files to arrays and back.

The only package that speaks Pillow, tifffile, imagecodecs and libvips. Everything inside tilestyle sees a
Picture: float32 sRGB, the right way up; or a Source, which is one read by windows.
"""

from tilestyle.choices import Compression, Format, Intent
from tilestyle.images.alpha import composited
from tilestyle.images.captions import Row, captioned
from tilestyle.images.derived import cropped, filled, proofed
from tilestyle.images.enlarge import enlarged
from tilestyle.images.file_source import open_source, source_from
from tilestyle.images.formats import OUTPUT_SUFFIXES, check_writable, disk_bytes, named
from tilestyle.images.inspect import PictureInfo, inspect_picture
from tilestyle.images.limits import check_pixels, pixel_limit
from tilestyle.images.options import WriteOptions
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.proof import Proof, open_proof
from tilestyle.images.provenance import Json, read_provenance
from tilestyle.images.read import picture_from, read_picture
from tilestyle.images.sheet import contact_sheet
from tilestyle.images.shrink import Means, area_mean
from tilestyle.images.source import Source, gathered
from tilestyle.images.strips import strips_of
from tilestyle.images.write import write_picture, write_stream

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
