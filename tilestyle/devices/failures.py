"""Memory that runs out and devices that fail, as libraries say it, and as the user is told."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tilestyle.errors import DeviceError, MemoryLimit, TilestyleError

# What torch, oneDNN, cuBLAS, cuDNN, rocBLAS and Metal say; only CUDA's allocator has an exception of its own.
COMPLAINTS = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "rocblas_status_memory_error",
    "Invalid buffer size",
    "could not create a memory",
    "could not create a primitive",
)
# What libraries say where they were refused memory and have no word for it, and where something else is wrong.
# Memory of theirs lies beside what torch keeps for itself: with that emptied, the same may succeed.
DOUBTFUL = (
    "unable to find an engine",
    "nable to find a valid cuDNN algorithm",
    *(
        f"{library}_STATUS_{status}"
        for library in ("CUBLAS", "CUDNN", "CUSOLVER", "HIPBLAS", "HIPSOLVER")
        for status in ("NOT_INITIALIZED", "INTERNAL_ERROR", "EXECUTION_FAILED")
    ),
    "CUFFT_INTERNAL_ERROR",
    "HIPFFT_INTERNAL_ERROR",
    "rocblas_status_internal_error",
    "miopenStatusInternalError",
    "miopenStatusUnknownError",
)
# How else errors of devices, their drivers and their libraries are recognised.
FAILURES = (
    "CUDA error",
    "CUDA driver",
    "CUDA initialization",
    "CUDA unknown error",
    "CUDA GPUs",
    "CUDA-capable device",
    "NVIDIA driver",
    "HIP error",
    "HIP GPUs",
    "cuDNN error",
    "cusolver error",
    "cuFFT error",
    "cuFFT_STATUS",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "CUSOLVER_STATUS",
    "CUSPARSE_STATUS",
    "HIPBLAS_STATUS",
    "HIPSOLVER_STATUS",
    "miopenStatus",
    "rocblas_status",
    "no kernel image",
    "MPS backend",
    "MPSGraph",
    "compiled with CUDA enabled",
    *DOUBTFUL,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of a library means that it was refused memory."""
    if isinstance(error, TilestyleError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (isinstance(error, RuntimeError) and any(text in str(error) for text in COMPLAINTS))


def may_be_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception may mean that, or something else that is wrong with a device."""
    if isinstance(error, TilestyleError) or not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return any(text in str(error) for text in DOUBTFUL)


def is_of_a_library(error: BaseException) -> bool:
    """Return whether memory was refused, or may have been, to a library beside torch on a device.

    What torch itself is refused, it has asked for again with its own cache emptied. A library has not.
    """
    if may_be_out_of_memory(error):
        return True
    beside = ("_FAILED", "rocblas_status_memory_error", "CUDA error: out of memory", "HIP error: out of memory")
    return is_out_of_memory(error) and any(text in str(error) for text in beside)


def is_device_failure(error: BaseException) -> bool:
    """Return whether an exception is of a device, its driver or its libraries, memory aside."""
    if isinstance(error, TilestyleError) or is_out_of_memory(error):
        return False
    if not isinstance(error, RuntimeError | AssertionError):  # the latter: of a torch without CUDA
        return False
    known = type(error).__name__ == "AcceleratorError"
    return known or any(text in str(error) for text in FAILURES)


def reason_of(error: BaseException) -> str:
    """Return the first line of what a library says, or the name of its exception."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def in_one_line(doing: str, hint: str = "") -> Iterator[None]:
    """Say in one line that memory ran out or a device failed.

    Args:
        doing: What was being done, as in "the pictures were read".
        hint: What to do where it is the device that failed.

    Raises:
        MemoryLimit: A library was refused memory.
        DeviceError: A device failed.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError, AssertionError) as error:
        if is_out_of_memory(error):
            raise MemoryLimit(
                f"memory ran out while {doing} ({reason_of(error)})",
                hint="close other programs, or give a smaller --size or smaller pictures",
            ) from error
        if is_device_failure(error):
            raise failed(doing, error, hint) from error
        raise


def failed(doing: str, error: BaseException, hint: str = "") -> DeviceError:
    """The error that says in one line that a device failed while something was done."""
    memory = ", or memory ran out" if may_be_out_of_memory(error) else ""
    return DeviceError(
        f"the device failed{memory} while {doing} ({reason_of(error)})",
        hint=hint or "try again with other programs closed, check the driver, or give --device cpu",
    )
