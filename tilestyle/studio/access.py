"""Who may send requests: token, Host and Origin.

The Host check stops pages of other names that resolve to this address (DNS rebinding). The Origin check stops
pages of other sites. On an address that other machines reach, every request needs the token as well.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilestyle.studio.refusals import Refused, one_line

COOKIE = "tilestyle_token"
MAX_JSON_BYTES = 2**18
UPLOADS = "/api/uploads"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """What a request must have.

    Attributes:
        host: The address that the server listens on.
        port: Its port.
        token: What every request must show; None: nothing, because only this machine can connect.
    """

    host: str
    port: int
    token: str | None = None

    def check(self, headers: Headers, query: str, *, path: str, method: str) -> Response | None:
        """Check a request before anything of it is read.

        Returns:
            The response to it; None: the request may proceed.

        Raises:
            Refused: It may not.
        """
        host = self._check_host(headers)
        self._check_origin(headers, host, path=path, method=method)
        return self._check_token(headers, query, path=path, method=method)

    def _check_host(self, headers: Headers) -> str:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_own_address(host):
            raise Refused(421, "this address is not the studio's", "open the address that tilestyle printed")
        return host

    def _is_own_address(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or "@" in host or (port or 80) != self.port:
            return False
        if name in LOOPBACK_NAMES:
            return True
        if self.token is None:
            return name == self.host
        # An address cannot be made to resolve to this machine; names can, so only our own count.
        return _is_address(name) or name in {self.host.lower(), *_own_names()}

    def _check_origin(self, headers: Headers, host: str, *, path: str, method: str) -> None:
        origin = headers.get("origin")
        foreign = origin is not None and origin != f"http://{host}"
        site = headers.get("sec-fetch-site", "none")
        opens_page = method == "GET" and path == "/" and headers.get("sec-fetch-mode", "navigate") == "navigate"
        if foreign or (site not in ("same-origin", "none") and not opens_page):
            raise Refused(403, "requests from other sites are refused", "use the page of the studio itself")

    def _check_token(self, headers: Headers, query: str, *, path: str, method: str) -> Response | None:
        if self.token is None:
            return None
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        offered = [bearer.strip()] if kind.lower() == "bearer" else []
        offered += _cookies(headers)
        if any(self._is_token(each) for each in offered):
            return None
        in_address = parse_qs(query).get("token", []) if path == "/" and method == "GET" else []
        if any(self._is_token(each) for each in in_address):
            rest = {name: values for name, values in parse_qs(query).items() if name != "token"}
            response = RedirectResponse(f"/?{urlencode(rest, doseq=True)}" if rest else "/", status_code=303)
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict", max_age=90 * 86400)
            return response
        raise Refused(401, "the token is missing or wrong", "open the address that tilestyle printed")

    def _is_token(self, offered: str) -> bool:
        assert self.token is not None, "only called with a token"
        return secrets.compare_digest(offered.encode(), self.token.encode())


class AccessMiddleware:
    """Answers what may not be asked, limits the size of requests, and adds headers to responses."""

    def __init__(self, app: ASGIApp, access: Access, max_upload_bytes: int) -> None:
        self.app = app
        self.access = access
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return

        counted = _CountedBody(receive, self._limit(scope["path"]))

        async def sending(message: Message) -> None:
            if counted.exceeded:  # whatever the application answers
                await counted.refuse(scope, send)
                return
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in present),
                ]
            await send(message)

        headers = Headers(scope=scope)
        try:
            query = scope.get("query_string", b"").decode("latin-1")
            response = self.access.check(headers, query, path=scope["path"], method=scope["method"])
            _check_length(headers, counted.limit)
        except Refused as error:
            opens_page = scope["path"] == "/" and "text/html" in headers.get("accept", "")
            response = _problem_page(error) if opens_page else problem_response(error)
        if response is not None:
            await response(scope, receive, sending)
            return
        await self.app(scope, counted.receive, sending)

    def _limit(self, path: str) -> int:
        return self.max_upload_bytes + 2**16 if path == UPLOADS else MAX_JSON_BYTES


def problem_response(error: Refused) -> JSONResponse:
    """Return the response for a refused request."""
    content = {"error": one_line(error.problem), "hint": one_line(error.hint)}
    return JSONResponse(content, status_code=error.status)


def _problem_page(error: Refused) -> HTMLResponse:
    """Return the response for who opens the page, for example with the token of an earlier start."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>tilestyle studio</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<p>Refused: {escape(error.problem)}.</p><p>{escape(error.hint.capitalize())}.</p></html>",
        status_code=error.status,
    )


def too_large(limit: int) -> Refused:
    """Return the refusal of a request that is too large."""
    return Refused(413, f"the request is larger than {limit} bytes", "send a smaller file")


def _check_length(headers: Headers, limit: int) -> None:
    text = headers.get("content-length")
    if text is None:
        return
    if not text.isdecimal() or len(text) > 18:
        raise Refused(400, "the length of the request is not a number")
    if int(text) > limit:
        raise too_large(limit)


class _CountedBody:
    """The body of a request, which may come without saying how long it is."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.limit = limit
        self._receive, self._count, self._refused = receive, 0, False

    @property
    def exceeded(self) -> bool:
        """Whether it was longer than is allowed."""
        return self._count > self.limit

    async def receive(self) -> Message:
        """Return the next piece; raises Refused if it is too much."""
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self.exceeded:
            raise too_large(self.limit)
        return message

    async def refuse(self, scope: Scope, send: Send) -> None:
        """Answer that it is too long, once."""
        if not self._refused:
            self._refused = True
            await problem_response(too_large(self.limit))(scope, self._receive, send)


def _cookies(headers: Headers) -> Iterable[str]:
    for text in headers.getlist("cookie"):
        try:
            cookie = SimpleCookie(text).get(COOKIE)
        except CookieError:
            continue
        if cookie is not None:
            yield cookie.value


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", name.partition(".")[0]}
