"""The manifest of a work folder: what it holds of a render, as JSON with a digest.

A manifest is untrusted input: it may be damaged, truncated, edited, or written by somebody else. All types,
ranges and names are checked before anything is used.
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
from tilestyle.files.paths import read_limited
from tilestyle.version import __version__

FORMAT = 4
RESTART_HINT = "start over with --restart"
MAX_BYTES = 2**26  # bytes; longer manifests are refused

_NAME_PATTERNS = {
    "archive": re.compile(r"checkpoint-\d{1,12}(-\d{1,6})?\.npz"),
    "journal": re.compile(r"checkpoint-\d{1,12}\.journal"),
    "plane": re.compile(r"[a-z]{1,20}-\d{1,9}x\d{1,9}(-\d{1,6})?\.plane"),
}
_HEX = re.compile(r"[0-9a-f]+")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
_MAX_LENGTH = 2**20  # ranks, words of a command, characters of a word, bands of checksums
_MAX_NUMBER = 2**40  # bound of numbers that count something

T = TypeVar("T")


@dataclass(frozen=True)
class ArchiveEntry:
    """An archive of tensors (tensor_archive.py), and its digest."""

    name: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class MappedCanvas:
    """A canvas that stays in memory-mapped files, with the journal of what changes after the checkpoint."""

    planes: list[str]
    journal: str
    nonce: str  # hexadecimal; identifies the journal
    sums: list[int]  # checksum of every band of the canvas at the checkpoint (checksums.py)


@dataclass(frozen=True)
class RenderPosition:
    """How far the render had got."""

    level: int
    sweep: int
    stepped: int  # patches of the sweep that are done
    prepared: bool  # whether the moments for the sweep are ready
    cut_short: bool  # whether the list of patches is the rest of a sweep, cut into smaller patches


@dataclass(frozen=True)
class Manifest:
    """One checkpoint. The names of fields are keys on disk."""

    number: int
    seconds: float  # time that the render had taken
    finished: bool  # whether all sweeps are done; then the archives hold only the pixels
    place: RenderPosition
    archives: list[ArchiveEntry]  # one for each rank
    filed: MappedCanvas | None  # None: the canvas is in the archives
    settled: dict[str, Any]  # decisions from free memory (planning.resolve)
    about: dict[str, Any]  # fingerprint of the render: settings and digests of the inputs
    words: list[str] = field(default_factory=list)  # command that resumes the render
    folder: str = ""  # current folder of that command

    @property
    def files(self) -> list[str]:
        """Names of all files of the checkpoint."""
        filed = [] if self.filed is None else [*self.filed.planes, self.filed.journal]
        return [*(archive.name for archive in self.archives), *filed]


def encode(manifest: Manifest) -> bytes:
    """Return a manifest as the bytes of its file."""
    content = {"format": FORMAT, "version": __version__, **asdict(manifest)}
    return json.dumps({"digest": _digest(content), **content}, indent=1).encode()


def read_manifest(file: Path) -> Manifest | None:
    """Read the manifest in a file; None if there is no file.

    Raises:
        WorkError: It is damaged, of another version of tilestyle, or cannot be read.
    """
    try:
        content = read_limited(file, MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkError(f"{file} cannot be read ({error.strerror})", hint="check the disk") from error
    try:
        return decode(content)
    except VersionMismatch as error:
        raise WorkError(
            f"{file.parent} was left by {error}", hint=f"finish it with that version, or {RESTART_HINT}"
        ) from error
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError) as error:
        raise WorkError(f"{file} is damaged{_reason(error)}", hint=RESTART_HINT) from error


class VersionMismatch(ValueError):
    """The manifest is of another version of tilestyle."""


def decode(content: bytes) -> Manifest:
    """Decode and check the bytes of a manifest.

    Raises:
        VersionMismatch: It is of another version.
        ValueError: It is damaged. The same holds for TypeError, KeyError and RecursionError.
    """
    if len(content) > MAX_BYTES:
        raise ValueError("it is too long")
    data = json.loads(content)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    form, version = data.get("format"), data.get("version")
    if (form, version) != (FORMAT, __version__) and isinstance(form, int) and isinstance(version, str):
        name = version if _VERSION.fullmatch(version) else "of an unknown version"
        raise VersionMismatch(f"tilestyle {name}; this is version {__version__}")
    if data.pop("digest", None) != _digest(data):
        raise ValueError("its digest is wrong")
    return parse(data)


def parse(content: Any) -> Manifest:
    """Check the JSON of a manifest and return it as a Manifest.

    Raises:
        ValueError: It is damaged. The same holds for TypeError and KeyError.
    """
    place, filed = _mapping(content["place"]), content["filed"]
    return Manifest(
        number=_integer(content["number"], 1),
        seconds=_seconds(content["seconds"]),
        finished=_checked_type(bool, content["finished"]),
        place=RenderPosition(
            level=_integer(place["level"], below=64),
            sweep=_integer(place["sweep"]),
            stepped=_integer(place["stepped"]),
            prepared=_checked_type(bool, place["prepared"]),
            cut_short=_checked_type(bool, place["cut_short"]),
        ),
        archives=[_parse_archive(archive) for archive in _list(content["archives"], minimum=1)],
        filed=None if filed is None else _parse_mapped_canvas(_mapping(filed)),
        settled=_parse_decisions(_mapping(content["settled"])),
        about=_mapping(content["about"]),
        words=[_text(word) for word in _list(content["words"])],
        folder=_text(content["folder"]),
    )


def _parse_archive(content: Any) -> ArchiveEntry:
    """Check the entry of an archive."""
    entry = _mapping(content)
    return ArchiveEntry(_name("archive", entry["name"]), _integer(entry["size"]), _hex(entry["sha256"], 64))


def _parse_mapped_canvas(content: Mapping[str, Any]) -> MappedCanvas:
    """Check the entry of a memory-mapped canvas."""
    return MappedCanvas(
        planes=[_name("plane", name) for name in _list(content["planes"])],
        journal=_name("journal", content["journal"]),
        nonce=_hex(content["nonce"], 32),
        sums=[_integer(value, below=2**32) for value in _list(content["sums"])],
    )


def _parse_decisions(content: Mapping[str, Any]) -> dict[str, Any]:
    """Check the decisions from free memory."""
    return {
        "side": _integer(content["side"], 1, 2**20),
        "mapped": _checked_type(bool, content["mapped"]),
        "content_kept": _checked_type(bool, content["content_kept"]),
        "history": _integer(content["history"], below=2**16),
        "precision": _text(content["precision"]),
    }


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's content in a canonical form."""
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _checked_type(kind: type[T], value: Any) -> T:
    """Return the value if it is exactly of this type; raise TypeError otherwise."""
    if type(value) is not kind:
        raise TypeError(f"a {kind.__name__} is missing")
    return value


def _integer(value: Any, minimum: int = 0, below: int = _MAX_NUMBER) -> int:
    """Return an integer from `minimum` to `below` - 1; raise ValueError outside."""
    if not minimum <= _checked_type(int, value) < below:
        raise ValueError("a number is out of range")
    return int(value)


def _seconds(value: Any) -> float:
    """Return a non-negative finite number of seconds."""
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < _MAX_NUMBER:
        raise ValueError("a time is out of range")
    return float(value)


def _text(value: Any) -> str:
    """Return a string of limited length without null characters."""
    if len(_checked_type(str, value)) > _MAX_LENGTH or "\0" in value:
        raise ValueError("a word is damaged")
    return str(value)


def _list(value: Any, minimum: int = 0) -> list[Any]:
    """Return a list of limited length."""
    if not minimum <= len(_checked_type(list, value)) <= _MAX_LENGTH:
        raise ValueError("a list has a wrong length")
    return list(value)


def _mapping(value: Any) -> dict[str, Any]:
    """Return a copy of a dictionary."""
    return dict(_checked_type(dict, value))


def _name(kind: str, value: Any) -> str:
    """Return a file name if it has the pattern of its kind."""
    if not _NAME_PATTERNS[kind].fullmatch(_checked_type(str, value)):
        raise ValueError(f"the name of its {kind} is invalid")
    return str(value)


def _hex(value: Any, length: int) -> str:
    """Return a hexadecimal string of this length."""
    if len(_checked_type(str, value)) != length or not _HEX.fullmatch(value):
        raise ValueError("a digest is damaged")
    return str(value)


def _reason(error: Exception) -> str:
    """Explain in brackets why a manifest could not be decoded."""
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return " (it is not JSON)"
    if isinstance(error, KeyError):
        return " (something is missing)"
    if isinstance(error, RecursionError | MemoryError):
        return " (it is nested too deeply or too large)"
    return f" ({' '.join(str(error).split())[:80]})"
