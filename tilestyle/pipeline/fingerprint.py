"""What determines a picture: the settings and the inputs, as JSON by which renders are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tilestyle.config.enums import Init, Quality
from tilestyle.config.render import FILE_FIELDS, RenderConfig
from tilestyle.config.size import stored_size
from tilestyle.errors import NetworkError, PictureError
from tilestyle.networks.registry import RANDOM
from tilestyle.planning.inputs import content_hash


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
