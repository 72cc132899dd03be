"""Recognizes errors of libraries about memory and devices, and reports them to the user in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tilestyle.errors import DeviceError, MemoryLimit, TilestyleError

# Messages of torch, oneDNN, cuBLAS, cuDNN, rocBLAS and Metal. Only CUDA's allocator has its own exception.
OUT_OF_MEMORY_MESSAGES = (
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
# Messages of libraries that may mean that an allocation failed, or something else. Libraries allocate outside
# of torch's cache: after it is emptied, the same operation may succeed.
AMBIGUOUS_MESSAGES = (
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
# Other messages of devices, their drivers and their libraries.
DEVICE_FAILURE_MESSAGES = (
    "CUDA error",
    "CUDA driver",
    "CUDA initialization",
    "CUDA unknown error",
    "CUDA GPUs",
    "CUDA-capable device",
    "NVIDIA driver",
    "HIP error",
    "HIP GPUs",
    "Triton Error",
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
    *AMBIGUOUS_MESSAGES,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of a library means that an allocation failed."""
    if isinstance(error, TilestyleError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY_MESSAGES)
    )


def may_be_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception may mean that an allocation failed, or another problem of a device."""
    if isinstance(error, TilestyleError) or not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return any(text in str(error) for text in AMBIGUOUS_MESSAGES)


def is_library_failure(error: BaseException) -> bool:
    """Return whether an allocation of a library other than torch failed, or may have failed, on a device.

    When its own allocation fails, torch empties its cache and tries again. A library does not.
    """
    if may_be_out_of_memory(error):
        return True
    messages = (
        "_FAILED",
        "rocblas_status_memory_error",
        "CUDA error: out of memory",
        "HIP error: out of memory",
        "Triton Error [CUDA]: out of memory",  # of a kernel's code, which is loaded outside of torch's cache
    )
    return is_out_of_memory(error) and any(text in str(error) for text in messages)


def is_device_failure(error: BaseException) -> bool:
    """Return whether an exception comes from a device, its driver or its libraries, apart from memory."""
    if isinstance(error, TilestyleError) or is_out_of_memory(error):
        return False
    if not isinstance(error, RuntimeError | AssertionError):  # the latter from a torch without CUDA
        return False
    known = type(error).__name__ == "AcceleratorError"
    return known or any(text in str(error) for text in DEVICE_FAILURE_MESSAGES)


def reason_of(error: BaseException) -> str:
    """Return the first line of an exception's message, or the name of its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def short_device_errors(during: str, hint: str = "") -> Iterator[None]:
    """Report failed allocations and devices in one line.

    Args:
        during: What is being done, completing "while ...", such as "the pictures were read".
        hint: What to do if the device fails.

    Raises:
        MemoryLimit: An allocation failed.
        DeviceError: A device failed.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError, AssertionError) as error:
        if is_out_of_memory(error):
            raise MemoryLimit(
                f"memory ran out while {during} ({reason_of(error)})",
                hint="close other programs, or use a smaller --size or smaller pictures",
            ) from error
        if is_device_failure(error):
            raise device_error(during, error, hint) from error
        raise


def device_error(during: str, error: BaseException, hint: str = "") -> DeviceError:
    """Return the error that says in one line that a device failed."""
    memory = ", or memory ran out" if may_be_out_of_memory(error) else ""
    return DeviceError(
        f"the device failed{memory} while {during} ({reason_of(error)})",
        hint=hint or "close other programs and try again, check the driver, or use --device cpu",
    )
