"""The small copies of pictures that the studio makes, by their names. This module imports no library."""

from __future__ import annotations

THUMBNAIL, SMALL = "thumbnail.jpg", "small.png"
THUMBNAIL_SIDE, SMALL_SIDE = 320, 1024  # pixels of the long side
INTAKE = "tilestyle.studio.intake"  # the process that makes them
INTAKE_SECONDS = 120.0  # that it may take
