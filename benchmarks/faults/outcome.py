"""What can become of a command that meets a fault, and how that is told from its end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

TRACEBACK = "Traceback (most recent call last)"
FRAME = re.compile(r'File "[^"]*/(tilestyle/[^"]+)", line (\d+)')
# Exit codes of a command that refuses: a user's mistake, Ctrl-C, SIGTERM, SIGHUP.
REFUSALS = (2, 130, 143, 129)


class Outcome(StrEnum):
    """From the best to the worst."""

    SAME = "same"  # in the end the files are those of the undisturbed command, byte for byte
    REFUSED = "refused"  # one line, exit code 2 (or that of a signal), nothing lost
    UNTIDY = "untidy"  # more than one line, another exit code, or files left behind
    CRASH = "crash"  # ended by a signal that nobody sent, or without a word
    MEMORY = "over memory"  # took more memory than it was allowed
    HANG = "hang"  # did not end in time
    TRACEBACK = "traceback"
    LOST = "lost"  # something that the user had, or a checkpoint, is gone
    WRONG = "silent wrong"  # exit code 0, and the files are other ones


BEST = (Outcome.SAME, Outcome.REFUSED)
# What must not happen at all.
SERIOUS = tuple(outcome for outcome in Outcome if outcome not in BEST)


@dataclass(frozen=True)
class Ran:
    """How a command ended. `code` is negative when a signal ended it, as in `subprocess`."""

    words: tuple[str, ...]
    code: int
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    peak: int = 0  # bytes of resident memory above what it began with
    hung: bool = False
    greedy: bool = False  # was ended because it took too much memory

    @property
    def lines(self) -> list[str]:
        """What it told the user, without empty lines."""
        return [line for line in self.err.splitlines() if line.strip()]

    @property
    def last(self) -> str:
        """The last line of it."""
        return self.lines[-1] if self.lines else ""


@dataclass
class Finding:
    """What one trial found."""

    kind: str
    outcome: Outcome
    detail: str = ""
    commands: list[str] = field(default_factory=list)


WARNED = 2  # lines that may stand before a refusal: of what else a drive refuses


def bad_end(ran: Ran, *, lines: int = 1, sent: int | None = None) -> tuple[Outcome, str] | None:
    """What is wrong with the end of a command, if anything; whether its files are right is asked elsewhere.

    Args:
        ran: How it ended.
        lines: How many lines a refusal may take.
        sent: The signal that was sent to it, if one was.

    Returns:
        The outcome and a few words, or None when it succeeded or refused as it should.
    """
    if ran.hung:
        return Outcome.HANG, f"no end after {ran.seconds:.0f} s"
    if ran.greedy:
        return Outcome.MEMORY, f"{ran.peak / 2**20:.0f} MiB"
    if TRACEBACK in ran.err:
        return Outcome.TRACEBACK, f"{ran.last[:200]}{place(ran.err)}"
    if ran.code < 0 and (sent is None or -ran.code != sent):
        return Outcome.CRASH, f"signal {-ran.code}, {ran.last[:160]}"
    if ran.code <= 0:
        return None
    if ran.code not in REFUSALS:
        return Outcome.UNTIDY, f"exit code {ran.code}: {ran.last[:160]}"
    if not 1 <= len(ran.lines) <= lines:
        return Outcome.UNTIDY, f"{len(ran.lines)} lines: {' / '.join(ran.lines)[:200]}"
    if max(map(len, ran.lines)) > 500:
        return Outcome.UNTIDY, f"a line of {max(map(len, ran.lines))} characters"
    if any(not character.isprintable() for line in ran.lines for character in line):
        return Outcome.UNTIDY, "control characters in a message"
    return None


def place(err: str) -> str:
    """Where in the program a traceback ends, in brackets; nothing if it is not in the program."""
    frames = FRAME.findall(err)
    return f" ({frames[-1][0]}:{frames[-1][1]})" if frames else ""


def worst(findings: list[tuple[Outcome, str]]) -> tuple[Outcome, str]:
    """The worst of what was found."""
    order = list(Outcome)
    return max(findings, key=lambda found: order.index(found[0]))
