#!/usr/bin/env bash
# The paper's table on all GPUs of one machine, each with a share of every batch's pictures, by torchrun.
#
#   bash demo_core/benchmark/recipes/torchrun.sh DATA
#
# Needs    what paper-table.sh needs; $TORCHRUN, torchrun's own options, for other than all GPUs of this machine
# Writes   runs/paper-table, as paper-table.sh does, to the bit: the number of processes changes no prediction
# Takes    an n-th of what `paper-table.sh DATA --plan` says, on n GPUs
set -euo pipefail
LAUNCH="torchrun ${TORCHRUN:---standalone --nproc-per-node=gpu}" bash "$(dirname "$0")/paper-table.sh" "$@"
