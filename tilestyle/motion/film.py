"""Write films frame by frame: a folder of PNG files, a GIF or WebP, or encoded by PyAV.

A film is encoded to a temporary file beside its destination and takes its name when it is complete. Only one
frame is held in memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.enums import ANIMATIONS, FILM_SUFFIXES, Codec
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import atomic_path, check_output_path
from tilestyle.images import check_frame_rate, write_picture
from tilestyle.motion.animated_film import AnimationWriter

if TYPE_CHECKING:
    from types import ModuleType

Frame = NDArray[np.uint8]  # [height, width, 3], sRGB

# Encoders by codec: the first that is available is used.
ENCODERS = {
    Codec.H264: ("libx264", "libopenh264"),
    Codec.H265: ("libx265",),
    Codec.AV1: ("libsvtav1", "libaom-av1"),
}
# All encode at constant quality.
ENCODER_OPTIONS = {
    "libx264": {"crf": "17", "preset": "medium"},
    "libx265": {"crf": "20", "preset": "medium", "x265-params": "log-level=error"},
    "libsvtav1": {"crf": "26", "preset": "6"},
    "libaom-av1": {"crf": "26", "cpu-used": "6"},
    "libopenh264": {},
}
# Suffixes of films, with their default codecs and containers.
DEFAULT_CODECS = {".mp4": Codec.H264, ".mov": Codec.H264, ".mkv": Codec.H264, ".webm": Codec.AV1}
MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Other % formats, such as %s or a width of millions, are mistakes.
NAME_PATTERN = re.compile(r"([^%]*)%\d{0,2}d([^%]*)")
BT709 = 1  # primaries and matrix, as ITU-T H.273 numbers them
SRGB_TRANSFER = 13  # transfer characteristics, likewise


class FrameWriter(Protocol):
    """Writes frames, one after the other."""

    count: int  # frames written

    def add(self, frame: Frame) -> None:
        """Write the next frame, [height, width, 3]."""


class AudioTrack(Protocol):
    """The sound of an encoded film."""

    def add_streams(self, film: Any) -> None:
        """Add the sound's streams to PyAV's container of the film."""

    def write_until(self, film: Any, seconds: float) -> None:
        """Write the sound up to a time from the start, in seconds."""


class FrameFolderWriter:
    """Writes numbered PNG files to a folder, continuing after those that are already there."""

    def __init__(self, path: Path) -> None:
        """Make the folder and count the frames in it.

        Args:
            path: A folder, made if it does not exist, or a name pattern such as film/%05d.png.

        Raises:
            OutputError: The folder cannot be made.
        """
        self._pattern = path if is_name_pattern(path) else path / "%05d.png"
        try:
            self._pattern.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot create the folder {self._pattern.parent} ({error.strerror})", hint="use another folder"
            ) from error
        self.count = 0
        while self._next_path.exists():
            self.count += 1

    @property
    def _next_path(self) -> Path:
        return self._pattern.with_name(self._pattern.name % (self.count + 1))

    def add(self, frame: Frame) -> None:
        """Write a frame [height, width, 3] under the next number."""
        write_picture(self._next_path, frame)
        self.count += 1


class VideoWriter:
    """Encodes a film by PyAV: 4:2:0, BT.709 with sRGB's transfer curve, sides cropped to even numbers."""

    def __init__(self, path: Path, config: FilmConfig, name: str, audio: AudioTrack | None = None) -> None:
        """Open a film for writing.

        Args:
            path: File to write.
            config: Codec and frame rate.
            name: Final name of the film; its suffix selects the container, and messages show it.
            audio: Sound of the film.

        Raises:
            OutputError: The file cannot be written.
            SettingError: PyAV is not installed, or has no encoder for the codec.
        """
        suffix = Path(name).suffix.lower()
        self._name, self._av = name, import_pyav()
        self._encoder = find_encoder(config.codec or DEFAULT_CODECS[suffix])
        # So that what a killed process has written can be read.
        options = {"flush_packets": "1"}
        os.environ.setdefault("SVT_LOG", "1")  # otherwise SVT-AV1 prints its settings on the terminal
        with self._translating_errors():
            self._container = self._av.open(str(path), "w", format=MUXERS[suffix], container_options=options)
        self._rate = frame_rate(config)
        self._stream: Any = None
        self._audio = audio
        self.count = 0

    def add(self, frame: Frame) -> None:
        """Encode a frame [height, width, 3]."""
        height, width = (side - side % 2 for side in frame.shape[:2])
        with self._translating_errors():
            self._encode(np.ascontiguousarray(frame[:height, :width]))

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Turn errors of PyAV and the disk into an OutputError that names the film."""
        try:
            yield
        except (OSError, self._av.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise OutputError(
                f"cannot write the film {self._name} ({reason})", hint="check the disk, or use another name"
            ) from error

    def _encode(self, frame: Frame) -> None:
        if self._stream is None:
            self._open_stream(*frame.shape[:2])
        picture = self._av.VideoFrame.from_ndarray(frame, "rgb24")
        yuv = picture.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=1)
        yuv.pts, yuv.time_base = self.count, 1 / self._rate
        self.count += 1
        self._container.mux(self._stream.encode(yuv))
        if self._audio:
            self._audio.write_until(self._container, float(self.count / self._rate))

    def _open_stream(self, height: int, width: int) -> None:
        stream = self._container.add_stream(self._encoder, rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = ENCODER_OPTIONS[self._encoder]
        context = stream.codec_context
        context.color_primaries, context.color_trc = BT709, SRGB_TRANSFER
        context.colorspace, context.color_range = BT709, 1
        self._stream = stream
        if self._audio:
            self._audio.add_streams(self._container)

    def finish(self) -> None:
        """Write the frames that the encoder still holds; raise OutputError if there are none at all."""
        if self._stream is None:
            raise OutputError("the film has no frames, so it was not written", hint="render more")
        with self._translating_errors():
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the file."""
        with self._translating_errors():
            self._container.close()


@contextmanager
def open_film(path: Path, config: FilmConfig, audio: AudioTrack | None = None) -> Iterator[FrameWriter]:
    """Open a writer of frames to a film, or to a folder of PNG files.

    Args:
        path: A film, a folder, or a name pattern such as film/%05d.png.
        config: Codec and frame rate.
        audio: Sound of the film; a folder has none.

    Yields:
        The writer. The film appears at `path` when the block ends without an error.

    Raises:
        OutputError: `path` cannot be written, or the film has no frames.
        SettingError: PyAV is not installed, or has no encoder for the codec.
    """
    check_film(path, config)
    if is_frame_output(path):
        yield FrameFolderWriter(path)
        return
    with atomic_path(path) as file:
        writer = open_writer(file, path, config, audio)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def open_writer(
    file: Path, path: Path, config: FilmConfig, audio: AudioTrack | None = None
) -> AnimationWriter | VideoWriter:
    """Open the writer of a film whose suffix is that of `path`, in another file."""
    if form := ANIMATIONS.get(path.suffix.lower()):
        return AnimationWriter(file, form, frame_rate(config), path.name)
    return VideoWriter(file, config, path.name, audio)


def frame_rate(config: FilmConfig) -> Fraction:
    """The frame rate as containers store it: 29.97 is 30000/1001."""
    return Fraction(config.fps).limit_denominator(1001)


def check_film(path: Path, config: FilmConfig, *, creates_folder: bool = False) -> None:
    """Raise the errors that writing a film would, before anything is rendered.

    Args:
        path: The film.
        config: How it is encoded.
        creates_folder: Whether missing folders will be created.

    Raises:
        OutputError: `path` cannot be written, or its suffix does not fit the codec.
        SettingError: PyAV is not installed, or has no encoder for the codec.
    """
    if is_frame_output(path):
        if bool(path.suffix) != is_name_pattern(path):
            raise OutputError(
                f"{path} does not number the frames",
                hint="give a folder, or a name pattern such as film/%05d.png",
            )
        if path.is_file():
            raise OutputError(f"{path} is a file", hint="give a folder for the frames")
        return
    suffix = path.suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise OutputError(
            f"{path} does not have the suffix of a film",
            hint=f"use {', '.join(FILM_SUFFIXES)}, or a folder for PNG frames",
        )
    if form := ANIMATIONS.get(suffix):
        if config.codec is not None:
            raise OutputError(
                f"{path.name} cannot hold {config.codec}", hint="use .mp4 or .mkv, or leave out --codec"
            )
        check_frame_rate(form, config.fps)
        check_output_path(path)
        return
    if suffix == ".webm" and config.codec not in (None, Codec.AV1):
        raise OutputError(f"{path.name} cannot hold {config.codec}", hint="use .mp4 or .mkv")
    check_output_path(path, creates_folder=creates_folder)
    find_encoder(config.codec or DEFAULT_CODECS[suffix])


def is_frame_output(path: Path) -> bool:
    """Whether a path names single pictures, not a film."""
    return path.is_dir() or not path.suffix or path.suffix.lower() == ".png"


def is_name_pattern(path: Path) -> bool:
    """Whether a file name holds one number: %d or %05d, with up to two digits of width."""
    return bool(NAME_PATTERN.fullmatch(path.name))


def find_encoder(codec: Codec) -> str:
    """Return the name of an encoder for a codec; raise SettingError if there is none."""
    available = import_pyav().codecs_available
    for name in ENCODERS[codec]:
        if name in available:
            return name
    raise SettingError(f"this PyAV cannot encode {codec}", hint="use another --codec")


def import_pyav() -> ModuleType:
    """Import PyAV; raise SettingError if it is not installed."""
    if find_spec("av") is None:
        raise SettingError(
            "films need PyAV, which is not installed",
            hint="pip install 'tilestyle[video]', or use .gif, .webp or a folder for PNG frames",
        )
    import av

    return av


def quantize_frame(pixels: NDArray[np.float32]) -> Frame:
    """Quantize pixels [height, width, 3] in [0, 1] to a frame of 8 bits."""
    values: Frame = np.clip(pixels * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    return values
