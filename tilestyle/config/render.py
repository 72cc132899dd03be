"""Settings: frozen dataclasses, and the only home of every default."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from tilestyle.config.byte_size import bytes_of
from tilestyle.config.enums import (
    Codec,
    Color,
    ContentLoss,
    FlowName,
    Init,
    InputScaling,
    NetworkName,
    Normalise,
    Optimiser,
    Pooling,
    Precision,
    Quality,
    Sampler,
    StyleLoss,
    Tileable,
    TvForm,
)
from tilestyle.config.validation import FILE, FILED, LARGEST, RULE, Rule, between, check, refused, ruled
from tilestyle.errors import SettingError


@dataclass(frozen=True, slots=True)
class Schedule:
    """Sweeps of the levels: `first` at the coarsest, each next `ratio` times as many, never under `least`."""

    first: int
    ratio: float
    least: int

    def sweeps(self, level: int) -> int:
        """Sweeps of the level with this index, 0 the coarsest."""
        return max(self.least, round(self.first * self.ratio**level))


SCHEDULES = {
    Quality.DRAFT: Schedule(first=80, ratio=0.75, least=12),
    Quality.NORMAL: Schedule(first=200, ratio=0.8, least=40),
    Quality.BEST: Schedule(first=300, ratio=0.9, least=120),
}


# Of the style's palette, times the style's weight: unless it is given, and unless the loss is another's, in
# absolute units or L-BFGS's, which is to be exact.
PALETTE_WEIGHT = 4.0
# Weight of autocorrelations in textures.
ARRANGEMENT = 0.5

POSITIVE = "a number above 0"
WEIGHT = "a number from 0 up, 1e15 at most"
COUNT = "a whole number, 1 or more"
AMOUNT = "bytes, or a number with MB, MiB, GB or GiB"


def _positive(value: float) -> bool:
    return 0 < value < inf


def _weight(value: float) -> bool:
    """Whether a gradient times this still has a square in float32."""
    return 0 <= value <= 1e15


def _all_weights(values: Collection[float]) -> bool:
    return all(map(_weight, values))


def _within(value: int | tuple[int, ...], least: int, most: int) -> bool:
    """Whether a number, or each of several, is in a range."""
    values = value if isinstance(value, tuple) else (value,)
    return bool(values) and all(least <= each <= most for each in values)


def _is_amount(value: float | str) -> bool:
    """Whether something is an amount of memory."""
    try:
        return bytes_of(value) > 0
    except SettingError:
        return False


LAYER_WEIGHTS = Rule(lambda layers: _all_weights(layers.values()), "a number from 0 up for each layer")


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Everything that decides a picture, besides the pictures it is made from.

    Weights are relative to the canvas and free of its size: the same numbers at any resolution.
    """

    # Long side, or (height, width); None: as the content.
    size: int | tuple[int, int] | None = ruled(
        None, "a long side, or a pair of height and width, in pixels", lambda size: _within(size, 1, LARGEST)
    )
    network: NetworkName = NetworkName.COMPACT
    weights: str | os.PathLike[str] | None = field(default=None, metadata=FILED)
    pooling: Pooling | None = None  # None: as the network was trained
    pooling_scale: float = ruled(1.0, POSITIVE, _positive)  # factor of what a VGG has halved
    input_scaling: InputScaling = InputScaling.TORCHVISION
    feature_scale: float = ruled(1.0, POSITIVE, _positive)  # factor of all features of a VGG
    device: str = "auto"
    precision: Precision = Precision.AUTO
    style_loss: StyleLoss = StyleLoss.W2
    # Of means and deviations beside the Gram matrix's, in gram-stats.
    statistics_weight: float = ruled(1.0, WEIGHT, _weight)
    normalise: Normalise = Normalise.RELATIVE
    style_weight: float = ruled(1.0, WEIGHT, _weight)
    palette_weight: float | None = ruled(None, WEIGHT, _weight)  # None: see PALETTE_WEIGHT
    # How much is left to the style, of everything: 0 is nearly the content, 1 barely shows it (strength.py).
    strength: float = ruled(0.5, "a number from 0 to 1", between(0, 1))
    content_weight: float | None = ruled(None, WEIGHT, _weight)  # in its place; None: it follows from strength
    content_loss: ContentLoss = ContentLoss.FEATURES
    tv_weight: float = ruled(0.0, WEIGHT, _weight)
    tv_form: TvForm = TvForm.NEIGHBOURS
    tv_exponent: float = ruled(2.0, "a number from 1 to 100", between(1, 100))  # of differences
    # Of autocorrelations, against the style's moments; None: ARRANGEMENT for textures by w2, else 0.
    arrangement_weight: float | None = ruled(None, WEIGHT, _weight)
    finish: bool = True  # whether the last sweeps of Adam take out coloured fringes
    # Empty: the network's own.
    style_layers: dict[str, float] = field(default_factory=dict, metadata={RULE: LAYER_WEIGHTS})
    content_layers: dict[str, float] = field(default_factory=dict, metadata={RULE: LAYER_WEIGHTS})
    style_scale: float = ruled(1.0, "a number above 0, 1e6 at most", lambda scale: 0 < scale <= 1e6)
    # Weights of several styles; empty: equal ones.
    style_blend: tuple[float, ...] = ruled(
        (),
        "a number from 0 up for each style, one above 0",
        lambda weights: not weights or (_all_weights(weights) and sum(weights) > 0),
    )
    # A picture of flat colours over the canvas, each a region.
    mask: Any = field(default=None, metadata=FILED)
    blend_map: Any = field(
        default=None, metadata=FILED
    )  # a grey picture over the canvas, from the first style to the last
    # How far patches are held to the style at their own place: 0 not, 1 to nothing else.
    locality: float = ruled(0.0, "a number from 0 to 1", between(0, 1))
    # Largest patch with locality, as a share of the picture's long side.
    locality_window: float = ruled(0.25, "a share above 0, 1 at most", lambda share: 0 < share <= 1)
    color: Color = Color.STYLE
    tileable: Tileable | None = None  # None: the picture ends at its edges
    enlarge_style: bool = False  # whether the style may be shown larger than its own pixels
    turn_style: bool = False  # whether it is seen turned by quarters, too: its strokes may run any way
    patch: int | None = ruled(None, COUNT, between(1, LARGEST))  # None: from the memory there is
    # Limit of the device's memory, of all memory on a CPU: bytes, or "2GiB".
    memory: int | float | str | None = ruled(None, AMOUNT, _is_amount)
    # Limit of what lies in RAM: canvas, optimiser, pictures.
    host_memory: int | float | str | None = ruled(None, AMOUNT, _is_amount)
    # Limit of a picture that is read; None: enums.MAX_INPUT_PIXELS.
    max_input_pixels: int | None = ruled(None, "pixels, 2 or more", between(2, 2**63 - 1))
    overlap: int = ruled(0, "pixels, 0 or more", between(0, LARGEST))
    keep_content: bool | None = None  # content features in memory; None: where that saves much and fits
    sampler: Sampler = Sampler.SWEEP
    # Of scales 1, 2, 4, ...
    scale_odds: tuple[float, ...] = ruled(
        (1.0,), "shares, the first above 0", lambda odds: bool(odds) and _all_weights(odds) and odds[0] > 0
    )
    # Of every level, or from the coarsest on; None: by quality.
    sweeps: int | tuple[int, ...] | None = ruled(None, COUNT, lambda count: _within(count, 1, LARGEST))
    quality: Quality = Quality.NORMAL
    init: Init | str | os.PathLike[str] | None = field(
        default=None, metadata=FILED
    )  # None: content where there is one, else noise
    # A picture that the result, averaged down to its size, is to agree with.
    anchor: object | None = field(default=None, metadata=FILED)
    trust: object | None = field(
        default=None, metadata=FILED
    )  # how far, for every pixel of the anchor: 0 to 1; None: wholly
    anchor_weight: float = ruled(10.0, WEIGHT, _weight)
    seed: int = ruled(0, "a number from 0 to 2^63 - 1", between(0, 2**63 - 1))
    deterministic: bool = False  # sums that are the same in whatever order, and by however many ranks
    optimiser: Optimiser = Optimiser.ADAM
    # Of Adam; how far L-BFGS goes at first.
    learning_rate: float = ruled(0.02, "a number above 0, 1e6 at most", lambda rate: 0 < rate <= 1e6)
    # How fast it falls from level to level: by this power of how much longer a level is than the coarsest.
    # None: by network, and whether there is a content (schedule.falloff).
    learning_rate_falloff: float | None = ruled(None, "a number from 0 to 4", between(0, 4))
    # Pairs of vectors that L-BFGS remembers; None: 10, or what there is memory for.
    history: int | None = ruled(None, COUNT, between(1, LARGEST))
    # Iterations of L-BFGS from one clamping of pixels to the next.
    round: int = ruled(20, COUNT, between(1, LARGEST))
    # Pixels rendered around the picture and cropped, at every level.
    margin: int = ruled(32, "pixels, 0 or more", between(0, LARGEST))
    coarsest: int = ruled(128, "pixels, 1 or more", between(1, LARGEST))  # long side of the first level
    # From one level to the next; below 1.01 there would be hundreds of levels.
    level_ratio: float = ruled(2**0.5, "a number from 1.01 to 1e6", between(1.01, 1e6))

    @property
    def repeats(self) -> tuple[bool, bool]:
        """Whether the picture repeats down, and across."""
        return (
            self.tileable in (Tileable.Y, Tileable.BOTH),
            self.tileable in (Tileable.X, Tileable.BOTH),
        )

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; all values become plain Python ones (validation.py)."""
        check(self)
        if self.trust is not None and self.anchor is None:
            raise refused("trust", self.trust, "an anchor, too")
        if self.arrangement_weight and self.locality:
            raise SettingError(
                "arrangement-weight is of the style as a whole, and locality of its places",
                hint="give one of the two",
            )
        self._require_exact()
        self._require_plain()

    def _require_exact(self) -> None:
        """Refuse what L-BFGS cannot take: it lives on exact gradients of one loss."""
        if self.optimiser is not Optimiser.LBFGS:
            if self.history is not None:
                raise SettingError("history is of L-BFGS", hint="give --optimiser lbfgs, too")
            return
        wrong = {
            "sampler": self.sampler is not Sampler.SWEEP,
            "scale_odds": len(self.scale_odds) > 1,
            "overlap": self.overlap > 0,
            "keep_content": self.keep_content is True,
            "precision": self.precision is Precision.BF16,
            "locality": self.locality > 0,
            "tileable": self.tileable is not None,
            "color": self.color is Color.LUMINANCE,
            "anchor": self.anchor is not None,  # whose gradient is smoothed
            "palette_weight": bool(self.palette_weight),  # in bins
        }
        for name in [name for name, found in wrong.items() if found]:
            shown = f"--{name.replace('_', '-')}"
            raise SettingError(
                f"L-BFGS needs exact gradients, which {shown} rules out", hint=f"leave {shown} out"
            )

    def _require_plain(self) -> None:
        """Refuse what is said of trained networks, of one that is not."""
        if self.network is not NetworkName.WAVELET:
            return
        for name in ("pooling", "pooling_scale", "input_scaling", "feature_scale"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                shown = name.replace("_", "-")
                raise SettingError(
                    f"network wavelet has no {shown}", hint="leave it out, or choose another network"
                )


LEAST_STEP = 1e-4  # between frames of a film: a fraction of one of 256 levels


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    """How frames become a film."""

    fps: float = ruled(25.0, "a number from 1 to 240", between(1, 240))
    codec: Codec | None = None  # None: by the film's ending
    # Mean absolute change from frame to frame of a film of the optimisation, of 1.
    # Far smaller ones would make a film without end.
    step: float = ruled(
        0.004, f"a number from {LEAST_STEP} to 1, such as 0.01", between(LEAST_STEP, 1), "film-step"
    )
    hold: float = ruled(1.5, "seconds, 0 to 3600", between(0, 3600))  # that the last picture stays

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check(self)


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How frames of a video after the first are rendered."""

    sweeps: int = ruled(12, COUNT, between(1, LARGEST))
    learning_rate: float = ruled(0.02, "a number above 0, 1e6 at most", lambda rate: 0 < rate <= 1e6)
    anchor_weight: float = ruled(100.0, WEIGHT, _weight)
    flow: FlowName = FlowName.DIS

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check(self)

    @property
    def about(self) -> dict[str, Any]:
        """What decides the frames, as JSON."""
        return {
            "sweeps after": self.sweeps,
            "rate after": self.learning_rate,
            "anchor weight": self.anchor_weight,
            "flow": self.flow,
        }


# Settings that may be the name of a file. What is in the file is part of what a render is of (api.identity).
FILES = frozenset(each.name for each in fields(RenderConfig) if FILE in each.metadata)


# What a drift and a zoom are rendered with: see drift.py and zoom.py; their levels follow from their size.
DRIFT = RenderConfig(
    size=512,
    sweeps=10,
    learning_rate=0.05,
    learning_rate_falloff=0.0,
    content_weight=0.1,
    palette_weight=0.0,
    level_ratio=2,
)
# Larger steps set off a swing from sweep to sweep, which so few of them do not calm: noise that stays.
ZOOM = RenderConfig(
    size=512, sweeps=8, learning_rate=0.01, learning_rate_falloff=0.0, palette_weight=0.0, arrangement_weight=0
)
# Super-resolution: content and colours are held by its anchor, the style by its own scale.
UPSCALE = RenderConfig(
    sweeps=60,
    learning_rate_falloff=0.0,
    content_weight=0.05,
    palette_weight=0.0,
    anchor_weight=30.0,
    turn_style=True,
)
