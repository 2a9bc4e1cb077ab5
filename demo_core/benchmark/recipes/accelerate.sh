#!/usr/bin/env bash
# The paper's table on all GPUs of one machine, each with a share of every batch's pictures, by accelerate.
#
#   bash demo_core/benchmark/recipes/accelerate.sh DATA
#
# Needs    what paper-table.sh needs; `accelerate config` once, or its options in $ACCELERATE, for more than one machine
# Writes   runs/paper-table, as paper-table.sh does, to the bit: the number of processes changes no prediction
# Takes    an n-th of what `paper-table.sh DATA --plan` says, on n GPUs
set -euo pipefail
LAUNCH="accelerate launch ${ACCELERATE:-}" bash "$(dirname "$0")/paper-table.sh" "$@"
