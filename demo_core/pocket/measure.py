"""Calibrate an embedded model's defence on training pictures, and measure what it recognises on validation pictures.

    python -m demo_core.pocket.measure --data DIR --calibrate     # writes profile.json beside the weights
    python -m demo_core.pocket.measure --data DIR                 # writes measured.json there

Nothing is chosen on validation pictures. What attacks and defences do to a model is the benchmark's to measure
(`python -m demo_core.benchmark`), and how far its embedding drifts the study's; `python -m demo_core.pocket.card` puts
all of it into the documents.
"""
from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import mannwhitneyu
from tqdm import tqdm

from demo_core.ascent import random_start
from demo_core.benchmark import Bench, Trial
from demo_core.clip import ASSETS, DEFAULT_MODEL, MEASURED_FILE, MODELS, PROFILE_FILE, ZeroShotCLIP, load
from demo_core.counterattack import TTCConfig, stability
from demo_core.datasets import held
from demo_core.defenses import (
    TAU, VIEW_DRIFT, DOCConfig, Profile, doc_delta, doc_signal, doc_weight, judge, purified, view_drift, view_features,
)
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.pocket.captions import Vocabulary, read_vocabulary
from demo_core.pocket.photographs import load_split

BATCH = 100
PLAIN = Profile()
# What a defence is chosen against: from the predicted label nothing leaks. The gate is chosen against the second.
ATTACKED = (Trial("pgd", 1, predicted=True), Trial("pgd", 4, predicted=True))
# What calibration chooses among: shares of clean pictures that the gate leaves alone, random looks, and counterattack
# budgets (eps, step_size, steps), sizes in 1/255.
LEFT_ALONE = (0.99, 0.95, 0.75, 0.5, 0.0)
LOOKS = (0, 6)
BUDGETS = ((4, 1, 2), (4, 2, 2), (8, 4, 2), (8, 2, 4), (12, 6, 2), (12, 3, 4))


def auc(high: torch.Tensor, low: torch.Tensor) -> float:
    """The chance that a value of `high` exceeds one of `low`: the area under the ROC curve."""
    return float(mannwhitneyu(high.numpy(), low.numpy()).statistic) / (len(high) * len(low))


def percent(right: torch.Tensor) -> float:
    return round(100 * right.float().mean().item(), 2)


def batches(*tensors: torch.Tensor, title: str) -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
    parts = list(zip(*(t.split(BATCH) for t in tensors)))
    yield from enumerate(tqdm(parts, desc=title, leave=False))


class Gallery(Bench):
    """A Bench that works through its whole pile, batch by batch; attacks are made in bfloat16, at twice the speed."""

    def __init__(self, clip: ZeroShotCLIP, names: Sequence[str], pictures: torch.Tensor, labels: torch.Tensor):
        super().__init__(clip, held(pictures, labels, names), precision="bf16-attacks")
        self.pictures, self.labels = pictures.float() / 255, labels

    def under(self, trial: Trial) -> torch.Tensor:
        """All pictures [N,3,S,S] under this attack."""
        parts = [self.attacked(trial, self.pile.load(rows)).cpu() for _, (rows,) in batches(self.pile.indices, title=trial.title)]
        return torch.cat(parts)

    @torch.no_grad()
    def predict(self, pictures: torch.Tensor, profile: Profile = PLAIN) -> torch.Tensor:
        found = [judge(self.clip, x.to(self.clip.device), self.text, profile, torch.Generator().manual_seed(3000 + i)
                       ).argmax(1).cpu() for i, (x,) in batches(pictures, title="predicting")]
        return torch.cat(found)

    def defended(self, pictures: torch.Tensor, profile: Profile, engage: bool) -> torch.Tensor:
        """The pictures [N,3,S,S] after the profile's counterattack on all of them, or as its gate leaves them alone."""
        found = []
        for i, (x,) in batches(pictures, title="defending"):
            x = x.to(self.clip.device)
            noise = random_start(x, profile.noise_eps, torch.Generator().manual_seed(1000 + i))
            found.append(purified(self.clip.encode, x, noise, torch.full((len(x),), engage, device=x.device), profile).cpu())
        return torch.cat(found)

    @torch.no_grad()
    def signals(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """tau under the paper's noise of 4/255, and the view drift, of every picture."""
        tau, views = [], []
        for i, (x,) in batches(pictures, title="signals"):
            x = x.to(self.clip.device)
            noise = random_start(x, TTCConfig().eps, torch.Generator().manual_seed(2000 + i))
            tau.append(stability(self.clip.probe, x, noise).cpu())
            views.append(view_drift(view_features(self.clip.probe, x)).cpu())
        return {TAU: torch.cat(tau), VIEW_DRIFT: torch.cat(views)}


def calibrate(bench: Gallery) -> Profile:
    """Choose gate, threshold, budget and looks on training pictures.

    The gate is the signal that separates clean from attacked pictures better (tau low, or view drift high). Threshold
    (by the share of clean pictures that it leaves alone), budget and looks are those of the best mean accuracy over
    clean pictures and the attacked ones of ATTACKED.
    """
    piles = {"clean": bench.pictures, **{str(trial): bench.under(trial) for trial in ATTACKED}}
    clean, attacked = "clean", str(ATTACKED[-1])
    signals = {name: bench.signals(pile) for name, pile in piles.items()}
    separation = {TAU: auc(signals[clean][TAU], signals[attacked][TAU]),
                  VIEW_DRIFT: auc(signals[attacked][VIEW_DRIFT], signals[clean][VIEW_DRIFT])}
    gate = max(separation, key=separation.get)

    def answers(profile: Profile, engage: bool) -> dict[tuple[str, int], torch.Tensor]:
        """Right or wrong [N] on each pile, for each number of looks."""
        moved = {name: bench.defended(pile, profile, engage) for name, pile in piles.items()}
        return {(name, looks): bench.predict(pile, replace(profile, looks=looks)) == bench.labels
                for name, pile in moved.items() for looks in LOOKS}

    untouched = answers(Profile(gate), engage=False)
    print(f"AUC of tau (clean > attacked) {separation[TAU]:.3f}, of view drift (attacked > clean) {separation[VIEW_DRIFT]:.3f};"
          f" gate {gate}; undefended {[percent(bench.predict(pile) == bench.labels) for pile in piles.values()]} on {list(piles)}")
    rows = []
    for eps, step_size, steps in BUDGETS:
        ttc = TTCConfig(eps / 255, step_size / 255, steps)
        touched = answers(Profile(gate, ttc=ttc), engage=True)
        for share, looks in itertools.product(LEFT_ALONE, LOOKS):
            threshold = signals[clean][gate].quantile(1 - share if gate == TAU else share).item()
            profile = Profile(gate, round(threshold, 4), ttc, looks)
            found = [percent(torch.where(profile.engages(signals[name][gate]), touched[name, looks], untouched[name, looks]))
                     for name in piles]
            rows.append((statistics.fmean(found), profile))
            print(f"  eps {eps}/255, step {step_size}/255, {steps} steps, {share:.0%} left alone, {looks} looks: {found}", flush=True)
    _, best = max(rows, key=lambda row: row[0])
    return replace(best, auc={name: round(value, 3) for name, value in separation.items()},
                   note=f"Chosen on {len(bench.labels):,} training pictures; none of the pictures it is judged on was used.")


def choose_doc(bench: Gallery) -> DOCConfig:
    """Choose on training pictures what DOC's paper leaves to its supplement: the best mean of the accuracies on clean
    pictures and under the second of ATTACKED, and of equals the one with the larger lambda."""
    undefended = percent(bench.predict(bench.pictures) == bench.labels)
    attacked = bench.under(ATTACKED[-1])
    piles = {"clean": bench.pictures, "attacked": attacked}
    plain, device = DOCConfig(), bench.clip.device
    tau_hat = {name: torch.cat([doc_signal(bench.clip, x.to(device), plain, torch.Generator().manual_seed(i)).cpu()
                                for i, (x,) in batches(pile, title="tau_hat")]) for name, pile in piles.items()}
    print(f"undefended clean {undefended}; AUC of tau_hat (clean > attacked) {auc(tau_hat['clean'], tau_hat['attacked']):.3f}")
    rows = []
    for lam, mu in itertools.product((0.0, 0.5, 1.0, 2.0), (0.0, 0.5, 0.9)):
        config = replace(plain, lam=lam, mu=mu)
        deltas = {name: torch.cat([doc_delta(bench.clip, x.to(device), config, torch.Generator().manual_seed(i)).cpu()
                                   for i, (x,) in batches(pile, title=f"lambda {lam}, mu {mu}")]) for name, pile in piles.items()}
        for share, steepness in itertools.product((0.05, 0.25, 0.5, 0.95), (5.0, 50.0)):
            middle = tau_hat["clean"].quantile(share).item()
            gate = replace(config, threshold=float(f"{middle:.3g}"), gamma=float(f"{steepness / middle:.3g}"))
            clean, robust = (percent(bench.predict(
                pile + doc_weight(tau_hat[name], gate).view(-1, 1, 1, 1) * deltas[name]) == bench.labels)
                for name, pile in piles.items())
            rows.append((clean + robust, clean, robust, gate))
    for _, clean, robust, gate in sorted(rows, key=lambda row: row[0])[-5:]:
        print(f"  clean {clean}, attacked {robust}: {gate}")
    return max(rows, key=lambda row: (row[0], row[-1].lam))[-1]


def covering(vocabulary: Vocabulary, word: str) -> torch.Tensor:
    """[C] bool: the classes that a word is true of. Raises ValueError where the vocabulary does not have it."""
    row = torch.tensor([word in synonyms or i in vocabulary.hypernyms.get(word, ())
                        for i, synonyms in enumerate(vocabulary.synonyms)])
    if not row.any():
        raise ValueError(f"The model was not trained with “{word}”: choose a word of demo_core/pocket/captions.py.")
    return row


def preset_accuracies(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor) -> dict:
    """Top-1 over each preset of the app, on every picture whose class a label covers; right is any label that does
    ("tower" and "lighthouse" are both true of a lighthouse)."""
    found = {}
    for name, words in PRESETS.items():
        covers = torch.stack([covering(vocabulary, word) for word in words])
        mine = covers[:, labels].any(0)
        bench = Gallery(clip, list(words), pictures[mine], labels[mine])
        right = covers[bench.predict(bench.pictures), bench.labels]
        found[name] = {"top1": percent(right), "pictures": int(mine.sum())}
    return found


# Everyday words that are no class names: captions said them of several classes, or in place of a learned name.
EVERYDAY = (
    "cat", "dog", "bird", "car", "bus", "train", "boat", "truck", "fruit", "vegetable", "bridge", "tower", "house",
    "furniture", "clothes", "insect", "butterfly", "spider", "snake", "frog", "monkey", "cow", "coffee", "dessert",
    "beach", "mountain", "lake", "bottle", "ball", "shoe",
)
# Words that no caption ever held, with an everyday word that covers the same classes: what they get is luck and
# shared word pieces, and is reported to say so.
UNREAD = {"kitten": "cat", "puppy": "dog", "motorcar": "car", "locomotive": "train", "peak": "mountain", "cottage": "house",
          "serpent": "snake", "fowl": "bird", "shore": "beach", "footwear": "shoe"}


def open_vocabulary(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor,
                    words: dict[str, str], seed: int = 0) -> dict[str, float]:
    """Top-1 of each word (which covers the classes of the everyday word it stands for) against nine everyday words
    that are true of none of those classes, on every picture of those classes."""
    rng, covers = random.Random(seed), {word: covering(vocabulary, word) for word in EVERYDAY}
    found = {}
    for word, meaning in words.items():
        mine = covers[meaning]
        rivals = rng.sample([r for r in EVERYDAY if not (covers[r] & mine).any()], 9)
        some = mine[labels]
        bench = Gallery(clip, [word, *rivals], pictures[some], labels[some])
        found[word] = percent(bench.predict(bench.pictures) == 0)
    return found


def photographs(clip: ZeroShotCLIP) -> dict[str, str]:
    """What the app's example photographs are taken for, among the labels they are offered with."""
    found = {}
    for example in EXAMPLES:
        labels = PRESETS[example.preset]
        pixels = to_pixels(to_photo(open_picture(example.path)), clip.image_size).to(clip.device)
        found[example.title] = labels[clip.classifier(labels, DEFAULT_TEMPLATE)(pixels).argmax().item()]
    return found


def pass_milliseconds(clip: ZeroShotCLIP, repeats: int = 50) -> float:
    """Median time of one forward and backward pass of the image tower, batch 1."""
    pixels = torch.rand(1, 3, clip.image_size, clip.image_size, device=clip.device).requires_grad_()
    times = []
    for _ in range(repeats):
        then = time.perf_counter()
        torch.autograd.grad(clip.encode(pixels).pow(2).sum(), pixels)[0].sum().item()
        times.append(1000 * (time.perf_counter() - then))
    return round(statistics.median(times), 2)


def measure(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor) -> dict:
    """What the model recognises, on validation pictures."""
    everything = Gallery(clip, vocabulary.names, pictures, labels)
    return {"zero_shot_top1_200_names": percent(everything.predict(everything.pictures) == labels),
            "pictures": len(labels), "presets": preset_accuracies(clip, vocabulary, pictures, labels),
            "open_vocabulary": open_vocabulary(clip, vocabulary, pictures, labels, {w: w for w in EVERYDAY}),
            "unread_words": open_vocabulary(clip, vocabulary, pictures, labels, UNREAD),
            "photographs": photographs(clip), "milliseconds_forward_backward": pass_milliseconds(clip)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=[key for key, row in MODELS.items() if row.folder])
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where decoded pictures are kept")
    parser.add_argument("--limit", type=int, default=2000, help="pictures that are attacked to calibrate")
    parser.add_argument("--choose-doc", action="store_true", help="choose DOC's settings on training pictures instead, and write them into profile.json")
    parser.add_argument("--calibrate", action="store_true", help="choose the profile on training pictures instead")
    args = parser.parse_args()

    clip, vocabulary, folder = load(args.model), read_vocabulary(args.data), ASSETS / MODELS[args.model].folder
    pictures, labels = load_split(args.data, "train" if args.calibrate or args.choose_doc else "val", vocabulary.wnids, args.work)
    if args.calibrate or args.choose_doc:
        some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))[:args.limit]
        bench = Gallery(clip, vocabulary.names, pictures[some], labels[some])
        known = MODELS[args.model].profile
        profile = replace(known, doc=choose_doc(bench)) if args.choose_doc else replace(calibrate(bench), doc=known.doc)
        profile.write(folder / PROFILE_FILE)
        print(profile)
    else:
        report = measure(clip, vocabulary, pictures, labels)
        (folder / MEASURED_FILE).write_text(json.dumps(report, indent=2) + "\n")
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
