"""A pytest plugin: tests in the random order of the seed in TILESTYLE_PRETEND_SEED."""

from __future__ import annotations

import os
import random
from typing import Any


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Shuffle the modules, and the tests within each: fixtures of a module are still made once."""
    draw = random.Random(int(os.environ["TILESTYLE_PRETEND_SEED"]))
    modules: dict[str, list[Any]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    groups = list(modules.values())
    draw.shuffle(groups)
    for group in groups:
        draw.shuffle(group)
    items[:] = [item for group in groups for item in group]
