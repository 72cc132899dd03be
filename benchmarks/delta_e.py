"""Differences between colors as people see them: CIEDE2000 (Sharma, Wu and Dalal, 2005)."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_NAMES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}


def lab_of(samples: NDArray[Any], profile: bytes) -> NDArray[np.float64]:
    """Return L* a* b* [h, w, 3] of samples [h, w, C] with a profile, by littleCMS, relative colorimetric."""
    lab = imagecodecs.cms_transform(
        np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples),
        profile,
        imagecodecs.cms_profile("lab4"),
        colorspace=_NAMES[profile[16:20]],
        outcolorspace="lab",
        outdtype=np.float32,
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=int(imagecodecs.CMS.FLAGS.NOOPTIMIZE),
    )
    return np.asarray(lab, np.float64)


def delta_e_2000(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences [...] of two arrays of L* a* b* [..., 3]."""
    chroma = (np.hypot(one[..., 1], one[..., 2]) + np.hypot(other[..., 1], other[..., 2])) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    parts = []
    for lab in (one, other):
        a, b = stretch * lab[..., 1], lab[..., 2]
        parts.append((lab[..., 0], np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360))
    (light1, chroma1, hue1), (light2, chroma2, hue2) = parts
    turn = (hue2 - hue1 + 180) % 360 - 180
    colored = chroma1 * chroma2 > 0
    d_hue = np.where(colored, 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn) / 2), 0)
    hue = np.where(colored, (hue1 + turn / 2) % 360, hue1 + hue2)
    light, mean = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * mean, 1 + 0.015 * mean * t
    rotation = -2 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    rotation = rotation * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    terms = (light2 - light1) / s_light, (chroma2 - chroma1) / s_chroma, d_hue / s_hue
    total = terms[0] ** 2 + terms[1] ** 2 + terms[2] ** 2 + rotation * terms[1] * terms[2]
    return np.asarray(np.sqrt(np.maximum(total, 0)))
