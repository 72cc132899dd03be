"""Strength: how far a picture goes from its content, independent of the network, the size and the pictures.

A weight of the content is not such a measure: its effect depends on the energies of both pictures in the layers
in use, on the number of sweeps and on the size. So every few sweeps the perceptual distance of the canvas from
the content is measured (networks.perceptual_distance), and the weight follows: it rises while the distance
exceeds what `strength` stands for, and falls while it is below.

The weight is adjusted by a proportional controller of log-odds, with a look-ahead. It removes most of the
differences between pairs of pictures, and leaves some of the effect of a strong pattern or a strong form. Each
level continues from the weight of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

# Distances that strengths evenly spaced from 0 to 1 stand for; between them log-odds are interpolated.
TARGET_DISTANCES = (0.06, 0.45, 0.735, 0.84, 0.92)
# Doubling the weight reduces the log-odds of the distance by about this much; used for the first weight.
SLOPE = 0.3
# Sweeps between adjustments: a measurement costs about a quarter of a sweep at 512 pixels.
ADJUST_EVERY = 3
# The target of the weight's logarithm is that of the first weight, plus this many times the difference in
# log-odds. Of the differences between pairs of pictures at one weight, about 1 / (1 + RESPONSE SLOPE / log 2)
# is left.
RESPONSE = 7.0
# Fraction of the way to its target that the logarithm changes each time, at full steps; and the largest change.
GAIN, MAX_CHANGE = 0.25, 0.6
# The distance is extrapolated by this many times its last change: a canvas that starts as the content is still
# moving away from it.
LOOKAHEAD = 1.3
# Coarse levels get a smaller target distance, by this power of their size relative to that at which pictures
# are compared: the enlarged result moves further away from the content.
COARSE_TARGET_POWER = 0.2
# Adjustments decay more slowly than step sizes: as this power of them.
STEP_DECAY_POWER = 0.5
# Distances are clamped to this margin from 0 and 1.
DISTANCE_MARGIN = 1e-3
# The weight stays within these factors of the first weight. If a picture cannot reach its distance in the
# sweeps available, the weight would otherwise fall without end, and take long to recover.
MIN_FACTOR, MAX_FACTOR = 1 / 16, 1024.0


def is_adjustment_sweep(sweep: int, sweeps: int) -> bool:
    """Return whether the weight is adjusted after this sweep of a level with so many sweeps."""
    return (sweep + 1) % ADJUST_EVERY == 0 or sweep + 1 == sweeps


def target_distance(strength: float) -> float:
    """Return the distance from the content that a strength from 0 to 1 stands for."""
    place = strength * (len(TARGET_DISTANCES) - 1)
    index = min(int(place), len(TARGET_DISTANCES) - 2)
    low, high = _log_odds(TARGET_DISTANCES[index]), _log_odds(TARGET_DISTANCES[index + 1])
    return 1 / (1 + exp(-(low + (place - index) * (high - low))))


def initial_weight(weight: float, strength: float) -> float:
    """Return the content weight to start with, given the network's weight at strength 0.5."""
    return weight * exp(
        (_log_odds(target_distance(0.5)) - _log_odds(target_distance(strength))) / SLOPE * log(2)
    )


def distance_at(distance: float, doublings: float) -> float:
    """Return the distance from the content where its weight is 2^doublings times as large, to first order."""
    return 1 / (1 + exp(SLOPE * doublings - _log_odds(distance)))


@dataclass(frozen=True)
class ContentWeightState:
    """The content weight, and the distance from the content when it was last adjusted."""

    weight: float
    distance: float | None = None  # None: it has not been measured at this level


def adjust_weight(
    state: ContentWeightState, distance: float, target: float, step_decay: float, initial: float
) -> ContentWeightState:
    """Return the weight for the next sweeps.

    Args:
        state: The weight so far, and the distance when it was last adjusted.
        distance: Distance from the content after this sweep.
        target: Distance to reach.
        step_decay: Speed of the adjustment: 1 at full steps.
        initial: The weight that the render started with.
    """
    previous = distance if state.distance is None else state.distance
    extrapolated = _log_odds(distance) + LOOKAHEAD * (_log_odds(distance) - _log_odds(previous))
    target_log = log(initial) + RESPONSE * (extrapolated - _log_odds(target))
    change = GAIN * step_decay * (target_log - log(state.weight))
    weight = state.weight * exp(max(-MAX_CHANGE, min(MAX_CHANGE, change)))
    return ContentWeightState(max(MIN_FACTOR * initial, min(MAX_FACTOR * initial, weight)), distance)


def _log_odds(distance: float) -> float:
    """Return the log-odds of a distance, clamped to [LEAST, 1 - LEAST]."""
    clamped = max(DISTANCE_MARGIN, min(1 - DISTANCE_MARGIN, distance))
    return log(clamped / (1 - clamped))
