"""Choices of settings and options. This module imports no library, so that --help stays fast."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """File formats that pictures can be written in."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    TIFF = "tiff"
    DEEP_ZOOM = "dzi"
    PDF = "pdf"

    @property
    def label(self) -> str:
        """The name of the format in messages."""
        return {Format.WEBP: "WebP", Format.DEEP_ZOOM: "Deep Zoom"}.get(self, self.upper())


SUFFIXES = {
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".webp": Format.WEBP,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
    ".dzi": Format.DEEP_ZOOM,
    ".pdf": Format.PDF,
}
"""Formats by file name extension. The first extension of a format is added to names that have none."""

READABLE_SUFFIXES = tuple(suffix for suffix, form in SUFFIXES.items() if form is not Format.PDF)
"""Extensions of pictures that a folder of frames can have."""


class Compression(StrEnum):
    """Compression of the tiles of a TIFF. All but JPEG are lossless."""

    DEFLATE = "deflate"
    ZSTD = "zstd"
    LZW = "lzw"
    JPEG = "jpeg"
    NONE = "none"


class Codec(StrEnum):
    """Video codecs of films."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"


class Animation(StrEnum):
    """Formats of films that are pictures with frames, which need no video codec."""

    GIF = "gif"
    WEBP = "webp"

    @property
    def label(self) -> str:
        """The name of the format in messages."""
        return {Animation.GIF: "GIF", Animation.WEBP: "WebP"}[self]


ANIMATIONS = {".gif": Animation.GIF, ".webp": Animation.WEBP}
"""Formats of animations by file name extension."""

FILM_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", *ANIMATIONS)
"""File name extensions of films."""


class Intent(StrEnum):
    """Rendering intents: how a soft proof replaces colors that the press cannot print."""

    PERCEPTUAL = "perceptual"
    RELATIVE = "relative"


MAX_INPUT_PIXELS = 2**30
"""Default limit for the number of pixels of an input picture: 32768 x 32768."""


class NetworkName(StrEnum):
    """Feature networks that pictures can be compared with."""

    COMPACT = "compact"
    WAVELET = "wavelet"
    VGG16 = "vgg16"
    VGG19 = "vgg19"


BUILT_IN = (NetworkName.COMPACT, NetworkName.WAVELET)  # need no weights file and no download


class Pooling(StrEnum):
    """Pooling layers of a VGG."""

    MAX = "max"
    AVERAGE = "average"


class Precision(StrEnum):
    """Arithmetic of the feature network. Canvas, moments and optimizer always use float32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class StyleLoss(StrEnum):
    """Distance between the feature statistics of canvas and style."""

    W2 = "w2"  # Wasserstein-2 distance between Gaussians
    GRAM = "gram"  # distance between Gram matrices
    STATISTICS = "gram-stats"  # Gram matrices, means and standard deviations


class ContentLoss(StrEnum):
    """What is preserved of the content: its features, or its self-similarity."""

    FEATURES = "features"
    SELF_SIMILARITY = "self-similarity"


class Normalize(StrEnum):
    """Units of the losses: relative to the energy of the target, or those of the network's features."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


class TvForm(StrEnum):
    """Pixel differences that total variation sums."""

    NEIGHBORS = "neighbors"  # to the pixel below and to the one on the right, each by itself
    GRADIENT = "gradient"  # both as one vector
    NINE_POINT = "nine-point"  # to diagonal neighbors as well


class InputScaling(StrEnum):
    """Input values that the weights of a VGG were trained with."""

    TORCHVISION = "torchvision"  # RGB in [0, 1], minus ImageNet's mean, divided by its standard deviation
    CAFFE = "caffe"  # BGR in [0, 255], minus ImageNet's mean


class Optimizer(StrEnum):
    """Methods that turn gradients into updates of the canvas."""

    ADAM = "adam"
    LBFGS = "lbfgs"


class Sampler(StrEnum):
    """How patches cover the canvas: a random grid, or independent random windows."""

    SWEEP = "sweep"
    WINDOWS = "windows"


class Quality(StrEnum):
    """Presets of the number of sweeps."""

    DRAFT = "draft"
    NORMAL = "normal"
    BEST = "best"


class FlowName(StrEnum):
    """Methods that estimate optical flow."""

    DIS = "dis"  # dense inverse search (OpenCV)
    RAFT = "raft"  # a neural network (torchvision)


class Init(StrEnum):
    """What the coarsest canvas starts from, if it is not a picture file."""

    CONTENT = "content"
    NOISE = "noise"  # shuffled pixels of the style
    STYLE = "style"
    UNIFORM = "uniform"  # uniform noise in all channels
    GRAY = "gray"  # flat gray with invisible noise


class Color(StrEnum):
    """Where the colors of the picture come from."""

    STYLE = "style"  # the style
    CONTENT = "content"  # the content: the style is recolored to match its palette first
    LUMINANCE = "luminance"  # the content, pixel by pixel: only luminance is rendered


class Tileable(StrEnum):
    """Axes along which a picture repeats without a seam."""

    X = "x"
    Y = "y"
    BOTH = "both"
