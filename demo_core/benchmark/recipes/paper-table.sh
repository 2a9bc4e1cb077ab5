#!/usr/bin/env bash
# The paper's own table anew: ViT-B/32 on its sixteen data sets, every defence, clean and at eps 1/255 and 4/255.
#
#   bash demo_core/benchmark/recipes/paper-table.sh DATA --plan    what it takes here, and what would be reproduced
#   bash demo_core/benchmark/recipes/paper-table.sh DATA           the run; stopped, it goes on where it was
#
# Needs    DATA: the folder of the data sets. What torchvision can fetch is fetched; ImageNet, StanfordCars and
#          whatever else it can not are asked for one by one, with where they belong. The weights come from the
#          hub, or lie in $CLIP_WEIGHTS_DIR
# Writes   runs/paper-table: the records, the tables and charts, and beside each figure what papers printed
# Takes    what --plan says. Whatever follows DATA goes to the benchmark, so `--budget 2h` takes as many pictures
#          of each set as two hours are enough for. LAUNCH starts it otherwise than `python` does
set -euo pipefail
data=${1:?name the folder of the data sets}
sets="CIFAR10 CIFAR100 STL10 ImageNet Caltech101 Caltech256 OxfordPets Flowers102 Food101 StanfordCars SUN397"
sets="$sets Country211 FGVCAircraft EuroSAT DTD PCAM"

# shellcheck disable=SC2086  # the launcher and the sets are words
${LAUNCH:-python} -m demo_core.benchmark --model vit-b-32 --data "$data" --download --datasets $sets \
    --attacks clean pgd@1 pgd@4 --out runs/paper-table "${@:2}"
