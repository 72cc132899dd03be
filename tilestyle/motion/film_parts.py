"""Films of renders that may be killed: every run encodes a part, and the parts are joined into one film."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilestyle.config.enums import ANIMATIONS
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.files.atomic import atomic_path
from tilestyle.motion.animated_film import AnimationPartWriter, join_animation_parts
from tilestyle.motion.film import (
    DEFAULT_CODECS,
    MUXERS,
    FrameFolderWriter,
    FrameWriter,
    VideoWriter,
    check_film,
    frame_rate,
    import_pyav,
    is_frame_output,
)

# The part of one run, in a work folder (workdir.py). All kinds can be read even if they were cut off.
PART_NAME = re.compile(r"film-(\d{6})(\.mkv|\.gif-frames|\.webp-frames)")


@contextmanager
def open_resumable_film(
    path: Path, config: FilmConfig, folder: Path, *, restart: bool
) -> Iterator[FrameWriter]:
    """Open a writer of frames for a render that may be killed and resumed.

    Every run leaves its part of the film in a folder. When the block ends without an error, all parts are
    joined into the film. A kill loses the second or two that the encoder had not written. So does a part that
    cannot be finished, as on a full disk: what exists becomes the film, then the error is raised.

    Args:
        path: A film, a folder of PNG files, or a name pattern such as film/%05d.png.
        config: Codec and frame rate.
        folder: Work folder for the parts.
        restart: Remove the parts of earlier runs.

    Yields:
        The writer.

    Raises:
        OutputError: `path` cannot be written, or the film has no frames.
        SettingError: PyAV is not installed, or has no encoder for the codec.
    """
    check_film(path, config)
    if is_frame_output(path):
        yield FrameFolderWriter(path)
        return
    suffix = path.suffix.lower()
    kind = f"{suffix}-frames" if suffix in ANIMATIONS else ".mkv"
    parts = {
        folder / name: match
        for name in sorted(ownership.owned_names(folder))
        if (match := PART_NAME.fullmatch(name))
    }
    if restart:
        for part in parts:
            ownership.remove_owned(part)
        parts = {}
    number = 1 + max((int(match[1]) for match in parts.values()), default=0)
    while (part := folder / f"film-{number:06}{kind}").exists():
        number += 1
    ownership.claim(part)
    writer = _open_part(part, path, config)
    failure: Exception | None = None
    try:
        yield writer
    finally:
        try:
            if writer.count:  # otherwise the earlier parts are the film
                writer.finish()
        except Exception as error:
            failure = error
        try:
            writer.close()
        except Exception as error:
            failure = failure or error
    # A film that had another kind before begins where this kind does.
    join_parts([*(each for each, match in parts.items() if match[2] == kind), part], path, config)
    if failure:
        raise failure


def _open_part(part: Path, path: Path, config: FilmConfig) -> AnimationPartWriter | VideoWriter:
    """Open the part of this run for writing."""
    suffix = path.suffix.lower()
    if form := ANIMATIONS.get(suffix):
        return AnimationPartWriter(part, form, frame_rate(config), path.name)
    return VideoWriter(part, replace(config, codec=config.codec or DEFAULT_CODECS[suffix]), part.name)


def join_parts(parts: Sequence[Path], path: Path, config: FilmConfig) -> None:
    """Join parts that were encoded alike into one film; packets are copied, not encoded again.

    A part that was cut off is used as far as it can be read.

    Args:
        parts: Films to join, in order.
        path: The film.
        config: Frame rate of the parts.

    Raises:
        OutputError: No part has a frame, or the film cannot be written.
    """
    if form := ANIMATIONS.get(path.suffix.lower()):
        join_animation_parts(parts, path, form)
        return
    part_ranks = [_display_ranks(part) for part in parts]
    if not any(part_ranks):
        raise OutputError("the film has no frames, so it was not written", hint="render more")
    # Packets are stored in decoding order. Decoding times are moved ahead so far that no frame is displayed
    # before it is decoded.
    delay = max(index - rank for ranks in part_ranks for index, rank in enumerate(ranks))
    av, rate, count, stream = import_pyav(), frame_rate(config), 0, None
    with atomic_path(path) as file, av.open(str(file), "w", format=MUXERS[path.suffix.lower()]) as film:
        for part, ranks in zip(parts, part_ranks, strict=True):
            if not ranks:
                continue
            with av.open(str(part)) as container:
                video = container.streams.video[0]
                # Opaque, or PyAV looks for an encoder of the decoder's name.
                stream = stream or film.add_stream_from_template(video, opaque=True)
                for index, (rank, packet) in enumerate(zip(ranks, _video_packets(container), strict=True)):
                    packet.stream, packet.time_base = stream, 1 / rate
                    packet.pts, packet.dts = count + rank, count + index - delay
                    film.mux(packet)
            count += len(ranks)


def _video_packets(container: Any) -> Iterator[Any]:
    """Read the video packets of a film, as far as it can be read."""
    with suppress(import_pyav().FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:  # the last packet only flushes
                yield packet


def _display_ranks(part: Path) -> list[int]:
    """Return each packet's position in display order; an empty list if nothing can be read.

    Times are ranked, since Matroska stores no decoding times and rounds display times to milliseconds.
    """
    av, times = import_pyav(), list[int]()
    with suppress(av.FFmpegError, IndexError), av.open(str(part)) as container:
        times = [packet.pts for packet in _video_packets(container)]
    rank_of = {time: rank for rank, time in enumerate(sorted(times))}
    return [rank_of[time] for time in times]
