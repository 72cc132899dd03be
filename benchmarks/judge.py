"""An independent judge of pictures: SqueezeNet 1.0 (Iandola et al. 2016), which no render uses.

Lower is better. Needs weights/squeezenet1_0.safetensors in the folder that TILESTYLE_ASSETS names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import squeezenet1_0

from benchmarks.record import assets

SIZES = (512, 256)  # long sides at which pictures are compared, in pixels
STYLE_LAYERS = (1, 3, 5, 8, 10)  # conv1, fire2, fire4, fire6 and fire8, rectified
CONTENT_LAYERS = (7, 10)  # fire5 and fire8
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Judge:
    """Measures the distances of a picture from its style and its content."""

    def __init__(self, weights: Path) -> None:
        """Load the network from a .safetensors file with torchvision's keys."""
        network = squeezenet1_0()
        network.load_state_dict(load_file(weights))
        self._layers = network.eval().features

    def style(self, picture: Path, style: Path) -> float:
        """Measure how far a picture is from a style.

        Returns:
            The mean, over two scales and five layers, of the squared Wasserstein-2 distance of the features'
            moments (as Gaussians), over the energy of the style's.
        """
        distances = []
        for size in SIZES:
            pair = (self._features(_loaded(file, size), STYLE_LAYERS) for file in (picture, style))
            distances += [wasserstein(a, b) for a, b in zip(*pair, strict=True)]
        return mean(distances)

    def content(self, picture: Path, content: Path) -> float:
        """Measure how far a picture is from its content.

        Returns:
            The mean, over two layers, of the cosine distance of features without their means, cell by cell.
        """
        pixels = _loaded(picture, SIZES[0])
        original = F.interpolate(_loaded(content, SIZES[0]), pixels.shape[-2:], mode="bicubic", antialias=True)
        distances = []
        for a, b in zip(
            self._features(pixels, CONTENT_LAYERS), self._features(original, CONTENT_LAYERS), strict=True
        ):
            a, b = (x - x.mean((2, 3), keepdim=True) for x in (a, b))
            distances.append(1 - float(F.cosine_similarity(a, b).mean()))
        return mean(distances)

    @torch.no_grad()
    def _features(self, pixels: Tensor, layers: Sequence[int]) -> list[Tensor]:
        mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (MEAN, DEVIATION))
        values = (F.pad(pixels, (3,) * 4, "replicate") - mean) / deviation
        features = []
        for index, layer in enumerate(self._layers[: max(layers) + 1]):
            values = layer(values)
            if index in layers:
                features.append(values)
        return features


def find_judge() -> Judge | None:
    """Load the judge; return None if its weights are missing."""
    folder = assets()
    weights = folder and folder / "weights" / "squeezenet1_0.safetensors"
    return Judge(weights) if weights and weights.exists() else None


def wasserstein(one: Tensor, other: Tensor) -> float:
    """Compute the squared Wasserstein-2 distance of features as Gaussians, over the energy of the second.

    Args:
        one: Features [1, C, h, w].
        other: Features [1, C, h', w'].
    """
    (mean, covariance), (other_mean, other_covariance) = (_moments(values) for values in (one, other))
    root = _root(other_covariance)
    bures = covariance.trace() + other_covariance.trace() - 2 * _root(root @ covariance @ root).trace()
    energy = other_covariance.trace() + other_mean.square().sum()
    return float(((mean - other_mean).square().sum() + bures) / energy)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and covariance [C, C] of features [1, C, h, w]."""
    cells = values.flatten(2)[0].double()  # [C, h * w]
    mean = cells.mean(1)
    return mean, cells @ cells.T / cells.shape[1] - torch.outer(mean, mean)


def _root(matrix: Tensor) -> Tensor:
    """Square root of a symmetric positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _loaded(file: Path, size: int) -> Tensor:
    """Read a picture at a long side of `size` pixels, [1, 3, h, w]."""
    with Image.open(file) as picture:
        factor = size / max(picture.size)
        sides = [max(32, round(side * factor)) for side in picture.size]
        pixels = np.asarray(picture.convert("RGB").resize((sides[0], sides[1]), Image.Resampling.LANCZOS))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
