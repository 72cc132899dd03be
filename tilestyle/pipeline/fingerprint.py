"""What determines a picture: its settings and digests of its inputs, by which renders are told apart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tilestyle.config.enums import Init, Quality
from tilestyle.config.render import FILE_FIELDS, RenderConfig
from tilestyle.config.size import stored_size
from tilestyle.errors import NetworkError, PictureError
from tilestyle.files.paths import regular_file
from tilestyle.images import as_source
from tilestyle.networks.registry import RANDOM


def render_fingerprint(config: RenderConfig, sources: Mapping[str, object]) -> dict[str, Any]:
    """Return what determines the picture, as JSON: the settings, and digests of the inputs.

    A file counts by its content, whatever its path.

    Raises:
        TilestyleError: An input cannot be read.
    """
    limits = ("memory", "host_memory", "max_input_pixels")  # decide where data lies, not what it becomes
    settings = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in (*limits, *FILE_FIELDS)
    }
    settings["quality"] = config.quality or Quality.NORMAL  # as it was called before it could be None
    settings["size"] = stored_size(config.size)
    settings |= {name: _setting_digest(name, getattr(config, name)) for name in sorted(FILE_FIELDS)}
    for name in ("content_map", "keep_faces"):  # work folders from before these settings can be resumed
        if not settings[name]:
            del settings[name]
    return {"settings": settings, **{role: content_hash(source) for role, source in sources.items()}}


def _setting_digest(name: str, value: object) -> str | None:
    """Return a setting that may be a file as JSON: a digest of the file, or the setting if it is a choice."""
    if value is None or isinstance(value, Init):
        return value
    if name == "weights" and value == RANDOM:
        return RANDOM
    try:
        return content_hash(value)
    except OSError as error:
        if name == "weights":
            raise NetworkError(
                f"cannot read the weights file {value} ({error.strerror})", hint="check --weights"
            ) from error
        option = name.replace("_", "-")
        raise PictureError(
            f"cannot read the {option} {value} ({error.strerror})", hint="check the path"
        ) from error


def content_hash(image: object) -> str:
    """Return the SHA-256 of a picture: of the bytes of a file, or else of the pixels.

    Raises:
        PictureError: The file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        with regular_file(image).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    hasher = hashlib.sha256()
    for strip in as_source(image).strips():
        hasher.update(np.ascontiguousarray(strip).data)
    return hasher.hexdigest()
