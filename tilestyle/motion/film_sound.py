"""Frames and the sound of another film in one film: packets of sound are copied, not encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError
from tilestyle.images import read_picture
from tilestyle.motion.film import Sound, filming, frame_of, pyav

HELD = {".webm": ("opus", "vorbis")}  # sound that a film of this ending can hold; the others hold the usual


def check_sound(clip: Path, out: Path) -> None:
    """Raise OutputError where a film cannot hold the sound of a clip."""
    held = HELD.get(out.suffix.lower())
    if held is None or clip.is_dir():
        return
    with pyav().open(str(clip)) as container:
        for stream in container.streams.audio:
            if stream.codec_context.name not in held:
                raise OutputError(
                    f"{out.name} cannot hold the clip's sound, {stream.codec_context.name}", hint="use .mkv"
                )


class ClipSound(Sound):
    """The sound of a clip."""

    def __init__(self, clip: Path) -> None:
        self._container = pyav().open(str(clip))
        self._streams: dict[int, Any] = {}
        self._packets = self._container.demux(self._container.streams.audio)
        self._waiting: Any = None

    def begin(self, film: Any) -> None:
        """Make room for it in a film."""
        for stream in self._container.streams.audio:
            self._streams[stream.index] = film.add_stream_from_template(stream)

    def until(self, film: Any, seconds: float) -> None:
        """Copy what is heard until then."""
        while self._streams:
            packet = self._waiting or next(self._packets, None)
            if packet is None:
                return
            self._waiting = None
            if packet.dts is None:  # the end of a stream
                continue
            if float(packet.pts * packet.time_base) > seconds:
                self._waiting = packet
                return
            packet.stream = self._streams[packet.stream.index]
            film.mux(packet)

    def close(self) -> None:
        """Let go of the clip."""
        self._container.close()


def written(files: Sequence[Path], out: Path, config: FilmConfig, clip: Path) -> None:
    """Write frames as a film, with the sound of a clip, if it is a film that has any."""
    sound = None if clip.is_dir() else ClipSound(clip)
    try:
        with filming(out, config, sound) as film:
            for file in files:
                film.add(frame_of(read_picture(file).pixels))
    finally:
        if sound:
            sound.close()
