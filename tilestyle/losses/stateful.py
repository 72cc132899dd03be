"""Objects that accumulate statistics of the canvas, and contain others that do.

Like `torch.nn.Module`, an object's state is its own tensors and those of its parts, under the parts' names.
So saving, restoring, reducing over processes and resetting are written once, here, and each class says only
what it holds itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tilestyle.distributed import Ranks


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with a prefix and a space before every name; without a prefix, unchanged."""
    return {f"{prefix} {name}" if prefix else name: tensor for name, tensor in state.items()}


def unprefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `prefixed` was given: the part of a state under this prefix, without it."""
    mark = f"{prefix} " if prefix else ""
    return {name.removeprefix(mark): tensor for name, tensor in state.items() if name.startswith(mark)}


class Stateful:
    """An object with statistics of the canvas, of its own and of its parts."""

    def parts(self) -> Mapping[str, Stateful]:
        """Return the parts by the prefix of their state."""
        return {}

    def own_state(self) -> dict[str, Tensor]:
        """Return the tensors of this object itself."""
        return {}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`; `state` has names of parts as well."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all statistics as tensors by name, to be stored between two patches."""
        state = self.own_state()
        for prefix, part in self.parts().items():
            state |= prefixed(prefix, part.state_dict())
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.load_own_state(state)
        for prefix, part in self.parts().items():
            part.load_state_dict(unprefixed(prefix, state))

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums since the last sweep, or measurement, over all processes."""
        for part in self.parts().values():
            part.all_reduce(comm)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep: another process has them."""
        for part in self.parts().values():
            part.reset_sums()
