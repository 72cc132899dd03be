"""Conversion to sRGB by the color code points of ITU-T H.273: Display P3, BT.2020, high dynamic range.

PNG states them in its cICP chunk, AVIF in its `nclx` box. Screenshots of wide-gamut and HDR displays have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.images.picture import FloatArray

# Chromaticities x, y of red, green and blue, and of white (H.273, table 2).
_D65 = (0.3127, 0.3290)
_SRGB, _DISPLAY_P3 = 1, 12
_PRIMARIES = {
    _SRGB: ("sRGB", (0.640, 0.330, 0.300, 0.600, 0.150, 0.060), _D65),
    5: ("BT.601 (625 lines)", (0.640, 0.330, 0.290, 0.600, 0.150, 0.060), _D65),
    6: ("BT.601 (525 lines)", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    7: ("BT.601 (525 lines)", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    9: ("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046), _D65),
    11: ("DCI-P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060), (0.314, 0.351)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _D65),
}
_GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG = 4, 5, 8, 16, 18
# Transfer functions of standard video are treated as that of sRGB, as in browsers; they differ only to suit
# dimmer surroundings.
_LIKE_SRGB = (1, 6, 13, 14, 15)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_WHITE_NITS = 203.0
"""Luminance of diffuse white in high dynamic range (ITU-R BT.2408), which becomes the white of sRGB."""
_HLG_NITS = 1000.0
"""Peak luminance of the reference display of HLG."""
_KNEE = 0.75
"""Share of white up to which light is unchanged; anything brighter is compressed into the rest."""


@dataclass(frozen=True, slots=True)
class Cicp:
    """Color code points.

    Attributes:
        primaries: Code point of the color primaries (H.273, table 2).
        transfer: Code point of the transfer function (H.273, table 3).
        full_range: Whether samples use the full range of values, not the narrow range of video.
    """

    primaries: int
    transfer: int
    full_range: bool = True

    @property
    def is_known(self) -> bool:
        """Whether the colors can be converted."""
        curves = (*_LIKE_SRGB, _GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG)
        return self.primaries in _PRIMARIES and self.transfer in curves

    @property
    def is_srgb(self) -> bool:
        """Whether the colors are sRGB already."""
        return self.primaries == _SRGB and self.transfer in _LIKE_SRGB and self.full_range

    @property
    def name(self) -> str:
        """Description of the colors, and of the conversion of high dynamic range."""
        if self.is_srgb:
            return "sRGB"
        curve = {
            _GAMMA_22: ", gamma 2.2",
            _GAMMA_28: ", gamma 2.8",
            _LINEAR: ", linear",
            _PQ: " PQ, highlights compressed",
            _HLG: " HLG, highlights compressed",
        }.get(self.transfer, "")
        return f"{_PRIMARIES[self.primaries][0]}{curve}{'' if self.full_range else ', narrow range'}"

    def to_srgb(self, unit: FloatArray, depth: int, *, is_wide: bool = False) -> FloatArray:
        """Convert samples to sRGB, or to Display P3, which has the same curve.

        Args:
            unit: Encoded values [h, w, 3] in [0, 1].
            depth: Bits per channel of the file, which determine the narrow range.
            is_wide: Whether to convert to Display P3.

        Returns:
            sRGB-encoded values [h, w, 3] in [0, 1]. Colors outside sRGB are clipped. In high dynamic range,
            203 nits become white, and highlights above three quarters of it are compressed.
        """
        if not self.full_range:
            step = 2.0 ** (depth - 8)
            unit = np.clip((unit * (2**depth - 1) / step - 16) / 219, 0, 1).astype(np.float32)
        light = _DECODERS[self.transfer](unit, self.primaries)
        light = np.asarray(
            light @ _to_primaries(_DISPLAY_P3 if is_wide else _SRGB, self.primaries).T, np.float32
        )
        if self.transfer in (_PQ, _HLG):
            light = _tone_map(light)
        return _encode_srgb(np.clip(light, 0, 1, dtype=np.float32))


@lru_cache(maxsize=16)
def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """Return the matrix [3, 3] from linear RGB to XYZ."""
    _, points, white = _PRIMARIES[primaries]
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(points[::2], points[1::2], strict=True)]).T
    scale = np.linalg.solve(columns, _white_xyz(white))
    return np.asarray(columns * scale)


@lru_cache(maxsize=16)
def _to_primaries(target: int, primaries: int) -> NDArray[np.float64]:
    """Return the matrix [3, 3] from linear RGB to that of a target, with Bradford adaptation to D65."""
    if primaries == target:
        return np.eye(3)
    cones = _BRADFORD @ _white_xyz(_PRIMARIES[primaries][2])
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _white_xyz(_D65) / cones) @ _BRADFORD
    return np.asarray(np.linalg.inv(_to_xyz(target)) @ adapted @ _to_xyz(primaries))


def _white_xyz(white: tuple[float, float]) -> NDArray[np.float64]:
    """Convert the chromaticity (x, y) of white to XYZ with Y = 1."""
    x, y = white
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _from_srgb(unit: FloatArray, _: int) -> FloatArray:
    """Decode the transfer function of sRGB (IEC 61966-2-1) to linear light."""
    light = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return np.asarray(light, np.float32)


def _from_pq(unit: FloatArray, _: int) -> FloatArray:
    """Decode PQ (SMPTE ST 2084) to linear light; 1 is diffuse white."""
    root = unit.astype(np.float64) ** (1 / 78.84375)
    nits = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return (nits / _WHITE_NITS).astype(np.float32)


def _from_hlg(unit: FloatArray, primaries: int) -> FloatArray:
    """Decode HLG (ITU-R BT.2100) to the light of a display of 1000 nits; 1 is diffuse white."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    value = unit.astype(np.float64)
    scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    luminance = np.maximum(scene @ _to_xyz(primaries)[1], 0)[..., None]
    return np.asarray(_HLG_NITS / _WHITE_NITS * luminance**0.2 * scene, np.float32)


_DECODERS: dict[int, Callable[[FloatArray, int], FloatArray]] = {
    **dict.fromkeys(_LIKE_SRGB, _from_srgb),
    _GAMMA_22: lambda unit, _: unit ** np.float32(2.2),
    _GAMMA_28: lambda unit, _: unit ** np.float32(2.8),
    _LINEAR: lambda unit, _: unit,
    _PQ: _from_pq,
    _HLG: _from_hlg,
}


def _tone_map(light: FloatArray) -> FloatArray:
    """Compress highlights to below 1; all channels of a pixel get the same factor, which keeps its hue."""
    brightest = light.max(axis=-1, keepdims=True)
    excess = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    target = _KNEE + (1 - _KNEE) * excess / (1 + excess)
    factor: Any = np.where(brightest > _KNEE, target / np.maximum(brightest, _KNEE), 1)
    return np.asarray(light * factor, np.float32)


def _encode_srgb(light: FloatArray) -> FloatArray:
    """Encode linear light with the transfer function of sRGB (IEC 61966-2-1)."""
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(encoded, np.float32)
