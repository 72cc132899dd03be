"""Settings: frozen dataclasses, and the only home of every default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any

from tilestyle.choices import Codec
from tilestyle.errors import SettingError
from tilestyle.memory_size import bytes_of


class NetworkName(StrEnum):
    """Feature networks."""

    WAVELET = "wavelet"
    VGG16 = "vgg16"
    VGG19 = "vgg19"


class Pooling(StrEnum):
    """How a VGG halves its features."""

    MAX = "max"
    AVERAGE = "average"


class Precision(StrEnum):
    """Arithmetic of the network; canvas, moments and optimiser are float32 always."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class StyleLoss(StrEnum):
    """Distance between the moments of canvas and style."""

    W2 = "w2"
    GRAM = "gram"
    STATISTICS = "gram-stats"  # Gram, with means and deviations


class Normalise(StrEnum):
    """What distances are measured in: shares of what there is of the thing, or the network's own units."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


class TvForm(StrEnum):
    """Differences that total variation sums: to two neighbours, both together, or to diagonal ones as well."""

    NEIGHBOURS = "neighbours"
    GRADIENT = "gradient"
    NINE_POINT = "nine-point"


class InputScaling(StrEnum):
    """Pixels that the weights of a VGG were trained on."""

    TORCHVISION = "torchvision"  # RGB in [0, 1], less ImageNet's mean, over its deviation
    CAFFE = "caffe"  # BGR in [0, 255], less ImageNet's mean


class Optimiser(StrEnum):
    """What turns gradients into steps."""

    ADAM = "adam"
    LBFGS = "lbfgs"


class Sampler(StrEnum):
    """How patches cover the canvas: a random grid, or independent random windows."""

    SWEEP = "sweep"
    WINDOWS = "windows"


class Quality(StrEnum):
    """How many sweeps."""

    DRAFT = "draft"
    NORMAL = "normal"
    BEST = "best"


class FlowName(StrEnum):
    """Ways to find optical flow."""

    DIS = "dis"
    RAFT = "raft"


class Init(StrEnum):
    """What the coarsest canvas starts from, unless it is a picture file."""

    CONTENT = "content"
    NOISE = "noise"  # pixels of the style, shuffled
    STYLE = "style"
    UNIFORM = "uniform"  # noise of all colours
    GREY = "grey"  # flat, with noise that cannot be seen


class Color(StrEnum):
    """Whose colours the picture has: the style's, the content's by palette, or the content's at every pixel."""

    STYLE = "style"
    CONTENT = "content"
    LUMINANCE = "luminance"


class Tileable(StrEnum):
    """Axes along which a picture repeats without a seam."""

    X = "x"
    Y = "y"
    BOTH = "both"


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


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Everything that decides a picture, besides the pictures it is made from.

    Weights are relative to the canvas and free of its size: the same numbers at any resolution.
    """

    size: int | tuple[int, int] | None = None  # long side, or (height, width); None: as the content
    network: NetworkName = NetworkName.WAVELET
    weights: str | os.PathLike[str] | None = None
    pooling: Pooling = Pooling.MAX
    pooling_scale: float = 1.0  # factor of what a VGG has halved
    input_scaling: InputScaling = InputScaling.TORCHVISION
    feature_scale: float = 1.0  # factor of all features of a VGG
    device: str = "auto"
    precision: Precision = Precision.AUTO
    style_loss: StyleLoss = StyleLoss.W2
    statistics_weight: float = 1.0  # of means and deviations beside the Gram matrix's, in gram-stats
    normalise: Normalise = Normalise.RELATIVE
    style_weight: float = 1.0
    content_weight: float | None = None  # None: the network's own
    tv_weight: float = 0.0
    tv_form: TvForm = TvForm.NEIGHBOURS
    tv_exponent: float = 2.0  # of differences
    style_layers: dict[str, float] = field(default_factory=dict)  # empty: the network's own
    content_layers: dict[str, float] = field(default_factory=dict)
    style_scale: float = 1.0
    style_blend: tuple[float, ...] = ()  # weights of several styles; empty: equal ones
    mask: Any = None  # a picture of flat colours over the canvas, each a region
    blend_map: Any = None  # a grey picture over the canvas, from the first style to the last
    locality: float = 0.0  # how far patches are held to the style at their own place: 0 not, 1 to nothing else
    locality_window: float = 0.25  # largest patch with locality, as a share of the picture's long side
    color: Color = Color.STYLE
    tileable: Tileable | None = None  # None: the picture ends at its edges
    enlarge_style: bool = False  # whether the style may be shown larger than its own pixels
    turn_style: bool = False  # whether it is seen turned by quarters, too: its strokes may run any way
    patch: int | None = None  # None: from the memory there is
    memory: int | str | None = None  # limit of the device's memory, of all memory on a CPU: bytes, or "2GiB"
    host_memory: int | str | None = None  # limit of what lies in RAM: canvas, optimiser, pictures
    overlap: int = 0
    keep_content: bool | None = None  # content features in memory; None: where that saves much and fits
    sampler: Sampler = Sampler.SWEEP
    scale_odds: tuple[float, ...] = (1.0,)  # of scales 1, 2, 4, ...
    sweeps: int | tuple[int, ...] | None = None  # of every level, or from the coarsest on; None: by quality
    quality: Quality = Quality.NORMAL
    init: Init | str | os.PathLike[str] | None = None  # None: content where there is one, else noise
    anchor: object | None = None  # a picture that the result, averaged down to its size, is to agree with
    trust: object | None = None  # how far, for every pixel of the anchor: 0 to 1; None: wholly
    anchor_weight: float = 10.0
    seed: int = 0
    deterministic: bool = False  # sums that are the same in whatever order, and by however many ranks
    optimiser: Optimiser = Optimiser.ADAM
    learning_rate: float = 0.02  # of Adam; how far L-BFGS goes at first
    history: int | None = None  # pairs of vectors that L-BFGS remembers; None: 10, or what there is memory for
    round: int = 20  # iterations of L-BFGS from one clamping of pixels to the next
    margin: int = 32  # pixels rendered around the picture and cropped, at every level
    coarsest: int = 128  # long side of the first level, pixels
    level_ratio: float = 2**0.5

    @property
    def repeats(self) -> tuple[bool, bool]:
        """Whether the picture repeats down, and across."""
        return (
            self.tileable in (Tileable.Y, Tileable.BOTH),
            self.tileable in (Tileable.X, Tileable.BOTH),
        )

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; names of choices become choices."""
        for name, choice in CHOICES.items():
            value = getattr(self, name)
            if value is None and name in UNSET:
                continue
            _require(self, name, value in list(choice), "one of " + ", ".join(choice))
            object.__setattr__(self, name, choice(value))
        object.__setattr__(self, "init", _choice_or_file(self.init))
        for name in ("style_weight", "content_weight", "tv_weight", "statistics_weight", "anchor_weight"):
            value = getattr(self, name)
            _require(self, name, value is None or 0 <= value < inf, "a number from 0 up")
        for name in ("style_scale", "learning_rate", "pooling_scale", "feature_scale"):
            _require(self, name, 0 < getattr(self, name) < inf, "a number above 0")
        _require(self, "tv_exponent", 1 <= self.tv_exponent < inf, "a number from 1 up")
        for name in ("overlap", "margin"):
            _require(self, name, getattr(self, name) >= 0, "pixels, 0 or more")
        blend = self.style_blend
        good = not blend or (min(blend) >= 0 < sum(blend) < inf)
        _require(self, "style_blend", good, "a number from 0 up for each style, one above 0")
        _require(self, "locality", 0 <= self.locality <= 1, "a number from 0 to 1")
        _require(self, "locality_window", 0 < self.locality_window <= 1, "a share above 0, 1 at most")
        _require(self, "coarsest", self.coarsest >= 1, "pixels, 1 or more")
        _require(self, "patch", self.patch is None or self.patch >= 1, "1 or more")
        counts = self.sweeps if isinstance(self.sweeps, tuple) else (self.sweeps or 1,)
        _require(self, "sweeps", self.sweeps != 0 and bool(counts) and min(counts) >= 1, "1 or more")
        for name, amount in (("memory", self.memory), ("host-memory", self.host_memory)):
            if amount is not None:
                bytes_of(amount, name)
        _require(self, "trust", self.trust is None or self.anchor is not None, "an anchor, too")
        _require(self, "seed", 0 <= self.seed < 2**63, "a number from 0 to 2^63 - 1")
        _require(self, "level_ratio", self.level_ratio > 1, "more than 1")
        _require(self, "round", self.round >= 1, "1 or more")
        _require(self, "history", self.history is None or self.history >= 1, "1 or more")
        odds = self.scale_odds
        good = bool(odds) and min(odds) >= 0 < odds[0] and sum(odds) < inf
        _require(self, "scale_odds", good, "shares, the first above 0")
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
        for name in ("pooling_scale", "input_scaling", "feature_scale"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                shown = name.replace("_", "-")
                raise SettingError(
                    f"network wavelet has no {shown}", hint="leave it out, or choose vgg16 or vgg19"
                )


LEAST_STEP = 1e-4  # between frames of a film: a fraction of one of 256 levels


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    """How frames become a film."""

    fps: float = 25.0
    codec: Codec | None = None  # None: by the film's ending
    step: float = 0.004  # mean absolute change from frame to frame of a film of the optimisation, of 1
    hold: float = 1.5  # seconds that the last picture stays

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 1 <= self.fps <= 240:
            raise SettingError(f"fps cannot be {self.fps}", hint="give a number from 1 to 240")
        if not LEAST_STEP <= self.step <= 1:  # far smaller ones would make a film without end
            raise SettingError(
                f"film-step cannot be {self.step}", hint=f"give a number from {LEAST_STEP} to 1, such as 0.01"
            )


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How frames of a video after the first are rendered."""

    sweeps: int = 12
    learning_rate: float = 0.02
    anchor_weight: float = 100.0
    flow: FlowName = FlowName.DIS

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.sweeps < 1:
            raise SettingError(f"{self.sweeps} sweeps a frame", hint="give 1 or more")
        if not 0 <= self.anchor_weight < inf:
            raise SettingError(f"anchor-weight {self.anchor_weight}", hint="give a number from 0 up")

    @property
    def about(self) -> dict[str, Any]:
        """What decides the frames, as JSON."""
        return {
            "sweeps after": self.sweeps,
            "rate after": self.learning_rate,
            "anchor weight": self.anchor_weight,
            "flow": self.flow,
        }


CHOICES: dict[str, type[StrEnum]] = {
    "network": NetworkName,
    "pooling": Pooling,
    "precision": Precision,
    "input_scaling": InputScaling,
    "style_loss": StyleLoss,
    "normalise": Normalise,
    "tv_form": TvForm,
    "optimiser": Optimiser,
    "sampler": Sampler,
    "quality": Quality,
    "color": Color,
    "tileable": Tileable,
}
UNSET = ("tileable",)  # choices that need not be made


def _choice_or_file(init: Init | str | os.PathLike[str] | None) -> Init | str | os.PathLike[str] | None:
    """A way to begin by its name; anything else is a picture."""
    return Init(init) if isinstance(init, str) and init in list(Init) else init


def _require(config: RenderConfig, name: str, good: bool, wanted: str) -> None:
    """Refuse a setting that is not `good`, saying what is wanted."""
    if not good:
        shown = name.replace("_", "-")
        raise SettingError(f"{shown} cannot be {getattr(config, name)}", hint=f"give {wanted}")


# What a drift and a zoom are rendered with: see drift.py and zoom.py; their levels follow from their size.
DRIFT = RenderConfig(size=512, sweeps=10, learning_rate=0.05, content_weight=0.3, level_ratio=2)
# Larger steps set off a swing from sweep to sweep, which so few of them do not calm: noise that stays.
ZOOM = RenderConfig(size=512, sweeps=8, learning_rate=0.01)
# Super-resolution: content is held by its anchor, the style by its own scale.
UPSCALE = RenderConfig(sweeps=60, content_weight=0.05, anchor_weight=30.0, turn_style=True)
