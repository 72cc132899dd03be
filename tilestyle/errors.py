"""The exceptions that a user can meet, in one hierarchy.

    TilestyleError
    ├── PictureError (ValueError)       a picture file or array that cannot be used
    ├── OutputError (OSError)           a path or format that cannot be written
    │   └── DiskError                   a full disk
    ├── WorkError (ValueError)          a work folder that cannot be resumed
    │   └── FolderTakenError            a folder that holds something else
    ├── NetworkError (ValueError)       weights that are missing or do not fit
    ├── LayerError (ValueError)         a layer that the network does not have
    ├── SettingError (ValueError)       an invalid setting or device
    ├── DeviceError (RuntimeError)      a device that fails, or that torch cannot use
    ├── MemoryLimit (MemoryError)       a job that does not fit into its memory limit
    ├── RankError (RuntimeError)        another process of the same render has stopped
    └── DivergedError (ArithmeticError) an optimization that produced non-finite values

Each message is one line: what is wrong, where, and what to do. The command line catches the base class, once.
"""

from __future__ import annotations


class TilestyleError(Exception):
    """Base class: something is wrong with the user's input or machine, not with this program.

    Attributes:
        message: What is wrong, and where.
        hint: What to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Join the message and the hint into one line.

        Args:
            message: What is wrong, and where.
            hint: What to do about it.
        """
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


def excerpt(text: object, longest: int = 60) -> str:
    """Quote a user's input for a message, cut after `longest` characters."""
    quoted = repr(text)
    return quoted if len(quoted) <= longest else f"{quoted[:longest]}..."


class PictureError(TilestyleError, ValueError):
    """A picture is missing, broken, empty or not finite."""


class OutputError(TilestyleError, OSError):
    """A file cannot be written, or its format cannot hold the picture."""


class DiskError(OutputError):
    """The disk is full."""


class WorkError(TilestyleError, ValueError):
    """A work folder is damaged, in use, or belongs to another render."""


class FolderTakenError(WorkError):
    """A folder holds other files, or a series with other settings."""


class NetworkError(TilestyleError, ValueError):
    """Network weights are missing or do not fit."""


class LayerError(TilestyleError, ValueError):
    """The network does not have a layer of this name."""


class SettingError(TilestyleError, ValueError):
    """A setting is out of range, or a device does not exist."""


class DeviceError(TilestyleError, RuntimeError):
    """A device fails, or this build of torch cannot use it."""


class MemoryLimit(TilestyleError, MemoryError):
    """The job does not fit into its memory limit."""


class RankError(TilestyleError, RuntimeError):
    """Another of several processes has stopped or cannot be reached."""


class DivergedError(TilestyleError, ArithmeticError):
    """The optimization produced values that are not finite."""
