"""Weights files of the VGG networks: from the package, a file or torchvision, to checked convolutions."""

from __future__ import annotations

import contextlib
import http.client
import os
import pickle
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from tilestyle.config.enums import NetworkName
from tilestyle.devices.quiet_warnings import SilencedWarnings
from tilestyle.errors import NetworkError
from tilestyle.files.paths import regular_file
from tilestyle.networks.vgg import BLOCKS, Convolution, convolution_keys

# The bundled weights of `compact` (made by tilestyle/training).
COMPACT_FILE = Path(__file__).with_name("compact.safetensors")
# torchvision's files; a name ends with the first digits of the file's SHA-256.
TORCHVISION_FILES = {NetworkName.VGG16: "vgg16-397923af.pth", NetworkName.VGG19: "vgg19-dcbb9e9d.pth"}
# Exceptions of a download without an internet connection. URLError is an OSError, as is a full disk.
DOWNLOAD_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
# torch warns about pickles that it did not write itself.
_quiet = SilencedWarnings(r"torch\.")


def load_convolutions(name: NetworkName, weights: str | os.PathLike[str] | None) -> dict[str, Convolution]:
    """Find the weights of a network, read them and check them.

    Args:
        name: Which network.
        weights: A weights file, as for `load_vgg`.

    Returns:
        The convolutions by name, in float32, up to the deepest one in the file.

    Raises:
        NetworkError: The weights are missing or do not fit.
    """
    if weights is None and name is NetworkName.COMPACT:
        file = COMPACT_FILE
        tensors = _stored_tensors(file, "reinstall tilestyle")
    elif weights is None:
        file = cached_file(name)
        tensors = _torchvision_tensors(name, file)
    else:
        file = Path(weights)
        tensors = _stored_tensors(file, "give a .safetensors or .pth file")
    return _convolutions(name, tensors, file)


def cached_file(name: NetworkName) -> Path:
    """Return where torchvision stores its weights of this network, whether or not they are there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION_FILES[name]


def downloaded_file(name: NetworkName) -> Path | None:
    """Return the file of torchvision's weights if it has been downloaded; this does not download anything."""
    file = cached_file(name)
    return file if file.is_file() else None


def _torchvision_tensors(name: NetworkName, file: Path) -> dict[str, Tensor]:
    """Load torchvision's weights from its cache, or download them into it."""
    if file.is_file():
        return _stored_tensors(file, f"delete {file} to download it again")
    from torchvision.models import VGG16_Weights, VGG19_Weights  # takes a second to import

    source = {NetworkName.VGG16: VGG16_Weights, NetworkName.VGG19: VGG19_Weights}[name].IMAGENET1K_V1
    alternatives = "or give --weights FILE, or omit --network: the default network needs no download"
    try:
        # torch.hub announces a download on standard output, which is reserved for results.
        with contextlib.redirect_stdout(sys.stderr):
            state_dict = source.get_state_dict(
                progress=True, check_hash=True, map_location="cpu", weights_only=True
            )
    except DOWNLOAD_ERRORS as error:
        raise NetworkError(
            f"cannot download the weights of {name} ({_one_line(error)})",
            hint=f"connect to the internet once, copy {source.url} to {file}, {alternatives}",
        ) from error
    except OSError as error:
        raise NetworkError(
            f"cannot save the weights of {name} in {file.parent} ({_one_line(error)})",
            hint=f"free some space, set TORCH_HOME to another folder, {alternatives}",
        ) from error
    except Exception as error:  # as in _stored_tensors
        raise NetworkError(
            f"the downloaded weights of {name} are damaged ({_one_line(error)})",
            hint=f"try again, {alternatives}",
        ) from error
    return _feature_tensors(state_dict)


def _stored_tensors(file: Path, hint: str) -> dict[str, Tensor]:
    """Load the tensors under `features.` of a weights file; of a safetensors file nothing else is read."""
    regular_file(file, "weights", NetworkError)
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as stored:
                return {key: stored.get_tensor(key) for key in stored.keys() if key.startswith("features.")}  # noqa: SIM118
        with _quiet():
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise NetworkError(f"cannot read the weights file {file} ({_one_line(error)})", hint=hint) from error
    except Exception as error:  # readers raise anything over a damaged file: AssertionError, KeyError, ...
        raise NetworkError(
            f"the weights file {file} is damaged or has no weights ({_one_line(error)})", hint=hint
        ) from error
    # Checkpoints of training programs store the weights one level down.
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    return _feature_tensors(content)


def _feature_tensors(state_dict: object) -> dict[str, Tensor]:
    """Return the tensors under `features.` of a state dict; empty if it is not a state dict."""
    if not isinstance(state_dict, Mapping):
        return {}
    return {
        key: value
        for key, value in state_dict.items()
        if isinstance(key, str) and key.startswith("features.") and isinstance(value, Tensor)
    }


def _convolutions(name: NetworkName, tensors: Mapping[str, Tensor], file: Path) -> dict[str, Convolution]:
    """Convert tensors to convolutions by name, in float32, up to the first one missing.

    Raises:
        NetworkError: A tensor does not fit.
    """
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
    """Check that the layers of a file are the first ones of this network, without a gap."""
    if not tensors:
        raise NetworkError(
            f"{file} does not contain 'features.0.weight'", hint="give a file with torchvision's keys for VGG"
        )
    keys = {network: _tensor_keys(network) for network in BLOCKS}
    unknown = [key for key in tensors if key not in keys[name]]
    for network in BLOCKS:
        if unknown and set(tensors) <= set(keys[network]):
            raise NetworkError(
                f"{file} contains {network}, not {name}", hint=f"use --network {network} with it"
            )
    if unknown:
        raise NetworkError(
            f"{file} contains {unknown[0]!r}, which {name} does not have",
            hint="give a plain VGG, without batch normalization",
        )
    deepest = max(keys[name].index(key) for key in tensors)
    for key in keys[name][: deepest - deepest % 2 + 2]:
        if key not in tensors:
            raise NetworkError(
                f"{file} does not contain {key!r}", hint=f"give a complete {name}, or one cut after a layer"
            )


def _tensor_keys(name: NetworkName) -> list[str]:
    """Return the keys of every weight and bias of the full network, shallow to deep."""
    return [f"{key}.{part}" for key in convolution_keys(name).values() for part in ("weight", "bias")]


def _check_tensor(key: str, tensor: Tensor, shape: list[int], file: Path) -> None:
    """Check that weights have the expected shape, and are finite floating-point numbers."""
    if list(tensor.shape) != shape:
        raise NetworkError(
            f"{file}: {key!r} has shape {list(tensor.shape)} instead of {shape}",
            hint="give a network of 3 x 3 convolutions whose channels match",
        )
    if not tensor.is_floating_point():
        raise NetworkError(f"{file}: {key!r} is {tensor.dtype}", hint="give weights that are not quantized")
    if not tensor.isfinite().all():
        raise NetworkError(f"{file}: {key!r} contains NaN or infinity", hint="give other weights")


def _one_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    if isinstance(error, pickle.UnpicklingError | LookupError | AssertionError):
        # torch's message recommends running any code in the file; the others have no useful message.
        return "not a file of plain tensors"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return (str(error).strip() or type(error).__name__).splitlines()[0]
