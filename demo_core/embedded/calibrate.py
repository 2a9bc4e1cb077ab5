"""Calibrate an embedded model on training photographs: logit scale, fit, gate, and counterattack.

    python -m demo_core.embedded.calibrate --photographs imagenet-photos.zip --model photo
    python -m demo_core.embedded.calibrate --photographs imagenet-photos.zip --model photo-fare

Writes profile.json (and for `photo` fit.json and the logit scale) beside the model. Everything is chosen by
accuracy or likelihood on photographs that no figure is reported on; no signal is optimised, they are measured
as they are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize, minimize_scalar

from demo_core.ascent import Budget, random_start
from demo_core.benchmark.piles import held
from demo_core.benchmark.trials import Trial
from demo_core.benchmark.whole import WholePile, auc, percent
from demo_core.counterattack import TTCConfig, stability
from demo_core.defenses import (
    TAU,
    UNISON,
    VIEW_DRIFT,
    DOCConfig,
    Gate,
    OwnConfig,
    Profile,
    pushed,
    view_drift,
    view_features,
)
from demo_core.defenses.doc import doc_delta, doc_signal
from demo_core.defenses.own_shift import ShiftConfig, answer_of, seen
from demo_core.defenses.shifts import together, unit_features
from demo_core.embedded.archives import read_pile
from demo_core.fit import Fit
from demo_core.models import (
    DEFAULT_MODEL,
    EMBEDDED,
    FIT_FILE,
    MODELS,
    PROFILE_FILE,
    SHARED_FILE,
    folder_of,
    load,
    profile_of,
)
from demo_core.moments import exhausted

# What a defence is chosen against; from the predicted label nothing leaks of the true one.
ATTACKED = (Trial("pgd", 1, predicted=True), Trial("pgd", 4, predicted=True))
AIMS = ((), ("one pixel right", "mirrored"))
BUDGETS = ((4, 4, 1), (4, 2, 2))  # eps, step_size in 1/255, steps
LOOKED_AT = ((0, 3), (0, 1, 2, 3))  # sets of LOOKS that a counterattacked picture may be answered from
CALM = ((), (4,))  # and one that the gate left alone
CALM_SHIFTS = (0.5, 1.0)  # in feature space, of a picture that the gate left alone
TINY = 32  # pixels a side of the smallest pictures that are asked for
CLEAN_LEFT, ATTACKED_CAUGHT = 0.99, 0.99  # of the gap that the threshold is put into the middle of
OFFERED = 10  # labels beside which a picture's own is left out, or not


def best_scale(cosines: torch.Tensor, labels: torch.Tensor) -> float:
    """The logit scale under which the labels [N] are likeliest, from cosines [N,K]."""
    found = minimize_scalar(
        lambda scale: F.cross_entropy(cosines * scale, labels).item(), bounds=(5, 100), method="bounded"
    )
    return round(float(found.x), 2)


def offered(cosines: torch.Tensor, labels: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The best cosine of each picture with ten labels offered: [N] with its own among them, and [N] without;
    from its cosines [N,K] with all K labels."""
    dice = torch.Generator().manual_seed(seed)
    draw = torch.rand(cosines.shape, generator=dice).scatter(1, labels[:, None], -1.0)
    others = draw.topk(min(OFFERED, cosines.shape[1] - 1)).indices
    mine = cosines.gather(1, labels[:, None])[:, 0]
    return torch.maximum(mine, cosines.gather(1, others[:, 1:]).amax(1)), cosines.gather(1, others).amax(1)


def best_fit(cosines: torch.Tensor, labels: torch.Tensor) -> Fit:
    """The logistic curve over the best cosine that tells whether a picture's own label is among ten
    offered."""
    within, without = offered(cosines, labels)
    best, there = (
        torch.cat([within, without]),
        torch.cat([torch.ones(len(within)), torch.zeros(len(without))]),
    )

    def loss(given: np.ndarray) -> float:
        return F.binary_cross_entropy_with_logits((best - given[1]) * given[0], there).item()

    slope, middle = minimize(loss, np.array([20.0, best.median().item()]), method="Nelder-Mead").x
    return Fit(round(float(slope), 3), round(float(middle), 4), round(auc(within, without), 4), len(labels))


@torch.no_grad()
def signals(whole: WholePile, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """tau under the paper's noise, and the view drift, of every picture."""
    tau, views = [], []
    for i, x in whole.batches(pictures, "signals"):
        noise = random_start(x, TTCConfig().eps, torch.Generator().manual_seed(2000 + i))
        tau.append(stability(whole.clip.probe, x, noise).cpu())
        views.append(view_drift(view_features(whole.clip.probe, x)).cpu())
    return {TAU: torch.cat(tau), VIEW_DRIFT: torch.cat(views)}


def counterattacked(whole: WholePile, pictures: torch.Tensor, config: OwnConfig) -> torch.Tensor:
    """All pictures [N,3,S,S] after our counterattack, ungated."""
    found = []
    for i, x in whole.batches(pictures, "counterattacking"):
        noise = random_start(x, config.noise_eps, torch.Generator().manual_seed(1000 + i))
        deltas = [step.delta for step in pushed(whole.clip.encode, x, noise, config)]
        found.append((x + config.result(deltas)).cpu())
    return torch.cat(found)


def between(clean: torch.Tensor, attacked: torch.Tensor) -> float:
    """The threshold in the middle between what nearly all clean pictures stay under and nearly all attacked
    ones over; where the two overlap, what nearly all clean ones stay under."""
    left, caught = clean.quantile(CLEAN_LEFT).item(), attacked.quantile(1 - ATTACKED_CAUGHT).item()
    return round(max(left, (left + caught) / 2), 4)


Piles = dict[str, torch.Tensor]


def attacked_piles(whole: WholePile) -> Piles:
    """The pictures [N,3,S,S], clean and under each of ATTACKED."""
    return {"clean": whole.pictures} | {str(trial): whole.under(trial) for trial in ATTACKED}


def choose_profile(whole: WholePile, piles: Piles) -> Profile:
    """Gate: the signal that tells clean from attacked pictures better; threshold: see `between`, against the
    weakest of ATTACKED. For the rest see choose_own. piles: see attacked_piles."""
    found = {name: signals(whole, pile) for name, pile in piles.items()}
    clean, attacked = found["clean"], [found[str(trial)] for trial in ATTACKED]
    every = {name: torch.cat([each[name] for each in attacked]) for name in clean}
    separation = {TAU: auc(clean[TAU], every[TAU]), VIEW_DRIFT: auc(every[VIEW_DRIFT], clean[VIEW_DRIFT])}
    gate = max(separation, key=separation.get)
    weakest = attacked[0][gate]
    threshold = -between(-clean[gate], -weakest) if gate == TAU else between(clean[gate], weakest)
    plain = OwnConfig(Gate(gate, threshold, below=gate == TAU))
    opened = {name: plain.gate.engages(each[gate]) for name, each in found.items()}
    print(
        f"AUC: tau low on attacked {separation[TAU]:.3f}, view drift high {separation[VIEW_DRIFT]:.3f};"
        f" gate {gate} at {threshold} opens for "
        + ", ".join(f"{each.float().mean():.1%} of {name}" for name, each in opened.items()),
        flush=True,
    )
    return Profile(
        choose_own(whole, plain, piles, opened),
        auc={name: round(value, 3) for name, value in separation.items()},
        note=f"Chosen on {len(whole.labels):,} training photographs; none that it is judged on was used.",
    )


def choose_own(whole: WholePile, plain: OwnConfig, piles: Piles, opened: Piles) -> OwnConfig:
    """Budget, aim and looks of the best mean accuracy over the piles, of those pictures that the gate has
    `opened` for; the looks at the others likewise."""

    def right(pictures: torch.Tensor, looks: tuple[int, ...]) -> torch.Tensor:
        return whole.predict(pictures, OwnConfig(looks=looks)) == whole.labels

    calm = {looks: {name: right(pile, looks) for name, pile in piles.items()} for looks in CALM}
    rows = []
    for (eps, step_size, steps), aim in itertools.product(BUDGETS, AIMS):
        budget = Budget(eps / 255, step_size / 255, steps)
        config = replace(plain, budget=budget, aim=aim, beta=plain.beta if plain.probes else None)
        moved = {name: counterattacked(whole, pile, config) for name, pile in piles.items()}
        for looks in LOOKED_AT:
            hot = {name: right(pile, looks) for name, pile in moved.items()}
            for left in CALM:
                found = {n: percent(torch.where(opened[n], hot[n], calm[left][n])) for n in piles}
                rows.append((statistics.fmean(found.values()), replace(config, looks=looks, calm=left)))
                print(f"  {budget}, aim {len(aim)}, looks {looks} and {left}: {found}", flush=True)
    return max(rows, key=lambda row: row[0])[1]


def tiny(whole: WholePile) -> WholePile:
    """The same photographs, as they would come from a set of pictures of so few pixels a side as TINY."""
    side = whole.pictures.shape[-1]
    small = F.interpolate(whole.pictures, (TINY, TINY), mode="bilinear", antialias=True)
    large = F.interpolate((small * 255).round() / 255, (side, side), mode="bicubic").clamp(0, 1)
    levels = (large * 255).round().to(torch.uint8)
    return WholePile(whole.clip, held(levels, whole.labels, whole.pile.names, template=whole.pile.template))


@torch.no_grad()
def seen_as(whole: WholePile, pile: torch.Tensor, config: ShiftConfig) -> torch.Tensor:
    """The unit features [1 + V,N,D] of pictures [N,3,S,S] and of the views of them that are shifted to."""
    parts = [unit_features(whole.clip, seen(x, config.views)) for _, x in whole.batches(pile, "looking")]
    return torch.cat(parts, 1)


def choose_shift(
    several: Sequence[tuple[WholePile, Piles]], plain: ShiftConfig = ShiftConfig()
) -> ShiftConfig:
    """The threshold, see `between`, against the weakest of ATTACKED; and how far the embedding is shifted
    where the gate does not open: the best mean accuracy over all piles."""
    seen_so: list[tuple[WholePile, str, torch.Tensor]] = [
        (whole, name, seen_as(whole, pile, plain)) for whole, piles in several for name, pile in piles.items()
    ]
    score = [together(features[1:] - features[:1])[1].cpu() for _, _, features in seen_so]
    clean, weakest = (
        torch.cat([found for found, (_, name, _) in zip(score, seen_so) if name == wanted])
        for wanted in ("clean", str(ATTACKED[0]))
    )
    gate = Gate(UNISON, between(clean, weakest))
    print(
        f"gate {UNISON} at {gate.threshold} opens for {gate.engages(clean).float().mean():.1%} of clean"
        f" pictures, {gate.engages(weakest).float().mean():.1%} under {ATTACKED[0]}",
        flush=True,
    )
    rows = []
    for calm in CALM_SHIFTS:
        config = replace(plain, gate=gate, calm=calm)
        found = []
        for whole, _, features in seen_so:
            answers = whole.clip.logits(answer_of(features, config)[0], whole.text).argmax(1)
            found.append(percent(answers.cpu() == whole.labels))
        rows.append((statistics.fmean(found), config))
        print(f"  shifted {calm} times: {found}", flush=True)
    return max(rows, key=lambda row: row[0])[1]


def choose_doc(whole: WholePile) -> DOCConfig:
    """What DOC's paper leaves to its supplement: the best sum of the accuracies on clean pictures and under
    the second of ATTACKED, and of equals the one with the larger lambda."""
    piles = {"clean": whole.pictures, "attacked": whole.under(ATTACKED[-1])}
    plain = DOCConfig()
    tau_hat = {
        name: torch.cat(
            [
                doc_signal(whole.clip, x, torch.Generator().manual_seed(i), plain).cpu()
                for i, x in whole.batches(pile, "tau_hat")
            ]
        )
        for name, pile in piles.items()
    }
    rows = []
    for lam, mu in itertools.product((0.0, 0.5, 2.0), (0.0, 0.9)):
        config = replace(plain, lam=lam, mu=mu)
        deltas = {
            name: torch.cat(
                [
                    exhausted(doc_delta(whole.clip, x, config, torch.Generator().manual_seed(i))).cpu()
                    for i, x in whole.batches(pile, f"lambda {lam}, mu {mu}")
                ]
            )
            for name, pile in piles.items()
        }
        for share, steepness in itertools.product((0.05, 0.25, 0.5, 0.95), (5.0, 50.0)):
            middle = tau_hat["clean"].quantile(share).item()
            slope = float(f"{steepness / middle:.3g}")
            gate = replace(plain.gate, threshold=float(f"{middle:.3g}"), slope=slope)
            found = [
                percent(
                    whole.predict(pile + gate.weight(tau_hat[name]).view(-1, 1, 1, 1) * deltas[name])
                    == whole.labels
                )
                for name, pile in piles.items()
            ]
            rows.append((sum(found), replace(config, gate=gate)))
    return max(rows, key=lambda row: (row[0], row[1].lam))[1]


@torch.no_grad()
def cosines(whole: WholePile) -> torch.Tensor:
    """Cosines [N,K] of every picture with every name."""
    return torch.cat(
        [
            (F.normalize(whole.clip.encode(x), dim=-1) @ whole.text.T).cpu()
            for _, x in whole.batches(whole.pictures, "cosines")
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="a zip of training photographs, a folder a class"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, choices=[key for key, row in MODELS.items() if row.embedded]
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["scale", "profile", "shift"],
        choices=["scale", "profile", "shift"],
        help="what to calibrate: logit scale and fit (of `photo` alone), the gate and counterattack, or the"
        " shift in feature space (default: all)",
    )
    parser.add_argument("--doc", action="store_true", help="choose DOC's constants anew too")
    parser.add_argument(
        "--limit", type=int, default=400, help="pictures that are attacked (default: %(default)s)"
    )
    args = parser.parse_args()
    folder = folder_of(args.model)
    folder.mkdir(parents=True, exist_ok=True)
    if "scale" in args.parts and not MODELS[args.model].original:
        everything = WholePile(load(args.model), read_pile(args.photographs))
        found = cosines(everything)
        scale, fit = best_scale(found, everything.labels), best_fit(found, everything.labels)
        (EMBEDDED / SHARED_FILE).write_text(json.dumps({"logit_scale": scale}) + "\n", encoding="utf-8")
        fit.write(folder / FIT_FILE)
        print(f"logit scale {scale}; {fit}", flush=True)
    if not {"profile", "shift"} & set(args.parts):
        return
    whole = WholePile(load(args.model), read_pile(args.photographs, args.limit))
    piles = attacked_piles(whole)
    profile = profile_of(args.model)
    if "profile" in args.parts:
        profile = replace(choose_profile(whole, piles), shift=profile.shift, doc=profile.doc)
    if "shift" in args.parts:
        small = tiny(whole)
        shift = choose_shift([(whole, piles), (small, attacked_piles(small))])
        profile = replace(profile, shift=shift)
    if args.doc:
        profile = replace(profile, doc=choose_doc(whole))
    profile.write(folder / PROFILE_FILE)
    print(profile)


if __name__ == "__main__":
    main()
