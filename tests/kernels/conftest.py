"""Kernels run in Triton's interpreter, on a host."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are imported from here on are interpreted."""
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA on Linux")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
