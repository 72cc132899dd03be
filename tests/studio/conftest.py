"""Studios for tests: without a server, and behind a real one."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn

from tilestyle.pictures import picture_path
from tilestyle.studio.access import Access
from tilestyle.studio.app import create_app
from tilestyle.studio.studio import Studio
from tilestyle.studio.uploads import UploadLimits

T = TypeVar("T")
PORT = 8420
ADDRESS = f"http://127.0.0.1:{PORT}"
LIMITS = UploadLimits(bytes=2**20, pixels=2**22, files=6)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio without processes; those that are needed are started."""
    made = Studio(tmp_path / "root", 2**30, LIMITS, warm=False)
    yield made
    made.root.close()


class Client:
    """A client of an application in this process; its lifespan does not begin, so no job is worked on."""

    def __init__(self, studio: Studio, token: str | None = None, host: str = "127.0.0.1") -> None:
        self.studio = studio
        app = create_app(studio, Access(host, PORT, token))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url=ADDRESS)
        self._runner = asyncio.Runner()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request."""
        return self._runner.run(self._client.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Ask for something."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Send something."""
        return self.request("POST", path, **more)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something of the studio in the loop of the client."""
        return self._runner.run(work)

    def close(self) -> None:
        """End what was started."""
        self._runner.run(self.studio.close())
        self._runner.close()


@pytest.fixture
def client(studio: Studio) -> Iterator[Client]:
    """A client of the studio."""
    made = Client(studio)
    yield made
    made.close()


@pytest.fixture
def serve_studio(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Serve studios on ports of their own, and return their addresses: for tests with a browser."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(**more: Any) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        made = Studio(tmp_path / f"served-{port}", 2**30, **more)
        app = create_app(made, Access("127.0.0.1", port))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        servers.append((server, thread))
        return f"http://127.0.0.1:{port}"

    yield serve
    for server, _ in servers:
        server.should_exit = True
    for _, thread in servers:
        thread.join(30)


@pytest.fixture
def photograph() -> Path:
    """A picture to upload."""
    return picture_path("coffee")
