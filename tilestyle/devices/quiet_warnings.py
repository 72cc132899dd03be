"""Silence warnings of other libraries for a while, in any number of threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SilencedWarnings:
    """A block in which the warnings of some modules are silenced; blocks in several threads may overlap.

    `warnings.catch_warnings` cannot do this: two overlapping threads restore each other's filters, and the
    whole process stays silent afterwards.
    """

    def __init__(self, modules: str) -> None:
        """Prepare a filter.

        Args:
            modules: A regular expression that matches the beginning of the modules' names.
        """
        # The comment in the expression distinguishes the filter from other programs' filters.
        self._modules = f"{modules}(?#silenced by tilestyle)"
        self._lock = threading.Lock()
        self._depth = 0
        self._filter: object = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Silence the warnings inside the block."""
        with self._lock:
            if self._depth == 0:
                warnings.filterwarnings("ignore", module=self._modules)
                self._filter = warnings.filters[0]
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    # If the calling program has replaced the list, the filter has gone with it.
                    with suppress(ValueError):
                        warnings.filters.remove(self._filter)  # type: ignore[attr-defined]
