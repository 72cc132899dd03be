"""Rendering style at any resolution: style transfer and texture synthesis by patches."""

from __future__ import annotations

__version__ = "0.1.0"
