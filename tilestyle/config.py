"""Settings: frozen dataclasses, and the only home of every default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

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


class Sampler(StrEnum):
    """How patches cover the canvas: a random grid, or independent random windows."""

    SWEEP = "sweep"
    WINDOWS = "windows"


class Quality(StrEnum):
    """How many sweeps."""

    DRAFT = "draft"
    NORMAL = "normal"
    BEST = "best"


class Init(StrEnum):
    """What the coarsest canvas starts from, unless it is a picture file."""

    CONTENT = "content"
    NOISE = "noise"
    STYLE = "style"


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
    device: str = "auto"
    precision: Precision = Precision.AUTO
    style_loss: StyleLoss = StyleLoss.W2
    style_weight: float = 1.0
    content_weight: float | None = None  # None: the network's own
    tv_weight: float = 0.0
    style_layers: dict[str, float] = field(default_factory=dict)  # empty: the network's own
    content_layers: dict[str, float] = field(default_factory=dict)
    style_scale: float = 1.0
    color: Color = Color.STYLE
    tileable: Tileable | None = None  # None: the picture ends at its edges
    enlarge_style: bool = False  # whether the style may be shown larger than its own pixels
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
    seed: int = 0
    learning_rate: float = 0.02
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
        for name in ("style_weight", "content_weight", "tv_weight"):
            value = getattr(self, name)
            _require(self, name, value is None or 0 <= value < inf, "a number from 0 up")
        for name in ("style_scale", "learning_rate"):
            _require(self, name, 0 < getattr(self, name) < inf, "a number above 0")
        for name in ("overlap", "margin"):
            _require(self, name, getattr(self, name) >= 0, "pixels, 0 or more")
        _require(self, "coarsest", self.coarsest >= 1, "pixels, 1 or more")
        _require(self, "patch", self.patch is None or self.patch >= 1, "1 or more")
        counts = self.sweeps if isinstance(self.sweeps, tuple) else (self.sweeps or 1,)
        _require(self, "sweeps", self.sweeps != 0 and bool(counts) and min(counts) >= 1, "1 or more")
        for amount in (self.memory, self.host_memory):
            if amount is not None:
                bytes_of(amount)
        _require(self, "seed", 0 <= self.seed < 2**63, "a number from 0 to 2^63 - 1")
        _require(self, "level_ratio", self.level_ratio > 1, "more than 1")
        odds = self.scale_odds
        _require(self, "scale_odds", bool(odds) and min(odds) >= 0 < odds[0], "shares, the first above 0")


CHOICES: dict[str, type[StrEnum]] = {
    "network": NetworkName,
    "pooling": Pooling,
    "precision": Precision,
    "style_loss": StyleLoss,
    "sampler": Sampler,
    "quality": Quality,
    "color": Color,
    "tileable": Tileable,
}
UNSET = ("tileable",)  # choices that need not be made


def _require(config: RenderConfig, name: str, good: bool, wanted: str) -> None:
    """Refuse a setting that is not `good`, saying what is wanted."""
    if not good:
        shown = name.replace("_", "-")
        raise SettingError(f"{shown} cannot be {getattr(config, name)}", hint=f"give {wanted}")
