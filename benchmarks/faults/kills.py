"""Signals, and memory that runs out, in sweeps, in checkpoints and in the writing of the picture.

The moment is the n-th call of one of the program's functions, its n-th operation on a file, or a time.
Afterwards the work folder is resumed, or the command is given again: all files must be those of the undisturbed
command.
"""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.command import line
from benchmarks.faults.moments import Event, Fault, events_of
from benchmarks.faults.outcome import Finding, Outcome, Ran, bad_end, worst
from benchmarks.faults.scene import (
    OLDER,
    WORK,
    Recipe,
    Scene,
    Undisturbed,
    differing,
    is_kept,
    log_of,
    tree_of,
)

ACTIONS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGINT twice", "MemoryError")
PHASES = ("sweeps", "checkpoints", "writing", "any moment")
LINES = 3  # that a stopped command may say: what it does, and how to go on


@dataclass(frozen=True)
class Moment:
    """When, on one of the clocks."""

    phase: str
    fault: Fault
    seconds: float = 0.0  # from the start; 0: as the fault says
    calls: int = 0  # before it, about

    @property
    def name(self) -> str:
        """In words."""
        if self.seconds:
            return f"after {self.seconds:.2f} s"
        return f"at event {self.fault.event}" if self.fault.event else f"at call {self.fault.call}"


def phase_of(event: Event, out: str) -> str:
    """What a program is doing when it does this with a file."""
    if event.path.startswith((f"{WORK}/", f"place/{WORK}/")):
        return "checkpoints"
    return "writing" if event.path.startswith((out, out.rsplit(".", 1)[0], "*", "place/")) else ""


def moment_of(draw: random.Random, peace: Undisturbed, out: str, action: str) -> Moment:
    """A moment by chance, as often in one phase as in another."""
    phase = draw.choice(PHASES)
    places = [number for number, event in enumerate(peace.events, 1) if phase_of(event, out) == phase]
    if phase != "sweeps" and places and draw.random() < 0.7:
        number = draw.choice(places)
        return Moment(phase, Fault(action, event=number), calls=peace.events[number - 1].calls)
    written = min((e.calls for e in peace.events if phase_of(e, out) == "writing"), default=peace.calls)
    first, last = {
        "sweeps": (min(peace.kept, written // 2), written),
        "writing": (written, peace.calls),
    }.get(phase, (1, peace.calls))
    call = draw.randint(max(1, first), max(1, first, last))
    if action.startswith("SIG") and draw.random() < 0.3:
        seconds = peace.seconds * call / max(1, peace.calls)
        return Moment(phase, Fault(), seconds=max(0.01, seconds), calls=call)
    return Moment(phase, Fault(action, call=call), calls=call)


def trial(scene: Scene, draw: random.Random) -> Finding:
    """Disturb one command and go on."""
    recipe = scene.recipe(draw)
    action = draw.choice(ACTIONS)
    every = draw.choice(["0", "0", "10"])
    more = ("--work-dir", WORK, "--checkpoint-every", every)
    peace = scene.undisturbed(recipe, more, calls=True)
    name = action.removesuffix(" twice")
    moment = moment_of(draw, peace, recipe.out, name)
    older, again = draw.random() < 0.5, draw.random() < 0.5
    kind = f"{moment.phase}, {recipe.canvas}"
    with scene.sandbox() as here:
        before = tree_of(here)
        if older:
            (here / recipe.out).write_bytes(OLDER)
        running = scene.start(recipe, here, more, moment.fault)
        if moment.seconds:
            running.sleep(moment.seconds)
            running.send(getattr(signal, name))
        if action.endswith("twice"):
            if not moment.seconds:
                while running.sleep(0.01) and not _fired(here):
                    pass
            running.sleep(draw.choice([0.0, 0.02, 0.2]))
            running.send(signal.SIGINT)
        ran = running.wait()
        findings = [_judged(ran, action, here, recipe, peace, moment)]
        commands = [
            f"# {action} {moment.name}, {moment.phase}; {recipe.name}, {recipe.canvas}",
            line(ran.words),
        ]
        going_on = ["resume", WORK, "--quiet"] if is_kept(here) and again else [*recipe.words, *more]
        if tree_of(here) != peace.tree:
            second = scene.run(recipe, here, words=going_on)
            commands.append(line(second.words))
            findings.append(judged_again(second, here, peace))
        findings.append(_belongings(here, before))
    outcome, detail = worst(findings)
    return Finding(kind, outcome, detail, commands)


def judged_again(ran: Ran, here: Path, peace: Undisturbed) -> tuple[Outcome, str]:
    """What became of a command that goes on after a fault that is over: nothing but the same will do."""
    bad = bad_end(ran)
    if bad:
        return bad[0], f"going on: {bad[1]}"
    if ran.code:
        return Outcome.LOST, f"does not go on: {ran.last[:200]}"
    names = differing(tree_of(here), peace.tree)
    if not names:
        return Outcome.SAME, ""
    left = [name for name in names if name not in peace.tree]
    if len(left) == len(names):
        return Outcome.UNTIDY, f"left behind: {', '.join(left)[:200]}"
    return Outcome.WRONG, f"other bytes after going on: {', '.join(set(names) - set(left))[:200]}"


def _fired(here: Path) -> bool:
    return any(event.what == "fault" for event in events_of(log_of(here)))


def _judged(
    ran: Ran, action: str, here: Path, recipe: Recipe, peace: Undisturbed, moment: Moment
) -> tuple[Outcome, str]:
    """What the disturbed command itself did."""
    name = action.removesuffix(" twice")
    sent = getattr(signal, name, None)
    bad = bad_end(ran, lines=LINES, sent=sent)
    if bad:
        return bad
    events = events_of(log_of(here))
    had = any(event.kept for event in events)
    complete = tree_of(here).get(recipe.out) == peace.tree[recipe.out]
    if had and not complete and not is_kept(here):
        return Outcome.LOST, f"the checkpoint is gone: {ran.last[:160]}"
    out = here / recipe.out
    if out.exists() and not complete and out.read_bytes() != OLDER:
        # Ctrl-C may leave a picture as far as it came; `resume` makes it whole.
        whole = action.startswith("SIGINT") and out.stat().st_size > 0
        if not whole:
            return Outcome.WRONG, f"{recipe.out} is neither the old nor the new file"
    if name in ("SIGTERM", "SIGHUP") and not complete:
        if ran.code < 0:
            return Outcome.CRASH, f"{name} ends it without a word"
        begun = moment.calls > peace.kept and peace.kept < peace.calls
        if begun and not is_kept(here):
            return Outcome.LOST, f"{name} after the first patches: nothing is kept"
    return Outcome.SAME, ""


def _belongings(here: Path, before: dict[str, str]) -> tuple[Outcome, str]:
    """Whether the user's own files are what they were."""
    now = tree_of(here)
    gone = [name for name in before if now.get(name) != before[name]]
    return (Outcome.LOST, f"gone or changed: {', '.join(gone)}") if gone else (Outcome.SAME, "")
