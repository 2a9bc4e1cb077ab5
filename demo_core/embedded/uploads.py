"""What the page says of photographs that nobody chose, when they are uploaded with sensible labels and with
wrong ones.

    python -m demo_core.embedded.uploads --archives ImageNet.zip Caltech101.zip OxfordPets.zip Flowers102.zip
    --limit 10

Takes `limit` pictures of each archive by the seed; each goes twice through the page's own run (PGD-10 at
4/255, then the counterattack), its true label untold as it is for an upload: among nine other names of its
set, and with ten others in place of it. Writes uploads.json into the model's folder.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from demo_core import story
from demo_core.clip import ZeroShotCLIP
from demo_core.embedded.archives import read_pile
from demo_core.models import DEFAULT_MODEL, MODELS, fit_of, folder_of, load, profile_of
from demo_core.pictures import to_photo
from demo_core.story import words

UPLOADS_FILE = "uploads.json"
OFFERED = 10
SENSIBLE, WRONG = "sensible labels", "wrong labels"
NO_LABEL_FITS, UNSURE, NO_DOUBT = "no label fits", "unsure", ""  # what is said before any verdict


def uploaded(
    key: str, clip: ZeroShotCLIP, picture: torch.Tensor, labels: Sequence[str], template: str
) -> dict:
    """One upload: picture uint8 [3,S,S] -> what was said first, in the end, and with which doubts and
    colour."""
    photo = to_photo(Image.fromarray(picture.permute(1, 2, 0).numpy()))
    run = story.begin(clip, photo, story.Settings(tuple(labels), template), profile_of(key), fit_of(key))
    *_, run = story.whole(clip, run)
    doubt = NO_LABEL_FITS if run.no_label_fits else UNSURE if run.unsure else NO_DOUBT
    return {
        "first": run.label(run.clean),
        "defended": run.label(run.defended),
        "doubt": doubt,
        "tone": words.tone(run),
        "verdict": words.verdict(run),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--archives", type=Path, nargs="+", required=True, help="zips of photographs, named like the set"
    )
    parser.add_argument("--limit", type=int, default=10, help="pictures of each archive")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, choices=[key for key, row in MODELS.items() if row.embedded]
    )
    args = parser.parse_args()
    clip, rng, found = load(args.model), random.Random(args.seed), []
    for path in args.archives:
        pile = read_pile(path, args.limit, args.seed, clip.image_size)
        batch = pile.load(torch.arange(len(pile.indices)))
        for picture, label in zip(batch.pictures, batch.labels.tolist(), strict=True):
            truth = pile.names[label]
            others = rng.sample(
                [name for name in dict.fromkeys(pile.names) if name != truth], 2 * OFFERED - 1
            )
            for kind, labels in ((SENSIBLE, [truth, *others[: OFFERED - 1]]), (WRONG, others[OFFERED - 1 :])):
                found.append(
                    {
                        "set": path.stem,
                        "kind": kind,
                        "truth": truth,
                        "labels": labels,
                        **uploaded(args.model, clip, picture, labels, pile.template),
                    }
                )
                print(kind, truth, found[-1]["tone"], found[-1]["verdict"], sep=" | ", flush=True)
    (folder_of(args.model) / UPLOADS_FILE).write_text(
        json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
