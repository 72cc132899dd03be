"""The examples for render farms: what the scripts do with signals, and that the templates can be read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

FARMS = Path(__file__).parents[2] / "examples" / "farms"
RENDER = """#!/bin/bash
echo "$@" > words
trap 'kill "$waiting"; exit 143' TERM
sleep 60 & waiting=$!
touch begun
[ "$HOW" = stopped ] && wait "$waiting"
kill "$waiting"
exit "$HOW"
"""


def started(folder: Path, how: str) -> subprocess.Popen[bytes]:
    """The SLURM script, with a `tilestyle` that ends as told and a `scontrol` that notes its words."""
    for name, text in {"tilestyle": RENDER, "scontrol": '#!/bin/bash\necho "$@" > queued\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    ways = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "HOW": how}
    return subprocess.Popen(
        ["bash", str(FARMS / "slurm.sh"), "--size", "64"], cwd=folder, env={**os.environ, **ways}
    )


needs_bash = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")


@needs_bash
def test_a_slurm_job_that_is_stopped_goes_back_into_the_queue(tmp_path: Path) -> None:
    job = started(tmp_path, "stopped")
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait() == 143
    assert (tmp_path / "queued").read_text() == "requeue 7\n"
    assert (tmp_path / "words").read_text().endswith("--grace 90 --size 64\n")


@needs_bash
@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_slurm_job_that_ends_by_itself_does_not(tmp_path: Path, code: int) -> None:
    assert started(tmp_path, str(code)).wait() == code
    assert not (tmp_path / "queued").exists()


def test_the_open_job_description_can_be_read() -> None:
    model = pytest.importorskip("openjd.model")
    template = model.decode_job_template(
        template=model.document_string_to_object(
            document=(FARMS / "openjd.yaml").read_text(encoding="utf-8"), document_type=model.DocumentType.YAML
        )
    )
    assert [step.name for step in template.steps] == ["Paint"]


@pytest.mark.parametrize("name", ["openjd.yaml", "skypilot.yaml", "Dockerfile", "slurm.sh"])
def test_the_words_that_farms_run_are_understood(name: str) -> None:
    from tests.support.cli import commands

    flags = {flag for each in commands().commands["batch"].params for flag in each.opts}
    text = (FARMS / name).read_text(encoding="utf-8")
    used = {word.strip('",') for word in text.split() if word.startswith("--")}
    own = {
        "skypilot.yaml": set(),
        "openjd.yaml": {"--step"},
        "slurm.sh": {word for word in used if word.partition("=")[0] in SBATCH},
        "Dockerfile": used - {"--style"},
    }[name]
    assert used - own <= flags


SBATCH = {
    *("--job-name", "--time", "--gres", "--cpus-per-task", "--mem", "--requeue", "--open-mode", "--output"),
    "--signal",
}
