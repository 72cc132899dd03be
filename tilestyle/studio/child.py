"""Processes of the studio: how the server starts them and talks with them, and their side of it.

The server sends lines of JSON to the standard input of a process. A process sends messages to its standard
output: the length of a header in four bytes, the header as JSON, and as many bytes as it says in `bytes`. If
the input ends, the server is gone, and the process puts its work in a safe place and ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import tilestyle

Message = dict[str, Any]
MAX_HEADER = 2**20
MAX_PAYLOAD = 2**26
# A draft and a job share the processor: threads that wait by spinning would take it from each other.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


class Channel:
    """The side of the process."""

    def __init__(self) -> None:
        """Take over standard output: what libraries print there goes to standard error from here on."""
        self._lock = threading.Lock()
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then tells

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a message; nobody may be there to read it."""
        header = json.dumps(message | ({"bytes": len(payload)} if payload else {})).encode()
        with self._lock, suppress(OSError, ValueError):
            self._out.write(len(header).to_bytes(4, "big") + header + payload)
            self._out.flush()

    def commands(self) -> Iterator[Message]:
        """Yield what the server sends, until it is gone."""
        rest = b""
        # Not through sys.stdin: its lock would be held by the thread that waits here when the process ends.
        while piece := os.read(0, 2**16):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                with suppress(ValueError):
                    yield json.loads(line)


class Child:
    """The side of the server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str, *words: str, folder: Path, log: Path | None = None) -> Child:
        """Start a module of tilestyle as a process.

        Args:
            module: The module.
            words: Its arguments.
            folder: The folder for temporary files.
            log: File for what it prints; None: nowhere.
        """
        package = str(Path(tilestyle.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(folder), "TMP": str(folder)} | PASSIVE
        errors = subprocess.DEVNULL if log is None else log.open("ab")
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, *words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the server
            )
        finally:
            if not isinstance(errors, int):
                errors.close()
        return cls(process)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    def tell(self, message: Message) -> None:
        """Send a message; it may have ended."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def hang_up(self) -> None:
        """End its input, upon which it saves its work and ends."""
        if self._process.stdin is not None:
            with suppress(OSError, RuntimeError):
                self._process.stdin.close()

    async def messages(self) -> AsyncIterator[tuple[Message, bytes]]:
        """Yield what it sends, until it ends."""
        out = self._process.stdout
        assert out is not None, "started with a pipe"
        try:
            while True:
                length = int.from_bytes(await out.readexactly(4), "big")
                if length > MAX_HEADER:
                    return
                message: Message = json.loads(await out.readexactly(length))
                count = int(message.pop("bytes", 0))
                if not 0 <= count <= MAX_PAYLOAD:
                    return
                yield message, await out.readexactly(count) if count else b""
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end and return how it ended; None if it still runs after some seconds."""
        try:
            return await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return None


def describe_end(code: int | None) -> str:
    """Say how a process ended that said nothing itself."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"its process was ended by {name}"
    return f"its process ended with code {code}"
