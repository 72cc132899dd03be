"""Drafts, seen from the server: sessions, their events and pictures, and the process that makes them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tilestyle.studio.child import Child, Message, describe_end
from tilestyle.studio.refusals import Refused

MODULE = "tilestyle.studio.drafts"
MAX_SESSIONS = 32
MAX_PICTURES = 64  # of a session
PLAN_SECONDS = 120.0
MAX_FAILURES = 3  # of the process in a row, before drafts are refused


@dataclass
class Session:
    """A session: the events of its present draft, and its last pictures.

    Attributes:
        revision: Number of its draft.
        events: Events of its draft, in order: name and content.
        pictures: JPEGs by revision and number.
        listeners: How many streams of its events are open.
        used: When it was last used.
    """

    revision: int = 0
    events: list[tuple[str, Message]] = field(default_factory=list)
    pictures: OrderedDict[tuple[int, int], bytes] = field(default_factory=OrderedDict)
    listeners: int = 0
    used: float = 0.0


class DraftSessions:
    """The sessions of a studio, and the warm process."""

    def __init__(self, temporary: Path, log: Path) -> None:
        self._temporary, self._log = temporary, log
        self._sessions: dict[str, Session] = {}
        self._changed = asyncio.Condition()
        self._child: Child | None = None
        self._plans: dict[int, asyncio.Future[Message]] = {}
        self._numbers = count(1)
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._closing = False
        self.ready, self.device = False, ""

    async def start(self) -> None:
        """Start the process; it loads its libraries while the server already answers."""
        self._task = asyncio.create_task(self._keep_running())

    async def end_streams(self) -> None:
        """End the streams of events, because the server ends."""
        self._closing = True
        await self._notify()

    async def close(self) -> None:
        """End the process."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._child is not None:
            self._child.kill()
            await self._child.wait()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return None if self._child is None else self._child.pid

    async def ask(self, session: str, command: Message) -> int:
        """Begin a draft or a sheet, instead of what the session had, and return its number."""
        state = self._session(session)
        state.revision += 1
        state.events.clear()
        state.used = time.monotonic()
        await self._send(command | {"session": session, "revision": state.revision})
        await self._notify()
        return state.revision

    async def plan(self, command: Message) -> Message:
        """Return what a job would take; raises Refused if it is not possible."""
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._plans[number] = future
        try:
            await self._send(command | {"do": "plan", "id": number})
            answer = await asyncio.wait_for(future, PLAN_SECONDS)
        except TimeoutError:
            raise Refused(503, "the estimate took too long", "try again later") from None
        finally:
            self._plans.pop(number, None)
        if "error" in answer:
            raise Refused(int(answer.get("status", 422)), str(answer["error"]), str(answer.get("hint", "")))
        return answer

    def picture(self, session: str, revision: int, number: int) -> bytes:
        """Return a picture of a session; raises Refused if there is none."""
        state = self._sessions.get(session)
        picture = state.pictures.get((revision, number)) if state else None
        if picture is None:
            raise Refused(404, "there is no such draft", "ask for a new one")
        return picture

    def events(self, session: str) -> AsyncIterator[tuple[str, Message] | None]:
        """Return the events of a session: first those of its present draft. None means that all is quiet.

        Raises:
            Refused: There are too many sessions.
        """
        return self._events(session, self._session(session))

    async def _events(self, session: str, state: Session) -> AsyncIterator[tuple[str, Message] | None]:
        state.listeners += 1
        revision, place = -1, 0
        try:
            while not self._closing:
                if state.revision != revision:
                    revision, place = state.revision, 0
                pending = state.events[place:]
                place += len(pending)
                for event in pending:
                    yield event
                if not pending:
                    async with self._changed:
                        try:
                            await asyncio.wait_for(self._changed.wait(), 15.0)
                        except TimeoutError:
                            yield None
        finally:
            state.listeners -= 1
            state.used = time.monotonic()
            if not state.listeners and self._child is not None:
                self._child.tell({"do": "forget", "session": session})  # nobody looks

    def _session(self, session: str) -> Session:
        if session not in self._sessions:
            idle = sorted(
                (name for name, state in self._sessions.items() if not state.listeners),
                key=lambda name: self._sessions[name].used,
            )
            if len(self._sessions) >= MAX_SESSIONS:
                if not idle:
                    raise Refused(429, f"there are {MAX_SESSIONS} open pages", "close some of them")
                del self._sessions[idle[0]]
            self._sessions[session] = Session(used=time.monotonic())
        return self._sessions[session]

    async def _send(self, command: Message) -> None:
        if self._failures >= MAX_FAILURES:
            self._failures = 0  # what asks again may be different
            raise self._cannot_start()
        if self._task is None or self._task.done():
            await self.start()
        for _ in range(200):
            if self._child is not None and self._child.returncode is None:
                self._child.tell(command)
                return
            if self._task is None or self._task.done():
                break
            await asyncio.sleep(0.05)
        raise self._cannot_start()

    def _cannot_start(self) -> Refused:
        return Refused(503, "the process that makes drafts cannot be started", f"see {self._log}")

    async def _keep_running(self) -> None:
        while self._failures < MAX_FAILURES:
            try:
                self._child = await Child.start(MODULE, folder=self._temporary, log=self._log)
            except OSError:  # their folder is gone, or the system has no more processes
                self._failures += 1
                continue
            self.ready = False
            async for message, payload in self._child.messages():
                await self._take(message, payload)
            self.ready = False
            self._failures += 1
            code = await self._child.wait()
            await self._report_end(describe_end(code))

    async def _report_end(self, description: str) -> None:
        problem = {
            "error": f"the draft failed: {description}",
            "hint": "the picture may be too large: try other settings",
        }
        for future in self._plans.values():
            if not future.done():
                future.set_result(problem | {"status": 503})
        for state in self._sessions.values():
            if state.listeners and not any(content.get("final") for _, content in state.events):
                state.events.append(("problem", {"revision": state.revision, **problem}))
        await self._notify()

    async def _take(self, message: Message, payload: bytes) -> None:
        kind = message.pop("do", "")
        if kind == "ready":
            self.ready, self.device = True, str(message["device"])
            return
        if kind in ("planned", "problem") and "id" in message:
            future = self._plans.get(message.pop("id"))
            if future is not None and not future.done():
                future.set_result(message)
            return
        name = message.pop("session", "")
        state = self._sessions.get(name)
        if state is None or message.get("revision") != state.revision:
            return  # of an earlier draft
        self._failures = 0
        if kind == "problem":
            state.events.append(("problem", message))
        elif kind == "picture":
            is_cell = "index" in message
            number = message["index"] if is_cell else message.pop("n")
            state.pictures[state.revision, number] = payload
            while len(state.pictures) > MAX_PICTURES:
                state.pictures.popitem(last=False)
            message["url"] = f"/api/drafts/{name}/{state.revision}/{number}.jpg"
            state.events.append(("cell" if is_cell else "draft", message))
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
