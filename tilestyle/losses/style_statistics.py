"""Statistics of the style images, which the canvas is matched to: moments, histograms, autocorrelations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import TypeVar

import numpy as np
import torch

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import STRIP_ROWS, PlaneStore
from tilestyle.geometry.boxes import Box, size_within
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.style_images import Exemplar, PaddedStyle
from tilestyle.planning.style_windows import StyleWindows
from tilestyle.stats.autocorrelation import (
    Autocorrelation,
    AutocorrelationSum,
    AutocorrelationTarget,
    mix_autocorrelations,
)
from tilestyle.stats.distances import MIN_ENERGY
from tilestyle.stats.moments import Moments, mix_moments
from tilestyle.stats.sliced_wasserstein import (
    SCALES,
    Histogram,
    average_blocks,
    count_histograms,
    normalized_histogram,
)

# An enlarged style is shown only to layers whose stride is at least this many times the enlargement.
MIN_STRIDE_PER_ENLARGEMENT = 1.0

Result = TypeVar("Result")


def cached(measure: Callable[[Job, Level, int], Result]) -> Callable[..., Result]:
    """Keep what a measurement of the styles returns in the job's `style_cache`, if it has one.

    The key is the size at which the styles are shown, and the scale: nothing else of a level matters.
    """

    @wraps(measure)
    def wrapper(job: Job, level: Level, scale: int = 1) -> Result:
        if job.style_cache is None:
            return measure(job, level, scale)
        sides = tuple(style_side(job, style, level, scale) for style in job.styles)
        key = measure.__name__, sides, scale
        if key not in job.style_cache:
            job.style_cache[key] = measure(job, level, scale)
        result: Result = job.style_cache[key]
        return result

    return wrapper


def style_side(job: Job, style: Exemplar, level: Level, scale: int) -> float:
    """Return the long side at which the network sees a style, in patch pixels.

    It is `style_scale` times the long side of the picture, or for a texture of the style itself.
    """
    if job.content is None:
        return job.config.style_scale * level.size_ratio * max(style.picture.shape[1:]) / scale
    picture = level.extent.picture
    return job.config.style_scale * max(picture.height, picture.width) / scale


def style_size(job: Job, style: Exemplar, level: Level, scale: int = 1) -> Box:
    """Return the size of a style with that long side, in patch pixels; it is not enlarged."""
    height, width = style.picture.shape[1:]
    return size_within(height, width, style_side(job, style, level, scale))


@cached
def style_moments(job: Job, level: Level, scale: int = 1) -> list[dict[str, Moments]]:
    """Measure the moments of the styles at the size of a level.

    Args:
        job: The render.
        level: The level.
        scale: Canvas pixels averaged into one patch pixel, per axis.

    Returns:
        For each region, the moments of its mixture of styles, by layer; without styles, one empty dict.
    """
    if not job.styles:
        return [{}]
    parts: list[list[tuple[float, Mapping[str, Moments]]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        by_region: list[dict[str, Moments]] = [{} for _ in style.shares]
        for padded_style in _padded_styles(job, style, level, scale):
            measured = padded_style.moments(job.patch_side)
            for region, moments in enumerate(by_region):
                moments |= measured[region if style.guide is not None else 0]
        for region, share in enumerate(style.shares):
            if share:
                parts[region].append((share, by_region[region]))
    return [mix_style_moments(part) for part in parts]


@cached
def style_histograms(job: Job, level: Level, scale: int = 1) -> list[dict[int, Histogram]]:
    """Measure the color histograms of the styles at the size of a level.

    Args:
        job: The render.
        level: The level.
        scale: Canvas pixels averaged into one patch pixel, per axis.

    Returns:
        For each region, the histograms of its mixture of styles, for each of SCALES.
    """
    parts: list[list[tuple[float, dict[int, Histogram]]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        histograms = _picture_histograms(style, style_size(job, style, level, scale), job.local_store)
        for region, share in enumerate(style.shares):
            if share:
                parts[region].append((share, histograms[region if style.guide is not None else 0]))
    totals = [sum(share for share, _ in part) for part in parts]
    return [
        {k: np.sum([share / total * by_scale[k] for share, by_scale in part], axis=0) for k in SCALES}
        for part, total in zip(parts, totals, strict=True)
    ]


def _picture_histograms(style: Exemplar, size: Box, store: PlaneStore) -> list[dict[int, Histogram]]:
    """Measure the color histograms of one style, resized to this size.

    Returns:
        The histograms for each of SCALES: one dict per region of the style's guide, or a single one.
    """
    unchanged = style.picture.shape[1:] == (size.height, size.width)
    pixels = style.picture if unchanged else resize(style.picture, size, store=store)
    guide = style.guide
    if guide is not None and guide.shape[1:] != pixels.shape[1:]:
        guide = resize(guide, size, Filter.LINEAR, store)
    histograms = []
    for region in range(1 if guide is None else len(guide)):
        counts = dict.fromkeys(SCALES, torch.zeros(()))
        for top in range(0, size.height, STRIP_ROWS):
            rows = slice(top, top + STRIP_ROWS)
            strip, weights = pixels[:, rows], None if guide is None else guide[region : region + 1, rows]
            for scale in SCALES:
                part = None if weights is None else average_blocks(weights, scale)[0].clamp(0, 1)
                counts[scale] = counts[scale] + count_histograms(average_blocks(strip, scale), part)
            note_mapped_access(strip)
        histograms.append({scale: normalized_histogram(total) for scale, total in counts.items()})
    return histograms


def style_autocorrelations(
    job: Job, level: Level, scale: int, moments: Sequence[Mapping[str, Moments]]
) -> list[dict[str, AutocorrelationTarget]]:
    """Measure the autocorrelations of the styles at the size of a level, in a second pass over the styles.

    Args:
        job: The render.
        level: The level.
        scale: Canvas pixels averaged into one patch pixel, per axis.
        moments: What `style_moments` returned; features are centered at these means.

    Returns:
        For each region, the targets of its mixture of styles, by layer; empty without an arrangement loss.
    """
    layers = job.weights.arrangement_layers
    if not layers:
        return []
    parts: list[dict[str, list[tuple[float, Autocorrelation]]]] = [{} for _ in moments]
    for style in job.styles:
        factories = [
            {layer: partial(AutocorrelationSum, by_layer[layer].mean) for layer in layers if share}
            for share, by_layer in zip(style.shares, moments, strict=True)
        ]
        for padded_style in _padded_styles(job, style, level, scale):
            for region, sums in enumerate(padded_style.accumulate(factories, job.patch_side)):
                means = {layer: total.mean() for layer, total in sums.items()}
                for layer, mean in means.items():
                    if mean is not None:  # else the layer sees the style at another size
                        parts[region].setdefault(layer, []).append((style.shares[region], mean))
    return [
        {
            layer: AutocorrelationTarget(
                mix_autocorrelations([mean for _, mean in pairs], [share for share, _ in pairs]),
                by_layer[layer].mean,
                job.energy_floors.get(layer, MIN_ENERGY),
            )
            for layer, pairs in region_parts.items()
        }
        for by_layer, region_parts in zip(moments, parts, strict=True)
    ]


def _padded_styles(
    job: Job, style: Exemplar, level: Level, scale: int, *, by_scale: bool = True
) -> Iterator[PaddedStyle]:
    """Iterate over a style at the sizes at which the layers see it, each with a mirrored border.

    Args:
        job: The render.
        style: The style.
        level: The level.
        scale: Canvas pixels averaged into one patch pixel, per axis.
        by_scale: Whether coarse layers see the style reduced, as they see the canvas; otherwise all layers see
            it as it is.
    """
    for size, layers in sizes_shown(
        job, (style.picture.shape[1], style.picture.shape[2]), style_side(job, style, level, scale)
    ):
        groups = job.network.scale_groups(layers) if by_scale else {1: {layer: layer for layer in layers}}
        turns = 4 if job.config.turn_style else 1
        yield PaddedStyle(style, size, job.network, groups, job.local_store, turns)


def sizes_shown(job: Job, own_size: tuple[int, int], side: float) -> list[tuple[Box, list[str]]]:
    """Return the sizes at which a style is shown for this long side, each with the layers that see it.

    An enlarged style has no detail for layers finer than its own pixels; they see it at its own size. So its
    shapes get the size that was asked for, and the paint within them stays fine.

    Args:
        job: The render.
        own_size: Height and width of the style, pixels.
        side: Long side to show it at, patch pixels.
    """
    height, width = own_size
    original, layers = size_within(height, width, side), list(job.weights.style_layers)
    factor = side / max(height, width)
    if factor <= 1 or not job.config.enlarge_style:
        return [(original, layers)]
    large = Box(0, 0, round(height * factor), round(width * factor))
    coarse = [
        layer for layer in layers if job.network.layers[layer].stride >= MIN_STRIDE_PER_ENLARGEMENT * factor
    ]
    fine = [layer for layer in layers if layer not in coarse]
    return [(size, group) for size, group in ((large, coarse), (original, fine)) if group]


def style_windows(job: Job, level: Level, scale: int = 1) -> StyleWindows:
    """Return the styles as windows, for the moments at the place of any patch (`--locality`)."""
    styles = [
        (style.shares[0], list(_padded_styles(job, style, level, scale, by_scale=False)))
        for style in job.styles
    ]
    return StyleWindows(styles, level.extent, scale)


def mix_style_moments(parts: Sequence[tuple[float, Mapping[str, Moments]]]) -> dict[str, Moments]:
    """Mix the moments of several styles, by layer.

    Args:
        parts: Pairs of a share and moments by layer.
    """
    if len(parts) == 1:
        return dict(parts[0][1])
    shares = [share for share, _ in parts]
    return {layer: mix_moments([moments[layer] for _, moments in parts], shares) for layer in parts[0][1]}
