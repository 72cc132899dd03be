"""Values that settings and options are chosen from: nothing but names, so that help needs no library."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """A format of written pictures."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    TIFF = "tiff"
    DEEP_ZOOM = "dzi"

    @property
    def label(self) -> str:
        """As messages name it."""
        return {Format.WEBP: "WebP", Format.DEEP_ZOOM: "Deep Zoom"}.get(self, self.upper())


SUFFIXES = {
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".webp": Format.WEBP,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
    ".dzi": Format.DEEP_ZOOM,
}
"""File name endings and what they ask for; the first of a format is given to names without."""


class Compression(StrEnum):
    """How the tiles of a TIFF are packed. All but JPEG give back what was put in."""

    DEFLATE = "deflate"
    ZSTD = "zstd"
    LZW = "lzw"
    JPEG = "jpeg"
    NONE = "none"


class Codec(StrEnum):
    """What a film is encoded with."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"


class Intent(StrEnum):
    """How colours that ink cannot make are replaced."""

    PERCEPTUAL = "perceptual"
    RELATIVE = "relative"


MAX_INPUT_PIXELS = 2**30
"""Pixels of the largest picture that is read unless more are allowed: 32768 x 32768."""


class NetworkName(StrEnum):
    """Feature networks."""

    COMPACT = "compact"
    WAVELET = "wavelet"
    VGG16 = "vgg16"
    VGG19 = "vgg19"


BUILT_IN = (NetworkName.COMPACT, NetworkName.WAVELET)  # need no file of weights and no download


class Pooling(StrEnum):
    """How a VGG halves its features."""

    MAX = "max"
    AVERAGE = "average"


class Precision(StrEnum):
    """Arithmetic of the network; canvas, moments and optimiser are float32 always."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class StyleLoss(StrEnum):
    """Distance between the moments of canvas and style."""

    W2 = "w2"
    GRAM = "gram"
    STATISTICS = "gram-stats"  # Gram, with means and deviations


class ContentLoss(StrEnum):
    """What of the content is kept: its features, or which of its places are alike."""

    FEATURES = "features"
    SELF_SIMILARITY = "self-similarity"


class Normalise(StrEnum):
    """What distances are measured in: shares of what there is of the thing, or the network's own units."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


class TvForm(StrEnum):
    """Differences that total variation sums: to two neighbours, both together, or to diagonal ones as well."""

    NEIGHBOURS = "neighbours"
    GRADIENT = "gradient"
    NINE_POINT = "nine-point"


class InputScaling(StrEnum):
    """Pixels that the weights of a VGG were trained on."""

    TORCHVISION = "torchvision"  # RGB in [0, 1], less ImageNet's mean, over its deviation
    CAFFE = "caffe"  # BGR in [0, 255], less ImageNet's mean


class Optimiser(StrEnum):
    """What turns gradients into steps."""

    ADAM = "adam"
    LBFGS = "lbfgs"


class Sampler(StrEnum):
    """How patches cover the canvas: a random grid, or independent random windows."""

    SWEEP = "sweep"
    WINDOWS = "windows"


class Quality(StrEnum):
    """How many sweeps."""

    DRAFT = "draft"
    NORMAL = "normal"
    BEST = "best"


class FlowName(StrEnum):
    """Ways to find optical flow."""

    DIS = "dis"
    RAFT = "raft"


class Init(StrEnum):
    """What the coarsest canvas starts from, unless it is a picture file."""

    CONTENT = "content"
    NOISE = "noise"  # pixels of the style, shuffled
    STYLE = "style"
    UNIFORM = "uniform"  # noise of all colours
    GREY = "grey"  # flat, with noise that cannot be seen


class Color(StrEnum):
    """Whose colours the picture has: the style's, the content's by palette, or the content's at every pixel."""

    STYLE = "style"
    CONTENT = "content"
    LUMINANCE = "luminance"


class Tileable(StrEnum):
    """Axes along which a picture repeats without a seam."""

    X = "x"
    Y = "y"
    BOTH = "both"
