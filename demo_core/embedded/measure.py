"""Measure what an embedded model recognises, on archives of photographs that nothing was chosen on.

    python -m demo_core.embedded.measure --archives ImageNet.zip CIFAR10.zip OxfordPets.zip --model photo

Writes measured.json into the model's folder: for each set top-1 among all its names, and how well the fit
tells whether a picture's own label is among ten offered. What attacks and defences do is the business of
`demo_core.embedded.judge`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from demo_core.benchmark.whole import WholePile, auc, percent
from demo_core.clip import ZeroShotCLIP
from demo_core.embedded.archives import read_pile
from demo_core.embedded.calibrate import cosines, offered
from demo_core.fit import Fit
from demo_core.models import DEFAULT_MODEL, MODELS, fit_of, folder_of, load

MEASURED_FILE = "measured.json"


def recognised(whole: WholePile, fit: Fit | None = None) -> dict[str, float | int]:
    """Top-1 in percent among all names of the pile's set; and of the fit: its AUC, and how often it is right
    about the pictures whose own label is among the ten offered, and about those whose is not."""
    found = cosines(whole)
    kinds = {name: i for i, name in reversed([*enumerate(whole.pile.names)])}  # classes of one name are one
    same = torch.tensor([kinds[name] for name in whole.pile.names])
    within, without = offered(found, whole.labels)
    row = {
        "pictures": len(whole.labels),
        "names": len(kinds),
        "top1": percent(same[found.argmax(1)] == same[whole.labels]),
        "fit_auc": round(auc(within, without), 4),
    }
    if fit:
        row |= {
            "fits_where_it_does": percent(fit.chance(within) >= 0.5),
            "fits_where_it_does_not": percent(fit.chance(without) >= 0.5),
        }
    return row


def pass_milliseconds(clip: ZeroShotCLIP, repeats: int = 30) -> float:
    """Median time of one forward and backward pass of the image tower, batch 1."""
    pixels = torch.rand(1, 3, clip.image_size, clip.image_size, device=clip.device).requires_grad_()
    times = []
    for _ in range(repeats):
        then = time.perf_counter()
        torch.autograd.grad(clip.encode(pixels).pow(2).sum(), pixels)[0].sum().item()
        times.append(1000 * (time.perf_counter() - then))
    return round(statistics.median(times), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--archives", type=Path, nargs="+", required=True, help="zips of photographs, named like the set"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, choices=[key for key, row in MODELS.items() if row.embedded]
    )
    args = parser.parse_args()
    clip = load(args.model)
    sets = {
        path.stem: recognised(WholePile(clip, read_pile(path)), fit_of(args.model)) for path in args.archives
    }
    report = {"sets": sets, "milliseconds_forward_backward": pass_milliseconds(clip)}
    (folder_of(args.model) / MEASURED_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
