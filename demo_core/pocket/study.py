"""Study how far a model's embedding drifts: clean and attacked pictures, over noise strengths and over views.

    python -m demo_core.pocket.study --data tiny-imagenet-200 --model pocket
    python -m demo_core.pocket.study --data tiny-imagenet-200 --weights runs/other --name other-weights

Writes NAME.json and NAME.svg to assets/pocket/study/; the Lab draws the file that bears its model's key behind a run's
own points. The pictures are validation pictures, classified over all 200 names; the attacks are PGD from the
model's own prediction, so that no true label leaks. False stability (Xing et al., CVPR 2025) is an AUC near 1: attacked
pictures drift less under noise than clean ones. Beside every AUC stands the attack's eps over the median flip eps: how
far past the decision boundary the attack may go.
"""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torchvision.transforms.v2 import functional as vision
from tqdm import tqdm

from demo_core.ascent import last, uniform
from demo_core.attacks import pgd
from demo_core.benchmark import Trial
from demo_core.clip import ASSETS, DEFAULT_MODEL, MODELS, STUDY_FOLDER, ZeroShotCLIP, load, load_embedded
from demo_core.defenses import TAU, VIEW_DRIFT, view_drift, view_features
from demo_core.drift import (
    CLEAN_PILE, LEVELS, NOISE_STRENGTHS, ORIGINAL, OWN, TAU_STRENGTH, Row, Study, noise_drifts, view_drifts,
)
from demo_core.plots import study_figure
from demo_core.pocket.card import aucs_markdown
from demo_core.pocket.captions import read_vocabulary
from demo_core.pocket.measure import BATCH, Gallery, auc, batches
from demo_core.pocket.photographs import load_split

ATTACKS = ((1, 10), (4, 10), (8, 10), (16, 10))  # eps in 1/255, steps
FLIP_GRID = tuple(2.0**k for k in range(-5, 4))  # in 1/255


@torch.no_grad()
def drifts(bench: Gallery, pictures: torch.Tensor, encode: Callable) -> dict[tuple[str, float], torch.Tensor]:
    """(probe, strength) -> relative drift [N], of every picture; tau is the drift under the noise that defines it."""
    found: dict[tuple[str, float], list[torch.Tensor]] = {}
    for i, (x,) in batches(pictures, title="drifts"):
        x = x.to(bench.clip.device)
        unit = uniform(x.shape, torch.Generator().manual_seed(3000 + i)).to(x.device)
        views = view_features(encode, x)
        row = {("noise", s): drift for s, drift in zip(NOISE_STRENGTHS, noise_drifts(encode, x, unit, views[0]))}
        row |= {(TAU, 0): row["noise", TAU_STRENGTH], (VIEW_DRIFT, 0): view_drift(views)}
        row |= {(name, 0): drift for name, drift in view_drifts(encode, x, views).items()}
        for key, drift in row.items():
            found.setdefault(key, []).append(drift.cpu())
    return {key: torch.cat(parts) for key, parts in found.items()}


def median_flip_eps(bench: Gallery, predicted: torch.Tensor) -> float:
    """The eps, in 1/255, at which PGD-10 (step eps/4, from the picture itself) has changed half the predictions:
    read off FLIP_GRID, between whose points it is interpolated on the logarithm."""
    standing = torch.ones(len(predicted), dtype=torch.bool)
    before = 0.0
    for k, eps in enumerate(tqdm(FLIP_GRID, desc="flip eps", leave=False)):
        for rows in standing.nonzero()[:, 0].split(BATCH):
            x, y = bench.pictures[rows].to(bench.clip.device), predicted[rows].to(bench.clip.device)
            steps = pgd(bench.bare, x, y, eps=eps / 255, step_size=eps / 4 / 255, steps=10, start=torch.zeros_like(x))
            with torch.no_grad():
                standing[rows] = (bench.bare(x + last(steps).delta).argmax(1) == y).cpu()
        flipped = 1 - standing.float().mean().item()
        if flipped >= 0.5:
            part = (0.5 - before) / (flipped - before) if k else 1.0
            return round(eps * 2 ** (part - 1), 4)
        before = flipped
    return math.inf


def study(bench: Gallery, title: str) -> Study:
    """Everything that a Study holds, on the bench's pictures."""
    predicted = bench.predict(bench.pictures)
    encoders = {OWN: bench.clip.encode} | ({ORIGINAL: bench.clip.original.encode} if bench.clip.original else {})
    piles = {CLEAN_PILE: (0.0, bench.pictures)}
    for eps, steps in ATTACKS:
        piles[f"PGD-{steps}, eps {eps}/255"] = (eps, bench.under(Trial("pgd", eps, steps, predicted=True)))
    rows: list[Row] = []
    for encoder, encode in encoders.items():
        clean: dict[tuple[str, float], torch.Tensor] = {}
        for pile, (eps, pictures) in piles.items():
            found = drifts(bench, pictures, encode)
            clean = clean or found
            for (probe, strength), values in found.items():
                quantiles = [round(q, 5) for q in values.quantile(torch.tensor(LEVELS)).tolist()]
                rows.append(Row(pile, eps, encoder, probe, strength, quantiles,
                                None if pile == CLEAN_PILE else round(auc(clean[probe, strength], values), 4)))
    return Study(title, len(predicted), bench.text.shape[0], median_flip_eps(bench, predicted), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS))
    parser.add_argument("--weights", type=Path, help="a folder of embedded weights, instead of a model of the table")
    parser.add_argument("--name", help="of the files; the model's key where it is left out")
    parser.add_argument("--title", help="above the figure; the model's where it is left out")
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where decoded pictures are kept")
    parser.add_argument("--out", type=Path, default=ASSETS / STUDY_FOLDER)
    parser.add_argument("--limit", type=int, default=2000, help="pictures")
    args = parser.parse_args()
    if args.weights and not args.name:
        parser.error("--weights needs --name: what the files shall be called.")

    clip: ZeroShotCLIP = load_embedded(args.weights) if args.weights else load(args.model)
    vocabulary = read_vocabulary(args.data)
    pictures, labels = load_split(args.data, "val", vocabulary.wnids, args.work)
    some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:args.limit]
    bench = Gallery(clip, vocabulary.names, vision.resize(pictures[some], [clip.image_size] * 2), labels[some])
    name = args.name or args.model
    found = study(bench, args.title or (name if args.weights else MODELS[args.model].title))
    args.out.mkdir(parents=True, exist_ok=True)
    found.write(args.out / f"{name}.json")
    study_figure(found).savefig(args.out / f"{name}.svg", metadata={"Date": None})
    print(found.title, found.median_flip_eps)
    print(aucs_markdown(found))


if __name__ == "__main__":
    main()
