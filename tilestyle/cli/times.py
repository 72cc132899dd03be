"""Times in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in two units at most: 45 s, 12 min, 1 h 10 min, 2 d 3 h."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 0.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def elapsed(seconds: float) -> str:
    """A time that has passed, to the second: 45 s, 2:03 min, 1:02:03 h."""
    if seconds < 59.5:
        return duration(seconds)
    return f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_left(seconds: float | None) -> str:
    """The time left in words."""
    return "estimating time" if seconds is None else f"{clock(max(0.0, seconds))} left"
