"""Starting a studio: its address, its token, the browser."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from tilestyle.errors import SettingError
from tilestyle.studio.access import Access, is_loopback, new_token
from tilestyle.studio.app import create_app
from tilestyle.studio.studio import DEFAULT_LIMITS, Studio
from tilestyle.studio.uploads import UploadLimits

PORT = 8420
GRACE_SECONDS = 2


@dataclass(frozen=True)
class ServerOptions:
    """How a studio is started.

    Attributes:
        root: Its folder.
        storage: Bytes that it may hold.
        host: The address to listen on.
        port: Its port; None for the usual one, or any other that is free.
        browser: Whether to open a browser.
        limits: Of uploads.
        checkpoint_seconds: Seconds after which a job saves its work again.
        warm: Whether the process of the drafts starts at once, rather than when it is needed.
    """

    root: Path
    storage: int
    host: str = "127.0.0.1"
    port: int | None = None
    browser: bool = True
    limits: UploadLimits = DEFAULT_LIMITS
    checkpoint_seconds: float = 120.0
    warm: bool = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, studio: Studio, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._studio, self._on_start = studio, on_start

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; at the second Ctrl-C at once. The signal is not raised again afterwards, as uvicorn would."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._studio.end_streams()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def serve(options: ServerOptions, say: Callable[[str], None]) -> None:
    """Serve a studio until Ctrl-C.

    Args:
        options: How.
        say: Prints a line for the user.

    Raises:
        TilestyleError: The folder or the port cannot be used.
    """
    listening = listen(options.host, options.port)
    with listening:
        port = listening.getsockname()[1]
        token = None if is_loopback(options.host) else new_token()
        studio = Studio(
            options.root, options.storage, options.limits, options.checkpoint_seconds, warm=options.warm
        )
        address = page_address(options.host, port, token)

        def started() -> None:
            say(f"studio: {address}")
            say(f"folder: {studio.root.path}; Ctrl-C stops the studio, the next start continues its jobs")
            if options.browser:
                threading.Thread(target=_open, args=(address,), daemon=True).start()

        app = create_app(studio, Access(options.host, port, token))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            proxy_headers=False,
            ws="none",
        )
        server = _Server(config, studio, started)
        try:
            server.run(sockets=[listening])
            say("studio: stopped")
        finally:
            studio.root.close()


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; raises SettingError if that is not possible."""
    if port is not None and not 0 <= port <= 65535:
        raise SettingError(f"--port {port} is not a port", hint="give 1 to 65535, or 0 for any that is free")
    for candidate in (PORT, 0) if port is None else (port,):
        try:
            return _bound(host, candidate)
        except socket.gaierror as error:
            raise SettingError(
                f"--host {host} is not an address of this machine ({error.strerror})",
                hint="give 127.0.0.1, or 0.0.0.0 for all",
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port is None and candidate:
                continue
            raise SettingError(
                f"cannot listen on {host}, port {candidate} ({error.strerror})",
                hint="give another --port, or another --host",
            ) from error
    raise AssertionError("the last candidate returns or raises")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would share the port with another program
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening


def page_address(host: str, port: int, token: str | None) -> str:
    """Return the address to open, which other machines can open if this one can be reached."""
    shown = host.strip("[]")
    if shown in ("0.0.0.0", "::"):
        shown = outward_address() or socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def outward_address() -> str | None:
    """Return the address under which other machines see this one; None if there is no network."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: the system only chooses a route
        return str(probe.getsockname()[0])
    return None


def _open(address: str) -> None:
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
