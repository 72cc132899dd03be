"""A process that looks at one uploaded file: what it is, how large, and small copies of it.

What was uploaded may be made to crash or exhaust whoever decodes it. So this process lives only as long as one
file, and its memory and time are limited.

It is started as `python -m tilestyle.studio.intake FILE FOLDER MAX_PIXELS` and sends one message: the facts, or
`error` and `hint`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tilestyle.errors import PictureError, TilestyleError
from tilestyle.images import (
    ImageSource,
    Picture,
    as_source,
    check_pixel_count,
    fill_transparent,
    jpeg_bytes,
    open_source,
    pixel_limit,
    write_picture,
)
from tilestyle.recipes.stroke_width import measure_stroke_width
from tilestyle.studio.child import Channel
from tilestyle.studio.copies import SMALL, SMALL_SIDE, THUMBNAIL, THUMBNAIL_SIDE
from tilestyle.studio.refusals import split_message

MEMORY_BYTES, CPU_SECONDS = 6 * 2**30, 240
LARGEST_FILE = 2**30  # bytes of what it may write
MAX_CLIP_FRAMES = 100_000


def main(file: Path, folder: Path, max_pixels: int) -> None:
    """Look at a file, and send what it is."""
    channel = Channel()
    _limit_process()
    try:
        channel.send(inspect_upload(file, folder, max_pixels))
    except TilestyleError as error:
        problem, hint = split_message(error)
        channel.send({"error": problem.replace(file.name, "the file"), "hint": hint})
    except MemoryError:
        channel.send(
            {"error": "the file takes too much memory to decode", "hint": "convert it to PNG, JPEG or TIFF"}
        )


def inspect_upload(file: Path, folder: Path, max_pixels: int) -> dict[str, Any]:
    """Return the facts of a picture or clip, and write its small copies.

    Args:
        file: The file.
        folder: Where the copies go.
        max_pixels: The largest picture that is accepted.

    Raises:
        TilestyleError: It is neither.
    """
    with pixel_limit(max_pixels):
        try:
            with open_source(file) as source:
                return _picture_facts(source, folder)
        except PictureError:
            facts = _clip_facts(file, folder)
            if facts is None:
                raise
            return facts


def write_small_copies(source: ImageSource, folder: Path) -> Picture:
    """Write the copies of a picture that drafts and the page use, and return the larger one."""
    small = shrunk(fill_transparent(source), SMALL_SIDE)
    write_picture(folder / SMALL, small)
    write_thumbnail(small, folder / THUMBNAIL)
    return small


def write_thumbnail(picture: Picture, file: Path) -> None:
    """Write a small JPEG of a picture."""
    file.write_bytes(jpeg_bytes(shrunk(as_source(picture), THUMBNAIL_SIDE), 85))


def shrunk(source: ImageSource, side: int) -> Picture:
    """Return a picture with at most so many pixels on its long side."""
    return source.downsample(*sides_within(source, side))


def sides_within(source: ImageSource, side: int) -> tuple[int, int]:
    """Return height and width of a picture that is shrunk to at most so many pixels on its long side."""
    factor = min(1.0, side / max(source.height, source.width))
    return max(1, round(source.height * factor)), max(1, round(source.width * factor))


def _picture_facts(source: ImageSource, folder: Path) -> dict[str, Any]:
    small = write_small_copies(source, folder)
    stroke = _stroke(small) * max(source.height, source.width) / max(small.height, small.width)
    return {"kind": "picture", "width": source.width, "height": source.height, "stroke": stroke}


def _stroke(picture: Picture) -> float:
    """Return the width of the strokes of a picture, pixels; 0 if it has none."""
    return measure_stroke_width(as_source(picture)) or 0.0


def _clip_facts(file: Path, folder: Path) -> dict[str, Any] | None:
    """Return the facts of a clip; None if it is none, or films cannot be read here."""
    try:
        from tilestyle.motion.clip import open_clip
    except ImportError:
        return None
    try:
        clip = open_clip(file)
        check_pixel_count("the film", clip.height, clip.width)
        count = clip.count
        if count > MAX_CLIP_FRAMES:
            raise PictureError(f"the film has {count} frames", hint=f"give at most {MAX_CLIP_FRAMES}")
        first = next(iter(clip.frames()))
    except TilestyleError:
        return None
    write_small_copies(as_source(Picture(first)), folder)
    seconds = count / (clip.fps or 25.0)
    return {"kind": "clip", "width": clip.width, "height": clip.height, "seconds": seconds, "frames": count}


def _limit_process() -> None:
    """Limit memory, time and files of this process, where the system can."""
    with suppress(ImportError):
        import resource

        limits: list[tuple[int, int]] = [
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, LARGEST_FILE),
            (resource.RLIMIT_CORE, 0),
        ]
        for what, limit in limits:
            with suppress(ValueError, OSError):
                resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
