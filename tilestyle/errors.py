"""The exceptions a user can meet, one family.

TilestyleError
├── PictureError (ValueError)       a picture file or array that cannot be used
├── OutputError (OSError)           a place or format that cannot be written
│   └── DiskError                   a disk that is full
├── WorkError (ValueError)          a work folder that cannot be gone on from
├── NetworkError (ValueError)       weights that are missing or do not fit
├── LayerError (ValueError)         a layer the network does not have
├── SettingError (ValueError)       a setting or device that makes no sense
├── DeviceError (RuntimeError)      a device that fails, or that torch cannot drive
├── MemoryLimit (MemoryError)       a job that does not fit the memory it is given
├── RankError (RuntimeError)        a process, of several that make one picture, that is gone
└── DivergedError (ArithmeticError) an optimisation that left the finite numbers

Each message is one line: what, where, what to do. The command line catches the root, once.
"""

from __future__ import annotations


class TilestyleError(Exception):
    """Root of the family: the user's situation, never our bug."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Join what happened and what to do about it into one line."""
        super().__init__(f"{message}; {hint}" if hint else message)
        self.hint = hint


def excerpt(text: object, longest: int = 60) -> str:
    """What a user gave, for a message: quoted, and of a very long text the beginning."""
    shown = repr(text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


class PictureError(TilestyleError, ValueError):
    """A picture that is missing, broken, empty or not finite."""


class OutputError(TilestyleError, OSError):
    """A file that cannot be written, or a format that cannot hold the picture."""


class DiskError(OutputError):
    """A disk that has no room."""


class WorkError(TilestyleError, ValueError):
    """A work folder that is damaged, another render's, or in use."""


class NetworkError(TilestyleError, ValueError):
    """Network weights that are missing or do not fit."""


class LayerError(TilestyleError, ValueError):
    """A layer name that the network does not have."""


class SettingError(TilestyleError, ValueError):
    """A setting outside its range, or a device that is not there."""


class DeviceError(TilestyleError, RuntimeError):
    """A device that fails, or that this torch cannot drive."""


class MemoryLimit(TilestyleError, MemoryError):
    """A job that does not fit the memory it is given."""


class RankError(TilestyleError, RuntimeError):
    """One of several processes has ended, or cannot be reached."""


class DivergedError(TilestyleError, ArithmeticError):
    """The optimisation produced values that are not finite."""
