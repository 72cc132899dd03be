"""What a batch stores about its results: a small file for each in the folder `.batch` of the output folder.

It is written before a result is rendered and again when the result is there. So a batch that was killed at any
moment knows which results are its own, whether they are finished, and which settings and pictures made them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.errors import TilestyleError
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.cli.inputs import Inputs
    from tilestyle.config.render import RenderConfig

FOLDER = ".batch"
FORMAT = 1


class State(Enum):
    """The state of a result."""

    MISSING = auto()  # nothing, or unfinished work
    REPLACED = auto()  # the file that it is to replace
    FINISHED = auto()
    OTHER = auto()  # a file that was made otherwise


@dataclass(frozen=True)
class Record:
    """What is stored for one result.

    Attributes:
        identity: What it is made of: version, settings, and digests of the inputs.
        replaces: Digest of the file that was there when it was begun; None: there was none.
        digest: Digest of the finished result; None: it is not finished.
        width: Of the finished result, in pixels.
        height: Of the finished result, in pixels.
        seconds: Time that the render took.
    """

    identity: dict[str, Any]
    replaces: str | None = None
    digest: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Judgment:
    """The state of a result, and why."""

    state: State
    reason: str = ""
    record: Record | None = None


def identity_of(inputs: Inputs, config: RenderConfig, run: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the bytes of a result, as JSON.

    Args:
        inputs: The pictures.
        config: The settings.
        run: The other options that a picture stores (Output.run).
    """
    identity = {"version": __version__, "options": dict(run), **inputs.identity(config)}
    return dict(json.loads(json.dumps(identity)))


class Ledger:
    """The records of an output folder."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def judge(self, name: Path, identity: Callable[[], Mapping[str, Any]], *, overwrite: bool) -> Judgment:
        """Find out what is there of a result.

        Args:
            name: The result, relative to the output folder.
            identity: Says what it is made of; called if there is a file of that name.
            overwrite: Whether a file that was made otherwise is to be replaced.
        """
        from tilestyle.pipeline.checkpoint import differing_settings
        from tilestyle.pipeline.fingerprint import content_hash

        file = self._out / name
        if not os.path.lexists(file):
            return Judgment(State.MISSING)
        record = self._read(name)
        if record is None:
            return Judgment(State.OTHER, "was not made by a batch")
        if (wanted := identity()) != record.identity:
            differing = differing_settings(_flat(record.identity), _flat(wanted))
            return Judgment(State.OTHER, f"was made with other settings or pictures ({differing})")
        with suppress(TilestyleError):
            digest = content_hash(file)
            if record.digest == digest:
                return Judgment(State.FINISHED, record=record)
            if record.digest is None and record.replaces == digest and overwrite:
                return Judgment(State.REPLACED)
            if record.digest is None and record.replaces != digest and _is_finished_render(file):
                # The batch was killed between the result and its record.
                record = replace(record, digest=digest)
                self._write(name, record)
                return Judgment(State.FINISHED, record=record)
        return Judgment(State.OTHER, "has changed since it was made")

    def begin(self, name: Path, identity: dict[str, Any]) -> Record:
        """Note that a result is about to be rendered, and return the record. Raises OSError."""
        from tilestyle.pipeline.fingerprint import content_hash

        file = self._out / name
        record = Record(identity, content_hash(file) if os.path.lexists(file) else None)
        self._write(name, record)
        return record

    def finish(self, name: Path, begun: Record, size: tuple[int, int], seconds: float) -> None:
        """Note that a result is there, with its width and height. Raises OSError.

        Another batch of the folder may have replaced or removed the record that was begun.
        """
        from tilestyle.pipeline.fingerprint import content_hash

        digest, (width, height) = content_hash(self._out / name), size
        self._write(name, replace(begun, digest=digest, width=width, height=height, seconds=seconds))

    def forget(self, name: Path) -> None:
        """Remove the record of a result that was begun and has failed, unless there is a file of its name."""
        if os.path.lexists(self._out / name):
            return
        with suppress(OSError):
            self._file(name).unlink(missing_ok=True)
            for folder in self._file(name).relative_to(self._out).parents[:-1]:
                (self._out / folder).rmdir()

    def _file(self, name: Path) -> Path:
        return self._out / FOLDER / name.with_name(f"{name.name}.json")

    def _read(self, name: Path) -> Record | None:
        """The record of a result; None if there is none that can be read."""
        from tilestyle.files.paths import read_limited

        with suppress(OSError, ValueError, TypeError, RecursionError, AttributeError):
            content = json.loads(read_limited(self._file(name)))
            if content.pop("format") == FORMAT and isinstance(content["identity"], dict):
                return Record(**content)
        return None

    def _write(self, name: Path, record: Record) -> None:
        from tilestyle.files.atomic import atomic_write
        from tilestyle.files.ownership import recover_unlisted
        from tilestyle.pipeline.workdir import translating_errors

        file = self._file(name)
        with translating_errors(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            recover_unlisted(file)
            with atomic_write(file) as handle:
                handle.write(json.dumps({"format": FORMAT, **asdict(record)}).encode())


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity as one flat dict: settings and options next to the other entries."""
    return {**identity, **identity.get("options", {}), **identity.get("settings", {})} | {
        "settings": None,
        "options": None,
    }


def _is_finished_render(file: Path) -> bool:
    """Whether a picture says that a finished render made it."""
    from tilestyle.images import read_provenance
    from tilestyle.pipeline.provenance import STOPPED

    provenance_json = read_provenance(file)
    return provenance_json is not None and STOPPED not in provenance_json
