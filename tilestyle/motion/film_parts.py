"""Films of work that may be killed: every run encodes a part, and the parts become one film."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.files.atomic import replacement
from tilestyle.motion.film import (
    CODECS,
    MUXERS,
    Encoded,
    FrameWriter,
    PngFrames,
    check_film,
    is_frames,
    pyav,
    rate_of,
)

# In a work folder, what every run has filmed (workdir.py). Matroska can be read wherever it was cut off.
PART = re.compile(r"film-\d{6}\.mkv")


@contextmanager
def filming_on(path: Path, config: FilmConfig, folder: Path, *, anew: bool) -> Iterator[FrameWriter]:
    """A writer of frames, of work that may be killed and gone on with: every run leaves its part in a folder.

    When the block ends without error, all parts are the film. With `anew`, those that are there are not.
    A kill loses what its encoder had not yet written, a second or two. So does a part that cannot be ended (a
    full disk): what there is becomes the film, then the error is raised.
    """
    check_film(path, config)
    if is_frames(path):
        yield PngFrames(path)
        return
    parts = [folder / name for name in sorted(ownership.names(folder)) if PART.fullmatch(name)]
    if anew:
        for part in parts:
            ownership.remove(part)
        parts = []
    number = 1 + max((int(part.stem.rpartition("-")[2]) for part in parts), default=0)
    while (part := folder / f"film-{number:06}.mkv").exists():
        number += 1
    ownership.claim(part)
    codec = config.codec or CODECS[path.suffix.lower()]
    writer = Encoded(part, replace(config, codec=codec), part.name)
    failed: Exception | None = None
    try:
        yield writer
    finally:
        try:
            if writer.count:  # else those before are the film
                writer.finish()
        except Exception as error:
            failed = error
        try:
            writer.close()
        except Exception as error:
            failed = failed or error
    splice([*parts, part], path, config)
    if failed:
        raise failed


def splice(parts: Sequence[Path], path: Path, config: FilmConfig) -> None:
    """Make one film of several that were encoded alike: packets are copied, not encoded again.

    A part that was cut off is taken as far as it goes. Raises OutputError when none has a frame.
    """
    places = [_places(part) for part in parts]
    if not any(places):
        raise OutputError("a film of no frames is not written", hint="render more")
    # Packets come in the order of decoding, and none is shown before: by so much are all of them early.
    early = max(index - place for found in places for index, place in enumerate(found))
    av, rate, count, stream = pyav(), rate_of(config), 0, None
    with replacement(path) as file, av.open(str(file), "w", format=MUXERS[path.suffix.lower()]) as film:
        for part, found in zip(parts, places, strict=True):
            if not found:
                continue
            with av.open(str(part)) as container:
                video = container.streams.video[0]
                # Opaque: else an encoder is looked for by its decoder's name.
                stream = stream or film.add_stream_from_template(video, opaque=True)
                for index, (place, packet) in enumerate(zip(found, _packets(container), strict=True)):
                    packet.stream, packet.time_base = stream, 1 / rate
                    packet.pts, packet.dts = count + place, count + index - early
                    film.mux(packet)
            count += len(found)


def _packets(container: Any) -> Iterator[Any]:
    """Those of a film's frames, as far as it goes."""
    with suppress(pyav().FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:  # the last one flushes
                yield packet


def _places(part: Path) -> list[int]:
    """The place of every packet's frame among those that are shown; none where nothing can be read.

    By rank: Matroska has no times of decoding, and rounds those of showing to milliseconds.
    """
    av, shown = pyav(), list[int]()
    with suppress(av.FFmpegError, IndexError), av.open(str(part)) as container:
        shown = [packet.pts for packet in _packets(container)]
    ranks = {time: rank for rank, time in enumerate(sorted(shown))}
    return [ranks[time] for time in shown]
