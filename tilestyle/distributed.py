"""Several processes that render one picture together, over torch.distributed.

No other module uses torch.distributed. A single process has a communicator with the same methods, which then
do nothing. All ranks must call the methods in the same order, except `request_pause` and `pause_requested`.
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

from tilestyle.config.torchrun import LOCAL_RANK, LOCAL_WORLD_SIZE, RANK, environment_number, world_size
from tilestyle.devices.device_memory import current_cuda_device, restore_cuda_device
from tilestyle.errors import RankError, SettingError, TilestyleError

# The longest that ranks wait for another one, for instance while it reads a picture or restores a canvas. A
# rank that has died is noticed at once; this is for one that hangs.
COLLECTIVE_TIMEOUT = timedelta(minutes=30)
# The longest that ranks wait for all of them to start. Importing torch from a cold network drive takes a minute
# or two; a rank that is killed before it has joined cannot tell the others.
DEFAULT_JOIN_TIMEOUT, JOIN_TIMEOUT_VARIABLE = 180.0, "TILESTYLE_JOIN_TIMEOUT"  # seconds
# Seconds between two polls of a collective: at first, and at most.
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 2e-5, 2e-3
PEER_CHECK_SECONDS = 0.25  # seconds between two checks whether another rank has failed
GRACE = 10.0  # seconds by which torch may exceed its own timeout
FAILED = "failed"
ResultT = TypeVar("ResultT")
RESUME_HINT = "run the same command again to resume from the last checkpoint"


@dataclass
class Traffic:
    """Amount of communication so far."""

    reduced_bytes: int = 0  # bytes of tensors that were summed over all ranks
    barriers: int = 0


@dataclass
class _Link:
    """Connection to the other ranks."""

    store: Store
    message_number: int = 0  # messages so far
    barrier_number: int = 0  # barriers so far
    last_check: float = 0.0  # time of the last check for failed ranks


@dataclass(frozen=True)
class Communicator:
    """This process among those that render one picture together.

    Attributes:
        rank: Index of this process.
        world_size: Number of processes.
        local_world_size: Number of processes on this machine.
        traffic: Amount of communication so far.
    """

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    traffic: Traffic = field(default_factory=Traffic, compare=False)
    _link: _Link | None = field(default=None, compare=False, repr=False)

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is rank 0, which reports, decides and writes."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.all_max(0)

    def all_max(self, value: int) -> int:
        """Wait for all ranks, and return the largest value that one of them passed."""
        if self._link is None:
            return value
        self._link.barrier_number += 1
        self.traffic.barriers += 1
        codes = torch.tensor([value])
        self._wait_for_collective(lambda: dist.all_reduce(codes, dist.ReduceOp.MAX, async_op=True))
        return int(codes)

    def request_pause(self) -> None:
        """Ask the other ranks to come to the next barrier before their patches are done."""
        if self._link is not None:
            link = self._link
            self._translating_errors(lambda: link.store.set(f"pause {link.barrier_number}", "1"))

    @property
    def pause_requested(self) -> bool:
        """Whether rank 0 has asked for a pause."""
        if self._link is None:
            return False
        link = self._link
        return bool(self._translating_errors(lambda: link.store.check([f"pause {link.barrier_number}"])))

    def broadcast(self, value: Any = None) -> Any:
        """Return the value that rank 0 passed; it must be JSON serializable."""
        if self._link is None:
            return value
        store, self._link.message_number = self._link.store, self._link.message_number + 1
        key = f"broadcast {self._link.message_number}"
        if self.is_rank_zero:
            self._translating_errors(lambda: store.set(key, json.dumps(value)))
            return value
        self._poll_until(lambda: bool(self._translating_errors(lambda: store.check([key]))))
        return json.loads(self._translating_errors(lambda: store.get(key)))

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, by rank, on rank 0, and an empty list elsewhere.

        The values must be JSON serializable.
        """
        if self._link is None:
            return [value]
        store, self._link.message_number = self._link.store, self._link.message_number + 1
        keys = [f"said {self._link.message_number} {index}" for index in range(self.world_size)]
        self._translating_errors(lambda: store.set(keys[self.rank], json.dumps(value)))
        if not self.is_rank_zero:
            return []
        self._poll_until(lambda: bool(self._translating_errors(lambda: store.check(keys))))
        return [json.loads(self._translating_errors(partial(store.get, key))) for key in keys]

    def all_gather_int(self, value: int) -> list[int]:
        """Return every rank's number, by rank."""
        if self._link is None:
            return [value]
        numbers = torch.zeros(self.world_size, dtype=torch.int64)
        numbers[self.rank] = value
        self._wait_for_collective(lambda: dist.all_reduce(numbers, async_op=True))
        return [int(number) for number in numbers]

    def all_reduce(self, tensor: Tensor) -> None:
        """Sum a tensor over all ranks, in place."""
        if self._link is None:
            return
        self.traffic.reduced_bytes += tensor.nbytes
        shared = tensor if tensor.is_cuda else tensor.cpu()
        self._wait_for_collective(lambda: dist.all_reduce(shared, async_op=True))
        if shared is not tensor:
            tensor.copy_(shared)

    def one_by_one(self, work: Callable[[], None]) -> None:
        """Call `work` on one rank after the other."""
        for index in range(self.world_size):
            if index == self.rank:
                work()
            self.barrier()

    def on_rank_zero(self, work: Callable[[], None]) -> None:
        """Call `work` on rank 0 while the others wait."""
        if self.is_rank_zero:
            work()
        self.barrier()

    def row_share(self, height: int, unit: int = 1) -> tuple[int, int]:
        """Return this rank's share (first, end) of `height` rows, cut at multiples of `unit`."""
        strips = -(-height // unit)
        first, end = (unit * (strips * k // self.world_size) for k in (self.rank, self.rank + 1))
        return min(first, height), min(end, height)

    def _wait_for_collective(self, start: Callable[[], Any]) -> None:
        """Run a collective by polling, so that Python can handle signals and notice failed ranks meanwhile."""
        work = self._translating_errors(start)
        self._poll_until(work.is_completed)
        self._translating_errors(work.wait)

    def _poll_until(self, done: Callable[[], bool]) -> None:
        """Poll until `done` returns true.

        Raises:
            RankError: Another rank has failed, or the wait has taken too long.
        """
        pause, end = MIN_POLL_SECONDS, time.monotonic() + COLLECTIVE_TIMEOUT.total_seconds()
        while not done():
            time.sleep(pause)
            pause = min(2 * pause, MAX_POLL_SECONDS)
            if time.monotonic() > end:
                minutes = COLLECTIVE_TIMEOUT.total_seconds() / 60
                raise RankError(
                    f"{self} has waited {minutes:.0f} minutes for the other processes", hint=RESUME_HINT
                )
            self.raise_if_peer_failed()

    def raise_if_peer_failed(self) -> None:
        """Check from time to time whether another rank has failed.

        Raises:
            RankError: It has; the message says why.
        """
        link, now = self._link, time.monotonic()
        if link is None or now - link.last_check < PEER_CHECK_SECONDS:
            return
        link.last_check = now
        if self._translating_errors(lambda: link.store.check([FAILED])):
            failure = self._translating_errors(lambda: link.store.get(FAILED)).decode()
            raise RankError(f"{self} stops because {failure}", hint=RESUME_HINT)

    def _translating_errors(self, call: Callable[[], Any]) -> Any:
        """Call a function of torch.distributed; raise RankError where it reports a lost connection."""
        try:
            return call()
        except RankError:
            raise
        except RuntimeError as error:  # torch has no narrower one for all of them
            raise RankError(
                f"{self} stops because another process has died ({_short_reason(error)})", hint=RESUME_HINT
            ) from error

    def __str__(self) -> str:
        """Name the rank for a message."""
        return f"rank {self.rank} of {self.world_size}"


SINGLE = Communicator()


@contextmanager
def process_group() -> Iterator[Communicator]:
    """Join the processes that torchrun has started; without torchrun, yield a communicator of one process.

    Reads RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and selects the GPU of LOCAL_RANK. If the block raises,
    the other ranks are told.

    Raises:
        SettingError: There are fewer GPUs than processes, or a variable has no number that is possible.
        RankError: The processes cannot connect, or another one has stopped.
    """
    if world_size() < 2:
        yield SINGLE
        return
    cuda_device, threads = current_cuda_device(), torch.get_num_threads()
    ranks = _init_process_group()
    previous_handler = signal.signal(signal.SIGTERM, _sigterm_handler(ranks))
    try:
        yield ranks
    except BaseException as error:
        _report_failure(ranks, error)
        raise
    else:
        dist.destroy_process_group()
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
        restore_cuda_device(cuda_device)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _init_process_group() -> Communicator:
    """Connect to the other ranks and select this one's GPU."""
    processes = world_size()
    # torch would wait for a rank that never comes.
    environment_number(RANK, 0, end=processes)
    local_world_size = environment_number(LOCAL_WORLD_SIZE, 1, lowest=1, end=processes + 1)
    gpus = torch.cuda.device_count()
    if gpus and local_world_size > gpus:
        raise SettingError(
            f"{local_world_size} processes on {socket.gethostname()}, which has {gpus} GPUs",
            hint=f"use torchrun --nproc-per-node {gpus}, or set CUDA_VISIBLE_DEVICES= to render on CPUs",
        )
    if gpus:
        torch.cuda.set_device(environment_number(LOCAL_RANK, 0, end=gpus))
        if os.environ.get("OMP_NUM_THREADS") == "1":  # torchrun's default
            torch.set_num_threads(threads_per_rank(local_world_size))
    # torchrun keeps its store when it restarts the ranks: messages of the previous attempt must not be read.
    attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')} {processes}"
    seconds = join_timeout()

    def join() -> tuple[Store, int, int]:
        store, index, count = next(iter(rendezvous("env://", timeout=timedelta(seconds=seconds))))
        keys = [f"here {attempt} {rank}" for rank in range(count)]
        store.set(keys[index], "1")
        store.wait(keys, timedelta(seconds=seconds))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=PrefixStore(f"ranks {attempt}", store),
            rank=index,
            world_size=count,
            timeout=COLLECTIVE_TIMEOUT,
        )
        return store, index, count

    try:
        store, index, count = _run_with_timeout(seconds, join)
    except (RuntimeError, ValueError, TimeoutError) as error:
        if isinstance(error, TimeoutError | dist.DistStoreError) or "timed out" in str(error):
            raise RankError(
                f"not all of the {processes} processes started within {seconds:g} seconds",
                hint=f"check whether one has failed, or set {JOIN_TIMEOUT_VARIABLE} to more seconds",
            ) from error
        raise RankError(
            f"the processes cannot connect to each other ({_short_reason(error)})",
            hint="start them with torchrun",
        ) from error
    return Communicator(index, count, local_world_size, _link=_Link(PrefixStore(f"tilestyle {attempt}", store)))


def threads_per_rank(local_world_size: int) -> int:
    """Return the CPU threads of one of several ranks on a machine that each use a GPU: its share of the cores.

    On CPUs the number of threads is left as it is, because the pixels depend on it there.
    """
    return max(1, available_cores() // local_world_size)


def available_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def join_timeout() -> float:
    """Return how long to wait for all ranks to start, in seconds.

    Raises:
        SettingError: The environment variable is not such a number.
    """
    text = os.environ.get(JOIN_TIMEOUT_VARIABLE, str(DEFAULT_JOIN_TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 < seconds < 1e6:
        raise SettingError(f"invalid {JOIN_TIMEOUT_VARIABLE} {text[:40]!r}", hint="give seconds, such as 180")
    return seconds


def _run_with_timeout(seconds: float, work: Callable[[], ResultT]) -> ResultT:
    """Call a function that blocks in a library, with a timeout, while signals are still handled.

    The library is given the same timeout and usually returns first. Where it does not, its thread is abandoned.

    Raises:
        TimeoutError: It did not return in time.
    """
    results: list[ResultT] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + 1.1 * seconds + GRACE
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.05)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def _short_reason(error: Exception) -> str:
    """Return the first line of a library's message, without source locations."""
    return re.sub(r"\[[^]]*/[^]]*\] ", "", str(error)).splitlines()[0][:120]


def _sigterm_handler(comm: Communicator) -> Callable[[int, FrameType | None], None]:
    """Return a handler of SIGTERM: torchrun terminates the remaining ranks when one has died."""

    def end(number: int, frame: FrameType | None) -> None:
        raise RankError(
            f"{comm} was terminated: another process has died, or the job was stopped", hint=RESUME_HINT
        )

    return end


def _report_failure(comm: Communicator, error: BaseException) -> None:
    """Tell the other ranks that this one fails, unless it fails because of another."""
    if comm._link is None or isinstance(error, RankError):
        return
    reason = str(error) if isinstance(error, TilestyleError) else type(error).__name__
    try:
        comm._link.store.set(FAILED, f"rank {comm.rank} has failed ({reason})")
    except RuntimeError:
        return  # the process that holds the store has gone, which the others notice themselves
