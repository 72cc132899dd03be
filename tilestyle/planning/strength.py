"""Strength: how far a picture goes from its content, whatever the network, the size and the pictures.

A weight of the content is no such measure: what it comes to depends on the energies of both pictures in the
layers at work, on the number of sweeps and on the size. So every few sweeps it is measured how far the canvas
looks from the content (perceptual_distance.py), and the weight follows: up while that is more than `strength`
stands for, down while it is less. It follows by a share: a proportional controller of logarithms, with a look
ahead. It takes up most of what pairs of pictures differ by, and leaves a strong pattern or a strong form some
of its own. Levels go on from the weight of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

# Distances that strengths stand for, evenly spaced from 0 to 1: interpolated in log-odds.
AIMS = (0.06, 0.45, 0.735, 0.84, 0.92)
# Log-odds of the distance that doubling the weight takes off, or so: where to begin.
SLOPE = 0.3
# Sweeps from one adjustment to the next: looking costs about a quarter of a sweep of 512 pixels.
EVERY = 3
# What the weight's logarithm is from that of the first weight, in times of the difference in log-odds: of what
# pairs of pictures differ by at one weight, about 1 / (1 + RESPONSE SLOPE / log 2) is left.
RESPONSE = 7.0
# Share of the way there that it goes each time, at full steps; and how far at most.
GAIN, MOST = 0.25, 0.6
# How far the distance is foreseen, in times what it has changed by: a canvas that begins as the content is on
# its way.
AHEAD = 1.3
# Coarse levels are to be less far than the picture that they lead to, by this power of their share of the
# length that pictures are seen at: what they are enlarged to goes on from the content.
COMING = 0.2
# Steps fall faster than adjustments: by this power of theirs.
ROOT = 0.5
# Distances are told apart within these.
LEAST = 1e-3
# Factors of the first weight within which it stays. Where a picture cannot go as far as it is to in the sweeps
# that there are, a weight that falls on and on would have a long way back.
LEAST_FACTOR, LARGEST_FACTOR = 1 / 16, 1024.0


def due(sweep: int, sweeps: int) -> bool:
    """Whether the weight is adjusted after this sweep of so many of a level."""
    return (sweep + 1) % EVERY == 0 or sweep + 1 == sweeps


def aim_of(strength: float) -> float:
    """The distance from the content that a strength from 0 to 1 stands for."""
    place = strength * (len(AIMS) - 1)
    index = min(int(place), len(AIMS) - 2)
    low, high = _odds(AIMS[index]), _odds(AIMS[index + 1])
    return 1 / (1 + exp(-(low + (place - index) * (high - low))))


def first_weight(weight: float, strength: float) -> float:
    """The content's weight to begin with, where `weight` is that of a network at strength 0.5."""
    return weight * exp((_odds(aim_of(0.5)) - _odds(aim_of(strength))) / SLOPE * log(2))


@dataclass(frozen=True)
class Held:
    """The content's weight, and what distance from the content was found when it was adjusted."""

    weight: float
    distance: float | None = None  # None: there was none at this level


def adjusted(held: Held, distance: float, aim: float, pace: float, first: float) -> Held:
    """The weight for the next sweeps.

    Args:
        held: The weight so far, and the distance that it was adjusted at.
        distance: From the content, as it is after this sweep.
        aim: What it is to be.
        pace: How fast to adjust: 1 for full steps.
        first: The weight that the render began with.
    """
    before = distance if held.distance is None else held.distance
    ahead = _odds(distance) + AHEAD * (_odds(distance) - _odds(before))
    wanted = log(first) + RESPONSE * (ahead - _odds(aim))
    change = GAIN * pace * (wanted - log(held.weight))
    weight = held.weight * exp(max(-MOST, min(MOST, change)))
    return Held(max(LEAST_FACTOR * first, min(LARGEST_FACTOR * first, weight)), distance)


def _odds(distance: float) -> float:
    """Log-odds of a distance, from LEAST to 1 less LEAST."""
    inside = max(LEAST, min(1 - LEAST, distance))
    return log(inside / (1 - inside))
