#!/usr/bin/env bash
# The accuracy tables and charts: every defence under every attack, on pictures that nothing was chosen on.
#
#   bash demo_core/embedded/recipes/6-accuracy.sh ARCHIVES
#
# Needs    ARCHIVES/ImageNet.zip: validation photographs, a folder a class
# Writes   assets/embedded/{photo,photo-fare}/{records.csv.xz,accuracy.png}, and both documents' figures
# Takes    about 10 and 2 minutes on two CPU cores, by the milliseconds in the records; a run that was stopped
#          goes on where it was
set -euo pipefail
archives=${1:?name the folder of the archives}

# judge MODEL PICTURES DEFENCE...
judge() {
    python -m demo_core.embedded.judge --archives "$archives/ImageNet.zip" --model "$1" --limit "$2" \
        --attacks clean pgd@1+predicted pgd@4+predicted --defenses "${@:3}" --out "runs/$1"
    python -m demo_core.benchmark --report "runs/$1" --store "assets/embedded/$1/records.csv.xz"
}

judge photo 100 none rn tte ttc default
judge photo-fare 40 none ttc default
python -m demo_core.embedded.card
