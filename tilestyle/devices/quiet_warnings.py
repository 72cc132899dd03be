"""Warnings of other libraries, silenced for a while whatever threads run."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Quiet:
    """A block in which the warnings of some modules are not shown; blocks may overlap in several threads.

    `warnings.catch_warnings` cannot do this: two threads that overlap restore each other's filters, and the
    whole process stays silent afterwards.
    """

    def __init__(self, modules: str) -> None:
        """Prepare a filter.

        Args:
            modules: A regular expression that the names of the modules begin with.
        """
        # The comment keeps the filter from being taken for one of somebody else's.
        self._modules = f"{modules}(?#silenced by tilestyle)"
        self._lock = threading.Lock()
        self._inside = 0
        self._filter: object = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Silence the warnings inside the block."""
        with self._lock:
            if self._inside == 0:
                warnings.filterwarnings("ignore", module=self._modules)
                self._filter = warnings.filters[0]
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    # Where the program around has replaced the list, the filter has gone with it.
                    with suppress(ValueError):
                        warnings.filters.remove(self._filter)  # type: ignore[attr-defined]
