from __future__ import annotations

import io
import os
import struct
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import ADDRESS, LIMITS, PORT, Client
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError
from tilestyle.studio.access import MAX_JSON_BYTES
from tilestyle.studio.draft_sessions import MAX_SESSIONS
from tilestyle.studio.refusals import Refused
from tilestyle.studio.root import refusing_disk_errors
from tilestyle.studio.settings import OUTPUT, PREVIEW, PRINTING, VIDEO
from tilestyle.studio.studio import Studio
from tilestyle.studio.uploads import FormFile, UploadFacts, display_name

NOBODY = "0123456789abcdef"
UPWARDS = (
    *("..", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e", "..\\..\\secret"),
    *("/etc/passwd", "%2fetc%2fpasswd", "....//....//secret", ".%00", "secret%00.jpg", "~root", "C:\\secret"),
    *("file:///etc/passwd", "0123456789abcde/", "0123456789ABCDEF", NOBODY + "0", " " + NOBODY, "a" * 5000),
)
IN_PATHS = (
    "/api/uploads/{}/thumbnail",
    "/api/pictures/{}/thumbnail",
    "/api/drafts/{}/1/0.jpg",
    "/api/jobs/{}",
    "/api/jobs/{}/tiles",
    "/api/jobs/{}/tiles/0/0_0.jpg",
    "/api/jobs/{}/content/tiles/0/0_0.jpg",
    "/api/jobs/{}/thumbnail",
    "/api/jobs/{}/download",
    "/api/jobs/{}/settings.toml",
    "/api/jobs/{}/command",
    "/page/{}",
    "/{}",
)
STYLE = {"source": {"included": "swirls"}}
GOOD = {"content": {"included": "coffee"}, "styles": [STYLE], "options": {}}
BAD_OPTIONS: tuple[dict[str, Any], ...] = (
    {"strength": "much"},
    {"strength": 2},
    {"strength": -1},
    {"strength": [0.5]},
    {"strength": 1e400},
    {"strength": True},
    {"size": 0},
    {"size": -64},
    {"size": "64x"},
    {"size": 10**9},
    {"size": [64]},
    {"size": {"width": 64}},
    {"size": "../../etc"},
    {"seed": -1},
    {"seed": 1.5},
    {"seed": 2**64},
    {"color": "red"},
    {"color": 3},
    {"locality": 7},
    {"style_scale": 0},
    {"network": "../../weights"},
    {"network": "vgg99"},
    {"network": 1},
    {"weights": "/etc/passwd"},
    {"weights": "random"},
    {"mask": "/etc/passwd"},
    {"blend_map": "/etc/passwd"},
    {"anchor": "/etc/passwd"},
    {"trust": "/etc/passwd"},
    {"init": "/etc/passwd"},
    {"init": "../secret.png"},
    {"max_input_pixels": 2**62},
    {"look": "../../secret"},
    {"look": 5},
    {"look": 0},
    {"look": False},
    {"look": []},
    {"look": "gatys"},
    {"paper": "A99"},
    {"paper": "../../etc"},
    {"paper": 4},
    {"paper": "A" * 100_000},
    {"paper": "A4", "size": 64},
    {"paper": "A4", "dpi": "fine"},
    {"dpi": True},
    {"dpi": -1},
    {"dpi": 0},
    {"dpi": 0.5},
    {"dpi": 1e300},
    {"dpi": float("inf")},
    {"dpi": 10**400},
    {"fit": "squeeze"},
    {"bleed": "3"},
    {"bleed": "3mm"},
    {"stroke": "wide"},
    {"stroke": 4},
    {"depth": 12},
    {"depth": True},
    {"device": 3},
    {"device": "../../dev/null"},
    {"style_layers": [1]},
    {"style_layers": {"a": "b"}},
    {"style_blend": "0.5,0.5"},
    {"quality": "great"},
    {"sweeps": 0},
    {"sweeps": "many"},
    {"tileable": "diagonal"},
    {"optimizer": "sgd"},
    {"memory": "lots"},
    {"no_such_option": 1},
    {"__class__": 1},
    {"Strength": 0.5},
    {"strength; rm -rf": 1},
    {"strength": 0.5, "content_weight": 1},
    {"cycles": 3},
    {"out": "/tmp/secret.png"},
    {"work_dir": "/tmp"},
    {"film": "/tmp/secret.mp4"},
)
BAD_SETTINGS: tuple[Any, ...] = (
    None,
    [],
    "settings",
    {},
    {"content": None, "styles": [], "options": {}},
    {"content": {"included": "coffee"}, "styles": [], "options": {}},
    {**GOOD, "content": {}},
    {**GOOD, "content": {"included": "coffee", "upload": NOBODY}},
    {**GOOD, "content": {"included": 5}},
    {**GOOD, "content": {"included": ""}},
    {**GOOD, "content": {"path": "/etc/passwd"}},
    {**GOOD, "content": "/etc/passwd"},
    {**GOOD, "content": {"upload": "../../etc"}},
    {**GOOD, "styles": STYLE},
    {**GOOD, "styles": [{"source": {"included": "swirls"}, "weight": -1}]},
    {**GOOD, "styles": [{"source": {"included": "swirls"}, "weight": "heavy"}]},
    {**GOOD, "styles": [{"source": {"included": "swirls"}, "mask": "/etc/passwd"}]},
    {**GOOD, "styles": [STYLE] * 50},
    {**GOOD, "options": []},
    {**GOOD, "options": {f"option_{number}": 1 for number in range(100)}},
    {**GOOD, "more": 1},
)
MISSING: tuple[Any, ...] = (
    {**GOOD, "content": {"included": "../../secret"}},
    {**GOOD, "content": {"upload": NOBODY}},
    {**GOOD, "styles": [{"source": {"upload": NOBODY}}]},
    {**GOOD, "styles": [{"source": {"included": "/etc/passwd"}}]},
)


@pytest.fixture
def guarded(tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder around that of the studio, of which nothing else may change, nor the temporary folder."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = listing(tmp_path), set(os.listdir())
    yield tmp_path
    assert (listing(tmp_path), set(os.listdir())) == before
    assert (tmp_path / "secret.png").read_bytes() == b"secret"


def listing(folder: Path) -> set[Path]:
    """Everything around the folder of a studio."""
    return {path for path in folder.rglob("*") if "root" not in path.relative_to(folder).parts}


def refused(answer: Any, *statuses: int) -> None:
    """Check that a request was refused in one line, and that nothing of the machine was told."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    problem = answer.json()
    assert set(problem) == {"error", "hint"} and problem["error"]
    assert "\n" not in problem["error"] and "Traceback" not in answer.text and "secret\n" not in answer.text


def lives(client: Client) -> None:
    """Check that the studio still answers, and has taken nothing in."""
    assert client.get("/api/status").status_code == 200
    assert client.get("/api/jobs").json() == []
    assert not list(client.studio.root.uploads.iterdir()) and not list(client.studio.root.jobs.iterdir())
    assert not list(client.studio.root.temporary.iterdir())


def test_no_path_leads_out(client: Client, guarded: Path) -> None:
    for pattern in IN_PATHS:
        for upwards in UPWARDS:
            answer = client.get(pattern.format(upwards))
            if answer.request.url.path != "/":  # the client itself goes up, to the page
                refused(answer, 404, 405, 422)
    for action in ("pause", "resume", "stop", "discard", "again"):
        for upwards in UPWARDS[:8]:
            refused(client.post(f"/api/jobs/{upwards}/{action}"), 404, 405, 422)
    for upwards in UPWARDS[:8]:
        refused(client.request("DELETE", f"/api/uploads/{upwards}"), 404, 405, 422)
    lives(client)


def test_what_is_not_there_is_not_found(client: Client, guarded: Path) -> None:
    for path in ("", "/tiles", "/tiles/0/0_0.jpg", "/content/tiles", "/thumbnail", "/download", "/command"):
        refused(client.get(f"/api/jobs/{NOBODY}{path}"), 404)
    for action in ("pause", "resume", "stop", "discard", "again"):
        refused(client.post(f"/api/jobs/{NOBODY}/{action}"), 404)
    refused(client.post(f"/api/jobs/{NOBODY}/explode"), 422)
    refused(client.get(f"/api/jobs/{NOBODY}/events"), 404)
    refused(client.request("DELETE", f"/api/uploads/{NOBODY}"), 404)
    refused(client.get("/api/pictures/mona-lisa/thumbnail"), 404)
    refused(client.get("/api/drafts/session/99/0.jpg"), 404)
    refused(client.get("/api/nothing"), 404)
    refused(client.request("PUT", "/api/status"), 405)
    lives(client)


def test_numbers_of_tiles_are_numbers(client: Client, guarded: Path) -> None:
    for tile in ("-1/0_0", "0/-1_0", "0/0_-1", "a/0_0", "0/a_b", "99/0_0", "0/0", "1e3/0_0", "0/99999999999_0"):
        refused(client.get(f"/api/jobs/{NOBODY}/tiles/{tile}.jpg"), 404, 422)
    refused(client.get(f"/api/jobs/{NOBODY}/tiles/0/0_0.jpg?revision=latest"), 422)
    refused(client.get(f"/api/jobs/{NOBODY}/download?format=../../x"), 422)
    refused(client.get("/api/pictures/coffee/thumbnail?size=big"), 422)
    refused(client.get("/api/drafts/session/-1/0.jpg"), 404, 422)
    refused(client.get("/api/drafts/se$$ion/1/0.jpg"), 422)


@pytest.mark.parametrize("path", ["/api/jobs", "/api/drafts", "/api/estimate"])
def test_wrong_settings_are_refused(client: Client, guarded: Path, path: str) -> None:
    own: dict[str, Any] = {"session": "a"} if path == "/api/drafts" else {"kind": "render"}
    for options in BAD_OPTIONS:
        body = {**own, "settings": {**GOOD, "options": options}}
        answer = client.request("POST", path, content=dumps(body), headers={"content-type": "application/json"})
        refused(answer, 422)
    for settings in BAD_SETTINGS:
        if path == "/api/drafts" and isinstance(settings, dict) and settings.get("styles") == [STYLE]:
            continue
        refused(client.post(path, json={**own, "settings": settings}), 422)
    for settings in MISSING:
        refused(client.post(path, json={**own, "settings": settings}), 404)
    lives(client)


@pytest.mark.parametrize("kind", ["render", "texture", "video", "preview"])
def test_no_option_has_a_value_that_cannot_be_sent_back(client: Client, guarded: Path, kind: str) -> None:
    """Also not one that is ignored: the list of all jobs has it."""
    names = [*(each.name for each in fields(RenderConfig)), *PRINTING, *OUTPUT, *PREVIEW, *VIDEO, "look"]
    nested: Any = [1]
    for _ in range(400):
        nested = [nested]
    for value in (float("nan"), -float("inf"), 10**400, "\ud800", {"\udfff": 1}, [{"a": float("nan")}], nested):
        for name in names:
            settings = {
                **GOOD,
                "content": None if kind == "texture" else GOOD["content"],
                "options": {name: value},
            }
            body = dumps({"kind": kind, "settings": settings})
            refused(client.post("/api/jobs", content=body, headers={"content-type": "application/json"}), 422)
    lives(client)


def test_what_was_asked_is_quoted_in_one_line(client: Client, guarded: Path) -> None:
    refused(client.post("/api/jobs", json={"settings": GOOD, "a\nb\u2028\x1b[31mc": 1}), 422)
    refused(client.post("/api/jobs", json={"settings": {**GOOD, "styles": []}, "name": "a\nb"}), 422)


def test_too_many_open_pages_are_refused(client: Client, guarded: Path) -> None:
    sessions = client.studio.drafts
    for number in range(MAX_SESSIONS):
        sessions._session(f"page-{number}").listeners = 1
    refused(client.get("/api/drafts/one-more/events"), 429)
    refused(client.post("/api/drafts", json={"session": "one-more", "settings": GOOD}), 429)
    sessions._sessions.clear()


def test_wrong_requests_are_refused(client: Client, guarded: Path) -> None:
    bodies: tuple[bytes, ...] = (
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b"\xff\xfe",
        b'{"kind"',
        b"[" * 100_000,
        b"{}",
    )
    for path in ("/api/jobs", "/api/drafts", "/api/sheets", "/api/estimate"):
        for body in bodies:
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            refused(answer, 400, 422)
        refused(client.post(path, data={"kind": "render"}), 415, 422)
    for kind in ("RENDER", "zoom", 5, None):
        refused(client.post("/api/jobs", json={"kind": kind, "settings": GOOD}), 422)
    for name in ("", "x" * 1000, 5):
        refused(client.post("/api/jobs", json={"kind": "render", "settings": GOOD, "name": name}), 422)
    for session in ("", "a/b", "../a", "x" * 100, 5, None, "a b"):
        refused(client.post("/api/drafts", json={"session": session, "settings": GOOD}), 422)
    sheets: tuple[dict[str, Any], ...] = (
        {},
        {"strength": []},
        {"strength": 5},
        {"strength": [0.1] * 100},
        {"strength": [9]},
        {"weights": ["/etc/passwd"]},
        {name: [1] for name in ("a", "b", "c", "d")},
        {name: [0] * 20_000 for name in ("strength", "locality", "style_scale")},  # too many to be listed
    )
    for vary in sheets:
        refused(client.post("/api/sheets", json={"session": "a", "settings": GOOD, "vary": vary}), 422)
    refused(client.post("/api/jobs", json={"kind": "video", "settings": GOOD}), 422)
    lives(client)


def test_requests_that_are_too_large_are_refused(client: Client, guarded: Path) -> None:
    large = b" " * (MAX_JSON_BYTES + 1)
    refused(client.post("/api/jobs", content=large), 413)
    refused(client.post("/api/jobs", content=large, headers={"content-length": "lots"}), 400)

    async def endless() -> Any:
        for _ in range(2 * MAX_JSON_BYTES // 1000):
            yield b" " * 1000

    refused(client.post("/api/jobs", content=endless()), 413)
    refused(client.post("/api/uploads", files={"file": ("a.png", b"0" * (LIMITS.bytes + 1))}), 413)
    refused(client.post("/api/uploads", files={"file": ("a.png", b"0" * (LIMITS.bytes + 2**18))}), 413)
    lives(client)


def test_forms_that_are_no_upload_are_refused(client: Client, guarded: Path) -> None:
    form = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    refused(client.post("/api/uploads"), 415)
    refused(client.post("/api/uploads", json={}), 415)
    refused(client.post("/api/uploads", content=part, headers={"content-type": "multipart/form-data"}), 415)
    refused(client.post("/api/uploads", content=b"rubbish", headers=form), 400)
    long = {"content-type": f"multipart/form-data; boundary={'x' * 5000}"}
    refused(client.post("/api/uploads", content=b"rubbish", headers=long), 400)
    refused(client.post("/api/uploads", content=part + b"data", headers=form), 400)
    refused(client.post("/api/uploads", content=part + b"\r\n--x--\r\n", headers=form), 422)
    refused(client.post("/api/uploads", content=part + b"a\r\n" + part + b"b\r\n--x--\r\n", headers=form), 422)
    refused(client.post("/api/uploads", files={"other": ("a.png", b"data")}), 422)
    lives(client)


def test_files_that_are_no_picture_are_refused(client: Client, guarded: Path) -> None:
    whole = png(40, 40)
    files: dict[str, bytes] = {
        "text.png": b"This is no picture.",
        "../../script.sh": b"#!/bin/sh\ntouch secret2\n",
        "truncated.png": whole[: len(whole) // 2],
        "bomb.png": png(40_000, 40_000, rows=1),
    }
    for name, content in files.items():
        refused(client.post("/api/uploads", files={"file": (name, content)}), 415, 422)
    lives(client)


FOREIGN: tuple[tuple[dict[str, str], int], ...] = (
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": f"https://127.0.0.1:{PORT}"}, 403),
    ({"origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
    ({"origin": f"http://127.0.0.1:{PORT}.evil.example"}, 403),
    ({"sec-fetch-site": "cross-site"}, 403),
    ({"sec-fetch-site": "same-site"}, 403),
    ({"host": "evil.example"}, 421),
    ({"host": f"evil.example:{PORT}"}, 421),
    ({"host": "127.0.0.1"}, 421),
    ({"host": f"127.0.0.1:{PORT + 1}"}, 421),
    ({"host": f"127.0.0.1.evil.example:{PORT}"}, 421),
    ({"host": f"user@127.0.0.1:{PORT}"}, 421),
    ({"host": ""}, 421),
    ({"host": f"[::1:{PORT}"}, 421),
    ({"host": "127.0.0.1:port"}, 421),
    ({"host": f"127.0.0.1:{PORT}/x"}, 421),
    ({"host": f"10.0.0.1:{PORT}"}, 421),
)


def test_other_sites_and_names_are_refused(client: Client, guarded: Path) -> None:
    for headers, status in FOREIGN:
        for method, path in (
            ("GET", "/api/status"),
            ("POST", "/api/jobs"),
            ("POST", "/api/uploads"),
            ("GET", "/"),
        ):
            if path == "/" and "sec-fetch-site" in headers:
                continue
            refused(client.request(method, path, headers=headers), status)
    assert (
        client.get("/api/status", headers={"origin": ADDRESS, "sec-fetch-site": "same-origin"}).status_code
        == 200
    )
    assert client.get("/api/status", headers={"host": f"localhost:{PORT}"}).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200  # a link to the page, in an e-mail


def test_without_the_token_nothing_is_answered(studio: Studio, guarded: Path) -> None:
    client = Client(studio, token="right", host="0.0.0.0")
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"headers": {"authorization": "Bearer wrong"}},
        {"headers": {"authorization": "Basic right"}},
        {"headers": {"authorization": "right"}},
        {"headers": {"authorization": "Bearer "}},
        {"headers": {"authorization": "Bearer righ\u00e4".encode()}},
        {"headers": {"cookie": "tilestyle_token=wrong"}},
        {"headers": {"cookie": "tilestyle_token"}},
        {"headers": {"cookie": "token=right"}},
        {"params": {"token": "wrong"}},
    )
    for more in wrong:
        for method, path in (
            ("GET", "/"),
            ("GET", "/api/status"),
            ("GET", "/page/x.js"),
            ("POST", "/api/jobs"),
        ):
            refused(client.request(method, path, **more), 401)
    refused(client.get("/api/status", params={"token": "right"}), 401)  # in the address of the page alone
    refused(client.get("/api/status", headers={"authorization": "Bearer right", "host": f"evil.x:{PORT}"}), 421)
    answer = client.get("/", headers={"accept": "text/html,*/*"})  # somebody opens it, and reads what to do
    assert answer.status_code == 401 and "<p>Open the address that tilestyle printed.</p>" in answer.text
    answer = client.get("/", params={"token": "right", "view": "gallery"})
    assert answer.status_code == 303 and answer.headers["location"] == "/?view=gallery"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    for headers in ({"authorization": "Bearer right"}, {"cookie": cookie.partition(";")[0]}):
        for host in (f"127.0.0.1:{PORT}", f"192.168.1.5:{PORT}"):
            assert client.get("/api/status", headers={**headers, "host": host}).status_code == 200
    client.close()


def test_uploads_are_limited_in_number(client: Client, guarded: Path) -> None:
    facts = UploadFacts("", "", "picture", 1, 1)
    client.studio.uploads._facts = {str(number): facts for number in range(LIMITS.files)}
    refused(client.post("/api/uploads", files={"file": ("a.png", png(4, 4))}), 409)
    client.studio.uploads._facts = {}


def test_a_full_studio_and_a_full_disk_are_one_message(
    client: Client, guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.studio.root.cap = 100
    refused(client.post("/api/uploads", files={"file": ("a.png", png(4, 4))}), 507)
    client.studio.root.cap = 2**30

    def full(self: Path, *args: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        answer = client.post("/api/uploads", files={"file": ("a.png", png(4, 4))})
    refused(answer, 507)
    root = client.studio.root.path
    with pytest.raises(Refused) as caught, refusing_disk_errors(root):
        raise OutputError(f"cannot write a.png ({os.strerror(28)})", hint="write elsewhere")  # as libvips ends
    assert caught.value.status == 507 and caught.value.problem.startswith(f"the disk of {root} is full")
    lives(client)


def test_a_refused_upload_is_read_to_its_end(client: Client, guarded: Path) -> None:
    """A browser that is still sending would only see that the connection breaks."""
    sent = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(50):
            sent.append(number)
            yield b"x" * 1000

    form = "multipart/form-data; boundary=x"
    with pytest.raises(Refused):
        client.run(client.studio.uploads.receive(form, pieces(), 2**40))
    assert len(sent) == 50
    with pytest.raises(Refused):
        client.run(client.studio.uploads.receive(form, pieces(), 50_000))
    assert len(sent) == 100


def test_refusals_say_what_is_wrong(client: Client, guarded: Path) -> None:
    headers = {"content-type": "application/json"}
    assert (
        client.post("/api/drafts", content=b"{", headers=headers).json()["error"] == "the request is not JSON"
    )
    sheet = {"session": "a", "settings": GOOD, "vary": {"strength": []}}
    assert client.post("/api/sheets", json=sheet).json()["hint"].startswith("give 1 to ")


def test_names_have_quotes_as_browsers_write_them(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        form = FormFile("multipart/form-data; boundary=x", file, 1000)
        form.feed(b'--x\r\nContent-Disposition: form-data; name="file"; filename="100%25 %22a%22.png"\r\n\r\n')
        form.feed(b"data\r\n--x--\r\n")
        assert display_name(form.finish()) == "100%25 a.png"


def png(width: int, height: int, rows: int | None = None) -> bytes:
    """A gray picture; with fewer rows than it claims, it is damaged."""
    data = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height if rows is None else rows)))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, 2)
    for kind, content in chunks:
        out.write(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return out.getvalue()


def dumps(body: Any) -> bytes:
    """JSON, with numbers beyond those of floats, as others may send them."""
    import json

    return json.dumps(body).replace("Infinity", "1e400").encode()
