"""GPUs as torch describes them: which can be used, what memory they have, and what they say when they fail."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import FEW, job, waves
from tests.support.cli import main
from tilestyle import RenderConfig, notices
from tilestyle.benchmark import memory_cap, rank_worker
from tilestyle.benchmark.timing import LapTimer
from tilestyle.benchmark.workload import Workload
from tilestyle.devices import device_memory, malloc
from tilestyle.devices.device_memory import free_bytes
from tilestyle.devices.failures import (
    is_device_failure,
    is_library_failure,
    is_out_of_memory,
    may_be_out_of_memory,
    short_device_errors,
)
from tilestyle.devices.gpu_support import has_kernels, has_kernels_for_amd
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.devices.timer import synchronized_time
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import DeviceError, MemoryLimit, SettingError, TilestyleError
from tilestyle.pictures import picture_path
from tilestyle.planning.device_choice import (
    FAST_BF16_VARIABLE,
    check_device_per_rank,
    find_device,
    has_fast_bf16,
)
from tilestyle.planning.resolve import resolve_config

CUDA, MPS, CPU = torch.device("cuda", 0), torch.device("mps", 0), torch.device("cpu")
GIB = 2**30
WHEELS = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.fixture(autouse=True)
def _new_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_logged", set())


def cards(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: list[tuple[int, int]],
    architectures: list[str],
    current: int = 0,
) -> None:
    """Let there be CUDA cards of these capabilities, and a torch built for these architectures."""
    for name, answer in {
        "is_available": lambda: True,
        "device_count": lambda: len(capabilities),
        "current_device": lambda: current,
        "get_arch_list": lambda: architectures,
        "get_device_capability": lambda device: capabilities[torch.device(device).index],
        "get_device_name": lambda device: f"Card {torch.device(device).index}",
        "is_initialized": lambda: True,
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((9, 0), WHEELS, True),
        ((8, 9), WHEELS, True),  # by the code of 8.6
        ((8, 7), WHEELS, True),
        ((10, 3), WHEELS, True),
        ((12, 1), WHEELS, True),
        ((7, 0), WHEELS, False),
        ((6, 1), WHEELS, False),
        ((13, 0), WHEELS, False),
        ((11, 0), WHEELS, False),
        ((13, 0), [*WHEELS, "compute_120"], True),  # PTX
        ((7, 0), ["compute_75"], False),
        ((9, 0), ["sm_90a"], True),
        ((9, 1), ["sm_90a"], False),
        ((10, 3), ["sm_100f"], True),
        ((11, 0), ["compute_100f"], False),
        ((8, 0), ["sm_86"], False),
        ((5, 0), [], True),  # nothing is known
        ((5, 0), ["something"], True),
    ],
)
def test_kernels_run_on_cards_they_were_built_for(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert has_kernels(capability, architectures) is runs


@pytest.mark.parametrize(
    ("own", "runs"),
    [("gfx942", True), ("gfx90a", True), ("gfx1030", False), ("gfx1101", True), ("", True), ("gfx906", False)],
)
def test_kernels_of_amd(own: str, runs: bool) -> None:
    assert has_kernels_for_amd(own, ["gfx90a", "gfx942:sramecc+", "gfx11-generic"]) is runs


@pytest.mark.parametrize(
    ("capabilities", "current", "found", "said"),
    [
        ([(9, 0)], 0, "cuda:0", None),
        ([(9, 0), (6, 1)], 1, "cuda:0", r"computing on cuda:0, since .* Card 1 \(compute capability 6.1\)"),
        ([(6, 1), (9, 0)], 1, "cuda:1", None),
        (
            [(5, 0)],
            0,
            "cpu",
            r"computing on the CPU, since torch has no kernels for Card 0 \(compute capability",
        ),
        ([(5, 0), (13, 0)], 0, "cpu", r"computing on the CPU, since .* Card 0 .* and .* Card 1 "),
    ],
)
def test_auto_takes_no_card_without_kernels_and_says_so_once(
    capabilities: list[tuple[int, int]],
    current: int,
    found: str,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cards(monkeypatch, capabilities, WHEELS, current)
    assert {find_device("auto"), find_device("auto")} == {torch.device(found)}
    assert len(caplog.records) == (said is not None)
    if said:
        assert re.search(said, caplog.records[0].message)


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_card_without_kernels_that_is_asked_for_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch, [(5, 0)], WHEELS)
    with pytest.raises(DeviceError, match=r"cuda:0 cannot be used: torch has no kernels for Card 0") as caught:
        find_device(name)
    assert "\n" not in str(caught.value)


STARTING = (
    RuntimeError("CUDA driver initialization failed, you might not have a CUDA gpu."),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
    RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."),
    RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment"),
    RuntimeError(
        "Unexpected error from cudaGetDeviceCount(). Error 802: CUDA driver: system not yet initialized"
    ),
    RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCUDA kernel errors might be"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("No HIP GPUs are available"),
    RuntimeError("HIP error: invalid device function"),
    AssertionError("Torch not compiled with CUDA enabled"),
)


@pytest.mark.parametrize(("error", "name"), [*itertools.product(STARTING, ("auto", "cuda", "cuda:0"))], ids=str)
def test_a_card_that_cannot_be_started(
    error: Exception, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With auto, the CPU and one notice; or else one line."""
    cards(monkeypatch, [(9, 0)], WHEELS)

    def broken(*device: object) -> int:
        raise error

    monkeypatch.setattr(torch.cuda, "current_device", broken)
    if name == "auto":
        assert find_device(name) == CPU
        (record,) = caplog.records
        assert "computing on the CPU, since the GPU cannot be started (" in record.message
        assert "\n" not in record.message
        return
    with pytest.raises((DeviceError, MemoryLimit)) as caught:
        find_device(name)
    assert "\n" not in str(caught.value)


def test_other_errors_of_a_start_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, [(9, 0)], WHEELS)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: [][0])
    for name in ("auto", "cuda"):
        with pytest.raises(IndexError):
            find_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "auto", "cpu"])
@pytest.mark.parametrize("beside", [1, 4])
def test_processes_of_a_machine_have_a_card_each(
    name: str, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch, [(9, 0)] * 4, WHEELS, current=2)
    if beside > 1 and ":" in name:
        with pytest.raises(SettingError, match=rf"{name} is one card for all 4 processes.*give --device cuda:"):
            check_device_per_rank(name, beside)
        return
    check_device_per_rank(name, beside)
    found = {"cuda": "cuda:2", "auto": "cuda:2"}.get(name, name)
    assert find_device(name) == torch.device(found)


def test_processes_that_would_share_a_card_are_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards(monkeypatch, [(9, 0)] * 4, WHEELS)
    config = RenderConfig(device="cuda:0")
    with pytest.raises(SettingError, match="one card for all 4 processes"):
        resolve_config(config, with_content=True, comm=Communicator(1, 8, 4))


@pytest.mark.parametrize("hip", [None, "6.4"])
def test_bf16_is_asked_of_the_card_that_is_meant(hip: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FAST_BF16_VARIABLE, raising=False)
    monkeypatch.setattr(torch.version, "hip", hip)
    cards(monkeypatch, [(9, 0), (7, 5)], WHEELS)
    assert has_fast_bf16(torch.device("cuda:0"))
    assert has_fast_bf16(torch.device("cuda:1")) is (hip is not None)


@pytest.mark.parametrize(
    ("free", "reserved", "allocated", "fraction", "expected"),
    [
        (10, 0, 0, 1.0, 10),
        (4, 6, 0, 1.0, 10),  # all of it kept for later
        (4, 6, 5, 1.0, 5),
        (10, 0, 0, 0.25, 4),
        (4, 6, 3, 0.5, 5),
        (0, 16, 16, 1.0, 0),
        (10, 6, 6, 0.25, 0),  # more than the fraction allows
    ],
)
def test_what_torch_keeps_of_a_card_is_free(
    free: int, reserved: int, allocated: int, fraction: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, answer in {
        "mem_get_info": (free * GIB, 16 * GIB),
        "memory_reserved": reserved * GIB,
        "memory_allocated": allocated * GIB,
        "get_per_process_memory_fraction": fraction,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer, raising=False)
    assert free_bytes(CUDA) == expected * GIB
    monkeypatch.delattr(torch.cuda, "get_per_process_memory_fraction")
    assert free_bytes(CUDA) == (free + reserved - allocated) * GIB


class Metal:
    """Apple's memory, as torch tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.allocated, self.driver, self.most = 2 * GIB, 3 * GIB, 12 * GIB
        self.emptied = self.waited = 0
        self.fraction: float | None = None
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        monkeypatch.setattr(device_memory, "_metal_peak_bytes", 0)
        for name, answer in {
            "current_allocated_memory": lambda: self.allocated,
            "driver_allocated_memory": lambda: self.driver,
            "recommended_max_memory": lambda: self.most,
            "empty_cache": self._empty,
            "synchronize": self._wait,
            "set_per_process_memory_fraction": self._limit,
        }.items():
            monkeypatch.setattr(torch.mps, name, answer)

    def _empty(self) -> None:
        self.emptied += 1
        self.driver = self.allocated

    def _wait(self) -> None:
        self.waited += 1

    def _limit(self, fraction: float) -> None:
        self.fraction = fraction


@pytest.fixture
def metal(monkeypatch: pytest.MonkeyPatch) -> Metal:
    return Metal(monkeypatch)


@pytest.mark.parametrize(("ram", "expected"), [(64, 10), (4, 5), (0, 1)])
def test_metal_has_no_more_than_is_recommended_and_than_there_is(
    ram: int, expected: int, metal: Metal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_memory, "available_memory", lambda: ram * GIB)
    assert free_bytes(MPS) == expected * GIB


def test_the_peak_of_metal_is_what_it_has_given(metal: Metal) -> None:
    peak = PeakMemory(MPS)
    assert metal.emptied == 1
    assert peak.bytes() == metal.driver == 2 * GIB
    metal.driver = 7 * GIB
    malloc.release_cached_memory()  # which is before anybody asks
    assert metal.driver == 2 * GIB
    assert peak.bytes() == 7 * GIB
    assert PeakMemory(MPS).bytes() == 2 * GIB


def test_metal_is_waited_for(metal: Metal) -> None:
    before = metal.waited
    assert synchronized_time(MPS) < synchronized_time(MPS)
    assert metal.waited == before + 2


def test_metal_has_a_wall(metal: Metal) -> None:
    memory_cap.cap_memory(MPS, 6 * GIB)
    assert metal.fraction == pytest.approx((3 + 6) / 12)


class Moment:
    """An event of a device: its time is known once the device has been waited for."""

    clock = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.at: float | None = None

    def record(self, *stream: object) -> None:
        Moment.clock += 250.0
        self.at = Moment.clock

    def elapsed_time(self, other: Moment) -> float:
        assert Waited.count == 1
        assert self.at is not None and other.at is not None
        return other.at - self.at


class Waited:
    """How often a device was waited for."""

    count = 0


@pytest.mark.parametrize("device", [CUDA, MPS], ids=str)
def test_laps_wait_once(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*device: object) -> None:
        Waited.count += 1

    Waited.count = 0
    monkeypatch.setattr(torch.cuda, "Event", Moment)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    monkeypatch.setattr(torch.mps, "synchronize", wait)
    monkeypatch.setattr(torch.mps.event, "Event", Moment)
    laps = LapTimer(device)
    for _ in range(4):
        laps.mark()
    assert Waited.count == 0
    assert laps.seconds() == [0.25] * 3
    assert Waited.count == 1


def test_laps_of_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.5, 3.5, 9.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    laps = LapTimer(CPU)
    for _ in range(3):
        laps.mark()
    assert laps.seconds() == [0.5, 2.0]


CERTAIN = (
    "CUDA out of memory. Tried to allocate 2.00 GiB.",
    "HIP out of memory. Tried to allocate 2.00 GiB.",
    "MPS backend out of memory (MPS allocated: 1.00 GB, other allocations: 2 GB, max allowed: 9.07 GB).",
    "Invalid buffer size: 19.45 GiB",
    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
)
BESIDE = (
    "CUDA error: out of memory",
    "HIP error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "rocblas_status_memory_error",
)
DOUBTFUL = (
    "GET was unable to find an engine to execute this computation",
    "FIND was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`",
    "cusolver error: CUSOLVER_STATUS_NOT_INITIALIZED, when calling `cusolverDnCreate(handle)`",
    "cuFFT error: CUFFT_INTERNAL_ERROR",
    "CUDA error: HIPBLAS_STATUS_NOT_INITIALIZED when calling `hipblasCreate(handle)`",
    "HIPSOLVER_STATUS_INTERNAL_ERROR",
    "miopenStatusUnknownError",
    "miopenStatusInternalError",
)
BROKEN = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA error: device-side assert triggered",
    "CUDA driver error: unspecified launch failure",
    "HIP error: invalid device function",
    "Triton Error [CUDA]: an illegal memory access was encountered",
    "cuDNN error: CUDNN_STATUS_VERSION_MISMATCH",
    "MPS backend is supported on MacOS 14.0+",
)
OURS = ("shapes cannot be multiplied", "The size of tensor a (3) must match", "expected scalar type Float")


@pytest.mark.parametrize("text", [*CERTAIN, *BESIDE, *DOUBTFUL, *BROKEN, *OURS])
def test_what_libraries_say_is_understood(text: str) -> None:
    error = RuntimeError(text)
    assert is_out_of_memory(error) is (text in CERTAIN + BESIDE)
    assert may_be_out_of_memory(error) is (text in DOUBTFUL)
    assert is_library_failure(error) is (text in BESIDE + DOUBTFUL)
    assert is_device_failure(error) is (text in DOUBTFUL + BROKEN)
    with (
        pytest.raises(RuntimeError if text in OURS else TilestyleError) as caught,
        short_device_errors("it was painted"),
    ):
        raise error
    if text in OURS:
        assert caught.value is error
        return
    assert isinstance(caught.value, MemoryLimit if text in CERTAIN + BESIDE else DeviceError)
    assert "\n" not in str(caught.value)
    assert ("memory ran out" in str(caught.value)) is (text not in BROKEN)


@pytest.mark.parametrize(
    "error", [OSError(5, "CUDA error"), ValueError("CUDA error"), MemoryLimit("CUDA error")]
)
def test_errors_of_others_are_not_taken_for_a_device_s(error: Exception) -> None:
    assert not is_device_failure(error)
    assert not may_be_out_of_memory(error)


def raising(error: Exception) -> Callable[..., Any]:
    """What raises it."""

    def run(*arguments: object, **named: object) -> Any:
        raise error

    return run


# Where a command speaks to a device outside of the patches.
OUTSIDE = {
    "the device": "tilestyle.planning.device_choice.find_device",
    "the network": "tilestyle.networks.vgg.Vgg.to",
    "free memory": "tilestyle.planning.resolve.free_bytes",
    "the canvas": "tilestyle.pipeline.run.optimize_with_oom_retry",
    "the picture": "tilestyle.pipeline.run.as_picture",
}


@pytest.fixture
def _command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A render from the command line."""
    words = [
        "render",
        str(picture_path("coffee")),
        "--style",
        str(picture_path("swirls")),
        "-o",
        str(tmp_path / "o.png"),
    ]
    words += ["--size", "32", "--sweeps", "1", "--device", "cpu", "--yes"]
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])


@pytest.mark.usefixtures("_command")
@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize("text", [CERTAIN[0], DOUBTFUL[3], BROKEN[0]])
def test_errors_outside_of_patches_are_one_line(
    place: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(OUTSIDE[place], raising(RuntimeError(text)))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("tilestyle: ")
    assert not [line for line in said if "Traceback" in line]


@pytest.mark.usefixtures("_command")
def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.pipeline.run.optimize_with_oom_retry", raising(RuntimeError(OURS[0])))
    with pytest.raises(RuntimeError, match=OURS[0]):
        main()


def test_sums_are_timed_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several ranks on GPUs, NCCL adds up what lies there."""
    there: Any = SimpleNamespace(device=torch.device("meta"))
    made = replace(job(waves(48, 64), size=64, patch=64, sweeps=2, **FEW), network=there)
    places: list[str] = []
    monkeypatch.setattr(Workload, "job", lambda *arguments, **named: made)
    monkeypatch.setattr(Communicator, "all_reduce", lambda ranks, tensor: places.append(tensor.device.type))
    monkeypatch.setattr(
        rank_worker, "optimize", lambda job, begin, observe, stop, at: [observe() for _ in range(3)]
    )
    monkeypatch.setattr(rank_worker, "sum_bytes", lambda job: 4000)
    monkeypatch.setattr(rank_worker, "_distance_seconds", lambda job: 0.0)
    waited: list[str] = []

    def clock(device: torch.device) -> float:
        waited.append(device.type)
        return float(len(waited))

    monkeypatch.setattr(rank_worker, "synchronized_time", clock)
    asked = {"workload": Workload().to_json(), "side": 64, "patch": 64, "sweeps": 2, "folder": "none"}
    rank_worker.measure_rank(SINGLE, asked)
    assert set(places) == set(waited) == {"meta"}
