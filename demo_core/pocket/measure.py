"""Calibrate an embedded model's defence on training pictures, and measure it on validation pictures.

    python -m demo_core.pocket.measure --data DIR --calibrate     # writes profile.json beside the weights
    python -m demo_core.pocket.measure --data DIR                 # writes measured.json and the documents' figures

Nothing is chosen on validation pictures. The attacker is static: PGD-10 on the undefended model, who does not know
the defence; attacks from the true and from the predicted label are both reported, because an attack from the true
label leaks it (a defence that undoes the attack learns what to avoid).
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import mannwhitneyu
from tqdm import tqdm

from demo_core.ascent import last, random_start
from demo_core.attacks import pgd
from demo_core.clip import ASSETS, DEFAULT_MODEL, MODELS, PROFILE_FILE, ZeroShotCLIP, load
from demo_core.counterattack import TTCConfig, stability
from demo_core.defenses import (
    TAU, VIEW_DRIFT, Profile, gate_signal, judge, purified, view_drift, view_features,
)
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.pocket.captions import Vocabulary, read_vocabulary
from demo_core.pocket.photographs import load_split

BATCH = 250
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

    def predict(self, pictures: torch.Tensor, profile: Profile = PLAIN) -> torch.Tensor:
        found = [judge(self.clip, x.to(self.clip.device), self.text, profile).argmax(1).cpu()
                 for _, (x,) in batches(pictures, title="predicting")]
        return torch.cat(found)

    def attacked(self, eps: float, labels: torch.Tensor) -> torch.Tensor:
        """PGD-10 at eps/255, step 1/255, random start."""
        found = []
        for i, (x, y) in batches(self.pictures, labels, title=f"PGD-10 {eps:g}/255"):
            x, y = x.to(self.clip.device), y.to(self.clip.device)
            steps = pgd(self.classify, x, y, eps=eps / 255, step_size=1 / 255, steps=10,
                        generator=torch.Generator().manual_seed(i))
            found.append((x + last(steps).delta).cpu())
        return torch.cat(found)

    def defended(self, pictures: torch.Tensor, profile: Profile, signals: dict[str, torch.Tensor]
                 ) -> tuple[torch.Tensor, torch.Tensor]:
        """The defended pictures [N,3,S,S], to be judged by `predict`, and whether the gate engaged [N]."""
        pixels, engaged = [], []
        for i, (x, drift) in batches(pictures, signals[VIEW_DRIFT], title="defending"):
            x = x.to(self.clip.device)
            noise = random_start(x, profile.noise_eps, torch.Generator().manual_seed(1000 + i))
            # tau is probed with the very noise that the counterattack starts from; views are the same for everyone
            rows = profile.engages(gate_signal(self.clip.encode, x, noise, profile).cpu() if profile.gate == TAU else drift)
            pixels.append(purified(self.clip.encode, x, noise, rows.to(x.device), profile).cpu()), engaged.append(rows)
        return torch.cat(pixels), torch.cat(engaged)

    def signals(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """tau under the paper's noise of 4/255, and the view drift, of every picture."""
        tau, views = [], []
        for i, (x,) in batches(pictures, title="signals"):
            x = x.to(self.clip.device)
            noise = random_start(x, TTCConfig().eps, torch.Generator().manual_seed(2000 + i))
            tau.append(stability(self.clip.encode, x, noise).cpu())
            views.append(view_drift(view_features(self.clip.encode, x)).cpu())
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


def preset_accuracies(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor) -> dict:
    """Top-1 over each preset of the app, on every picture whose class a label covers; right is any label that does
    ("tower" and "lighthouse" are both true of a lighthouse)."""
    found = {}
    for name, words in PRESETS.items():
        covers = torch.stack([torch.tensor([word in synonyms or i in vocabulary.hypernyms.get(word, ())
                                            for i, synonyms in enumerate(vocabulary.synonyms)]) for word in words])
        missing = [word for word, row in zip(words, covers) if not row.any()]
        if missing:
            raise ValueError(f"The preset {name} has words that the model was not trained with: {', '.join(missing)}.")
        mine = covers[:, labels].any(0)
        bench = Bench(clip, list(words), pictures[mine], labels[mine])
        right = covers[bench.predict(bench.pictures), bench.labels]
        found[name] = {"top1": percent(right), "pictures": int(mine.sum())}
    return found


def measure(clip: ZeroShotCLIP, vocabulary: Vocabulary, pictures: torch.Tensor, labels: torch.Tensor,
            profile: Profile, limit: int) -> dict:
    """The figures of the model card, all on validation pictures."""
    everything = Bench(clip, vocabulary.names, pictures, labels)
    report: dict = {"zero_shot_top1_200_names": percent(everything.predict(everything.pictures) == labels),
                    "pictures": len(labels), "presets": preset_accuracies(clip, vocabulary, pictures, labels)}
    some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:limit]
    bench = Bench(clip, vocabulary.names, pictures[some], labels[some])
    truth = bench.labels
    predicted, clean_signals = bench.predict(bench.pictures), bench.signals(bench.pictures)
    purified_pictures, engaged = bench.defended(bench.pictures, profile, clean_signals)
    report["attacks_on"] = limit
    report["clean"] = {"undefended": percent(predicted == truth), "defended": percent(bench.predict(purified_pictures, profile) == truth),
                       "views_only": percent(bench.predict(bench.pictures, Profile(average_views=True)) == truth),
                       "gate_engages": percent(engaged)}
    for start, start_labels in (("true", truth), ("predicted", predicted)):
        for eps in (1, 4):
            attacked = bench.attacked(eps, start_labels)
            signals = bench.signals(attacked)
            purified_pictures, engaged = bench.defended(attacked, profile, signals)
            report[f"pgd10_eps{eps}_from_{start}_label"] = {
                "undefended": percent(bench.predict(attacked) == truth),
                "defended": percent(bench.predict(purified_pictures, profile) == truth),
                "views_only": percent(bench.predict(attacked, Profile(average_views=True)) == truth),
                "gate_engages": percent(engaged),
                "auc_tau_clean_over_attacked": round(auc(clean_signals[TAU], signals[TAU]), 3),
                "auc_view_drift_attacked_over_clean": round(auc(signals[VIEW_DRIFT], clean_signals[VIEW_DRIFT]), 3),
            }
    report["tau_clean_median"] = round(clean_signals[TAU].median().item(), 4)
    return report


def figures_markdown(report: dict) -> str:
    """The report as the tables that stand in the model card and in the project's README."""
    presets = report["presets"]
    clean = report["clean"]
    lines = [
        f"| zero-shot top-1 | {report['pictures']:,} validation pictures |", "|---|---|",
        f"| all 200 names | {report['zero_shot_top1_200_names']:.1f} % |",
        *(f"| the list “{name}” (10 names, {row['pictures']:,} pictures) | {row['top1']:.1f} % |" for name, row in presets.items()),
        "",
        f"Over all 200 names, on {report['attacks_on']:,} of these pictures (accuracy in %; ours is the model’s default"
        " defence; views alone is the same averaging without any counterattack):",
        "",
        "| pictures | undefended | views alone | ours | gate engages | AUC of tau, clean > attacked | AUC of view drift, attacked > clean |",
        "|---|---|---|---|---|---|---|",
        f"| clean | {clean['undefended']:.1f} | {clean['views_only']:.1f} | {clean['defended']:.1f} | {clean['gate_engages']:.1f} % | | |",
    ]
    for label in ("true", "predicted"):
        for eps in (1, 4):
            row = report[f"pgd10_eps{eps}_from_{label}_label"]
            lines.append(f"| PGD-10, eps {eps}/255, from the {label} label | {row['undefended']:.1f} | {row['views_only']:.1f} |"
                         f" {row['defended']:.1f} | {row['gate_engages']:.1f} % | {row['auc_tau_clean_over_attacked']:.2f} |"
                         f" {row['auc_view_drift_attacked_over_clean']:.2f} |")
    return "\n".join(lines)


def insert_figures(document: Path, text: str) -> None:
    """Replace what stands between the two marks of a Markdown document."""
    begin, end = "<!-- figures -->", "<!-- /figures -->"
    before, rest = document.read_text().split(begin)
    document.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--model", default="pocket", choices=[key for key, row in MODELS.items() if row.folder])
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where decoded pictures are kept")
    parser.add_argument("--limit", type=int, default=2000, help="pictures that are attacked")
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
        report = measure(clip, vocabulary, pictures, labels, MODELS[args.model].profile, args.limit)
        (folder / "measured.json").write_text(json.dumps(report, indent=2) + "\n")
        for document in (folder / "README.md", ASSETS.parent / "README.md"):
            if args.model == DEFAULT_MODEL or document.parent == folder:
                insert_figures(document, figures_markdown(report))
        print(figures_markdown(report))


if __name__ == "__main__":
    main()
