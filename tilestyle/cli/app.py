"""The start of the program, and the one place where errors become messages.

Commands are imported after signals are handled, because Ctrl-C may come at any moment.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

from tilestyle.cli import signals, terminal

KERNELS_VARIABLE, KERNELS = "LRU_CACHE_CAPACITY", "8"
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
# How often a thread of libgomp, torch's on Linux, asks whether the others are done before it sleeps. By itself
# it asks for milliseconds. Where other programs run, it keeps the core from what it waits for
# (benchmarks/waiting.py).
SPINS_VARIABLE, SPINS = "GOMP_SPINCOUNT", "10000"
MANIFEST = "manifest.json"  # that of pipeline/workdir.py, which takes a while to import
# What the loader of Linux says when a library does not fit into memory.
NO_ROOM = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")


def main(*, ends_process: bool = False, continues: Callable[[], str] | None = None) -> None:
    """Run the command line.

    Errors print one line and exit with code 2, signals print one line and exit with 128 plus their number (130
    for Ctrl-C, 143 for SIGTERM).

    Args:
        ends_process: Whether the process ends with the command: then signals are handled until it has.
        continues: Says how to continue until the command knows it; by default, a `resume` as it was typed.
    """
    # torch caches oneDNN kernels for 1024 shapes of bfloat16 tensors, hundreds of MiB. It reads this limit when
    # it is imported; it crashes if that is not a number.
    if not WHOLE_NUMBER.fullmatch(os.environ.get(KERNELS_VARIABLE, "")):
        os.environ[KERNELS_VARIABLE] = KERNELS
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPINS_VARIABLE, SPINS)
    if "WORLD_SIZE" in os.environ:  # one of several ranks, which report a lost rank in one line
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    with signals.handled(ends_process=ends_process), signals.ending_in_time():
        try:
            with terminal.streams():
                code = _run(continues)
        except OSError as error:  # standard output
            terminal.say(f"tilestyle: {error}")
            code = 2
    sys.exit(code)


def _run(continues: Callable[[], str] | None) -> int | str | None:
    """Run the command and return its exit code."""
    signals.reset()
    words = sys.argv[1:]
    signals.kept_by(continues or (lambda: resume_typed(words)))
    code: int | str | None
    try:
        code = _called()
        signals.mark_ended(code if isinstance(code, int) else int(bool(code)))
    except signals.Interrupted as ended:
        signals.say_farewell(ended)
        code = ended.code
        signals.mark_ended(code)  # before the exception is gone, which holds further signals back
    return code


def resume_typed(words: Sequence[str]) -> str:
    """The command to type again if it resumes a render; "" otherwise."""
    folders = [each for each in words[1:] if not each.startswith("-")]
    if words[:1] != ["resume"] or not folders or not os.path.isfile(os.path.join(folders[0], MANIFEST)):
        return ""
    return f"tilestyle resume {folders[0]}"


def _called() -> int | str | None:
    from tilestyle.errors import TilestyleError

    try:
        from tilestyle.cli.commands import app

        app(prog_name="tilestyle")  # also for `python -m tilestyle`
    except SystemExit as ended:
        return ended.code or 0
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        package = _unloaded_package(error)
        if package is None and not isinstance(
            error, TilestyleError | OSError | MemoryError | RuntimeError | AssertionError
        ):
            raise
        terminal.say(f"tilestyle: {said(error) if package is None else _incomplete(package, error)}")
        return 2
    return 0


def _unloaded_package(error: Exception) -> str | None:
    """The package of somebody else that could not be imported; None if the error is another one."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and package not in ("tilestyle", "__main__"):
            break
        trace = trace.tb_next
    if isinstance(error, ModuleNotFoundError) or (trace is None and isinstance(error, ImportError)):
        package = str(error.name).partition(".")[0]
        return package if error.name and package != "tilestyle" else None
    return package if trace is not None else None


def _incomplete(package: str, error: Exception) -> str:
    """The line about a package that is missing or does not load."""
    again = "install tilestyle again in an environment of its own (docs/install.md)"
    if isinstance(error, ModuleNotFoundError):
        return f"the package {package} is not installed; {again}"
    from tilestyle.devices.failures import is_out_of_memory

    reason = " ".join(str(error).split())
    if is_out_of_memory(error) or any(each in reason for each in NO_ROOM):
        hint = "close other programs, or raise the limit of memory (ulimit -v)"
        return f"there is not enough memory to load the package {package} ({reason[:200]}); {hint}"
    if not isinstance(error, ImportError):
        again = f"check the environment variables that it reads, or {again}"
    return f"the package {package} does not load ({reason[:200]}); {again}"


def said(error: BaseException) -> str:
    """The line about an error; raises it again if it is a bug."""
    from tilestyle.devices.failures import device_error, is_device_failure, is_out_of_memory, reason_of
    from tilestyle.errors import TilestyleError
    from tilestyle.pipeline.observers import error_text

    if isinstance(error, TilestyleError):
        return str(error)
    if is_out_of_memory(error):  # where smaller patches cannot help
        return f"out of memory ({reason_of(error)}); close other programs"
    if is_device_failure(error):
        return str(device_error("the command ran", error))
    if isinstance(error, RuntimeError | AssertionError):
        raise error
    return error_text(error)
