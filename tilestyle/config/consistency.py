"""Checks of settings against the input pictures and the number of processes."""

from __future__ import annotations

from dataclasses import replace

from tilestyle.config.enums import Color, Init, Optimizer, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError


def inversion_config(config: RenderConfig) -> RenderConfig:
    """Return the settings of an inversion: a picture rendered from the content's activations alone.

    Args:
        config: Settings as given. The content weight becomes 1 and the start noise unless they are set.

    Raises:
        SettingError: A setting needs a style or the pixels of the content, or the content weight is 0.
    """
    if config.style_layers or config.init in (Init.CONTENT, Init.STYLE) or config.color is not Color.STYLE:
        raise SettingError(
            "an inversion uses neither a style nor the pixels of the content",
            hint="leave out style layers, color, and init content or style",
        )
    weight = 1.0 if config.content_weight is None else config.content_weight
    if not weight:
        raise SettingError("an inversion needs a content weight above 0", hint="give --content-weight 1")
    return replace(config, content_weight=weight, init=config.init or Init.NOISE)


def check_color_mode(config: RenderConfig, *, with_content: bool) -> None:
    """Raise SettingError if the colors of the content are needed and there is no content."""
    if config.color is not Color.STYLE and not with_content:
        raise SettingError(f"--color {config.color} needs a content picture", hint="use --color style")


def check_content_map(config: RenderConfig, *, with_content: bool) -> None:
    """Raise SettingError for a content map, or faces to keep, where there is no content."""
    options = {"--content-map": config.content_map is not None, "--keep-faces": config.keep_faces}
    for option, is_set in options.items():
        if is_set and not with_content:
            raise SettingError(f"{option} needs a content picture", hint=f"leave {option} out")


def check_multiprocess(config: RenderConfig, world_size: int) -> None:
    """Raise SettingError for settings that several processes do not support.

    Args:
        config: The settings.
        world_size: Number of processes that render the picture.
    """
    if world_size == 1:
        return
    if config.optimizer is Optimizer.LBFGS or config.anchor is not None:
        feature = "an anchor" if config.anchor is not None else "L-BFGS"
        raise SettingError(
            f"{feature} does not support several processes", hint="leave it out, or run without torchrun"
        )
    unordered = config.overlap or config.sampler is Sampler.WINDOWS or config.locality
    if config.deterministic and unordered:
        raise SettingError(
            "--deterministic does not support overlapping patches or --locality on several processes",
            hint="leave out --deterministic, or leave out --overlap, --sampler windows and --locality",
        )
