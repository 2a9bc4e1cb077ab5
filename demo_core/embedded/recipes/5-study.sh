#!/usr/bin/env bash
# How far embeddings drift under noise and views, clean and attacked: the AUC tables, and what stands behind a
# run's own points on the page.
#
#   bash demo_core/embedded/recipes/5-study.sh ARCHIVES
#
# Needs    ARCHIVES/ImageNet.zip: validation photographs, a folder a class
# Writes   assets/embedded/{photo,photo-fare}/{study.json,study.svg}, and both documents' figures
# Takes    some 7 and 4 minutes of one core, in 2 GB; 40 and 20 pictures, each attacked at three sizes and for the median flip eps
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.study --photographs "$archives/ImageNet.zip" --limit 40 --model photo
python -m demo_core.embedded.study --photographs "$archives/ImageNet.zip" --limit 20 --model photo-fare
python -m demo_core.embedded.card
