"""The colors of a written file: its profile, the conversion to it, and the ink that it takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyvips
from numpy.typing import NDArray

from tilestyle.config.enums import Intent
from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike, regular_file
from tilestyle.images.cicp import Cicp
from tilestyle.images.color_management import LCMS_NAMES, profile_name, srgb_profile, to_unit_range
from tilestyle.images.picture import FloatArray
from tilestyle.images.read_header import describe
from tilestyle.images.soft_proof import INTENTS

PRESS = "press"
BUILT_IN = ("srgb", "adobe-rgb", "display-p3")
PROFILE_NAMES = (*BUILT_IN, PRESS)
"""Profiles that need no file; `press` is looked for on this computer."""

CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
"""Channels of the color spaces that a file can have."""

_KNOWN_PRESSES = ("psocoated_v3", "isocoated_v2", "fogra39", "pso", "fogra", "gracol", "swop")
"""Parts of file names of press profiles, from the most to the least usual."""

_THREADS = min(4, os.cpu_count() or 1)
_PART_ROWS = 16  # rows that a thread converts at once
_DATE = b"".join(number.to_bytes(2) for number in (2000, 1, 1, 0, 0, 0))


@dataclass(frozen=True)
class OutputColor:
    """The color space of a written file, and how colors get there.

    Attributes:
        profile: ICC profile of the file: RGB, CMYK or gray.
        intent: Rendering intent: how colors that the profile does not have are replaced.
        black_point: Whether black becomes the black of the profile, so that shadows keep their differences.
    """

    profile: bytes
    intent: Intent = Intent.RELATIVE
    black_point: bool = True

    @cached_property
    def name(self) -> str:
        """The description of the profile."""
        return profile_name(self.profile)

    @property
    def channels(self) -> int:
        """Channels of a pixel: 1, 3 or 4."""
        return CHANNELS[self.profile[16:20]]

    @property
    def space(self) -> str:
        """Gray, RGB or CMYK."""
        return {1: "gray", 3: "RGB", 4: "CMYK"}[self.channels]

    @property
    def is_printer(self) -> bool:
        """Whether it is the profile of a printing device, and not of a display or a working space."""
        return self.profile[12:16] == b"prtr"

    @cached_property
    def exceeds_srgb(self) -> bool:
        """Whether the profile has colors that sRGB does not have."""
        return exceeds_srgb(self.profile)

    def convert(self, values: NDArray[Any], source: bytes) -> NDArray[np.uint16]:
        """Convert samples to this space.

        littleCMS gets no leave to replace the profiles by interpolated tables: those would be several times as
        fast, but up to 1.8 delta E (1976) away from the profile.

        Args:
            values: Samples [h, w, C], uint8 or uint16.
            source: The ICC profile of the samples.

        Returns:
            Samples [h, w, channels] in 16 bits.
        """
        flags = int(imagecodecs.CMS.FLAGS.NOOPTIMIZE)
        if self.black_point:
            flags |= int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)

        def part(rows: NDArray[Any]) -> NDArray[np.uint16]:
            return _transform(rows, source, self.profile, INTENTS[self.intent], flags)

        parts = [values[top : top + _PART_ROWS] for top in range(0, len(values), _PART_ROWS)]
        if len(parts) == 1:
            return part(parts[0])
        with ThreadPoolExecutor(_THREADS) as pool:
            return np.concatenate(list(pool.map(part, parts)))


@dataclass(frozen=True)
class ShownColors:
    """What a picture looks like in the colors of a file. Call it to convert pixels.

    Attributes:
        color: The colors of the file.
        colors: ICC profile of the pixels.
    """

    color: OutputColor
    colors: bytes

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """Convert pixels to the colors of the file, and back as an image viewer would: paper white is white.

        Args:
            pixels: Any part of a picture, [h, w, 3], in [0, 1].

        Returns:
            Pixels of the same shape, in [0, 1].
        """
        levels = np.rint(np.clip(pixels, 0.0, 1.0) * np.float32(65535)).astype(np.uint16)
        stored = self.color.convert(levels, self.colors)
        flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
        intent = INTENTS[Intent.RELATIVE]
        return to_unit_range(_transform(stored, self.color.profile, self.colors, intent, flags))


class InkMeter:
    """Measures the total ink of CMYK samples: the sum of the four inks of a pixel, in percent of one ink.

    Attributes:
        limit: Percent above which pixels are counted.
        most: Largest total so far, percent.
        pixels: Number of pixels so far.
        above: Number of pixels above the limit.
    """

    def __init__(self, limit: float = 400.0) -> None:
        self.limit, self.most, self.pixels, self.above = limit, 0.0, 0, 0

    def add(self, samples: NDArray[Any]) -> None:
        """Measure samples [h, w, 4], uint8 or uint16."""
        totals = samples.sum(axis=2, dtype=np.uint32)
        full = np.iinfo(samples.dtype).max  # level of 100 percent
        self.most = max(self.most, float(totals.max()) * 100 / full)
        self.pixels += totals.size
        self.above += int(np.count_nonzero(totals * 100 > self.limit * full))

    def watch(self, bands: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Pass bands [h, w, C] on; only those of CMYK are measured."""
        for band in bands:
            if band.shape[2] == CHANNELS[b"CMYK"]:
                self.add(band)
            yield band


def open_output_color(
    profile: PathLike, intent: Intent = Intent.RELATIVE, black_point: bool = True
) -> OutputColor:
    """Return the colors of a profile.

    Args:
        profile: `srgb`, `adobe-rgb`, `display-p3`, `press` (a press profile of this computer) or an ICC file.
        intent: Rendering intent.
        black_point: Whether to compensate the black point.

    Raises:
        PictureError: There is no such profile, or colors cannot be converted to it.
    """
    name = str(profile)
    if name in BUILT_IN:
        return OutputColor(built_in_profile(name), intent, black_point)
    path = find_press_profile() if name == PRESS else regular_file(profile, "profile")
    return OutputColor(read_profile(path), intent, black_point)


def read_profile(path: Path) -> bytes:
    """Read an ICC profile that pictures can be converted to.

    Raises:
        PictureError: The file is not such a profile.
    """
    content = path.read_bytes()
    if content[36:40] != b"acsp":
        raise PictureError(f"{path.name} is not an ICC profile", hint="give the .icc file of the print shop")
    if content[16:20] not in CHANNELS:
        space = content[16:20].decode("latin-1").strip()
        raise PictureError(f"{path.name} is a profile for {space}", hint="give one for RGB, CMYK or gray")
    try:
        OutputColor(content).convert(np.zeros((1, 1, 3), np.uint8), srgb_profile())
    except (imagecodecs.CmsError, ValueError) as error:
        raise PictureError(
            f"{path.name} cannot be written to ({error})", hint="give an output profile of the print shop"
        ) from error
    return content


@lru_cache(maxsize=8)
def built_in_profile(name: str) -> bytes:
    """Return a profile of `BUILT_IN`, always with the same bytes: they are in the public domain."""
    if name == "adobe-rgb":
        # The library writes the current time.
        content = imagecodecs.cms_profile("adobergb")
        return bytes(content[:24]) + _DATE + bytes(content[36:])
    if name == "display-p3":
        return _renamed(bytes(pyvips.Operation.call("profile_load", "p3")), "Display P3")
    return srgb_profile()


def has_wide_colors(path: PathLike) -> bool:
    """Return whether a picture file may have colors outside sRGB, by its profile or code points."""
    profile = describe(path).profile
    if isinstance(profile, Cicp):
        return profile.is_known and not profile.is_srgb
    return profile is not None and exceeds_srgb(profile)


def find_press_profile() -> Path:
    """Return the press profile of this computer: CMYK, for output; the most usual one, if there are several.

    Raises:
        PictureError: There is none.
    """
    ranked = sorted(_installed_press_profiles(), key=lambda file: (_rank(file), file.name.lower()))
    if not ranked:
        raise PictureError(
            "there is no press profile on this computer",
            hint="ask the print shop for its .icc file, or download PSO Coated v3 from eci.org, then give "
            "--profile FILE",
        )
    return ranked[0]


def profile_folders() -> list[Path]:
    """Return the folders where systems and programs install color profiles."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "spool" / "drivers" / "color"]
    if sys.platform == "darwin":
        return [home / "Library/ColorSync/Profiles", Path("/Library/ColorSync/Profiles")]
    return [
        home / ".local/share/icc",
        home / ".color/icc",
        Path("/usr/local/share/color/icc"),
        Path("/usr/share/color/icc"),
    ]


def exceeds_srgb(profile: bytes) -> bool:
    """Return whether a profile has colors outside sRGB; False if it cannot be read."""
    if profile[16:20] not in CHANNELS or profile[16:20] == b"GRAY":
        return False
    channels = CHANNELS[profile[16:20]]
    grid = np.stack(np.meshgrid(*[np.array([0, 255], np.uint8)] * channels), axis=-1).reshape(1, -1, channels)
    try:
        exact = imagecodecs.cms_transform(
            np.ascontiguousarray(grid),
            profile,
            imagecodecs.cms_profile("xyz"),
            colorspace=LCMS_NAMES[profile[16:20]],
            outcolorspace="xyz",
            outdtype=np.float32,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        )
    except imagecodecs.CmsError:
        return False
    light = np.asarray(exact, np.float64) @ _XYZ_TO_SRGB.T  # XYZ relative to D50, as in profiles
    return bool(light.min() < -_OUTSIDE or light.max() > 1 + _OUTSIDE)


_XYZ_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
"""From XYZ relative to D50 to linear sRGB (Bradford adaptation)."""
_OUTSIDE = 0.01  # of linear light: more than the rounding of profiles


def _transform(
    values: NDArray[Any], source: bytes, target: bytes, intent: int, flags: int
) -> NDArray[np.uint16]:
    """Convert samples [h, w, C] between two profiles to 16 bits."""
    if values.shape[2] == 1:
        values = values[..., 0]  # imagecodecs would keep this axis in addition to the new one
    converted: NDArray[np.uint16] = imagecodecs.cms_transform(
        np.ascontiguousarray(values),
        source,
        target,
        colorspace=LCMS_NAMES[source[16:20]],
        outcolorspace=LCMS_NAMES[target[16:20]],
        outdtype=np.uint16,
        intent=intent,
        flags=flags,
    )
    return converted.reshape(*values.shape[:2], CHANNELS[target[16:20]])


def _installed_press_profiles() -> Iterator[Path]:
    """Yield the CMYK output profiles that are installed, with more than a table or two: some are dummies."""
    for folder in profile_folders():
        for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if file.suffix.lower() not in (".icc", ".icm") or not file.is_file():
                continue
            with file.open("rb") as opened:
                head = opened.read(128)
            if head[12:20] == b"prtrCMYK" and file.stat().st_size > 1 << 16:
                yield file


def _rank(file: Path) -> int:
    name = file.stem.lower().replace(" ", "").replace("-", "")
    return next((place for place, part in enumerate(_KNOWN_PRESSES) if part in name), len(_KNOWN_PRESSES))


def _renamed(profile: bytes, name: str) -> bytes:
    """Return an ICC profile of version 4 with another description (ICC.1:2010, 7.3 and 10.13)."""
    text = name.encode("utf-16-be")
    tag = b"mluc" + bytes(4) + (1).to_bytes(4) + (12).to_bytes(4) + b"enUS"
    tag += len(text).to_bytes(4) + (28).to_bytes(4) + text
    tag += bytes(-len(tag) % 4)
    changed = bytearray(profile) + bytes(-len(profile) % 4)
    place = len(changed)
    changed += tag
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12):
        if profile[entry : entry + 4] == b"desc":
            changed[entry + 4 : entry + 12] = place.to_bytes(4) + (28 + len(text)).to_bytes(4)
    changed[0:4] = len(changed).to_bytes(4)
    changed[84:100] = bytes(16)  # the checksum of the original
    return bytes(changed)
