"""Formulas of the filters the wavelet network is made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def binomial() -> Tensor:  # [4, 4]
    """Separable low-pass filter (1, 3, 3, 1)/8, for halving a picture.

    Even in length, so that a halved pixel sits in the middle of the 2 x 2 pixels it stands for, and
    binomial, so that its response vanishes at the frequency that halving would fold onto zero.
    """
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    return torch.outer(taps, taps)


def gabor_pairs(orientations: int, size: int, wavelength: float, envelope: float) -> Tensor:
    """Even and odd Gabor filters of each orientation, [2 * orientations, size, size].

    A plane wave under a Gaussian (Gabor 1946; Daugman 1985 in two dimensions), as in

        exp(-|u|^2 / (2 envelope^2)) (cos(2 pi u.n / wavelength) - c),   n = (cos theta, sin theta)

    and the same with a sine. The constant c makes the even filter blind to a flat picture, as a
    wavelet must be (Morlet); all filters have norm 1. The even ones come first, theta in [0, pi).
    """
    ramp = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(ramp, ramp, indexing="ij")
    window = torch.exp(-(x.square() + y.square()) / (2 * envelope**2))
    even, odd = [], []
    for index in range(orientations):
        theta = math.pi * index / orientations
        phase = 2 * math.pi / wavelength * (x * math.cos(theta) + y * math.sin(theta))
        wave = window * phase.cos()
        wave = wave - window * (wave.sum() / window.sum())
        even.append(wave / wave.norm())
        wave = window * phase.sin()
        odd.append(wave / wave.norm())
    return torch.stack(even + odd)
