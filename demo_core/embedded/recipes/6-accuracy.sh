#!/usr/bin/env bash
# The accuracy tables and charts: every defence under every attack, on pictures that nothing was chosen on.
#
#   bash demo_core/embedded/recipes/6-accuracy.sh ARCHIVES
#
# Needs    ARCHIVES/{ImageNet,CIFAR10,Caltech101,OxfordPets}.zip: validation or test photographs, a folder a class
# Writes   assets/embedded/{photo,photo-fare}/{records.sqlite,accuracy.png}, and both documents' figures
# Takes    about 20 and 8 minutes on two CPU cores, by the milliseconds in the records; a run that was stopped
#          goes on where it was
set -euo pipefail
archives=${1:?name the folder of the archives}

# judge MODEL PICTURES "SET..." "ATTACK..." DEFENCE...
judge() {
    local sets=() set
    for set in $3; do sets+=("$archives/$set.zip"); done
    # shellcheck disable=SC2086  # the attacks are words
    python -m demo_core.embedded.judge --archives "${sets[@]}" --model "$1" --limit "$2" \
        --attacks $4 --defenses "${@:5}" --out "runs/$1"
}

predicted="clean pgd@1+predicted pgd@4+predicted"
judge photo 100 ImageNet "$predicted" none rn tte ttc default
judge photo 100 ImageNet "pgd@1 pgd@4" none default
judge photo 40 "OxfordPets Caltech101 CIFAR10" "$predicted" none default
judge photo-fare 40 ImageNet "$predicted" none ttc default
judge photo-fare 40 "Caltech101 CIFAR10" "$predicted" none default
for model in photo photo-fare; do
    python -m demo_core.benchmark --report "runs/$model" --store "assets/embedded/$model/records.sqlite"
done
python -m demo_core.embedded.card
