#!/usr/bin/env bash
# The paper's table as an array of SLURM jobs with one GPU each, which know nothing of each other: one that dies is
# submitted again, alone (sbatch --array=3), and goes on where it was.
#
#   bash demo_core/benchmark/recipes/paper-table.sh DATA --attacks clean --defenses none --limit 1 --out runs/fetched
#   sbatch --array=0-15 demo_core/benchmark/recipes/slurm-array.sh DATA
#   python -m demo_core.benchmark --report runs/paper-table
#
# Needs    what paper-table.sh needs, fetched by the first line, so that no two jobs fetch the same; a file system that
#          all nodes see. $SHARES is how many shares there are, where --array does not name all of them
# Writes   runs/paper-table: each job its own file of records, which the third line reads as one. Jobs without a common
#          file system write --out each on its own, and --merge joins them
# Takes    a 16th of what `paper-table.sh DATA --plan` says, on 16 GPUs
#SBATCH --job-name=paper-table
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --requeue
set -euo pipefail
: "${SLURM_ARRAY_TASK_ID:?submit this with sbatch --array=0-15}"
# SLURM runs a copy of this file, from the folder of the submission.
bash demo_core/benchmark/recipes/paper-table.sh "$@" --share "$SLURM_ARRAY_TASK_ID/${SHARES:-$SLURM_ARRAY_TASK_COUNT}"
