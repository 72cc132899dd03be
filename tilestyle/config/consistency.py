"""Whether settings agree with the pictures that there are."""

from __future__ import annotations

from dataclasses import replace

from tilestyle.config.enums import Color, Init, Optimiser, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError


def inverting(config: RenderConfig) -> RenderConfig:
    """Settings for activations alone; raises SettingError where they speak of a style or show the content."""
    if config.style_layers or config.init in (Init.CONTENT, Init.STYLE) or config.color is not Color.STYLE:
        raise SettingError(
            "an image is made from activations alone: no style, no pixels of the content",
            hint="leave out style layers, init content or style, and color",
        )
    weight = 1.0 if config.content_weight is None else config.content_weight
    if not weight:
        raise SettingError("with a content weight of 0 there are no activations", hint="give one above 0")
    return replace(config, content_weight=weight, init=config.init or Init.NOISE)


def check_colours(config: RenderConfig, *, with_content: bool) -> None:
    """Refuse colours of a content that is not there."""
    if config.color is not Color.STYLE and not with_content:
        raise SettingError(
            f"there is no content whose colours color {config.color} could take", hint="give color style"
        )


def check_company(config: RenderConfig, ranks: int) -> None:
    """Refuse what several ranks cannot do together."""
    if ranks == 1:
        return
    if config.optimiser is Optimiser.LBFGS or config.anchor is not None:
        what = "an anchor" if config.anchor is not None else "L-BFGS"
        raise SettingError(f"{what} is for one process", hint="leave it out, or leave out torchrun")
    unordered = config.overlap or config.sampler is Sampler.WINDOWS or config.locality
    if config.deterministic and unordered:
        raise SettingError(
            "where patches overlap, and with locality, several ranks add up in an order of their own",
            hint="leave out --deterministic, or --overlap, --sampler windows and --locality",
        )
