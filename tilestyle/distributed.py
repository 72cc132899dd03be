"""Processes that make one picture together: what they say to each other, and how they share work out.

The one file that speaks torch.distributed. Whoever renders alone has the same methods, which then do nothing.
Every method here is called by all ranks in the same order, but for `pause` and `paused`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import nan
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from tilestyle.devices.device_memory import current_card, make_current
from tilestyle.errors import RankError, SettingError, TilestyleError

# The longest that ranks wait for one of them: to read a picture, to put a canvas back. A rank that has died is
# noticed at once; this is for one that lives and does nothing.
PATIENCE = timedelta(minutes=30)
# The longest that ranks wait for all of them to have started. Importing torch from a cold network drive takes a
# minute or two; a rank that was killed before cannot tell the others.
JOINING, JOINING_SET_BY = 180.0, "TILESTYLE_JOIN_TIMEOUT"  # seconds
# Seconds between two looks at whether the others are there: at first, and at most.
SOON, LATE = 2e-5, 2e-3
ALIVE = 0.25  # and whether one of them has said that it ends
GRACE = 10.0  # seconds that the library may take longer
FAILED = "failed"
Joined = TypeVar("Joined")
GO_ON = "give the same command again: it goes on from the last checkpoint"


@dataclass
class Traffic:
    """What has been sent."""

    sums: int = 0  # bytes of sums that every rank has
    meetings: int = 0


@dataclass
class _Link:
    """The others."""

    store: Store
    asked: int = 0  # numbers of what was told, and of meetings
    met: int = 0
    seen: float = 0.0  # when the others were last looked for


@dataclass(frozen=True)
class Ranks:
    """This process, its number, and how many there are."""

    index: int = 0
    count: int = 1
    beside: int = 1  # ranks on this machine
    traffic: Traffic = field(default_factory=Traffic, compare=False)
    link: _Link | None = field(default=None, compare=False, repr=False)

    @property
    def first(self) -> bool:
        """Whether this is the one that speaks, decides and writes."""
        return self.index == 0

    def meet(self, code: int = 0) -> int:
        """Wait for all; answers the largest code that one came with."""
        if self.link is None:
            return code
        self.link.met += 1
        self.traffic.meetings += 1
        codes = torch.tensor([code])
        self._wait(lambda: dist.all_reduce(codes, dist.ReduceOp.MAX, async_op=True))
        return int(codes)

    def pause(self) -> None:
        """Ask the others to come to the next meeting before their patches are done."""
        if self.link is not None:
            link = self.link
            self._say(lambda: link.store.set(f"pause {link.met}", "1"))

    @property
    def paused(self) -> bool:
        """Whether the first has asked."""
        if self.link is None:
            return False
        link = self.link
        return bool(self._say(lambda: link.store.check([f"pause {link.met}"])))

    def told(self, value: Any = None) -> Any:
        """What the first has to say, as JSON holds it."""
        if self.link is None:
            return value
        store, self.link.asked = self.link.store, self.link.asked + 1
        key = f"told {self.link.asked}"
        if self.first:
            self._say(lambda: store.set(key, json.dumps(value)))
            return value
        self._until(lambda: bool(self._say(lambda: store.check([key]))))
        return json.loads(self._say(lambda: store.get(key)))

    def gathered(self, value: Any) -> list[Any]:
        """What everybody has to say, as JSON holds it, in the order of the ranks; the others hear nothing."""
        if self.link is None:
            return [value]
        store, self.link.asked = self.link.store, self.link.asked + 1
        keys = [f"said {self.link.asked} {index}" for index in range(self.count)]
        self._say(lambda: store.set(keys[self.index], json.dumps(value)))
        if not self.first:
            return []
        self._until(lambda: bool(self._say(lambda: store.check(keys))))
        return [json.loads(self._say(partial(store.get, key))) for key in keys]

    def counts(self, value: int) -> list[int]:
        """Everybody's number, in the order of the ranks."""
        if self.link is None:
            return [value]
        numbers = torch.zeros(self.count, dtype=torch.int64)
        numbers[self.index] = value
        self._wait(lambda: dist.all_reduce(numbers, async_op=True))
        return [int(number) for number in numbers]

    def add(self, tensor: Tensor) -> None:
        """Make a tensor the sum of everybody's, in place."""
        if self.link is None:
            return
        self.traffic.sums += tensor.nbytes
        shared = tensor if tensor.is_cuda else tensor.cpu()
        self._wait(lambda: dist.all_reduce(shared, async_op=True))
        if shared is not tensor:
            tensor.copy_(shared)

    def in_turn(self, work: Callable[[], None]) -> None:
        """Do something one after the other, in the order of the ranks."""
        for index in range(self.count):
            if index == self.index:
                work()
            self.meet()

    def once(self, work: Callable[[], None]) -> None:
        """Let the first do something while the others wait."""
        if self.first:
            work()
        self.meet()

    def rows(self, height: int, unit: int = 1) -> tuple[int, int]:
        """Where this rank's rows begin and end, of `height` that are cut at multiples of `unit`."""
        strips = -(-height // unit)
        first, last = (unit * (strips * k // self.count) for k in (self.index, self.index + 1))
        return min(first, height), min(last, height)

    def _wait(self, begin: Callable[[], Any]) -> None:
        """Run a collective; the interpreter goes on meanwhile, so that signals and bad news are heard."""
        work = self._say(begin)
        self._until(work.is_completed)
        self._say(work.wait)

    def _until(self, done: Callable[[], bool]) -> None:
        pause, end = SOON, time.monotonic() + PATIENCE.total_seconds()
        while not done():
            time.sleep(pause)
            pause = min(2 * pause, LATE)
            if time.monotonic() > end:
                minutes = PATIENCE.total_seconds() / 60
                raise RankError(f"{self} has waited {minutes:.0f} minutes for the others", hint=GO_ON)
            self.listen()

    def listen(self) -> None:
        """Raise what another rank has said of its end."""
        link, now = self.link, time.monotonic()
        if link is None or now - link.seen < ALIVE:
            return
        link.seen = now
        if self._say(lambda: link.store.check([FAILED])):
            said = self._say(lambda: link.store.get(FAILED)).decode()
            raise RankError(f"{self} ends, since {said}", hint=GO_ON)

    def _say(self, word: Callable[[], Any]) -> Any:
        try:
            return word()
        except RankError:
            raise
        except RuntimeError as error:  # torch has no narrower one for all of them
            raise RankError(f"{self} ends, since another has died ({_reason(error)})", hint=GO_ON) from error

    def __str__(self) -> str:
        return f"rank {self.index} of {self.count}"


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks that torchrun has started; alone where it has not.

    Joins them by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, takes the GPU of LOCAL_RANK, and tells the
    others when the block ends with an error. Raises SettingError where there are fewer GPUs than ranks,
    RankError when another rank has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE
        return
    card, threads = current_card(), torch.get_num_threads()
    ranks = _join()
    before = signal.signal(signal.SIGTERM, _terminated(ranks))
    try:
        yield ranks
    except BaseException as error:
        _tell(ranks, error)
        raise
    else:
        dist.destroy_process_group()
    finally:
        signal.signal(signal.SIGTERM, before)
        make_current(card)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _join() -> Ranks:
    local, beside = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    gpus = torch.cuda.device_count()
    if gpus and beside > gpus:
        raise SettingError(
            f"{beside} ranks on {socket.gethostname()}, which has {gpus} GPUs",
            hint=f"give torchrun --nproc-per-node {gpus}, or hide the GPUs (CUDA_VISIBLE_DEVICES=) to use CPUs",
        )
    if gpus:
        torch.cuda.set_device(local)
        if os.environ.get("OMP_NUM_THREADS") == "1":  # what torchrun gives where nobody said anything
            torch.set_num_threads(threads_beside(beside))
    # torchrun keeps its store when it starts ranks again: nobody must hear what the last ones said.
    attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')} {os.environ['WORLD_SIZE']}"
    seconds = joining_seconds()

    def join() -> tuple[Store, int, int]:
        store, index, count = next(iter(rendezvous("env://", timeout=timedelta(seconds=seconds))))
        here = [f"here {attempt} {each}" for each in range(count)]
        store.set(here[index], "1")
        store.wait(here, timedelta(seconds=seconds))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=PrefixStore(f"ranks {attempt}", store),
            rank=index,
            world_size=count,
            timeout=PATIENCE,
        )
        return store, index, count

    try:
        store, index, count = _within(seconds, join)
    except (RuntimeError, ValueError, TimeoutError) as error:
        if isinstance(error, TimeoutError | dist.DistStoreError) or "timed out" in str(error):
            raise RankError(
                f"the {os.environ['WORLD_SIZE']} ranks have not all started within {seconds:g} seconds",
                hint=f"see whether one has ended, or set {JOINING_SET_BY} to more seconds",
            ) from error
        raise RankError(
            f"the ranks cannot find each other ({_reason(error)})", hint="start them with torchrun"
        ) from error
    return Ranks(index, count, beside, link=_Link(PrefixStore(f"tilestyle {attempt}", store)))


def threads_beside(beside: int) -> int:
    """Threads of one of several ranks on a machine, each with a GPU: its share of the cores.

    Without GPUs ranks have as many as they are given: there, pixels depend on it.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, cores // beside)


def joining_seconds() -> float:
    """How long to wait for all ranks to have started. Raises SettingError where that is no such number."""
    given = os.environ.get(JOINING_SET_BY, str(JOINING))
    try:
        seconds = float(given)
    except ValueError:
        seconds = nan
    if not 0 < seconds < 1e6:
        raise SettingError(f"{JOINING_SET_BY} is {given[:40]!r}", hint="give seconds, such as 180")
    return seconds


def _within(seconds: float, work: Callable[[], Joined]) -> Joined:
    """Do something that waits in a library, for so long; signals are heard meanwhile.

    The library is told to wait as long itself, and mostly returns first. Where it does not, its thread is left.
    Raises TimeoutError.
    """
    found: list[Joined] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + 1.1 * seconds + GRACE
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.05)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def _reason(error: Exception) -> str:
    """What a library said, without where in it, in one line."""
    return re.sub(r"\[[^]]*/[^]]*\] ", "", str(error)).splitlines()[0][:120]


def _terminated(ranks: Ranks) -> Callable[[int, FrameType | None], None]:
    """What a rank does that is told to end: torchrun tells those that are left, when one has died."""

    def end(number: int, frame: FrameType | None) -> None:
        raise RankError(f"{ranks} was told to end: another has died, or the job was stopped", hint=GO_ON)

    return end


def _tell(ranks: Ranks, error: BaseException) -> None:
    """Tell the others of the end, unless they have told us."""
    if ranks.link is None or isinstance(error, RankError):
        return
    said = str(error) if isinstance(error, TilestyleError) else type(error).__name__
    try:
        ranks.link.store.set(FAILED, f"rank {ranks.index} has ended ({said})")
    except RuntimeError:
        return  # whoever keeps the store has gone, which they will have noticed
