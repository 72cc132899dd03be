from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tilestyle.errors import SettingError, WorkError
from tilestyle.studio.root import Root
from tilestyle.studio.server import listen, page_address

TINY = {"size": 48, "sweeps": 15, "network": "wavelet"}
SETTINGS = {
    "content": {"included": "coffee"},
    "styles": [{"source": {"included": "swirls"}}],
    "options": TINY,
}
SERVE = """
import sys
from pathlib import Path
from tilestyle.studio.server import ServerOptions, serve
options = {"browser": False, "checkpoint_seconds": 0, "warm": False}
serve(ServerOptions(Path(sys.argv[1]), 2**30, port=int(sys.argv[2]), **options),
      lambda line: None)
"""


class Server:
    """A studio in a process of its own."""

    def __init__(self, root: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, str(root), str(port)])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        while True:
            try:
                self.client.get("/api/status")
                return
            except httpx.ConnectError:
                assert self.process.poll() is None, "the server ended"
                time.sleep(0.05)

    def job(self, job: str) -> dict[str, Any]:
        return dict(self.client.get(f"/api/jobs/{job}").raise_for_status().json())

    def wait(self, job: str, *states: str) -> dict[str, Any]:
        while (found := self.job(job))["state"] not in states:
            assert found["state"] != "failed", found
            time.sleep(0.05)
        return found

    def kill_with_children(self) -> None:
        processes = [
            psutil.Process(self.process.pid),
            *psutil.Process(self.process.pid).children(recursive=True),
        ]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(processes, timeout=30)
        self.client.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        self.client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the kernel says of a process")
def test_a_job_goes_on_after_kill_9_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    server = Server(root)
    killed, undisturbed = (
        server.client.post("/api/jobs", json={"kind": "render", "settings": SETTINGS})
        .raise_for_status()
        .json()["id"]
        for _ in range(2)
    )
    manifest = root / "jobs" / killed / "work" / "manifest.json"
    while not (manifest.is_file() and server.job(killed)["progress"]["sweep"] >= 3):
        assert server.job(killed)["state"] in ("queued", "running")
        time.sleep(0.02)
    tiles = server.client.get(f"/api/jobs/{killed}/tiles").json()
    assert tiles["live"] and (tiles["width"], tiles["height"]) == (48, 32)
    assert (
        server.client.get(f"/api/jobs/{killed}/tiles/{tiles['levels'] - 1}/0_0.jpg").content[:2] == b"\xff\xd8"
    )
    mapped = {Path(each.path).name for each in psutil.Process(server.process.pid).memory_maps()}
    assert not any(name.startswith("libtorch") for name in mapped)  # the server itself stays small
    server.kill_with_children()
    assert manifest.is_file() and not (root / "jobs" / killed / "result.tif").exists()

    server = Server(root)
    assert {job["id"] for job in server.client.get("/api/jobs").json()} == {killed, undisturbed}
    assert server.wait(killed, "done")["progress"]["seconds"] > 0
    server.wait(undisturbed, "done")
    server.stop()
    results = [(root / "jobs" / job / "result.tif").read_bytes() for job in (killed, undisturbed)]
    assert results[0] == results[1]
    assert not manifest.parent.exists()


def test_the_port_is_checked() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingError, match="another --port"),
    ):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(SettingError, match="1 to 65535"):
        listen("127.0.0.1", 70000)
    with pytest.raises(SettingError, match="--host"):
        listen("no.such.name.invalid", 0)
    with listen("127.0.0.1", 0) as free:
        assert free.getsockname()[1] > 0


def test_the_address_can_be_opened_elsewhere_where_others_can_connect() -> None:
    assert page_address("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    assert page_address("::1", 80, None) == "http://[::1]:80/"
    shown = page_address("0.0.0.0", 80, "secret")
    assert shown.endswith(":80/?token=secret") and "0.0.0.0" not in shown


def test_two_studios_do_not_share_a_folder(tmp_path: Path) -> None:
    root = Root(tmp_path / "root", 1)
    with pytest.raises(WorkError, match="another studio uses"):
        Root(tmp_path / "root", 1)
    root.close()
