"""Calibrate an embedded model's defence on training pictures, and measure it on validation pictures.

    python -m demo_core.pocket.measure --data DIR --calibrate     # writes profile.json beside the weights
    python -m demo_core.pocket.measure --data DIR                 # writes measured.json and the documents' figures

Nothing is chosen on validation pictures. Two attackers are measured. The static one runs PGD-10 on the undefended
model and does not know the defence; attacks from the true and from the predicted label are both reported, because an
attack from the true label leaks it (a defence that undoes the attack learns what to avoid). The adaptive one runs
PGD-20 through the whole defence (BPDA and EOT, see defenses.through), on fewer pictures, since he costs some
hundred passes a picture; he knows the true label.
"""
from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import mannwhitneyu
from tqdm import tqdm

from demo_core.ascent import last, random_start
from demo_core.attacks import pgd
from demo_core.clip import ASSETS, DEFAULT_MODEL, MEASURED_FILE, MODELS, PROFILE_FILE, ZeroShotCLIP, load
from demo_core.counterattack import TTCConfig, stability
from demo_core.defenses import (
    DEFENSES, TAU, VIEW_DRIFT, Profile, gate_signal, judge, purified, through, view_drift, view_features,
)
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.pocket.captions import Vocabulary, read_vocabulary
from demo_core.pocket.photographs import load_split

BATCH = 100
PLAIN = Profile(average_views=False)
# Counterattack budgets that calibration chooses among: (eps, step_size, steps), sizes in 1/255.
BUDGETS = ((4, 1, 2), (4, 1, 4), (8, 2, 2), (8, 2, 4), (12, 3, 4), (16, 4, 4))


def auc(high: torch.Tensor, low: torch.Tensor) -> float:
    """The chance that a value of `high` exceeds one of `low`: the area under the ROC curve."""
    return float(mannwhitneyu(high.numpy(), low.numpy()).statistic) / (len(high) * len(low))


def percent(right: torch.Tensor) -> float:
    return round(100 * right.float().mean().item(), 2)


def batches(*tensors: torch.Tensor, title: str) -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
    parts = list(zip(*(t.split(BATCH) for t in tensors)))
    yield from enumerate(tqdm(parts, desc=title, leave=False))


class Bench:
    """One model, one label set, one pile of pictures [N,3,S,S] in [0,1] with class indices [N]."""

    def __init__(self, clip: ZeroShotCLIP, names: list[str], pictures: torch.Tensor, labels: torch.Tensor):
        self.clip, self.pictures, self.labels = clip, pictures.float() / 255, labels
        self.text = clip.text_features(names, DEFAULT_TEMPLATE)

    def classify(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.clip.logits(self.clip.encode(pixels), self.text)

    @torch.no_grad()
    def predict(self, pictures: torch.Tensor, profile: Profile = PLAIN) -> torch.Tensor:
        found = [judge(self.clip, x.to(self.clip.device), self.text, profile).argmax(1).cpu()
                 for _, (x,) in batches(pictures, title="predicting")]
        return torch.cat(found)

    def attacked(self, eps: float, labels: torch.Tensor, *, step_size: float = 1.0, steps: int = 10,
                 known: str | None = None) -> torch.Tensor:
        """PGD at eps/255, step_size/255, random start; on the bare model, or through a whole defence of DEFENSES.

        The attacker computes in bfloat16, which doubles his speed; what he made is judged in float32."""
        found = []
        for i, (x, y) in batches(self.pictures, labels, title=f"PGD-{steps} {eps:g}/255"):
            x, y = x.to(self.clip.device), y.to(self.clip.device)
            target = self.classify
            if known:
                target = through(DEFENSES[known], self.clip, self.text, torch.Generator().manual_seed(4000 + i))
            path = pgd(target, x, y, eps=eps / 255, step_size=step_size / 255, steps=steps,
                       generator=torch.Generator().manual_seed(i))
            with torch.autocast(x.device.type, torch.bfloat16):
                found.append((x + last(path).delta).cpu())
        return torch.cat(found)

    def defended(self, pictures: torch.Tensor, profile: Profile, signals: dict[str, torch.Tensor]
                 ) -> tuple[torch.Tensor, torch.Tensor]:
        """The defended pictures [N,3,S,S], to be judged by `predict`, and whether the gate engaged [N]."""
        pixels, engaged = [], []
        for i, (x, drift) in batches(pictures, signals[VIEW_DRIFT], title="defending"):
            x = x.to(self.clip.device)
            noise = random_start(x, profile.noise_eps, torch.Generator().manual_seed(1000 + i))
            # tau is probed with the very noise that the counterattack starts from; views are the same for everyone
            rows = profile.engages(gate_signal(self.clip.probe, x, noise, profile).cpu() if profile.gate == TAU else drift)
            pixels.append(purified(self.clip.encode, x, noise, rows.to(x.device), profile).cpu()), engaged.append(rows)
        return torch.cat(pixels), torch.cat(engaged)

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


def calibrate(bench: Bench) -> Profile:
    """Choose gate, threshold, budget and averaging on training pictures.

    The gate is the signal that separates clean from attacked pictures better (tau low, or view drift high); its
    threshold lets 95 % of clean pictures through; budget and averaging are those of the best robust accuracy under
    PGD-10 at 4/255 among those that cost clean pictures at most half a point.
    """
    undefended = percent(bench.predict(bench.pictures) == bench.labels)
    attacked = bench.attacked(4, bench.predict(bench.pictures))  # from the predicted label: nothing leaks
    clean_signals, attacked_signals = bench.signals(bench.pictures), bench.signals(attacked)
    separation = {TAU: auc(clean_signals[TAU], attacked_signals[TAU]),
                  VIEW_DRIFT: auc(attacked_signals[VIEW_DRIFT], clean_signals[VIEW_DRIFT])}
    gate = max(separation, key=separation.get)
    threshold = clean_signals[gate].quantile(0.05 if gate == TAU else 0.95).item()
    print(f"AUC of tau (clean > attacked) {separation[TAU]:.3f}, of view drift (attacked > clean)"
          f" {separation[VIEW_DRIFT]:.3f}; gate {gate}, threshold {threshold:.4f}; undefended clean {undefended}")
    rows = []
    for eps, step_size, steps in BUDGETS:
        plain = Profile(gate, round(threshold, 4), TTCConfig(eps / 255, step_size / 255, steps))
        purified = [bench.defended(pictures, plain, found)[0]
                    for pictures, found in ((bench.pictures, clean_signals), (attacked, attacked_signals))]
        for profile in (plain, replace(plain, average_views=True)):
            clean, robust = (percent(bench.predict(p, profile) == bench.labels) for p in purified)
            rows.append((clean >= undefended - 0.5, robust, clean, profile))
            print(f"  eps {eps}/255, step {step_size}/255, {steps} steps, views averaged {profile.average_views}:"
                  f" clean {clean}, PGD-10 4/255 {robust}", flush=True)
    keeps_clean, robust, clean, best = max(rows, key=lambda row: row[:3])
    if not keeps_clean:
        print("No budget keeps the clean accuracy within half a point; the most robust one is taken.")
    return replace(best, auc={name: round(value, 3) for name, value in separation.items()}, note=f"Chosen on {len(bench.labels):,} training pictures; none of the pictures it is judged on"
                              " was used.")


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
        bench = Bench(clip, list(words), pictures[mine], labels[mine])
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
        bench = Bench(clip, [word, *rivals], pictures[some], labels[some])
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


def judged(bench: Bench, pictures: torch.Tensor, profile: Profile) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Accuracy of one pile of pictures undefended and under each part of the defence; and the pile's signals."""
    signals = bench.signals(pictures)
    purified_pictures, engaged = bench.defended(pictures, profile, signals)
    ways = {"undefended": (pictures, PLAIN), "views_only": (pictures, Profile(average_views=True)),
            "counterattack_only": (purified_pictures, PLAIN), "defended": (purified_pictures, profile)}
    accuracies = {way: percent(bench.predict(p, q) == bench.labels) for way, (p, q) in ways.items()}
    return {**accuracies, "gate_engages": percent(engaged)}, signals


def measure(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor,
            profile: Profile, limit: int, adaptive_limit: int) -> dict:
    """The figures of the model card, all on validation pictures."""
    everything = Bench(clip, vocabulary.names, pictures, labels)
    report: dict = {"zero_shot_top1_200_names": percent(everything.predict(everything.pictures) == labels),
                    "pictures": len(labels), "presets": preset_accuracies(clip, vocabulary, pictures, labels),
                    "open_vocabulary": open_vocabulary(clip, vocabulary, pictures, labels, {w: w for w in EVERYDAY}),
                    "unread_words": open_vocabulary(clip, vocabulary, pictures, labels, UNREAD),
                    "photographs": photographs(clip), "milliseconds_forward_backward": pass_milliseconds(clip)}
    some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:limit]
    bench = Bench(clip, vocabulary.names, pictures[some], labels[some])
    report["attacks_on"], report["adaptive_on"] = limit, min(adaptive_limit, limit)
    report["clean"], clean_signals = judged(bench, bench.pictures, profile)
    report["tau_clean_median"] = round(clean_signals[TAU].median().item(), 4)
    predicted = bench.predict(bench.pictures)
    for start, start_labels in (("true", bench.labels), ("predicted", predicted)):
        for eps in (1, 4):
            row, signals = judged(bench, bench.attacked(eps, start_labels), profile)
            report[f"pgd10_eps{eps}_from_{start}_label"] = {
                **row, "auc_tau_clean_over_attacked": round(auc(clean_signals[TAU], signals[TAU]), 3),
                "auc_view_drift_attacked_over_clean": round(auc(signals[VIEW_DRIFT], clean_signals[VIEW_DRIFT]), 3)}
    few = some[:adaptive_limit]
    bench = Bench(clip, vocabulary.names, pictures[few], labels[few])
    for eps in (1, 2, 4):
        attacked = bench.attacked(eps, bench.labels, step_size=eps / 4, steps=20, known="default")
        report[f"adaptive_eps{eps}"] = judged(bench, attacked, profile)[0]
    return report


WAYS = {"undefended": "undefended", "views_only": "views alone", "counterattack_only": "counterattack alone", "defended": "both (default)"}


def figures_markdown(report: dict) -> str:
    """The report as the tables that stand in the model cards and in the project's README."""
    def row(title: str, figures: dict) -> str:
        aucs = [f"{figures[key]:.2f}" if key in figures else "" for key in
                ("auc_tau_clean_over_attacked", "auc_view_drift_attacked_over_clean")]
        return " | ".join([f"| {title}", *(f"{figures[way]:.1f}" for way in WAYS), f"{figures['gate_engages']:.0f} %", *aucs]) + " |"

    def mean(words: dict[str, float]) -> str:
        worst = min(words, key=words.get)
        return f"{statistics.mean(words.values()):.1f} % (lowest: {worst}, {words[worst]:.0f} %)"

    right = [example.title for example in EXAMPLES if report["photographs"].get(example.title) == example.expected]
    lines = [
        f"| zero-shot top-1 | {report['pictures']:,} validation pictures |", "|---|---|",
        f"| all 200 names | {report['zero_shot_top1_200_names']:.1f} % |",
        *(f"| the list “{name}” (10 names, {row['pictures']:,} pictures) | {row['top1']:.1f} % |"
          for name, row in report["presets"].items()),
        f"| {len(report['open_vocabulary'])} everyday words that are no class names, each against nine others | {mean(report['open_vocabulary'])} |",
        f"| {len(report['unread_words'])} words that it never read ({', '.join(report['unread_words'])}), likewise | {mean(report['unread_words'])} |",
        f"| the app’s example photographs, each with the list it is offered with | {len(right)} of {len(EXAMPLES)} |",
        "",
        f"Over all 200 names, on {report['attacks_on']:,} of these pictures for the static attacker and"
        f" {report['adaptive_on']:,} for the adaptive one (accuracy in %). Views alone: the prediction averaged over the"
        " picture and its exact views; counterattack alone: gated, judged without the averaging.",
        "",
        f"| pictures | {' | '.join(WAYS.values())} | gate engages | AUC of tau, clean > attacked | AUC of view drift, attacked > clean |",
        "|---" * (4 + len(WAYS)) + "|",
        row("clean", report["clean"]),
        *(row(f"PGD-10, eps {eps}/255, from the {label} label", report[f"pgd10_eps{eps}_from_{label}_label"])
          for label in ("true", "predicted") for eps in (1, 4)),
        *(row(f"adaptive PGD-20 through the default defence, eps {eps}/255", report[f"adaptive_eps{eps}"]) for eps in (1, 2, 4)),
    ]
    return "\n".join(lines)


def insert_figures(document: Path, model: str, text: str) -> None:
    """Replace what stands between the model's two marks of a Markdown document; one without them is left alone."""
    begin, end = f"<!-- figures of {model} -->", f"<!-- /figures of {model} -->"
    content = document.read_text()
    if begin in content:
        document.write_text(f"{content.split(begin)[0]}{begin}\n{text}\n{end}{content.split(end)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=[key for key, row in MODELS.items() if row.folder])
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where decoded pictures are kept")
    parser.add_argument("--limit", type=int, default=2000, help="pictures that are attacked")
    parser.add_argument("--adaptive-limit", type=int, default=500, help="pictures that the adaptive attacker gets")
    parser.add_argument("--calibrate", action="store_true", help="choose the profile on training pictures instead")
    args = parser.parse_args()

    clip, vocabulary, folder = load(args.model), read_vocabulary(args.data), ASSETS / MODELS[args.model].folder
    pictures, labels = load_split(args.data, "train" if args.calibrate else "val", vocabulary.wnids, args.work)
    if args.calibrate:
        some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))[:args.limit]
        profile = calibrate(Bench(clip, vocabulary.names, pictures[some], labels[some]))
        profile.write(folder / PROFILE_FILE)
        print(profile)
    else:
        report = measure(clip, vocabulary, pictures, labels, MODELS[args.model].profile, args.limit, args.adaptive_limit)
        (folder / MEASURED_FILE).write_text(json.dumps(report, indent=2) + "\n")
        for document in (folder / "README.md", ASSETS.parent / "README.md"):
            insert_figures(document, args.model, figures_markdown(report))
        print(figures_markdown(report))


if __name__ == "__main__":
    main()
