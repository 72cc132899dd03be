"""The content map of a render: factors of the content weight over the picture, by a gray picture and faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import STRIP_ROWS, MemoryStore, PlaneStore
from tilestyle.config.render import RenderConfig
from tilestyle.geometry.boxes import Box
from tilestyle.images import ImageSource
from tilestyle.images.faces import DETECTION_SIDE, Face, face_weights, find_faces
from tilestyle.notices import notice
from tilestyle.planning.inputs import image_size, load_planes
from tilestyle.planning.job import Job
from tilestyle.planning.masks import gray_plane
from tilestyle.planning.sizes import oversampled_sides

MAX_FACES_SIDE = 1024  # long side of a map of faces alone, pixels: it has no detail finer than that


def detect_faces(content: Tensor) -> tuple[Face, ...]:
    """Find the faces in a content [3, h, w].

    Raises:
        SettingError: The detector is not installed.
    """
    share = DETECTION_SIDE / max(content.shape[1:])
    sides = [max(1, round(side * share)) for side in content.shape[1:]]
    pixels = resize(content, Box(0, 0, *sides)).clamp_(0, 1)
    return find_faces(pixels.permute(1, 2, 0).cpu().numpy())


def faces_in(content: ImageSource) -> tuple[Face, ...]:
    """Find the faces in a picture that is read in windows; it is read once.

    Raises:
        SettingError: The detector is not installed.
    """
    share = min(1.0, DETECTION_SIDE / max(content.height, content.width))
    sides = (max(1, round(side * share)) for side in (content.height, content.width))
    return detect_faces(load_planes(content.downsample(*sides), MemoryStore())[0])


def faces_map_sides(size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of a map of faces alone, for the size of the finished picture."""
    share = min(1.0, MAX_FACES_SIDE / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def load_content_map(
    config: RenderConfig,
    sides: tuple[int, int] | None,
    faces: tuple[Face, ...],
    face_factor: float,
    store: PlaneStore,
) -> Tensor | None:
    """Load the factor of the content weight over the picture; None if it is 1 everywhere.

    Args:
        config: The settings.
        sides: Height and width of the map; None without one.
        faces: Faces to keep.
        face_factor: Factor in a face (LossWeights.face_factor).
        store: Where the plane goes.

    Returns:
        Factors, [1, h, w].
    """
    if sides is None or (config.content_map is None and not faces):
        return None
    if config.content_map is not None:
        plane = gray_plane(config.content_map, store, sides)
        if not any(plane[:, top : top + STRIP_ROWS].any() for top in range(0, sides[0], STRIP_ROWS)):
            notice("the content map is black or transparent everywhere: no area keeps the photograph")
    else:
        plane = store.empty(1, *sides).fill_(1.0)
    for top in range(0, sides[0] if faces else 0, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, sides[0]))
        strip = plane[:, rows]
        weights = _face_tensor(faces, sides, rows)
        # By the power, it falls evenly to the eye: what a content weight does goes by its logarithm.
        torch.maximum(strip, weights * face_factor**weights, out=strip)
        note_mapped_access(strip)
    return plane


def with_faces(job: Job, faces: tuple[Face, ...]) -> Job:
    """Return a job that keeps other faces, for another picture of a series."""
    size = job.size.height, job.size.width
    if job.config.content_map is None:
        sides = faces_map_sides(size)
    else:
        sides = oversampled_sides(image_size(job.config.content_map), size)
    plane = load_content_map(job.config, sides, faces, job.weights.face_factor, job.local_store)
    return replace(job, content_map=plane, face_count=len(faces))


def _face_tensor(faces: tuple[Face, ...], sides: tuple[int, int], rows: slice) -> Tensor:
    """Return the weights of faces in some rows of a plane, [1, rows, w]."""
    weights: NDArray[np.float32] = face_weights(faces, sides, rows)
    return torch.from_numpy(weights)[None]
