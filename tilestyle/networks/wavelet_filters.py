"""Formulas of the filters of the wavelet network."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def binomial_filter() -> Tensor:  # [4, 4]
    """Return the separable low-pass filter (1, 3, 3, 1) / 8 for halving a picture.

    Its length is even, so that a halved pixel is in the middle of the 2 x 2 pixels that it replaces. It is
    binomial, so that its response vanishes at the frequency that halving would alias to zero.
    """
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    return torch.outer(taps, taps)


def detail_filters() -> Tensor:  # [6, 3, 3]
    """Return the smallest filters that detect lines, edges, spots and crossings: zero mean, unit norm."""
    flat = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    edge = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    line = torch.tensor([-1.0, 2.0, -1.0], dtype=torch.float64)
    pairs = [(line, flat), (flat, line), (line, line), (edge, edge), (edge, flat), (flat, edge)]
    return torch.stack(
        [
            torch.outer(vertical, horizontal) / (vertical.norm() * horizontal.norm())
            for vertical, horizontal in pairs
        ]
    )


def gabor_pairs(orientations: int, size: int, wavelength: float, envelope: float, slant: float = 1.0) -> Tensor:
    """Return even and odd Gabor filters of each orientation, [2 * orientations, size, size].

    A plane wave under a Gaussian (Gabor 1946; in two dimensions Daugman 1985),

        exp(-(u^2 + slant^2 v^2) / (2 envelope^2)) (cos(2 pi u / wavelength) - c)

    and the same with a sine. u runs across the stroke that the filter responds to, at the angle theta, and v
    along it. The constant c makes the mean of the even filter zero, as a wavelet requires (Morlet). All filters
    have norm 1. The even ones come first, with theta in [0, pi), then the odd ones.

    Args:
        orientations: Number of angles.
        size: Side of a filter, pixels.
        wavelength: Pixels per wave.
        envelope: Standard deviation of the Gaussian across the stroke, pixels.
        slant: Below 1 it stretches the filter along its stroke.
    """
    ramp = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(ramp, ramp, indexing="ij")
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for index in range(orientations):
        theta = math.pi * index / orientations
        u = x * math.cos(theta) + y * math.sin(theta)
        v = y * math.cos(theta) - x * math.sin(theta)
        window = torch.exp(-(u.square() + (slant * v).square()) / (2 * envelope**2))
        phase = 2 * math.pi / wavelength * u
        wave = window * phase.cos()
        wave = wave - window * (wave.sum() / window.sum())
        even.append(wave / wave.norm())
        wave = window * phase.sin()
        odd.append(wave / wave.norm())
    return torch.stack(even + odd)


def stroke_pairs(orientations: int, size: int, wavelength: float, envelope: float) -> Tensor:
    """Return even and odd filters over the energies of all orientations.

    A filter is a Gabor filter in place times a window over the orientation of the energies around its own angle
    (wavelets in place and angle: Sifre and Mallat 2013). The wave runs across the strokes (do they repeat?) or
    along them (do they end?). The window smooths, or takes the difference of its two sides (do they turn?). All
    filters have norm 1; the even ones come first.

    Returns:
        [8 * orientations, orientations, size, size].
    """
    waves = gabor_pairs(orientations, size, wavelength, envelope)
    smoothing = {-1: 6**-0.5, 0: 2 * 6**-0.5, 1: 6**-0.5}
    difference = {-1: -(2**-0.5), 1: 2**-0.5}
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for window in (smoothing, difference):
        for quarter in (0, orientations // 2):
            for angle in range(orientations):
                wave = (angle + quarter) % orientations
                for half, bank in ((waves[:orientations], even), (waves[orientations:], odd)):
                    kernel = torch.zeros(orientations, size, size, dtype=torch.float64)
                    for offset, weight in window.items():
                        kernel[(angle + offset) % orientations] = weight * half[wave]
                    bank.append(kernel)
    return torch.stack(even + odd)


def in_channel_bank(filters: Tensor, channel: int, channels: int) -> Tensor:
    """Return filters [M, k, k] as a bank [M, channels, k, k] that reads one of several channels."""
    count, height, width = filters.shape
    bank = torch.zeros(count, channels, height, width, dtype=filters.dtype)
    bank[:, channel] = filters
    return bank


def zero_padded(kernel: Tensor, size: int) -> Tensor:
    """Pad a kernel [k, k] with zeros to [size, size], centered; k and size are both even or both odd."""
    reach = (size - kernel.shape[-1]) // 2
    return torch.nn.functional.pad(kernel, [reach] * 4)
