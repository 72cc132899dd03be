"""Write films with the sound of a clip: its packets are copied, not encoded again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tilestyle.config.enums import ANIMATIONS
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError
from tilestyle.images import read_picture
from tilestyle.motion.film import AudioTrack, import_pyav, open_film, quantize_frame

SUPPORTED_AUDIO = {
    ".webm": ("opus", "vorbis")
}  # codecs of sound by suffix; the other containers hold all usual ones


def check_audio(clip: Path, out: Path) -> None:
    """Raise OutputError if the container of a film cannot hold the sound of a clip."""
    codecs = SUPPORTED_AUDIO.get(out.suffix.lower())
    if codecs is None or clip.is_dir():
        return
    with import_pyav().open(str(clip)) as container:
        for stream in container.streams.audio:
            if stream.codec_context.name not in codecs:
                raise OutputError(
                    f"{out.name} cannot hold the clip's sound, {stream.codec_context.name}", hint="use .mkv"
                )


class ClipAudio(AudioTrack):
    """The sound of a clip; a clip may have none."""

    def __init__(self, clip: Path) -> None:
        self._container = import_pyav().open(str(clip))
        self._streams: dict[int, Any] = {}
        self._packets = self._container.demux(self._container.streams.audio)
        self._pending: Any = None

    def add_streams(self, film: Any) -> None:
        """Add the clip's audio streams to PyAV's container of a film."""
        for stream in self._container.streams.audio:
            self._streams[stream.index] = film.add_stream_from_template(stream)

    def write_until(self, film: Any, seconds: float) -> None:
        """Copy the sound up to a time from the start, in seconds."""
        while self._streams:
            packet = self._pending or next(self._packets, None)
            if packet is None:
                return
            self._pending = None
            if packet.dts is None:  # the end of a stream
                continue
            if float(packet.pts * packet.time_base) > seconds:
                self._pending = packet
                return
            packet.stream = self._streams[packet.stream.index]
            film.mux(packet)

    def close(self) -> None:
        """Close the clip."""
        self._container.close()


def write_film(files: Iterable[Path], out: Path, config: FilmConfig, clip: Path) -> None:
    """Write pictures as the frames of a film, with the sound of a clip.

    Args:
        files: The frames, in order.
        out: The film.
        config: Codec and frame rate.
        clip: Film whose sound is copied, if it has any; a folder has none. GIF and WebP hold none.

    Raises:
        OutputError: The film cannot be written.
        PictureError: A frame cannot be read.
    """
    silent = clip.is_dir() or out.suffix.lower() in ANIMATIONS
    audio = None if silent else ClipAudio(clip)
    try:
        with open_film(out, config, audio) as film:
            for file in files:
                film.add(quantize_frame(read_picture(file).pixels))
    finally:
        if audio:
            audio.close()
