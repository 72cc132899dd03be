"""Weights of the VGG networks: from the package, from a file, from torchvision, or made up for a test."""

from __future__ import annotations

import contextlib
import http.client
import os
import pickle
import sys
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from tilestyle.config.enums import InputScaling, NetworkName, Pooling
from tilestyle.devices.quiet_warnings import Quiet
from tilestyle.errors import NetworkError
from tilestyle.files.paths import ordinary_file
from tilestyle.networks.vgg import BLOCKS, Convolution, Vgg, convolution_keys

# What torchvision's weights take their input to: (sRGB - mean) / deviation, of ImageNet.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
# What Simonyan and Zisserman's own, of the Caffe lineage, take theirs to: [0, 255] less this, blue first.
CAFFE_MEAN = (123.68, 116.779, 103.939)
# Channels of the blocks, at full width.
WIDTHS = {
    NetworkName.COMPACT: (16, 48, 96, 192, 192),
    NetworkName.VGG16: (64, 128, 256, 512, 512),
    NetworkName.VGG19: (64, 128, 256, 512, 512),
}
# The weights of `compact`, which come with the package (tilestyle/training makes them).
COMPACT = Path(__file__).with_name("compact.safetensors")
# torchvision's files; a name ends in the beginning of the SHA-256 of what is in it.
FILES = {NetworkName.VGG16: "vgg16-397923af.pth", NetworkName.VGG19: "vgg19-dcbb9e9d.pth"}
# What a download raises when there is no network. URLError is an OSError, as is a full disk.
OFFLINE = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
# torch warns of pickles that it did not write itself.
_quiet = Quiet(r"torch\.")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is made of a VGG's weights."""

    pooling: Pooling | None = None  # None: the network's own
    pooling_scale: float = 1.0
    input_scaling: InputScaling = InputScaling.TORCHVISION
    feature_scale: float = 1.0


PLAIN = Shape()


def load_vgg(name: NetworkName, weights: str | os.PathLike[str] | None = None, shape: Shape = PLAIN) -> Vgg:
    """The network with these weights, on the CPU in float32.

    `weights` is a .safetensors or .pth file with torchvision's keys, as wide and as deep as it likes;
    None means those that come with the package for `compact`, and for the others torchvision's ImageNet
    weights, downloaded when first used. Raises NetworkError when there are none, or when they do not fit.
    """
    if weights is None and name is NetworkName.COMPACT:
        file = COMPACT
        tensors = _stored_tensors(file, "install tilestyle again")
    elif weights is None:
        file = cached_file(name)
        tensors = _torchvision_tensors(name, file)
    else:
        file = Path(weights)
        tensors = _stored_tensors(file, "give a .safetensors or .pth file")
    return shaped(name, _convolutions(name, tensors, file), shape)


def shaped(name: NetworkName, convolutions: Mapping[str, Convolution], shape: Shape) -> Vgg:
    """The network of these convolutions for pictures in [0, 1], as it is wanted."""
    folded = _folded(convolutions, shape.input_scaling)
    return Vgg(name, _scaled(folded, shape.feature_scale), shape.pooling, shape.pooling_scale)


def cached_file(name: NetworkName) -> Path:
    """Where torchvision keeps, or would put, its weights of this network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILES[name]


def weights_here(name: NetworkName) -> Path | None:
    """The file of torchvision's weights if it has been downloaded before; downloads nothing."""
    file = cached_file(name)
    return file if file.is_file() else None


def random_vgg(name: NetworkName, seed: int = 0, width_divisor: int = 1, shape: Shape = PLAIN) -> Vgg:
    """A network of random weights (He et al. 2015), for tests and benchmarks: not for pictures.

    What it paints is mottled noise. `width_divisor` divides the channels of every block.
    """
    generator = torch.Generator().manual_seed(seed)
    convolutions = {}
    channels = 3
    for layer in convolution_keys(name):
        width = WIDTHS[name][int(layer[len("conv")]) - 1] // width_divisor
        weight = torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
        convolutions[layer] = Convolution(weight, torch.zeros(width))
        channels = width
    return shaped(name, convolutions, shape)


def widened(network: Vgg, factor: int) -> Vgg:
    """The network with every channel `factor` times over: real features at the cost of wider ones.

    Each layer answers the channels of the narrow one repeated in order, [0..C) then [0..C) again.
    """
    wide = {}
    for layer, part in network.convolutions.items():
        inputs = 1 if layer == "conv1_1" else factor
        weight = part.weight.repeat(factor, inputs, 1, 1) / inputs
        wide[layer] = Convolution(weight, part.bias.repeat(factor))
    return Vgg(network.name, wide, network.pooling)


def _folded(convolutions: Mapping[str, Convolution], scaling: InputScaling) -> dict[str, Convolution]:
    """The same network for pictures in [0, 1]: what its weights take, folded into the first convolution.

    Exact at the edge too, since that convolution pads by replication: what is outside is a pixel like
    any other. (Zeros there would be black after folding, and ImageNet's mean before.)
    """
    first = convolutions["conv1_1"]
    weight = first.weight.double()
    mean, deviation = torch.tensor([MEAN, DEVIATION], dtype=torch.float64)
    if scaling is InputScaling.CAFFE:
        weight = weight.flip(1)  # blue comes first
        mean, deviation = torch.tensor(CAFFE_MEAN, dtype=torch.float64) / 255, torch.full_like(mean, 1 / 255)
    weight = weight / deviation[:, None, None]
    bias = first.bias.double() - (weight * mean[:, None, None]).sum((1, 2, 3))
    folded = Convolution(weight.to(first.weight.dtype), bias.to(first.bias.dtype))
    return {**convolutions, "conv1_1": folded}


def _scaled(convolutions: Mapping[str, Convolution], factor: float) -> dict[str, Convolution]:
    """The same network with all features times `factor`: rectifiers let it through."""
    return {
        layer: Convolution(part.weight * factor if layer == "conv1_1" else part.weight, part.bias * factor)
        for layer, part in convolutions.items()
    }


def _torchvision_tensors(name: NetworkName, file: Path) -> dict[str, Tensor]:
    """torchvision's weights: from its cache, else from the network into it."""
    if file.is_file():
        return _stored_tensors(file, f"delete {file}, and it will be downloaded again")
    from torchvision.models import VGG16_Weights, VGG19_Weights  # takes a second to import

    source = {NetworkName.VGG16: VGG16_Weights, NetworkName.VGG19: VGG19_Weights}[name].IMAGENET1K_V1
    ways = "or give --weights FILE, or leave --network out: the default needs no download"
    try:
        # torch.hub announces a download on the standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            found = source.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except OFFLINE as error:
        raise NetworkError(
            f"cannot download the weights of {name} ({_one_line(error)})",
            hint=f"connect once, or bring the file {source.url} to {file}, {ways}",
        ) from error
    except OSError as error:
        raise NetworkError(
            f"cannot keep the weights of {name} in {file.parent} ({_one_line(error)})",
            hint=f"make room there, or set TORCH_HOME to another folder, {ways}",
        ) from error
    except Exception as error:  # as in _stored_tensors
        raise NetworkError(
            f"the weights of {name} arrived damaged ({_one_line(error)})", hint=f"try again, {ways}"
        ) from error
    return _features(found)


def _stored_tensors(file: Path, hint: str) -> dict[str, Tensor]:
    """What a weights file holds under `features.`; of a safetensors file nothing else is read."""
    ordinary_file(file, "weights", NetworkError)
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as stored:
                return {key: stored.get_tensor(key) for key in stored.keys() if key.startswith("features.")}  # noqa: SIM118
        with _quiet():
            found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise NetworkError(f"cannot read the weights file {file} ({_one_line(error)})", hint=hint) from error
    except Exception as error:  # readers raise anything over a damaged file: AssertionError, KeyError, ...
        raise NetworkError(
            f"the weights file {file} is damaged or holds no weights ({_one_line(error)})", hint=hint
        ) from error
    # Trainers keep the weights one level down, beside what else they need.
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    return _features(found)


def _features(found: object) -> dict[str, Tensor]:
    """The tensors under `features.` of what should be a state dict; none if it is none."""
    if not isinstance(found, Mapping):
        return {}
    return {
        key: value
        for key, value in found.items()
        if isinstance(key, str) and key.startswith("features.") and isinstance(value, Tensor)
    }


def _convolutions(name: NetworkName, tensors: Mapping[str, Tensor], file: Path) -> dict[str, Convolution]:
    """The tensors as convolutions by name, in float32, to where they end; raises where one does not fit."""
    _check_depth(name, tensors, file)
    convolutions = {}
    channels = 3
    for layer, key in convolution_keys(name).items():
        if f"{key}.weight" not in tensors:
            break
        weight, bias = tensors[f"{key}.weight"], tensors[f"{key}.bias"]
        width = len(weight) if weight.ndim else 0
        _check_tensor(f"{key}.weight", weight, [width or 1, channels, 3, 3], file)
        _check_tensor(f"{key}.bias", bias, [width], file)
        convolutions[layer] = Convolution(weight.float(), bias.float())
        channels = width
    return convolutions


def _check_depth(name: NetworkName, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse a file whose layers are not this network's first ones, without a gap."""
    if not tensors:
        raise NetworkError(
            f"{file} holds no 'features.0.weight'", hint="give a file with the keys torchvision's VGGs have"
        )
    wanted = {other: _tensor_keys(other) for other in BLOCKS}
    strange = [key for key in tensors if key not in wanted[name]]
    for other in BLOCKS:
        if strange and set(tensors) <= set(wanted[other]):
            raise NetworkError(f"{file} holds {other}, not {name}", hint=f"use --network {other} with it")
    if strange:
        raise NetworkError(
            f"{file} has {strange[0]!r}, where {name} has no convolution",
            hint="give a plain VGG, without batch normalisation",
        )
    last = max(wanted[name].index(key) for key in tensors)
    for key in wanted[name][: last - last % 2 + 2]:
        if key not in tensors:
            raise NetworkError(f"{file} lacks {key!r}", hint=f"give a whole {name}, or one cut after a layer")


def _tensor_keys(name: NetworkName) -> list[str]:
    """Keys of every weight and bias of the full network, shallow to deep."""
    return [f"{key}.{part}" for key in convolution_keys(name).values() for part in ("weight", "bias")]


def _check_tensor(key: str, tensor: Tensor, shape: list[int], file: Path) -> None:
    """Refuse weights of another shape, that are no floats, or not finite."""
    if list(tensor.shape) != shape:
        raise NetworkError(
            f"{file} has {key!r} of shape {list(tensor.shape)}, which should be {shape}",
            hint="the network is one of 3 x 3 convolutions, each as deep as the one before is wide",
        )
    if not tensor.is_floating_point():
        raise NetworkError(f"{file} has {key!r} in {tensor.dtype}", hint="give weights that are not quantised")
    if not tensor.isfinite().all():
        raise NetworkError(f"{file} has {key!r} with values that are not finite", hint="give other weights")


def _one_line(error: BaseException) -> str:
    """What an exception says, in its first line."""
    if isinstance(error, pickle.UnpicklingError | LookupError | AssertionError):
        # torch itself recommends to run whatever the file says; the others have no words for it.
        return "no plain tensors"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return (str(error).strip() or type(error).__name__).splitlines()[0]
