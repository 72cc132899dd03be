"""A base class of objects that accumulate statistics of the canvas.

As with `torch.nn.Module`, the state of an object is its own tensors and those of its parts, under the names of
the parts. So saving, restoring, adding over processes and resetting are written once, here; each class defines
only what it holds itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tilestyle.distributed import Communicator


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with a prefix and a space before every name; unchanged for an empty prefix."""
    return {f"{prefix} {name}" if prefix else name: tensor for name, tensor in state.items()}


def unprefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a state whose names have this prefix, with the prefix removed: undoes `prefixed`."""
    start = f"{prefix} " if prefix else ""
    return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}


class Stateful:
    """An object that holds statistics of the canvas, itself and in its parts."""

    def parts(self) -> Mapping[str, Stateful]:
        """Return the parts by the prefix of their state."""
        return {}

    def own_state(self) -> dict[str, Tensor]:
        """Return the tensors of this object itself."""
        return {}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`; `state` may have the tensors of the parts, too."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all statistics as tensors by name, as they are between two patches."""
        state = self.own_state()
        for prefix, part in self.parts().items():
            state |= prefixed(prefix, part.state_dict())
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.load_own_state(state)
        for prefix, part in self.parts().items():
            part.load_state_dict(unprefixed(prefix, state))

    def all_reduce(self, comm: Communicator) -> None:
        """Add the sums of all processes, as accumulated since the last sweep or measurement."""
        for part in self.parts().values():
            part.all_reduce(comm)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep, when another process has them."""
        for part in self.parts().values():
            part.reset_sums()
