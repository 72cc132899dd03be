"""Kernels run in Triton's interpreter, on a host."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are imported from here on are interpreted."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # on machines with a GPU, too
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA on Linux")
