"""Make every Python process of a test run believe that it is on another machine.

`benchmarks/machines.py` puts this folder on PYTHONPATH, so the processes that tests start are covered, too. The
variable is read here alone; the program itself knows nothing of it:

* TILESTYLE_PRETEND_MEMORY: bytes of RAM that are free.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def _memory(module: Any) -> None:
    free = os.environ.get("TILESTYLE_PRETEND_MEMORY")
    if free is None:
        return
    asked = module.virtual_memory

    def virtual_memory() -> Any:
        return asked()._replace(available=int(free))

    module.virtual_memory = virtual_memory


CHANGES: dict[str, Callable[[Any], None]] = {"psutil": _memory}


class _Changed(importlib.abc.Loader):
    """Loads a module as its own loader does, then changes it."""

    def __init__(self, loader: importlib.abc.Loader, change: Callable[[Any], None]) -> None:
        self._loader, self._change = loader, change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to change; nothing is imported before somebody asks for it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        change = CHANGES.get(name)
        if change is None:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Changed(spec.loader, change)
        return spec


sys.meta_path.insert(0, _Finder())
