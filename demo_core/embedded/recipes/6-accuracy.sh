#!/usr/bin/env bash
# The accuracy tables and charts: every defence under every attack, on pictures that nothing was chosen on.
#
#   bash demo_core/embedded/recipes/6-accuracy.sh ARCHIVES
#
# Needs    ARCHIVES/{ImageNet,CIFAR10,CIFAR100,Caltech101,Flowers102,OxfordPets}.zip: validation or test photographs,
#          a folder a class
# Writes   assets/embedded/{photo,photo-fare}/{records.sqlite,attackers.sqlite,accuracy.png,curves.png}, and both
#          documents' figures
# Takes    about ten minutes of one H100 for both models without the attackers who know, several runs side by side, and
#          as much again for those; hours on two CPU cores, where a run that was stopped goes on where it was.
#          Shipped is what was done when those runs were stopped: not all rows met every attack.
set -euo pipefail
archives=${1:?name the folder of the archives}

# judge MODEL PICTURES "SET..." "ATTACK..." DEFENCE...
judge() {
    local sets=() set
    for set in $3; do sets+=("$archives/$set.zip"); done
    # shellcheck disable=SC2086  # the attacks are words
    python -m demo_core.embedded.judge --archives "${sets[@]}" --model "$1" --limit "$2" --batch 100 \
        --every "${every_so_many:-1}" --attacks $4 --defenses "${@:5}" --out "runs/$1"
}

predicted="clean pgd@1+predicted pgd@4+predicted"
every="none rn low_pass padding tte anti_adversary hedge ttc doc mac csr dbd agc tvss smoothing shift default"
for model in photo photo-fare; do
    # shellcheck disable=SC2086  # the defences are words
    judge "$model" 300 ImageNet "$predicted pgd@1 pgd@4" $every
    # What the checks of masked gradients compare, on each third of these pictures.
    # shellcheck disable=SC2086
    every_so_many=3 judge "$model" 300 ImageNet \
        "noise@4 square@4x200+predicted pgd@4x40+predicted pgd@64+predicted transfer@4+predicted" $every
    # shellcheck disable=SC2086
    judge "$model" 100 "OxfordPets Caltech101 Flowers102 CIFAR10 CIFAR100" "$predicted" $every
done
# Attackers who know each defence, which is dear, and on every second of their pictures the points of the curves, at
# any size up to eps: few pictures, in small tiles.
curve="pgd@64+predicted+upto pgd@64+predicted+adaptive+upto"  # with all smaller sizes

# attackers MODEL EVERY "ATTACK..."
attackers() {
    # shellcheck disable=SC2086  # attacks and defences are words
    python -m demo_core.embedded.judge --archives "$archives/ImageNet.zip" --model "$1" --limit 48 --every "$2" \
        --batch 16 --tile 16 --attacks $3 --defenses $every --out "runs/$1-attackers"
}
for model in photo photo-fare; do
    attackers "$model" 1 "clean pgd@1+predicted pgd@1+predicted+adaptive"
    attackers "$model" 2 "$curve"
    python -m demo_core.benchmark --report "runs/$model-attackers" --store "assets/embedded/$model/attackers.sqlite"
done
for model in photo photo-fare; do
    python -m demo_core.benchmark --report "runs/$model" --store "assets/embedded/$model/records.sqlite"
done
python -m demo_core.embedded.card
