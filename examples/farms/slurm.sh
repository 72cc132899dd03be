#!/bin/bash
# A batch on SLURM that continues after its time limit or a preemption:   sbatch slurm.sh
#
# Two minutes before the time limit SLURM sends SIGTERM to this script, which passes it on. tilestyle saves its
# work and ends with exit code 143, and the job is put back into the queue. The next run of the same command
# renders what is missing.
#SBATCH --job-name=tilestyle
#SBATCH --time=04:00:00
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=tilestyle-%j.log
#SBATCH --signal=B:TERM@120

stopped=143

# The environment in which tilestyle is installed.
if [ -f .venv/bin/activate ]; then
    # shellcheck source=/dev/null
    . .venv/bin/activate
fi

tilestyle batch photos --style painting.jpg -o painted --report painted.csv --grace 90 "$@" &
render=$!
asked=0
trap 'asked=1; kill -TERM "$render"' TERM

wait "$render"
code=$?
if [ "$asked" -eq 1 ]; then # the signal has ended the first wait
    wait "$render"
    code=$?
fi
if [ "$code" -eq "$stopped" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
