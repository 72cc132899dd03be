"""Arrays and tensors to samples."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.color_management import ColourModel
from tilestyle.images.library_errors import is_out_of_memory, shortened
from tilestyle.images.raw_samples import Samples

_DEPTHS = {"uint8": 8, "uint16": 16, "float16": 16, "float32": 32, "float64": 32, "bool": 8}


@runtime_checkable
class Tensorlike(Protocol):
    """What tells a torch tensor without importing torch."""

    def detach(self) -> Any:
        """Return the values without their history."""

    def cpu(self) -> Any:
        """Return the values in ordinary memory."""


def samples_from_array(array: NDArray[Any]) -> Samples:
    """Read an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the fourth is straight alpha).

    uint8, uint16, floats in [0, 1], or bool as black and white. Raises PictureError for other types
    and shapes; whole numbers of other types do not say where white is.
    """
    if array.dtype.name not in _DEPTHS:
        raise PictureError(f"the array is of type {array.dtype}", hint="use uint8, uint16, or floats in [0, 1]")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise PictureError(
            f"the array has shape {array.shape}",
            hint="move the channels last: numpy.moveaxis(array, 0, -1)"
            if channels_first
            else "use [height, width] or [height, width, 1, 3 or 4]",
        )
    values = _stored(array)
    channels = values.shape[2]
    return Samples(
        values=values[..., :3],
        model=ColourModel.GREY if channels == 1 else ColourModel.RGB,
        depth=_DEPTHS[array.dtype.name],
        alpha=values[..., 3] if channels == 4 else None,
    )


def samples_from_tensor(tensor: Tensorlike) -> Samples:
    """Read a tensor [H, W], [C, H, W] or [1, C, H, W], C = 1, 3 or 4; types as for arrays.

    Raises PictureError for other types and shapes, and for tensors that are not plain values: sparse or
    quantised ones, and those on the meta device.
    """
    try:
        values = tensor.detach().cpu()
        if "float" in str(values.dtype):
            values = values.float()  # numpy has no bfloat16
        array = np.asarray(values.numpy(force=True))  # also where values are stored negated
    except (TypeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise PictureError(
            f"the tensor cannot be read ({shortened(error)})", hint="give a dense tensor that holds its values"
        ) from error
    shape = array.shape
    if array.ndim == 4 and shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[0] not in (1, 3, 4)):
        channels_last = array.ndim == 3 and array.shape[2] in (1, 3, 4)
        raise PictureError(
            f"the tensor has shape {tuple(shape)}",
            hint="move the channels first: tensor.permute(2, 0, 1)"
            if channels_last
            else "use [height, width] or [1, 3 or 4, height, width], one picture at a time",
        )
    return samples_from_array(np.moveaxis(array, 0, -1) if array.ndim == 3 else array)


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """As uint8, uint16 or float32, in the byte order of this machine."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is refused as such
            return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
