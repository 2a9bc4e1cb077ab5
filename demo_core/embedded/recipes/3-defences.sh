#!/usr/bin/env bash
# Each model's own defence: which signal gates, its threshold, the counterattack and the looks.
#
#   bash demo_core/embedded/recipes/3-defences.sh ARCHIVES
#
# Needs    ARCHIVES/imagenet-photos.zip; no figure is reported on these pictures
# Writes   assets/embedded/{photo,photo-fare}/profile.json
# Takes    not timed; every candidate is tried on the same attacked pictures, 100 and 40 of them, and the shift in
#          feature space on 40 of each, as they are and as they would come at 32 pixels
#
# The constants of the defence DOC are kept as they are: --doc chooses them anew (they were, on 200 pictures).
set -euo pipefail
archives=${1:?name the folder of the archives}

python -m demo_core.embedded.calibrate --photographs "$archives/imagenet-photos.zip" --parts profile \
    --limit 100 --model photo
python -m demo_core.embedded.calibrate --photographs "$archives/imagenet-photos.zip" --parts profile \
    --limit 40 --model photo-fare
for model in photo photo-fare; do
    python -m demo_core.embedded.calibrate --photographs "$archives/imagenet-photos.zip" --parts shift \
        --limit 40 --model "$model"
done
