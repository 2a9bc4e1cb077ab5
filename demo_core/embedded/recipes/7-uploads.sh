#!/usr/bin/env bash
# What the page says of photographs that nobody chose, uploaded with sensible labels and with wrong ones.
#
#   bash demo_core/embedded/recipes/7-uploads.sh ARCHIVES
#
# Needs    ARCHIVES/{ImageNet,Caltech101,OxfordPets,Flowers102}.zip
# Writes   assets/embedded/photo/uploads.json, and both documents' figures
# Takes    about 3 minutes on two CPU cores: 40 photographs, each twice through a run of 2.2 s
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.uploads --limit 10 \
    --archives "$archives"/{ImageNet,Caltech101,OxfordPets,Flowers102}.zip
python -m demo_core.embedded.card
