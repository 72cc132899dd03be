"""Formulas of the filters that the wavelet network is made of."""

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


def details() -> Tensor:  # [6, 3, 3]
    """The smallest filters that see lines, edges, spots and crossings; no mean, unit norm."""
    flat = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    edge = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    line = torch.tensor([-1.0, 2.0, -1.0], dtype=torch.float64)
    pairs = [(line, flat), (flat, line), (line, line), (edge, edge), (edge, flat), (flat, edge)]
    return torch.stack([torch.outer(down, along) / (down.norm() * along.norm()) for down, along in pairs])


def gabor_pairs(orientations: int, size: int, wavelength: float, envelope: float, slant: float = 1.0) -> Tensor:
    """Even and odd Gabor filters of each orientation, [2 * orientations, size, size].

    A plane wave under a Gaussian (Gabor 1946; in two dimensions Daugman 1985),

        exp(-(u^2 + slant^2 v^2) / (2 envelope^2)) (cos(2 pi u / wavelength) - c)

    and the same with a sine; u runs across the stroke that the filter answers to, at the angle theta,
    v along it: a slant below 1 stretches the filter along its stroke. The constant c makes the even
    filter blind to a flat picture, as a wavelet must be (Morlet); all have norm 1. First the even
    ones, theta in [0, pi), then the odd ones.
    """
    ramp = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(ramp, ramp, indexing="ij")
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for index in range(orientations):
        theta = math.pi * index / orientations
        across = x * math.cos(theta) + y * math.sin(theta)
        along = y * math.cos(theta) - x * math.sin(theta)
        window = torch.exp(-(across.square() + (slant * along).square()) / (2 * envelope**2))
        phase = 2 * math.pi / wavelength * across
        wave = window * phase.cos()
        wave = wave - window * (wave.sum() / window.sum())
        even.append(wave / wave.norm())
        wave = window * phase.sin()
        odd.append(wave / wave.norm())
    return torch.stack(even + odd)


def stroke_pairs(orientations: int, size: int, wavelength: float, envelope: float) -> Tensor:
    """Even and odd filters over the energies of all orientations at once.

    A filter is a Gabor filter in place times a window over the orientation of the energies round its
    own angle (wavelets in place and angle: Sifre and Mallat 2013). The wave runs across the strokes
    (do they repeat?) or along them (do they end?); the window is a bump, or a difference of its two
    sides (do they turn?). All have norm 1. Even filters first:
    [8 * orientations, orientations, size, size].
    """
    waves = gabor_pairs(orientations, size, wavelength, envelope)
    bump = {-1: 6**-0.5, 0: 2 * 6**-0.5, 1: 6**-0.5}
    turn = {-1: -(2**-0.5), 1: 2**-0.5}
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for window in (bump, turn):
        for quarter in (0, orientations // 2):
            for angle in range(orientations):
                wave = (angle + quarter) % orientations
                for half, bank in ((waves[:orientations], even), (waves[orientations:], odd)):
                    kernel = torch.zeros(orientations, size, size, dtype=torch.float64)
                    for offset, weight in window.items():
                        kernel[(angle + offset) % orientations] = weight * half[wave]
                    bank.append(kernel)
    return torch.stack(even + odd)


def in_channel(filters: Tensor, channel: int, channels: int) -> Tensor:
    """Filters [M, k, k] as a bank that looks at one of several channels, [M, channels, k, k]."""
    count, height, width = filters.shape
    bank = torch.zeros(count, channels, height, width, dtype=filters.dtype)
    bank[:, channel] = filters
    return bank


def centred(kernel: Tensor, size: int) -> Tensor:
    """The kernel [k, k] in the middle of zeros, [size, size]; k and size both even or both odd."""
    reach = (size - kernel.shape[-1]) // 2
    return torch.nn.functional.pad(kernel, [reach] * 4)
