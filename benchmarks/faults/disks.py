"""Full disks and drives that refuse operations, for the picture and for the work folder.

A small disk is a tmpfs in a mount namespace that only the trial sees (Linux, where that is allowed). In
other trials the n-th operation on a file fails, or files cannot grow beyond a size. After a refusal there is
room again, and the command goes on. On a drive without permissions, fsync or allocation of blocks, as network
drives often are, the picture must simply be written.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faults.command import line
from benchmarks.faults.kills import judged_again, phase_of
from benchmarks.faults.moments import Fault, events_of
from benchmarks.faults.outcome import WARNED, Finding, Outcome, Ran, bad_end, worst
from benchmarks.faults.scene import WORK, Recipe, Scene, Undisturbed, is_kept, log_of, tree_of

LEFT = "remove it by hand"  # how the program says that a work folder stays
PLACE = "place"  # the folder that is the small disk
ERRORS = ("ENOSPC", "ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS", "ESTALE")
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000  # of unshare(2)
READ_ONLY, REMOUNT, PRIVATE, ALL_OF = 1, 32, 1 << 18, 1 << 14  # of mount(2)
# What a drive may not know, and answers with.
IGNORANT = (
    ("os.chmod", "EPERM"),
    ("fchmod", "EPERM"),
    ("fsync", "EINVAL"),
    ("fdatasync", "EINVAL"),
    ("posix_fallocate", "EOPNOTSUPP"),
)


def own_mounts() -> bool:
    """Give this process mounts of its own; whether it may."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    flags = NEW_MOUNTS if os.geteuid() == 0 else NEW_MOUNTS | NEW_USER
    if libc.unshare(flags):
        return False
    return not libc.mount(b"none", b"/", None, PRIVATE | ALL_OF, None)


def mount(folder: Path, count: int, *, again: bool = False, read_only: bool = False) -> bool:
    """Make a folder a disk of so many bytes, or change how many; whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = (REMOUNT if again else 0) | (READ_ONLY if read_only else 0)
    size = f"size={max(4096, count)}".encode()
    return not libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, size)


def trial(scene: Scene, draw: random.Random) -> Finding:
    """One fault of a disk, and going on."""
    way = draw.choice(["small disk", "small disk", "error", "error", "drive", "file size"])
    if way == "drive":
        return _ignorant(scene, draw)
    if way == "small disk":
        found = apart(draw, partial(_small, scene))
        if found:
            return found
    return _answered(scene, draw) if way != "file size" else _limited(scene, draw)


def _ignorant(scene: Scene, draw: random.Random) -> Finding:
    """A drive that does not know some operations."""
    recipe, more = scene.recipe(draw), ("--work-dir", WORK, "--checkpoint-every", "0")
    peace = scene.undisturbed(recipe, more)
    lasting, error = draw.choice(IGNORANT)
    with scene.sandbox() as here:
        (here / recipe.out).write_bytes(b"older")
        ran = scene.run(recipe, here, more, Fault(error, lasting=lasting))
        bad = bad_end(ran)
        outcome, detail = bad or judged_again(ran, here, peace)
    return Finding(
        f"a drive without {lasting.removeprefix('os.')}",
        outcome,
        detail,
        [f"# every {lasting} fails with {error}; {recipe.name}, {recipe.canvas}", line(ran.words)],
    )


def _answered(scene: Scene, draw: random.Random) -> Finding:
    """An error instead of one operation, or of all from there on."""
    recipe = scene.recipe(draw)
    more = ("--work-dir", WORK, "--checkpoint-every", draw.choice(["0", "0", "10"]))
    peace = scene.undisturbed(recipe, more)
    error = draw.choice(ERRORS)
    phase = draw.choice(["checkpoints", "writing"])
    places = [n for n, event in enumerate(peace.events, 1) if phase_of(event, recipe.out) == phase]
    fault = Fault(error, event=draw.choice(places), times=draw.choice([1, 10**9]))
    kept = any(event.kept for event in peace.events[: fault.event])
    what = peace.events[fault.event - 1]
    with scene.sandbox() as here:
        ran = scene.run(recipe, here, more, fault)
        how = "once" if fault.times == 1 else "from there on"
        note = f"# {error} {how} at event {fault.event}, {what.what} of {what.path}"
        note += f"; {recipe.name}, {recipe.canvas}"
        findings, commands = _gone_on(scene, recipe, more, here, peace, ran, needs=kept)
    return Finding(f"an error in {phase}, {recipe.canvas}", *worst(findings), [note, *commands])


def _limited(scene: Scene, draw: random.Random) -> Finding:
    """No file may grow beyond a size, which the system says as it does of a full disk."""
    recipe = scene.recipe(draw)
    more = ("--work-dir", WORK, "--checkpoint-every", draw.choice(["0", "10"]))
    peace = scene.undisturbed(recipe, more)
    limit = int(10 ** draw.uniform(3.3, 6))  # messages are files, too

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    with scene.sandbox() as here:
        ran = scene.run(recipe, here, more, prepare=limited)
        findings, commands = _gone_on(scene, recipe, more, here, peace, ran, needs=False)
    note = f"# ulimit -f for {limit} bytes; {recipe.name}, {recipe.canvas}"
    return Finding(f"files up to a size, {recipe.canvas}", *worst(findings), [note, *commands])


def apart(draw: random.Random, work: Callable[[random.Random], Finding | None]) -> Finding | None:
    """A trial in a process of its own, whose mounts nobody else sees; None where that is not allowed."""
    read, write = os.pipe()
    seed = draw.random()
    process = os.fork()
    if process == 0:
        try:
            os.close(read)
            made = work(random.Random(seed)) if own_mounts() else None
            if made:
                note = json.dumps([made.kind, made.outcome, made.detail, made.commands])
                os.write(write, note.encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(process, 0)
    if not said:
        return None
    kind, outcome, detail, commands = json.loads(said)
    return Finding(kind, Outcome(outcome), detail, commands)


def _small(scene: Scene, draw: random.Random) -> Finding | None:
    """A disk that is too small for the work folder, the picture, or both."""
    recipe = scene.recipe(draw)
    role = draw.choice(["work folder", "picture", "both"])
    every = draw.choice(["0", "10"])
    out = recipe.out if role == "work folder" else f"{PLACE}/{recipe.out}"
    work = WORK if role == "picture" else f"{PLACE}/{WORK}"
    words = tuple(out if word == recipe.out else word for word in recipe.words)
    recipe = Recipe(recipe.name, words, recipe.mapped, out)
    more = ("--work-dir", work, "--checkpoint-every", every)
    peace = scene.undisturbed(recipe, more, PLACE)
    most = {"picture": 40_000, "work folder": 2_500_000, "both": 2_500_000}[role]
    size, fault = draw.randrange(4096, most), Fault("", event=10**9)
    note = f"# mount -t tmpfs -o size={size} tmpfs {PLACE}"
    if draw.random() < 0.6:  # large enough, until another program fills it
        phase = draw.choice(["checkpoints", "writing"])
        places = [n for n, event in enumerate(peace.events, 1) if phase_of(event, recipe.out) == phase]
        size, fault = 2**24, Fault("fill", event=draw.choice(places))
        what = peace.events[fault.event - 1]
        note = f"# {PLACE} is full from event {fault.event} on, {what.what} of {what.path}"
    with scene.sandbox() as here:
        (here / PLACE).mkdir()
        if not mount(here / PLACE, size):
            return None
        ran = scene.run(recipe, here, more, fault)
        kept = any(event.kept for event in events_of(log_of(here)))
        (here / PLACE / "hog").unlink(missing_ok=True)
        mount(here / PLACE, 2**28, again=True)
        findings, commands = _gone_on(scene, recipe, more, here, peace, ran, needs=kept, work=work)
    note += f"; {recipe.name}, {recipe.canvas}"
    return Finding(f"small disk for {role}, {recipe.canvas}", *worst(findings), [note, *commands])


def _gone_on(
    scene: Scene,
    recipe: Recipe,
    more: tuple[str, ...],
    here: Path,
    peace: Undisturbed,
    ran: Ran,
    *,
    needs: bool,
    work: str = WORK,
) -> tuple[list[tuple[Outcome, str]], list[str]]:
    """What the command said, and what the next one makes of it; `needs`: a checkpoint had been there."""
    commands = [line(ran.words)]
    findings = [bad_end(ran, lines=WARNED + 1) or (Outcome.SAME, "")]
    tree = tree_of(here)
    done, whole = tree == peace.tree, tree.get(recipe.out) == peace.tree[recipe.out]
    if ran.code == 0 and not done and not (whole and LEFT in ran.err):
        findings.append(judged_again(ran, here, peace))
    if needs and not whole and not is_kept(here, work):
        findings.append((Outcome.LOST, f"the checkpoint is gone: {ran.last[:160]}"))
    if not done:
        again = ["resume", work, "--quiet"] if is_kept(here, work) else [*recipe.words, *more]
        second = scene.run(recipe, here, words=again)
        commands.append(line(second.words))
        findings.append(judged_again(second, here, peace))
    return findings, commands
