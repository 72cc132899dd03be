"""Statistics of the style pictures of a job: what the canvas is matched to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import TypeVar

import numpy as np
import torch

from tilestyle.canvas.canvas import ROWS, resized
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import touched
from tilestyle.geometry.boxes import Box, shrunk
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.style_images import Exemplar, Exhibit
from tilestyle.planning.style_windows import Windows
from tilestyle.stats.autocorrelation import Autocorrelation, AutocorrelationSum, AutocorrelationTarget
from tilestyle.stats.autocorrelation import mixed as mixture
from tilestyle.stats.distances import TINY
from tilestyle.stats.moments import Moments, combined
from tilestyle.stats.sliced_wasserstein import SCALES, Shares, averaged, counts_of, shares_of

# Strides of the layers that an enlarged style is shown to, over the enlargement.
COARSE = 1.0

Result = TypeVar("Result")


def remembered(measure: Callable[[Job, Level, int], Result]) -> Callable[..., Result]:
    """Decorate a measurement of the styles so that a job with a `style_cache` takes it once."""

    @wraps(measure)
    def remembering(job: Job, level: Level, scale: int = 1) -> Result:
        if job.style_cache is None:
            return measure(job, level, scale)
        key = measure.__name__, level, scale
        if key not in job.style_cache:
            job.style_cache[key] = measure(job, level, scale)
        result: Result = job.style_cache[key]
        return result

    return remembering


def style_side(job: Job, style: Exemplar, level: Level, scale: int) -> float:
    """Long side at which a style is shown: a share of the picture's, or for a texture of its own."""
    if job.content is None:
        return job.config.style_scale * level.share * max(style.picture.shape[1:]) / scale
    picture = level.extent.picture
    return job.config.style_scale * max(picture.height, picture.width) / scale


@remembered
def style_moments(job: Job, level: Level, scale: int = 1) -> list[dict[str, Moments]]:
    """Moments of the styles as seen from a level at a scale, mixed for each region; of no layer without."""
    if not job.styles:
        return [{}]
    parts: list[list[tuple[float, Mapping[str, Moments]]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        found: list[dict[str, Moments]] = [{} for _ in style.shares]
        for exhibit in _padded_styles(job, style, level, scale):
            seen = exhibit.moments(job.side)
            for region, moments in enumerate(found):
                moments |= seen[region if style.guide is not None else 0]
        for region, share in enumerate(style.shares):
            if share:
                parts[region].append((share, found[region]))
    return [mixed(part) for part in parts]


@remembered
def style_palettes(job: Job, level: Level, scale: int = 1) -> list[dict[int, Shares]]:
    """Colours of the styles as seen from a level at a scale, mixed for each region: for each of SCALES."""
    parts: list[list[tuple[float, dict[int, Shares]]]] = [[] for _ in job.styles[0].shares]
    for style in job.styles:
        found = _style_palettes(job, style, style_side(job, style, level, scale))
        for region, share in enumerate(style.shares):
            if share:
                parts[region].append((share, found[region if style.guide is not None else 0]))
    whole = [sum(share for share, _ in part) for part in parts]
    return [
        {k: np.sum([share / total * found[k] for share, found in part], axis=0) for k in SCALES}
        for part, total in zip(parts, whole, strict=True)
    ]


def _style_palettes(job: Job, style: Exemplar, side: float) -> list[dict[int, Shares]]:
    """Colours of a style with this long side, for each region if it has a guide."""
    height, width = style.picture.shape[1:]
    size = shrunk(height, width, side)
    own = (height, width) == (size.height, size.width)
    pixels = style.picture if own else resized(style.picture, size, store=job.beside)
    guide = style.guide
    if guide is not None and guide.shape[1:] != pixels.shape[1:]:
        guide = resized(guide, size, Filter.LINEAR, job.beside)
    found = []
    for region in range(1 if guide is None else len(guide)):
        counts = dict.fromkeys(SCALES, torch.zeros(()))
        for top in range(0, size.height, ROWS):
            rows = slice(top, top + ROWS)
            strip, weights = pixels[:, rows], None if guide is None else guide[region : region + 1, rows]
            for scale in SCALES:
                part = None if weights is None else averaged(weights, scale)[0].clamp(0, 1)
                counts[scale] = counts[scale] + counts_of(averaged(strip, scale), part)
            touched(strip)
        found.append({scale: shares_of(counted) for scale, counted in counts.items()})
    return found


def style_arrangement(
    job: Job, level: Level, scale: int, moments: Sequence[Mapping[str, Moments]]
) -> list[dict[str, AutocorrelationTarget]]:
    """Autocorrelations of the styles as seen from a level at a scale, mixed for each region.

    Products are about the mean of the region's `moments` (style_moments). The styles are looked at again.
    """
    layers = job.weights.arrangement_layers
    if not layers:
        return []
    parts: list[dict[str, list[tuple[float, Autocorrelation]]]] = [{} for _ in moments]
    for style in job.styles:
        makers = [
            {layer: partial(AutocorrelationSum, found[layer].mean) for layer in layers if share}
            for share, found in zip(style.shares, moments, strict=True)
        ]
        for exhibit in _padded_styles(job, style, level, scale):
            for region, sums in enumerate(exhibit.counted(makers, job.side)):
                means = {layer: total.mean() for layer, total in sums.items()}
                for layer, mean in means.items():  # none where another exhibit has the layer
                    if mean is not None:
                        parts[region].setdefault(layer, []).append((style.shares[region], mean))
    return [
        {
            layer: AutocorrelationTarget(
                mixture([one for _, one in seen], [share for share, _ in seen]),
                found[layer].mean,
                job.faint.get(layer, TINY),
            )
            for layer, seen in of_region.items()
        }
        for found, of_region in zip(moments, parts, strict=True)
    ]


def _padded_styles(
    job: Job, style: Exemplar, level: Level, scale: int, *, apart: bool = True
) -> Iterator[Exhibit]:
    """A style as it is shown to the layers: the octaves each `apart`, or all at once."""
    for size, layers in _style_sizes(job, style, style_side(job, style, level, scale)):
        octaves = job.network.octaves(layers) if apart else {1: {layer: layer for layer in layers}}
        turns = 4 if job.config.turn_style else 1
        yield Exhibit(style, size, job.network, octaves, job.beside, turns)


def _style_sizes(job: Job, style: Exemplar, side: float) -> list[tuple[Box, list[str]]]:
    """Sizes at which a style is shown, for a long side that is asked for, and the layers that see each.

    A style enlarged has nothing to show to layers finer than its own pixels have become: they see it as it
    is. So its forms are as large as they are to be, and the paint within them as fine as it was.
    """
    height, width = style.picture.shape[1:]
    own, layers = shrunk(height, width, side), list(job.weights.style_layers)
    factor = side / max(height, width)
    if factor <= 1 or not job.config.enlarge_style:
        return [(own, layers)]
    large = Box(0, 0, round(height * factor), round(width * factor))
    coarse = [layer for layer in layers if job.network.layers[layer].stride >= COARSE * factor]
    fine = [layer for layer in layers if layer not in coarse]
    return [(size, seen) for size, seen in ((large, coarse), (own, fine)) if seen]


def style_windows(job: Job, level: Level, scale: int = 1) -> Windows:
    """The styles as patches at their own place see them, at a scale."""
    shown = [
        (style.shares[0], list(_padded_styles(job, style, level, scale, apart=False))) for style in job.styles
    ]
    return Windows(shown, level.extent, scale)


def mixed(parts: Sequence[tuple[float, Mapping[str, Moments]]]) -> dict[str, Moments]:
    """Moments of every layer of a mixture of styles, each with its share."""
    if len(parts) == 1:
        return dict(parts[0][1])
    shares = [share for share, _ in parts]
    return {layer: combined([moments[layer] for _, moments in parts], shares) for layer in parts[0][1]}
