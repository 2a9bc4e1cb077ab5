#!/usr/bin/env bash
# The adversarially fine-tuned twin's image tower (FARE at an eps of 1/255).
#
#   bash demo_core/embedded/recipes/2-twin.sh ARCHIVES
#
# Needs    ARCHIVES/imagenet-photos.zip, and Tiny ImageNet's training pictures in ARCHIVES/train-{0,1,2}.zip
# Writes   assets/embedded/photo-fare/image.safetensors
# Takes    3.3 minutes on one H200 (687 steps of 128 pictures). It is bound by minutes and not by steps, so
#          that another machine gives slightly other weights.
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.twin --photographs "$archives/imagenet-photos.zip" \
    --small "$archives"/train-{0,1,2}.zip --small-limit 2300 \
    --eps 1 --attack-steps 2 --clean-weight 1 --lr 5e-4 --minutes 3.3 --steps 100000 --bf16 \
    --out assets/embedded --name photo-fare/image.safetensors
