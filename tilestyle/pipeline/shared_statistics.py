"""Statistics of the styles that renders of one process share: measured once, not for every picture.

They are shared between jobs in which everything that they depend on is equal: the pixels of the styles, the
network, the patch size and the settings. The size at which a style is shown is the key within.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, replace
from typing import Any

import numpy as np
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.planning.job import Job

# Settings that differ between pictures of one style and have no say in its statistics.
OF_ONE_PICTURE = frozenset(
    {"size", "style_scale", "seed", "content_weight", "mask", "blend_map", "content_map", "init"}
    | {"anchor", "trust"}
)
# Groups of jobs whose statistics are remembered: two cameras and two styles, say.
MAX_GROUPS = 4

Groups = OrderedDict[object, dict[Any, Any]]
_groups: ContextVar[Groups | None] = ContextVar("style statistics", default=None)


@contextmanager
def sharing_style_statistics() -> Iterator[None]:
    """Renders inside the block share what they measure of equal styles; their pixels stay the same."""
    token = _groups.set(OrderedDict())
    try:
        yield
    finally:
        _groups.reset(token)


def with_shared_statistics(job: Job) -> Job:
    """Return the job with the statistics that it shares; unchanged outside of `sharing_style_statistics`."""
    groups = _groups.get()
    if groups is None or not job.styles:
        return job
    key = _group_of(job)
    cache = groups.setdefault(key, {})
    groups.move_to_end(key)
    while len(groups) > MAX_GROUPS:
        groups.popitem(last=False)
    return replace(job, style_cache=cache)


def _group_of(job: Job) -> object:
    """Return a key that is equal for jobs whose styles have equal statistics at equal sizes."""
    settings = [
        (field.name, repr(getattr(job.config, field.name)))
        for field in fields(job.config)
        if field.name not in OF_ONE_PICTURE
    ]
    styles = [(_digest(style.picture), style.shares, _digest(style.guide)) for style in job.styles]
    network = job.network.name, str(job.network.dtype), str(job.network.device), _stamp(job.config.weights)
    layers = tuple(job.weights.style_layers.items()), tuple(job.weights.arrangement_layers)
    # The two ways of sizing a style, with and without a content.
    by_picture = job.content is not None
    return tuple(settings), tuple(styles), network, layers, job.patch_side, by_picture


def _stamp(weights: object) -> tuple[int, int] | None:
    """Return size and time of change of a weights file."""
    if not isinstance(weights, str | os.PathLike) or not os.path.isfile(weights):
        return None
    status = os.stat(weights)
    return status.st_size, status.st_mtime_ns


def _digest(pixels: Tensor | None) -> str:
    """Return a digest of pixels [C, h, w], which may be memory-mapped."""
    if pixels is None:
        return ""
    hasher = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    for top in range(0, pixels.shape[1], STRIP_ROWS):
        strip = pixels[:, top : top + STRIP_ROWS]
        hasher.update(np.ascontiguousarray(strip.cpu().numpy()).data)
        note_mapped_access(strip)
    return hasher.hexdigest()
