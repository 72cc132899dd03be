"""Films: frames of one size written one by one, as a folder of PNG or encoded by PyAV.

What is encoded lies beside its place until it is whole, and then takes it. No more than a frame is held here.
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

from tilestyle.config.enums import Codec
from tilestyle.config.render import FilmConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import check_place, replacement
from tilestyle.images import write_picture

if TYPE_CHECKING:
    from types import ModuleType

Frame = NDArray[np.uint8]  # [height, width, 3], sRGB

# Encoders by codec, the first that is there is taken; and what each is told. Constant quality, all of them.
ENCODERS = {
    Codec.H264: ("libx264", "libopenh264"),
    Codec.H265: ("libx265",),
    Codec.AV1: ("libsvtav1", "libaom-av1"),
}
QUALITY = {
    "libx264": {"crf": "17", "preset": "medium"},
    "libx265": {"crf": "20", "preset": "medium", "x265-params": "log-level=error"},
    "libsvtav1": {"crf": "26", "preset": "6"},
    "libaom-av1": {"crf": "26", "cpu-used": "6"},
    "libopenh264": {},
}
# What films are called, and what is in them unless asked otherwise.
CODECS = {".mp4": Codec.H264, ".mov": Codec.H264, ".mkv": Codec.H264, ".webm": Codec.AV1}
MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Not all that % formats: %s, or a width of millions, are slips.
PATTERN = re.compile(r"([^%]*)%\d{0,2}d([^%]*)")
BT709 = 1  # ITU-T H.273: primaries and matrix
SRGB = 13  # its transfer characteristics


class FrameWriter(Protocol):
    """Takes frames, one after the other."""

    count: int  # frames that are there

    def add(self, frame: Frame) -> None:
        """The next frame, [height, width, 3]."""


class Sound(Protocol):
    """What is heard with the frames of an encoded film."""

    def begin(self, film: Any) -> None:
        """Make room for it in PyAV's container of the film."""

    def until(self, film: Any, seconds: float) -> None:
        """Put in what is heard until then."""


class PngFrames:
    """Numbered PNG files in a folder; those that are there are gone on from."""

    def __init__(self, path: Path) -> None:
        """`path` is a folder, made if it is not there, or a name such as film/%05d.png."""
        self._pattern = path if is_pattern(path) else path / "%05d.png"
        try:
            self._pattern.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make folder {self._pattern.parent}: {error.strerror}") from error
        self.count = 0
        while self._next.exists():
            self.count += 1

    @property
    def _next(self) -> Path:
        return self._pattern.with_name(self._pattern.name % (self.count + 1))

    def add(self, frame: Frame) -> None:
        """Write it under the next number."""
        write_picture(self._next, frame)
        self.count += 1


class Encoded:
    """A film in a file, by PyAV: 4:2:0, BT.709 with sRGB's transfer, sides cut to even numbers of pixels."""

    def __init__(self, path: Path, config: FilmConfig, name: str, sound: Sound | None = None) -> None:
        """`path` is the file that is written, `name` that whose ending says what it is to be."""
        suffix = Path(name).suffix.lower()
        self._name, self._av = name, pyav()
        self._encoder = encoder_of(config.codec or CODECS[suffix])
        # What a killed process has written is to be read.
        options = {"flush_packets": "1"}
        os.environ.setdefault("SVT_LOG", "1")  # else SVT-AV1 prints its settings on the terminal
        with self._writing():
            self._container = self._av.open(str(path), "w", format=MUXERS[suffix], container_options=options)
        self._rate = rate_of(config)
        self._stream: Any = None
        self._sound = sound
        self.count = 0

    def add(self, frame: Frame) -> None:
        """Encode it."""
        height, width = (side - side % 2 for side in frame.shape[:2])
        with self._writing():
            self._add(np.ascontiguousarray(frame[:height, :width]))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise what PyAV and the disk raise as an OutputError that names the film."""
        try:
            yield
        except (OSError, self._av.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise OutputError(
                f"cannot write the film {self._name} ({reason})", hint="check the disk, or give another name"
            ) from error

    def _add(self, frame: Frame) -> None:
        if self._stream is None:
            self._begin(*frame.shape[:2])
        picture = self._av.VideoFrame.from_ndarray(frame, "rgb24")
        shown = picture.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=1)
        shown.pts, shown.time_base = self.count, 1 / self._rate
        self.count += 1
        self._container.mux(self._stream.encode(shown))
        if self._sound:
            self._sound.until(self._container, float(self.count / self._rate))

    def _begin(self, height: int, width: int) -> None:
        stream = self._container.add_stream(self._encoder, rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = QUALITY[self._encoder]
        context = stream.codec_context
        context.color_primaries, context.color_trc = BT709, SRGB
        context.colorspace, context.color_range = BT709, 1
        self._stream = stream
        if self._sound:
            self._sound.begin(self._container)

    def finish(self) -> None:
        """End the film; raises OutputError when it has no frame."""
        if self._stream is None:
            raise OutputError("a film of no frames is not written", hint="render more")
        with self._writing():
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Let go of the file."""
        with self._writing():
            self._container.close()


@contextmanager
def filming(path: Path, config: FilmConfig, sound: Sound | None = None) -> Iterator[FrameWriter]:
    """A writer of frames to a film, or to a folder of PNG; a film appears when the block ends without error."""
    check_film(path, config)
    if is_frames(path):
        yield PngFrames(path)
        return
    with replacement(path) as file:
        writer = Encoded(file, config, path.name, sound)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def rate_of(config: FilmConfig) -> Fraction:
    """Frames a second, as containers count them: 29.97 is 30000/1001."""
    return Fraction(config.fps).limit_denominator(1001)


def check_film(path: Path, config: FilmConfig) -> None:
    """Raise what writing a film would, before anything is rendered."""
    if is_frames(path):
        if bool(path.suffix) != is_pattern(path):
            raise OutputError(f"{path} is no name for many pictures", hint="give a folder, or film/%05d.png")
        if path.is_file():
            raise OutputError(f"{path} is a file", hint="give a folder for the frames")
        return
    suffix = path.suffix.lower()
    if suffix not in CODECS:
        raise OutputError(
            f"{path} has no ending of a film",
            hint=f"give {', '.join(CODECS)}, or a folder for PNG frames",
        )
    if suffix == ".webm" and config.codec not in (None, Codec.AV1):
        raise OutputError(f"{path.name} cannot hold {config.codec}", hint="use .mp4 or .mkv")
    check_place(path)
    encoder_of(config.codec or CODECS[suffix])


def is_frames(path: Path) -> bool:
    """Whether frames are to go into files of their own."""
    return path.is_dir() or not path.suffix or path.suffix.lower() == ".png"


def is_pattern(path: Path) -> bool:
    """Whether a name has a place for one number: %d or %05d, with up to two digits of width."""
    return bool(PATTERN.fullmatch(path.name))


def encoder_of(codec: Codec) -> str:
    """The encoder for a codec; raises SettingError where there is none."""
    there = pyav().codecs_available
    for name in ENCODERS[codec]:
        if name in there:
            return name
    raise SettingError(f"this PyAV cannot encode {codec}", hint="give another --codec")


def pyav() -> ModuleType:
    """PyAV; raises SettingError where it is not installed."""
    if find_spec("av") is None:
        raise SettingError(
            "films need PyAV, which is not installed",
            hint="pip install 'tilestyle[video]', or give a folder for PNG frames",
        )
    import av

    return av


def frame_of(pixels: NDArray[np.float32]) -> Frame:
    """Pixels [height, width, 3] in [0, 1] as a frame: 8 bits."""
    values: Frame = np.clip(pixels * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    return values
