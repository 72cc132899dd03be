"""Settings of renders, films and videos: frozen dataclasses that hold every default value."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, fields
from math import inf
from typing import TYPE_CHECKING, Any, Unpack

from tilestyle.config.byte_size import parse_bytes
from tilestyle.config.enums import (
    Codec,
    Color,
    ContentLoss,
    FlowName,
    Init,
    InputScaling,
    NetworkName,
    Normalize,
    Optimizer,
    Pooling,
    Precision,
    Quality,
    Sampler,
    StyleLoss,
    Tileable,
    TvForm,
)
from tilestyle.config.size import parse_size
from tilestyle.config.validation import (
    FILE_KEY,
    FILE_METADATA,
    MAX_INT32,
    RULE_KEY,
    ValueRule,
    between,
    check_fields,
    ranged_field,
    setting_error,
)
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.config.settings import Settings, VideoSettings


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many sweeps each level of the pyramid gets.

    Attributes:
        coarsest_sweeps: Sweeps of the coarsest level.
        ratio: Sweeps of a level as a multiple of those of the level before it.
        min_sweeps: Lower limit for every level.
    """

    coarsest_sweeps: int
    ratio: float
    min_sweeps: int

    def sweeps(self, level: int) -> int:
        """Return the number of sweeps of a level; level 0 is the coarsest."""
        return max(self.min_sweeps, round(self.coarsest_sweeps * self.ratio**level))


SCHEDULES = {
    Quality.DRAFT: Schedule(coarsest_sweeps=80, ratio=0.75, min_sweeps=12),
    Quality.NORMAL: Schedule(coarsest_sweeps=200, ratio=0.8, min_sweeps=40),
    Quality.BEST: Schedule(coarsest_sweeps=300, ratio=0.9, min_sweeps=120),
}
# For paper, unless sweeps or quality are set: that of NORMAL, but falling on where that stays at 40 sweeps.
# Those levels take nearly all the time, and only add detail to what coarser levels have found.
PRINT_SCHEDULE = Schedule(coarsest_sweeps=200, ratio=0.8, min_sweeps=8)


# Default weight of the palette term, as a multiple of the style weight. The default is 0 with style losses
# other than w2, with absolute units, and with L-BFGS, which needs exact gradients.
PALETTE_WEIGHT = 4.0
# Default weight of the autocorrelation term in textures.
ARRANGEMENT_WEIGHT = 0.5

POSITIVE_HINT = "a number above 0"
WEIGHT_HINT = "a number from 0 up, 1e15 at most"
COUNT_HINT = f"a whole number from 1 to {MAX_INT32}"
BYTES_HINT = "bytes, or a number with MB, MiB, GB or GiB"


def _is_positive(value: float) -> bool:
    return 0 < value < inf


def _is_weight(value: float) -> bool:
    """Whether a gradient times this weight can still be squared in float32."""
    return 0 <= value <= 1e15


def _are_weights(values: Collection[float]) -> bool:
    return all(map(_is_weight, values))


def _are_within(value: int | tuple[int, ...], low: int, high: int) -> bool:
    """Whether a number, or every number of a tuple, is from `low` to `high`; False for an empty tuple."""
    values = value if isinstance(value, tuple) else (value,)
    return bool(values) and all(low <= number <= high for number in values)


def _is_byte_size(value: float | str) -> bool:
    """Whether a value is a size in bytes above 0, such as 1500000 or "2GiB"."""
    try:
        return parse_bytes(value) > 0
    except SettingError:
        return False


LAYER_WEIGHTS_RULE = ValueRule(
    lambda layers: _are_weights(layers.values()), "a number from 0 up for each layer"
)


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """All settings of a render except its input pictures.

    Weights are relative to the loss per canvas pixel, so the same numbers work at every size. Options of the
    command line have the same names, with hyphens.

    Attributes:
        size: Size of the finished picture in pixels: the long side, or (width, height), or text of
            either, such as "3000x2000". None: the size of the content, or 512 x 512 without one.
        network: Feature network that the losses compare pictures with.
        weights: File with the weights of the network, .safetensors or .pth. None: the included weights, or for
            VGG the standard ones, downloaded once.
        pooling: How a VGG halves its features. None: as it was trained.
        pooling_scale: Factor applied to the output of every pooling layer of a VGG.
        input_scaling: Range and order of the input channels that the weights of a VGG were trained with.
        feature_scale: Factor applied to all features of a VGG.
        device: Where to compute: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: Arithmetic of the network. "auto" is bfloat16 where the device has instructions for it, else
            float32.
        style_loss: Distance between the feature statistics of canvas and style.
        statistics_weight: Weight of means and standard deviations in `style_loss` "gram-stats", relative to the
            Gram matrix.
        normalize: Units of the losses: "relative" divides by the energy of the target, "absolute" does not.
        style_weight: Weight of the style term.
        palette_weight: Weight of the palette term, which holds the picture to the colors of the style. None:
            PALETTE_WEIGHT times `style_weight`, or 0 where that constant says so.
        strength: How far the picture may move away from the content, from 0 (nearly the content) to 1 (the
            content barely shows). The content weight is adjusted to reach it (planning/strength.py).
        content_weight: Fixed weight of the content term; replaces `strength`. None: follow `strength`.
        content_loss: What is preserved of the content: its features, or which of its places look alike.
        content_map: Grayscale picture, stretched over the canvas: how much of the content weight acts there.
            White is all of it, black none. None: all of it everywhere. Transparent areas of this and of
            `mask` and `blend_map` count as black.
        keep_faces: Whether to find the faces in the content, and to keep them recognizable by a larger content
            weight there. Needs the extra `faces`.
        tv_weight: Weight of total variation, which smooths the picture.
        tv_form: Which neighbors total variation compares a pixel with.
        tv_exponent: Exponent of the differences in total variation.
        arrangement_weight: Weight of the autocorrelation term, which preserves regular patterns such as rows of
            bricks. None: ARRANGEMENT_WEIGHT for textures with `style_loss` "w2", else 0.
        finish: Whether the last Adam sweeps remove colored fringes and specks of single pixels.
        style_layers: Layers of the style term with their weights. Empty: the defaults of the network.
        content_layers: Layers of the content term with their weights. Empty: the defaults of the network.
        style_scale: Size of the style's features: 1 shows the style as large as the picture (for a texture, at
            its own size), 0.5 half as large.
        style_blend: Weights of several styles. Empty: equal weights.
        mask: Picture of flat colors, stretched over the canvas. Each color is a region with its own style.
        blend_map: Grayscale picture, stretched over the canvas: black is the first style, white the last.
        locality: How strongly each patch follows the part of the style at the same position: 0 compares with
            the whole style only, 1 with that part only.
        locality_window: Largest patch side with `locality`, as a share of the picture's long side.
        color: Whether the colors come from the style or from the content.
        tileable: Axes along which the picture repeats without a seam. None: neither.
        enlarge_style: Whether the style may be enlarged beyond its own pixels.
        turn_style: Whether the style is also used rotated by 90, 180 and 270 degrees, so that strokes can run
            in any direction.
        patch: Largest patch side in pixels. None: the largest that fits into memory.
        memory: Limit of device memory (on a CPU, of process memory without the loaded libraries), in bytes or
            as text such as "2GiB". None: half of the free memory.
        host_memory: Limit of RAM for canvas, optimizer state and pictures, in bytes or as text. None: no limit.
        max_input_pixels: Number of pixels of the largest input picture that is read. None: MAX_INPUT_PIXELS
            in config/enums.py.
        overlap: How far a patch reads beyond the area that it updates, in pixels.
        keep_content: Whether content features stay in memory instead of being recomputed for every patch.
            None: where that saves much time and fits into memory.
        sampler: How patches cover the canvas: a random grid, or independent random windows.
        scale_odds: Shares of the sweeps (or windows) at scales 1, 2, 4, ...; at scale s a patch sees canvas
            pixels averaged over s x s.
        sweeps: Sweeps of every level, or a tuple of sweeps per level from the coarsest on. None: by `quality`.
        quality: Preset of the number of sweeps. None: NORMAL, or for a picture on paper PRINT_SCHEDULE.
        init: What the coarsest level starts from: a choice of Init, or a picture file. None: the content, or
            noise without one.
        anchor: Picture that the result must match when it is downsampled to the size of that picture. None: no
            anchor.
        trust: How strongly the anchor holds at each of its pixels: a picture with values from 0 to 1. None: 1
            everywhere.
        anchor_weight: Weight of the anchor term.
        seed: Seed of all random choices.
        deterministic: Whether to compute sums that do not depend on the order of additions or on the number of
            processes; on GPUs, whether to use deterministic kernels.
        optimizer: Method that turns gradients into updates of the canvas.
        learning_rate: Learning rate of Adam at the coarsest level; for L-BFGS, its initial step size.
        learning_rate_falloff: How fast the learning rate decreases with the size of a level: it is proportional
            to (coarsest size / size of the level) to this power, within limits. None: depends on the network
            and on whether there is a content.
        history: Number of vector pairs that L-BFGS keeps. None: 10, or as many as fit into memory.
        round: Iterations of L-BFGS between two clampings of the pixels to [0, 1].
        margin: Width in pixels of the border that is rendered around the picture at every level and cropped at
            the end.
        coarsest: Long side of the coarsest level in pixels.
        level_ratio: Size of a level as a multiple of the one before it, approximately.
    """

    size: int | tuple[int, int] | None = ranged_field(
        None,
        "a long side, or a pair of width and height, in pixels",
        lambda size: _are_within(size, 1, MAX_INT32),
    )
    network: NetworkName = NetworkName.COMPACT
    weights: str | os.PathLike[str] | None = field(default=None, metadata=FILE_METADATA)
    pooling: Pooling | None = None
    pooling_scale: float = ranged_field(1.0, POSITIVE_HINT, _is_positive)
    input_scaling: InputScaling = InputScaling.TORCHVISION
    feature_scale: float = ranged_field(1.0, POSITIVE_HINT, _is_positive)
    device: str = "auto"
    precision: Precision = Precision.AUTO
    style_loss: StyleLoss = StyleLoss.W2
    statistics_weight: float = ranged_field(1.0, WEIGHT_HINT, _is_weight)
    normalize: Normalize = Normalize.RELATIVE
    style_weight: float = ranged_field(1.0, WEIGHT_HINT, _is_weight)
    palette_weight: float | None = ranged_field(None, WEIGHT_HINT, _is_weight)
    strength: float = ranged_field(0.5, "a number from 0 to 1", between(0, 1))
    content_weight: float | None = ranged_field(None, WEIGHT_HINT, _is_weight)
    content_loss: ContentLoss = ContentLoss.FEATURES
    content_map: Any = field(default=None, metadata=FILE_METADATA)
    keep_faces: bool = False
    tv_weight: float = ranged_field(0.0, WEIGHT_HINT, _is_weight)
    tv_form: TvForm = TvForm.NEIGHBORS
    tv_exponent: float = ranged_field(2.0, "a number from 1 to 100", between(1, 100))
    arrangement_weight: float | None = ranged_field(None, WEIGHT_HINT, _is_weight)
    finish: bool = True
    style_layers: dict[str, float] = field(default_factory=dict, metadata={RULE_KEY: LAYER_WEIGHTS_RULE})
    content_layers: dict[str, float] = field(default_factory=dict, metadata={RULE_KEY: LAYER_WEIGHTS_RULE})
    style_scale: float = ranged_field(1.0, "a number above 0, 1e6 at most", lambda scale: 0 < scale <= 1e6)
    style_blend: tuple[float, ...] = ranged_field(
        (),
        "a number from 0 up for each style, at least one above 0",
        lambda weights: not weights or (_are_weights(weights) and sum(weights) > 0),
    )
    mask: Any = field(default=None, metadata=FILE_METADATA)
    blend_map: Any = field(default=None, metadata=FILE_METADATA)
    locality: float = ranged_field(0.0, "a number from 0 to 1", between(0, 1))
    locality_window: float = ranged_field(0.25, "a share above 0, 1 at most", lambda share: 0 < share <= 1)
    color: Color = Color.STYLE
    tileable: Tileable | None = None
    enlarge_style: bool = False
    turn_style: bool = False
    patch: int | None = ranged_field(None, COUNT_HINT, between(1, MAX_INT32))
    memory: int | float | str | None = ranged_field(None, BYTES_HINT, _is_byte_size)
    host_memory: int | float | str | None = ranged_field(None, BYTES_HINT, _is_byte_size)
    max_input_pixels: int | None = ranged_field(None, "pixels, 2 or more", between(2, 2**63 - 1))
    overlap: int = ranged_field(0, "pixels, 0 or more", between(0, MAX_INT32))
    keep_content: bool | None = None
    sampler: Sampler = Sampler.SWEEP
    scale_odds: tuple[float, ...] = ranged_field(
        (1.0,), "shares, the first above 0", lambda odds: bool(odds) and _are_weights(odds) and odds[0] > 0
    )
    sweeps: int | tuple[int, ...] | None = ranged_field(
        None, COUNT_HINT, lambda count: _are_within(count, 1, MAX_INT32)
    )
    quality: Quality | None = None
    init: Init | str | os.PathLike[str] | None = field(default=None, metadata=FILE_METADATA)
    anchor: object | None = field(default=None, metadata=FILE_METADATA)
    trust: object | None = field(default=None, metadata=FILE_METADATA)
    anchor_weight: float = ranged_field(10.0, WEIGHT_HINT, _is_weight)
    seed: int = ranged_field(0, "a number from 0 to 2^63 - 1", between(0, 2**63 - 1))
    deterministic: bool = False
    optimizer: Optimizer = Optimizer.ADAM
    learning_rate: float = ranged_field(0.02, "a number above 0, 1e6 at most", lambda rate: 0 < rate <= 1e6)
    learning_rate_falloff: float | None = ranged_field(None, "a number from 0 to 4", between(0, 4))
    history: int | None = ranged_field(None, COUNT_HINT, between(1, MAX_INT32))
    round: int = ranged_field(20, COUNT_HINT, between(1, MAX_INT32))
    margin: int = ranged_field(32, "pixels, 0 or more", between(0, MAX_INT32))
    coarsest: int = ranged_field(128, "pixels, 1 or more", between(1, MAX_INT32))
    # Below 1.01 there would be hundreds of levels.
    level_ratio: float = ranged_field(2**0.5, "a number from 1.01 to 1e6", between(1.01, 1e6))

    if TYPE_CHECKING:  # the fields say what is stored; more is accepted, such as text of enums

        def __init__(self, **settings: Unpack[Settings]) -> None: ...

    @property
    def repeats(self) -> tuple[bool, bool]:
        """Whether the picture repeats along y and along x."""
        return (
            self.tileable in (Tileable.Y, Tileable.BOTH),
            self.tileable in (Tileable.X, Tileable.BOTH),
        )

    def __post_init__(self) -> None:
        """Validate the fields and convert them to plain Python values and enums.

        Raises:
            SettingError: A value has the wrong type or is out of range, or settings exclude each other.
        """
        if isinstance(self.size, str):
            with suppress(SettingError):  # that of check_fields says what this setting can be
                object.__setattr__(self, "size", parse_size(self.size))
        check_fields(self)
        if self.trust is not None and self.anchor is None:
            raise setting_error("trust", self.trust, "an anchor as well")
        if self.arrangement_weight and self.locality:
            raise SettingError(
                "arrangement-weight and locality cannot be combined", hint="leave one of them out"
            )
        self._check_lbfgs()
        self._check_no_vgg_settings()

    def _check_lbfgs(self) -> None:
        """Raise SettingError for settings that L-BFGS does not support: it needs exact gradients."""
        if self.optimizer is not Optimizer.LBFGS:
            if self.history is not None:
                raise SettingError("history is a setting of L-BFGS", hint="add --optimizer lbfgs")
            return
        conflicts = {
            "sampler": self.sampler is not Sampler.SWEEP,
            "scale_odds": len(self.scale_odds) > 1,
            "overlap": self.overlap > 0,
            "keep_content": self.keep_content is True,
            "precision": self.precision is Precision.BF16,
            "locality": self.locality > 0,
            "tileable": self.tileable is not None,
            "color": self.color is Color.LUMINANCE,
            "anchor": self.anchor is not None,  # its gradient is smoothed
            "palette_weight": bool(self.palette_weight),  # its gradient is binned
        }
        for name, is_set in conflicts.items():
            if is_set:
                option = f"--{name.replace('_', '-')}"
                raise SettingError(
                    f"L-BFGS needs exact gradients and does not support {option}", hint=f"leave {option} out"
                )

    def _check_no_vgg_settings(self) -> None:
        """Raise SettingError for settings of VGG with the wavelet network."""
        if self.network is not NetworkName.WAVELET:
            return
        for name in ("pooling", "pooling_scale", "input_scaling", "feature_scale"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                option = name.replace("_", "-")
                raise SettingError(
                    f"the wavelet network has no {option} setting",
                    hint="leave it out, or choose another network",
                )


MIN_FILM_STEP = 1e-4  # smallest change between frames of a film: a fraction of one of 256 levels


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    """How frames become a film.

    Attributes:
        fps: Frames per second.
        codec: Video codec. None: by the file name extension of the film.
        step: In a film of the optimization, the mean absolute change of pixel values (0 to 1) from one frame to
            the next. Smaller steps make a longer film.
        hold: Seconds for which the last picture is shown.
    """

    fps: float = ranged_field(25.0, "a number from 1 to 240", between(1, 240))
    codec: Codec | None = None
    step: float = ranged_field(
        0.004, f"a number from {MIN_FILM_STEP} to 1, such as 0.01", between(MIN_FILM_STEP, 1), "film-step"
    )
    hold: float = ranged_field(1.5, "seconds, 0 to 3600", between(0, 3600))

    def __post_init__(self) -> None:
        """Validate the fields; raises SettingError."""
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How the frames of a video after the first one are rendered.

    Attributes:
        sweeps: Sweeps per frame, at full size.
        learning_rate: Learning rate of Adam.
        anchor_weight: Weight of the term that holds a frame to the previous one, moved by the optical flow.
        flow: Method that estimates the optical flow.
    """

    sweeps: int = ranged_field(12, COUNT_HINT, between(1, MAX_INT32))
    learning_rate: float = ranged_field(0.02, "a number above 0, 1e6 at most", lambda rate: 0 < rate <= 1e6)
    anchor_weight: float = ranged_field(100.0, WEIGHT_HINT, _is_weight)
    flow: FlowName = FlowName.DIS

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[VideoSettings]) -> None: ...

    def __post_init__(self) -> None:
        """Validate the fields; raises SettingError."""
        check_fields(self)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All settings of this class as JSON values: two videos with equal ones have equal frames."""
        return {
            "sweeps after": self.sweeps,
            "rate after": self.learning_rate,
            "anchor weight": self.anchor_weight,
            "flow": self.flow,
        }


# Settings that may be a file name. The content of the file is part of the render's identity
# (pipeline/fingerprint.py).
FILE_FIELDS = frozenset(item.name for item in fields(RenderConfig) if FILE_KEY in item.metadata)


# Defaults of drifts and zooms (motion/drift.py, motion/zoom.py); their levels follow from their size.
DRIFT_DEFAULTS = RenderConfig(
    size=512,
    sweeps=10,
    learning_rate=0.05,
    learning_rate_falloff=0.0,
    content_weight=0.1,
    palette_weight=0.0,
    level_ratio=2,
)
# A higher learning rate causes oscillation from sweep to sweep, which so few sweeps do not damp: noise remains.
ZOOM_DEFAULTS = RenderConfig(
    size=512, sweeps=8, learning_rate=0.01, learning_rate_falloff=0.0, palette_weight=0.0, arrangement_weight=0
)
# Defaults of super-resolution: the anchor preserves content and colors.
UPSCALE_DEFAULTS = RenderConfig(
    sweeps=60,
    learning_rate_falloff=0.0,
    content_weight=0.05,
    palette_weight=0.0,
    anchor_weight=30.0,
    turn_style=True,
)
