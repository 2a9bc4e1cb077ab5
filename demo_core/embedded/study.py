"""Study how far a model's embedding drifts: clean and attacked photographs, over noise strengths and over
views.

    python -m demo_core.embedded.study --photographs ImageNet.zip --model photo

Writes study.json and study.svg into the model's folder; the Lab draws them behind a run's own points. The
attacks are PGD from the model's own prediction, so that no true label leaks. False stability (Xing et al.,
CVPR 2025) is an AUC near 1: attacked pictures drift less under noise than clean ones. Beside every AUC stands
the attack's eps over the median flip eps: how far past the decision boundary the attack may go.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from demo_core.ascent import last, uniform
from demo_core.attacks import pgd
from demo_core.benchmark.trials import Trial
from demo_core.defenses import TAU, VIEW_DRIFT, view_drift, view_features
from demo_core.defenses.drift import (
    CLEAN_PILE,
    GROWTH,
    LEVELS,
    NOISE_STRENGTHS,
    ORIGINAL,
    OWN,
    TAU_STRENGTH,
    Row,
    Study,
    growth,
    noise_drifts,
    view_drifts,
)
from demo_core.embedded.gallery import Gallery, auc, read_pile
from demo_core.models import DEFAULT_MODEL, MODELS, STUDY_FILE, folder_of, load
from demo_core.plots import as_file, study_figure

ATTACKS = ((1, 10), (4, 10), (8, 10))  # eps in 1/255, steps
FLIP_GRID = tuple(2.0**k for k in range(-5, 4))  # in 1/255


@torch.no_grad()
def drifts(
    gallery: Gallery, pictures: torch.Tensor, encode: Callable
) -> dict[tuple[str, float], torch.Tensor]:
    """(probe, strength) -> relative drift [N], of every picture; tau is the drift under the noise that
    defines it."""
    found: dict[tuple[str, float], list[torch.Tensor]] = {}
    for i, x in gallery.batches(pictures, "drifts"):
        unit = uniform(x.shape, torch.Generator().manual_seed(3000 + i)).to(x.device)
        views = view_features(encode, x)
        over_noise = noise_drifts(encode, x, unit, views[0])
        row = {("noise", s): drift for s, drift in zip(NOISE_STRENGTHS, over_noise, strict=True)}
        row |= {
            (TAU, 0): row["noise", TAU_STRENGTH],
            (VIEW_DRIFT, 0): view_drift(views),
            (GROWTH, 0): growth(over_noise),
        }
        row |= {(name, 0): drift for name, drift in view_drifts(encode, x, views).items()}
        for key, drift in row.items():
            found.setdefault(key, []).append(drift.cpu())
    return {key: torch.cat(parts) for key, parts in found.items()}


def median_flip_eps(gallery: Gallery, predicted: torch.Tensor) -> float:
    """The eps, in 1/255, at which PGD-10 (step eps/4, from the picture itself) has changed half the
    predictions: read off FLIP_GRID, between whose points it is interpolated on the logarithm."""
    standing = torch.ones(len(predicted), dtype=torch.bool)
    before = 0.0
    for k, eps in enumerate(tqdm(FLIP_GRID, desc="flip eps", leave=False)):
        for rows in standing.nonzero()[:, 0].split(gallery.batch):
            x, y = gallery.pictures[rows].to(gallery.clip.device), predicted[rows].to(gallery.clip.device)
            steps = pgd(
                gallery.bare,
                x,
                y,
                eps=eps / 255,
                step_size=eps / 4 / 255,
                steps=10,
                start=torch.zeros_like(x),
            )
            with torch.no_grad():
                standing[rows] = (gallery.bare(x + last(steps).delta).argmax(1) == y).cpu()
        flipped = 1 - standing.float().mean().item()
        if flipped >= 0.5:
            part = (0.5 - before) / (flipped - before) if k else 1.0
            return round(eps * 2 ** (part - 1), 4)
        before = flipped
    return math.inf


def study(gallery: Gallery, title: str) -> Study:
    """Everything that a Study holds, on the gallery's pictures."""
    predicted = gallery.predict(gallery.pictures)
    clip = gallery.clip
    encoders = {OWN: clip.encode} | ({ORIGINAL: clip.original.encode} if clip.original else {})
    piles = {CLEAN_PILE: (0.0, gallery.pictures)}
    for eps, steps in ATTACKS:
        piles[f"PGD-{steps}, eps {eps:g}/255"] = (
            eps,
            gallery.under(Trial("pgd", eps, steps, predicted=True)),
        )
    rows: list[Row] = []
    for encoder, encode in encoders.items():
        clean: dict[tuple[str, float], torch.Tensor] = {}
        for pile, (eps, pictures) in piles.items():
            found = drifts(gallery, pictures, encode)
            clean = clean or found
            for (probe, strength), values in found.items():
                quantiles = [round(q, 5) for q in values.quantile(torch.tensor(LEVELS)).tolist()]
                rows.append(
                    Row(
                        pile,
                        eps,
                        encoder,
                        probe,
                        strength,
                        quantiles,
                        None if pile == CLEAN_PILE else round(auc(clean[probe, strength], values), 4),
                    )
                )
    return Study(title, len(predicted), gallery.text.shape[0], median_flip_eps(gallery, predicted), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="a zip of photographs, a folder a class"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS))
    parser.add_argument("--limit", type=int, help="pictures, chosen at random; else all")
    args = parser.parse_args()
    gallery = Gallery(load(args.model), read_pile(args.photographs, args.limit))
    found, folder = study(gallery, MODELS[args.model].title), folder_of(args.model)
    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / STUDY_FILE)
    (folder / STUDY_FILE).with_suffix(".svg").write_bytes(as_file(study_figure(found), "svg"))
    print(found.title, found.median_flip_eps)


if __name__ == "__main__":
    main()
