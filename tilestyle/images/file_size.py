"""How large a file may become, before it is written, and what would be smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import floor, sqrt
from pathlib import Path

from tilestyle.config.enums import Compression, Format
from tilestyle.images import write_tiff
from tilestyle.images.format_limits import output_format

_JPEG_SHARE = {70: 0.18, 80: 0.22, 90: 0.32, 95: 0.45, 98: 0.65, 100: 0.9}
"""Bytes of a JPEG to those of its samples, by the quality up to which it holds: of the finest rendered
textures, with some room. Samples without loss may not shrink at all."""


_STEPS = (90, 80, 70)  # of the quality of JPEG


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file that is to be written.

    Attributes:
        file: Its name, whose extension chooses the format.
        height: Pixels.
        width: Pixels.
        channels: Channels of a pixel.
        depth: Bits per channel.
        compression: Compression of a TIFF or PDF.
        quality: Quality of a JPEG.
        flat: Whether a TIFF has no smaller copies.
    """

    file: Path
    height: int
    width: int
    channels: int
    depth: int
    compression: Compression
    quality: int
    flat: bool

    @property
    def is_jpeg(self) -> bool:
        """Whether its samples are compressed with loss."""
        form = output_format(self.file)
        if form in (Format.TIFF, Format.PDF):
            return self.compression is Compression.JPEG
        return form in (Format.JPEG, Format.WEBP, Format.DEEP_ZOOM)

    def most_bytes(self) -> int:
        """Return the bytes that it can have: without loss as if nothing could be compressed."""
        shape = self.height, self.width, self.channels
        samples = write_tiff.uncompressed_bytes(shape, self.depth // 8)
        if output_format(self.file) is Format.TIFF and not self.flat:
            samples += write_tiff.pyramid_bytes(shape, self.depth // 8)
        if self.is_jpeg:
            samples = round(samples * next(share for top, share in _JPEG_SHARE.items() if self.quality <= top))
        return samples + (1 << 16)

    def smaller(self, limit: int) -> Iterator[str]:
        """Yield what would make the file fit, as options, from the least loss to the most."""
        flat = replace(self, flat=True)
        is_tiff = output_format(self.file) is Format.TIFF
        if is_tiff and not self.flat and flat.most_bytes() <= limit:
            yield "--flat"
        even = flat if is_tiff else self
        if self.depth == 16 and replace(even, depth=8).most_bytes() <= limit:
            yield "--depth 8" if even == self or self.flat else "--depth 8 --flat"
        jpeg = replace(self, file=Path("a.jpg"), depth=8)
        for quality in (self.quality, *(step for step in _STEPS if step < self.quality)):
            if replace(jpeg, quality=quality).most_bytes() > limit:
                continue
            is_pdf = output_format(self.file) is Format.PDF
            way = "--compression jpeg" if is_pdf else f"-o {self.file.with_suffix('.jpg').name}"
            lower = [] if quality == self.quality else [f"--jpeg-quality {quality}"]
            yield " ".join([*([] if self.is_jpeg else [way]), *lower])
            return

    def fitting_share(self, limit: int) -> float:
        """Return the share of its sides at which it would fit, rounded down to hundredths."""
        return floor(100 * sqrt(limit / self.most_bytes())) / 100
