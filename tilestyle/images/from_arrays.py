"""Conversion of NumPy arrays and torch tensors to samples."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.color_management import ColorModel
from tilestyle.images.library_errors import is_out_of_memory, shorten_text
from tilestyle.images.raw_samples import RawSamples

_DEPTHS = {"uint8": 8, "uint16": 16, "float16": 16, "float32": 32, "float64": 32, "bool": 8}


@runtime_checkable
class Tensorlike(Protocol):
    """The methods that identify a torch tensor, so that torch need not be imported."""

    def detach(self) -> Any:
        """Return the tensor without its autograd history."""

    def cpu(self) -> Any:
        """Return the tensor in CPU memory."""


def samples_from_array(array: NDArray[Any]) -> RawSamples:
    """Convert an array to samples.

    Args:
        array: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the fourth channel is straight alpha) in uint8 or
            uint16, floats in [0, 1], or bool for black and white.

    Raises:
        PictureError: The array has another shape or type. For other integer types, white is not defined.
    """
    array = np.asarray(array)  # subclasses slice differently: a matrix always has two axes
    if array.dtype.name not in _DEPTHS:
        raise PictureError(
            f"the array has unsupported type {array.dtype}", hint="use uint8, uint16, or floats in [0, 1]"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise PictureError(
            f"the array has unsupported shape {array.shape}",
            hint="move the channels last: numpy.moveaxis(array, 0, -1)"
            if channels_first
            else "use [height, width] or [height, width, 1, 3 or 4]",
        )
    values = _stored(array)
    channels = values.shape[2]
    return RawSamples(
        values=values[..., :3],
        model=ColorModel.GRAY if channels == 1 else ColorModel.RGB,
        depth=_DEPTHS[array.dtype.name],
        alpha=values[..., 3] if channels == 4 else None,
    )


def samples_from_tensor(tensor: Tensorlike) -> RawSamples:
    """Convert a tensor to samples.

    Args:
        tensor: [H, W], [C, H, W] or [1, C, H, W] with 1, 3 or 4 channels, in the types allowed for arrays or in
            bfloat16.

    Raises:
        PictureError: The tensor has another shape or type, or is sparse, quantized or on the meta device.
    """
    try:
        values = tensor.detach().cpu()
        if "float" in str(values.dtype):
            values = values.float()  # NumPy has no bfloat16
        array = np.asarray(values.numpy(force=True))  # force: resolve tensors that are stored negated
    except (TypeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise PictureError(
            f"the tensor cannot be read ({shorten_text(error)})", hint="give a dense tensor with values"
        ) from error
    shape = array.shape
    if array.ndim == 4 and shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[0] not in (1, 3, 4)):
        channels_last = array.ndim == 3 and array.shape[2] in (1, 3, 4)
        raise PictureError(
            f"the tensor has unsupported shape {tuple(shape)}",
            hint="move the channels first: tensor.permute(2, 0, 1)"
            if channels_last
            else "use [height, width] or [1, 3 or 4, height, width], one picture at a time",
        )
    return samples_from_array(np.moveaxis(array, 0, -1) if array.ndim == 3 else array)


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """Convert an array to uint8, uint16 or float32 in the byte order of this machine."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # too large values become infinite, and are refused later
            return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
