"""What a work folder keeps of a render, as JSON with its own digest.

Whoever reads a manifest takes it for hostile: it may be damaged, cut short, edited, or made by somebody else.
Everything in it is checked, types and ranges and names, before any of it is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tilestyle.errors import WorkError
from tilestyle.files.paths import content_of
from tilestyle.version import __version__

FORMAT = 4
ANEW = "begin anew with --restart"
LARGEST = 2**26  # bytes of a manifest that is read

_NAMES = {
    "archive": re.compile(r"checkpoint-\d{1,12}(-\d{1,6})?\.npz"),
    "journal": re.compile(r"checkpoint-\d{1,12}\.journal"),
    "plane": re.compile(r"[a-z]{1,20}-\d{1,9}x\d{1,9}(-\d{1,6})?\.plane"),
}
_HEX = re.compile(r"[0-9a-f]+")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
_MANY = 2**20  # ranks, words of a command, rows of checksums
_FAR = 2**40  # numbers that count something

Value = TypeVar("Value")


@dataclass(frozen=True)
class Archive:
    """An archive of tensors (tensor_archive.py) and its digest."""

    name: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class Filed:
    """A canvas that stays in mapped files, with a journal of what is changed after the checkpoint."""

    planes: list[str]
    journal: str
    nonce: str  # that the journal begins with, so that no other is taken for it
    sums: list[int]  # checksums of the canvas at the checkpoint, band by band (checksums.py)


@dataclass(frozen=True)
class Place:
    """How far the render had come."""

    level: int
    sweep: int
    stepped: int
    prepared: bool
    cut_short: bool


@dataclass(frozen=True)
class Manifest:
    """One checkpoint."""

    number: int
    seconds: float  # that the render had taken
    finished: bool  # all sweeps are done: the archives hold the pixels alone
    place: Place
    archives: list[Archive]  # one for each rank
    filed: Filed | None
    settled: dict[str, Any]
    about: dict[str, Any]  # what the render is of
    words: list[str] = field(default_factory=list)  # of the command that goes on with it
    folder: str = ""  # where that was called

    @property
    def files(self) -> list[str]:
        """All files of the checkpoint."""
        filed = [] if self.filed is None else [*self.filed.planes, self.filed.journal]
        return [*(archive.name for archive in self.archives), *filed]


def encoded(manifest: Manifest) -> bytes:
    """The file of a manifest."""
    content = {"format": FORMAT, "version": __version__, **asdict(manifest)}
    return json.dumps({"digest": _digest(content), **content}, indent=1).encode()


def read(file: Path) -> Manifest | None:
    """The manifest in a file; None where there is none.

    Raises:
        WorkError: It is damaged, of another version, or cannot be read.
    """
    try:
        content = content_of(file, LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkError(f"{file} cannot be read ({error.strerror})", hint="check the disk") from error
    try:
        return decoded(content)
    except Mismatch as error:
        raise WorkError(f"{file.parent} was left by {error}", hint=f"finish it with that, or {ANEW}") from error
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError) as error:
        raise WorkError(f"{file} is damaged{_because(error)}", hint=ANEW) from error


class Mismatch(ValueError):
    """A manifest of another version."""


def decoded(content: bytes) -> Manifest:
    """A manifest from its file. Raises Mismatch, ValueError, TypeError, KeyError or RecursionError."""
    if len(content) > LARGEST:
        raise ValueError("it is too long")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    form, version = found.get("format"), found.get("version")
    if (form, version) != (FORMAT, __version__) and isinstance(form, int) and isinstance(version, str):
        name = version if _VERSION.fullmatch(version) else "of another version"
        raise Mismatch(f"tilestyle {name}, this is {__version__}")
    if found.pop("digest", None) != _digest(found):
        raise ValueError("its digest is wrong")
    return parsed(found)


def parsed(found: Any) -> Manifest:
    """A manifest from its JSON, checked. Raises ValueError, TypeError or KeyError."""
    place, filed = _mapping(found["place"]), found["filed"]
    return Manifest(
        number=_whole(found["number"], 1),
        seconds=_seconds(found["seconds"]),
        finished=_is(bool, found["finished"]),
        place=Place(
            level=_whole(place["level"], below=64),
            sweep=_whole(place["sweep"]),
            stepped=_whole(place["stepped"]),
            prepared=_is(bool, place["prepared"]),
            cut_short=_is(bool, place["cut_short"]),
        ),
        archives=[_archive(each) for each in _list(found["archives"], least=1)],
        filed=None if filed is None else _filed(_mapping(filed)),
        settled=_settled(_mapping(found["settled"])),
        about=_mapping(found["about"]),
        words=[_text(word) for word in _list(found["words"])],
        folder=_text(found["folder"]),
    )


def _archive(found: Any) -> Archive:
    given = _mapping(found)
    return Archive(_name("archive", given["name"]), _whole(given["size"]), _hex(given["sha256"], 64))


def _filed(found: Mapping[str, Any]) -> Filed:
    return Filed(
        planes=[_name("plane", name) for name in _list(found["planes"])],
        journal=_name("journal", found["journal"]),
        nonce=_hex(found["nonce"], 32),
        sums=[_whole(value, below=2**32) for value in _list(found["sums"])],
    )


def _settled(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "side": _whole(found["side"], 1, 2**20),
        "mapped": _is(bool, found["mapped"]),
        "content_kept": _is(bool, found["content_kept"]),
        "history": _whole(found["history"], below=2**16),
        "precision": _text(found["precision"]),
    }


def _digest(content: Mapping[str, Any]) -> str:
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _is(kind: type[Value], value: Any) -> Value:
    if type(value) is not kind:
        raise TypeError(f"a {kind.__name__} is missing")
    return value


def _whole(value: Any, least: int = 0, below: int = _FAR) -> int:
    if not least <= _is(int, value) < below:
        raise ValueError("a number is out of range")
    return int(value)


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < _FAR:
        raise ValueError("a time is out of range")
    return float(value)


def _text(value: Any) -> str:
    if len(_is(str, value)) > _MANY or "\0" in value:
        raise ValueError("a word is damaged")
    return str(value)


def _list(value: Any, least: int = 0) -> list[Any]:
    if not least <= len(_is(list, value)) <= _MANY:
        raise ValueError("a list has a wrong length")
    return list(value)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(_is(dict, value))


def _name(kind: str, value: Any) -> str:
    if not _NAMES[kind].fullmatch(_is(str, value)):
        raise ValueError(f"it names no {kind}")
    return str(value)


def _hex(value: Any, length: int) -> str:
    if len(_is(str, value)) != length or not _HEX.fullmatch(value):
        raise ValueError("a digest is damaged")
    return str(value)


def _because(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return " (it is no JSON)"
    if isinstance(error, KeyError):
        return " (something is missing)"
    if isinstance(error, RecursionError | MemoryError):
        return " (it is nested too deeply or too large)"
    return f" ({' '.join(str(error).split())[:80]})"
