"""Reading and writing picture files.

This is the only package that uses Pillow, tifffile, imagecodecs and libvips. The rest of tilestyle sees a
Picture (float32 sRGB pixels, rotated upright), or an ImageSource, which reads a picture of any size by windows.
"""

from tilestyle.config.enums import Compression, Format, Intent
from tilestyle.images.alpha import composite
from tilestyle.images.animation import (
    animation_head,
    check_frame_rate,
    encode_frame,
    finish_animation,
    ticks_until,
)
from tilestyle.images.area_average import AreaAccumulator, PictureAccumulator, area_average
from tilestyle.images.bilinear import bilinear_window
from tilestyle.images.captioned_rows import CaptionedRow, draw_captioned_rows
from tilestyle.images.color_management import srgb_profile, working_space
from tilestyle.images.contact_sheet import contact_sheet
from tilestyle.images.file_source import as_source, open_source
from tilestyle.images.format_limits import OUTPUT_SUFFIXES, check_writable, max_disk_bytes, with_format_suffix
from tilestyle.images.info import PictureInfo, inspect_picture
from tilestyle.images.jpeg_bytes import jpeg_bytes
from tilestyle.images.output_color import (
    PROFILE_NAMES,
    InkMeter,
    OutputColor,
    built_in_profile,
    has_wide_colors,
    open_output_color,
)
from tilestyle.images.page_boxes import Insets, PageBoxes
from tilestyle.images.panel_plan import draw_panel_plan
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_pixel_count, pixel_limit
from tilestyle.images.provenance import Json, read_provenance
from tilestyle.images.read import picture_from, read_picture
from tilestyle.images.soft_proof import Proof, open_proof
from tilestyle.images.source import ImageSource, read_all
from tilestyle.images.source_filters import crop_source, fill_transparent, shown_in, soft_proof
from tilestyle.images.stored_colors import StoredColors
from tilestyle.images.strips import read_strips
from tilestyle.images.write import write_picture, write_samples, write_stream
from tilestyle.images.write_options import WriteOptions

__all__ = [
    "OUTPUT_SUFFIXES",
    "PROFILE_NAMES",
    "AreaAccumulator",
    "CaptionedRow",
    "Compression",
    "FloatArray",
    "Format",
    "ImageSource",
    "InkMeter",
    "Insets",
    "Intent",
    "Json",
    "OutputColor",
    "PageBoxes",
    "Picture",
    "PictureAccumulator",
    "PictureInfo",
    "Proof",
    "StoredColors",
    "WriteOptions",
    "animation_head",
    "area_average",
    "as_source",
    "bilinear_window",
    "built_in_profile",
    "check_frame_rate",
    "check_pixel_count",
    "check_writable",
    "composite",
    "contact_sheet",
    "crop_source",
    "draw_captioned_rows",
    "draw_panel_plan",
    "encode_frame",
    "fill_transparent",
    "finish_animation",
    "has_wide_colors",
    "inspect_picture",
    "jpeg_bytes",
    "max_disk_bytes",
    "open_output_color",
    "open_proof",
    "open_source",
    "picture_from",
    "pixel_limit",
    "read_all",
    "read_picture",
    "read_provenance",
    "read_strips",
    "shown_in",
    "soft_proof",
    "srgb_profile",
    "ticks_until",
    "with_format_suffix",
    "working_space",
    "write_picture",
    "write_samples",
    "write_stream",
]
