"""How far an earlier run of a render came."""

from __future__ import annotations

from dataclasses import dataclass

from tilestyle.planning.resolve import MemoryDecisions


@dataclass(frozen=True)
class ResumePoint:
    """How far an earlier run came.

    Attributes:
        decisions: What was decided from free memory when the render started.
        level: The level to continue in.
        sweep: The next sweep, counted from 0.
        seconds: Time that earlier runs took.
    """

    decisions: MemoryDecisions
    level: int
    sweep: int
    seconds: float
