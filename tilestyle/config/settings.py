"""Settings as keywords of the public functions: `render(..., size=1024, quality="draft")`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, TypedDict

from tilestyle.config.enums import (
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
from tilestyle.config.render import RenderConfig
from tilestyle.config.toml import unknown_name_error
from tilestyle.config.validation import setting_error
from tilestyle.errors import SettingError

# Settings that say in another way what an earlier one says: what they replace.
REPLACES = {"quality": "sweeps", "strength": "content_weight"}


class Settings(TypedDict, total=False):
    """The fields of `RenderConfig`, as type checkers see them where they are keywords; all may be left out.

    Choices may be text. What each setting means is said once, in `RenderConfig`.
    """

    size: int | tuple[int, int] | str | None
    network: NetworkName | Literal["compact", "wavelet", "vgg16", "vgg19"]
    weights: str | os.PathLike[str] | None
    pooling: Pooling | Literal["max", "average"] | None
    pooling_scale: float
    input_scaling: InputScaling | Literal["torchvision", "caffe"]
    feature_scale: float
    device: str
    precision: Precision | Literal["auto", "fp32", "bf16"]
    style_loss: StyleLoss | Literal["w2", "gram", "gram-stats"]
    statistics_weight: float
    normalize: Normalize | Literal["relative", "absolute"]
    style_weight: float
    palette_weight: float | None
    strength: float
    content_weight: float | None
    content_loss: ContentLoss | Literal["features", "self-similarity"]
    content_map: Any
    keep_faces: bool
    tv_weight: float
    tv_form: TvForm | Literal["neighbors", "gradient", "nine-point"]
    tv_exponent: float
    arrangement_weight: float | None
    finish: bool
    style_layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    style_scale: float
    style_blend: Sequence[float]
    mask: Any
    blend_map: Any
    locality: float
    locality_window: float
    color: Color | Literal["style", "content", "luminance"]
    tileable: Tileable | Literal["x", "y", "both"] | None
    enlarge_style: bool
    turn_style: bool
    patch: int | None
    memory: int | float | str | None
    host_memory: int | float | str | None
    max_input_pixels: int | None
    overlap: int
    keep_content: bool | None
    sampler: Sampler | Literal["sweep", "windows"]
    scale_odds: Sequence[float]
    sweeps: int | Sequence[int] | None
    quality: Quality | Literal["draft", "normal", "best"] | None
    init: Init | str | os.PathLike[str] | None
    anchor: object | None
    trust: object | None
    anchor_weight: float
    seed: int
    deterministic: bool
    optimizer: Optimizer | Literal["adam", "lbfgs"]
    learning_rate: float
    learning_rate_falloff: float | None
    history: int | None
    round: int
    margin: int
    coarsest: int
    level_ratio: float


class VideoSettings(TypedDict, total=False):
    """The fields of `VideoConfig`, as type checkers see them where they are keywords."""

    sweeps: int
    learning_rate: float
    anchor_weight: float
    flow: FlowName | Literal["dis", "raft"]


def with_settings(
    config: RenderConfig | None,
    settings: Mapping[str, Any],
    defaults: RenderConfig | None = None,
    keywords: Collection[str] = (),
) -> RenderConfig:
    """Return a configuration in which some settings are replaced.

    `quality` also replaces `sweeps`, and `strength` replaces `content_weight`, as on the command line.

    Args:
        config: The configuration; None for the defaults.
        settings: New values by the names of fields.
        defaults: The configuration if there is none; None for `RenderConfig()`.
        keywords: Other names that the caller takes; a misspelled one is recognized.

    Raises:
        SettingError: A setting is unknown (the hint is a similar name), has a value that is not allowed,
            or contradicts another one.
    """
    if not isinstance(config, RenderConfig | None):
        raise setting_error("config", config, "a RenderConfig, or settings by name, such as size=1024")
    known = [field.name for field in fields(RenderConfig)]
    for name in settings:
        if name not in known:
            raise unknown_name_error("setting", name, [*known, *keywords])
    if settings.get("strength") is not None and settings.get("content_weight") is not None:
        raise SettingError("strength and content_weight cannot be combined", hint="give one of them")
    replaced = {REPLACES[name]: None for name in settings if name in REPLACES}
    return replace(config or defaults or RenderConfig(), **{**replaced, **settings})
