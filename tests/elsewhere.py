"""A device that is not the host, made of host memory: it refuses what a real one refuses, and counts waiting.

Tensors on it compute as tensors do, so a render gives the same numbers as on the host; but they cannot be
mixed with tensors of the host, and have no numpy arrays. It bears the name of torch's `meta` device, which has
no memory of its own to be taken by mistake.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
# Copies from one device to another are what these are for; indices may lie on the host.
CROSSING = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_"}


class There(Tensor):
    """A tensor on the device, whose numbers are those of the host's `here`."""

    here: Tensor
    doubles = False  # whether the device has float64

    @staticmethod
    def __new__(cls, here: Tensor) -> There:
        """Of the same shape and layout."""
        if here.dtype is torch.float64 and not There.doubles:
            raise TypeError("the device has no float64, as Apple's have none")
        made: There = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    def tolist(self) -> Any:
        """Its numbers, waited for."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Its numbers as an array, only if a copy on the host is asked for."""
        if not force:
            raise TypeError("a tensor on the device has no array: copy it to the host first")
        return self.cpu().numpy()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Only `Elsewhere` knows how to compute with it."""
        raise RuntimeError(f"{func} of a tensor on the device, outside of it")


class Elsewhere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, there is the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.computed = 0  # operations
        self.waited: Counter[str] = Counter()  # of those, that the host waits for, by name

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of a compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute on the host, but as the device would."""
        kwargs = dict(kwargs or {})
        flat, _ = tree_flatten((args, kwargs))
        tensors = [x for x in flat if isinstance(x, Tensor)]
        there = [x for x in tensors if isinstance(x, There)]
        name = func._schema.name
        if there and name not in CROSSING and any(x.ndim for x in tensors if not isinstance(x, There)):
            raise RuntimeError(f"{name} of tensors on two devices: {[tuple(x.shape) for x in tensors]}")
        stays = isinstance(args[0], There) if name == "aten::copy_" else bool(there)
        if kwargs.get("device") is not None:
            stays = torch.device(kwargs["device"]) == DEVICE
            kwargs["device"] = torch.device("cpu")
        found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
        if name == "aten::_local_scalar_dense":
            stays = False
        self.computed += bool(there)
        if not stays:
            self.waited[name.removeprefix("aten::")] += bool(there)
            return found
        if name.endswith("_"):  # in place
            return args[0]
        return tree_map(lambda x: There(x) if isinstance(x, Tensor) else x, found)


def _here(value: Any) -> Any:
    return value.here if isinstance(value, There) else value
