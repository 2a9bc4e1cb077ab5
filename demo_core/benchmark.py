"""Many pictures: one record for each picture, attack and defence; every table is recomputed from records.

    python -m demo_core.benchmark --data tiny-imagenet-200 --model pocket --limit 1000 --out runs/arena-pocket
    python -m demo_core.benchmark --report runs/arena-pocket

A run that was stopped goes on where it stopped, under the same settings only. What a picture is dealt (start noise,
targets, the defences' dice) follows from the seed and its index alone, not from its batch. An attack is written
NAME@EPS or NAME@EPSxSTEPS, with eps in 1/255 and NAME a row of ATTACKS; `+predicted` starts it from the model's own
clean prediction instead of the true label; `+adaptive` makes it through each defence it then meets and through the
defence's surrogates, and keeps of these and the plain one what does most there; `+eot4` averages each of its gradients
over four draws.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import binom
from tqdm import tqdm

from demo_core.ascent import Step, last
from demo_core.attacks import ATTACKS, seen_by
from demo_core.clip import DEFAULT_MODEL, MODELS, ModelUnavailable, ZeroShotCLIP, count_passes, in_bf16, in_tiles, load, surrogate_of
from demo_core.defenses import DEFENSES, informed
from demo_core.labels import DEFAULT_TEMPLATE
from demo_core.pocket.captions import read_vocabulary
from demo_core.pocket.photographs import load_split

CLEAN, WORST = "clean", "worst"
COLUMNS = ["index", "label", "attack", "defense", "predicted", "forward", "backward", "milliseconds"]
START, TARGET, DEFENCE, ATTACKER = range(4)  # what dice are rolled for
TILE = 32


class BenchmarkError(ValueError):
    """A benchmark cannot run as asked. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Trial:
    """An attack with its budget; eps in 1/255."""

    attack: str
    eps: float = 0.0
    steps: int = 10
    predicted: bool = False
    adaptive: bool = False
    samples: int = 1

    @staticmethod
    def read(text: str) -> Trial:
        """Raises BenchmarkError with the way to write it."""
        if text == CLEAN:
            return Trial(CLEAN)
        words, *flags = text.split("+")
        name, _, budget = words.partition("@")
        eps, _, steps = budget.partition("x")
        try:
            draws = [int(flag[3:]) for flag in flags if flag.startswith("eot")]
            if name not in ATTACKS or not {flag for flag in flags if flag[:3] != "eot"} <= {"predicted", "adaptive"}:
                raise ValueError
            trial = Trial(name, float(eps), int(steps or 10), "predicted" in flags, "adaptive" in flags, *draws)
        except ValueError:
            raise BenchmarkError(f"“{text}” is no attack: write it like pgd@4 or pgd@4x20, with +predicted or +adaptive"
                                 f" after it; the names are {', '.join(ATTACKS)}.") from None
        if trial.adaptive and not ATTACKS[name].adaptable:
            raise BenchmarkError(f"“{text}” cannot know a defence: leave +adaptive out.")
        if trial.samples != 1 and not trial.adaptive or trial.samples < 1:
            raise BenchmarkError(f"“{text}” averages over no draws: +eot4 goes with +adaptive.")
        return trial

    def __str__(self) -> str:
        if self.attack == CLEAN:
            return CLEAN
        steps = "" if self.steps == 10 else f"x{self.steps}"
        return f"{self.attack}@{self.eps:g}{steps}{'+predicted' * self.predicted}{'+adaptive' * self.adaptive}" + (
            f"+eot{self.samples}" if self.samples > 1 else "")

    @property
    def step_size(self) -> float:
        """In 1/255: the 1 of the paper's protocol; a quarter of eps where ten such steps would not cross the ball."""
        return max(min(1.0, self.eps), self.eps / 4)

    @property
    def title(self) -> str:
        """In words, for a table."""
        if self.attack == CLEAN:
            return "clean"
        row = ATTACKS.get(self.attack)
        steps = "" if row and row.single_step else f"-{self.steps}"
        draws = f", {self.samples} draws a step" if self.samples > 1 else ""
        known = f"; knows the defence{draws}" if self.adaptive else ""
        return f"{row.title if row else self.attack}{steps}, {self.eps:g}/255{' from the predicted label' * self.predicted}{known}"


def default_trials() -> list[Trial]:
    """Every row of ATTACKS at 4/255 (APGD needs some tens of steps to be itself); PGD also at 1/255, from the predicted
    label, and through the defence."""
    return [Trial(CLEAN), *(Trial(name, 4, 50 if row.own_step_size else 10) for name, row in ATTACKS.items()),
            Trial("pgd", 1), Trial("pgd", 1, predicted=True), Trial("pgd", 4, predicted=True), Trial("pgd", 1, adaptive=True), Trial("pgd", 4, adaptive=True)]


@dataclass(frozen=True)
class Pile:
    """Pictures [N,3,S,S] uint8 with their indices in the data set [N], labels [N] and the names of all K classes."""

    pictures: torch.Tensor
    indices: torch.Tensor
    labels: torch.Tensor
    names: tuple[str, ...]


class Bench:
    """A model before a pile of pictures; makes attacked pictures and answers for rows of the pile.

    bf16: attacks are made in bfloat16. tile: pictures that go through the model at a time; how many rows are asked for
    at once changes no bit of what is found.
    """

    def __init__(self, clip: ZeroShotCLIP, pile: Pile, seed: int = 0, surrogate: ZeroShotCLIP | None = None,
                 bf16: bool = False, tile: int = TILE):
        self.clip, self.pile, self.seed, self.bf16, self.tile = clip, pile, seed, bf16, tile
        self.text = clip.text_features(pile.names, DEFAULT_TEMPLATE)
        self.bare = clip.classifier(pile.names, DEFAULT_TEMPLATE)
        self.surrogate, self.transferred = surrogate, surrogate and seen_by(surrogate, pile.names, DEFAULT_TEMPLATE)

    def dice(self, rows: torch.Tensor, use: int) -> list[torch.Generator]:
        """One generator for each picture and use."""
        return [torch.Generator().manual_seed((self.seed * 1_000_003 + int(i)) * 4 + use) for i in self.pile.indices[rows]]

    def attacked(self, trial: Trial, rows: torch.Tensor, defense: str = "none") -> torch.Tensor:
        """The rows' pictures under the trial; `defense` is what an adaptive attacker knows."""
        pixels = self.pile.pictures[rows].to(self.clip.device).float() / 255
        if trial.attack == CLEAN:
            return pixels
        row, labels = ATTACKS[trial.attack], self.pile.labels[rows].to(self.clip.device)
        if trial.predicted:
            with torch.no_grad(), in_tiles(self.tile):
                labels = self.bare(pixels).argmax(1)
        if row.targeted:
            other = [torch.randint(1, len(self.pile.names), (), generator=die) for die in self.dice(rows, TARGET)]
            labels = (labels + torch.stack(other).to(labels)) % len(self.pile.names)

        def craft(target: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[Step]:
            return row.run(target, pixels, labels, eps=trial.eps / 255, step_size=trial.step_size / 255,
                           steps=trial.steps, generator=self.dice(rows, START))

        with in_tiles(self.tile), in_bf16(self.bf16):
            delta = last(craft(self.transferred if row.transfer else self.bare)).delta
            if trial.adaptive:
                known = DEFENSES[defense]
                delta = last(informed(craft, known.run, self.clip, self.text, pixels, labels, delta,
                                      self.dice(rows, ATTACKER), surrogates=known.surrogates, samples=trial.samples,
                                      targeted=row.targeted)).delta
        return pixels + delta

    @torch.no_grad()
    def answers(self, rows: torch.Tensor, pixels: torch.Tensor, trial: Trial, defense: str) -> pd.DataFrame:
        """The records of these rows."""
        then = time.perf_counter()
        with in_tiles(self.tile), count_passes() as passes:
            predicted = DEFENSES[defense].run(self.clip, pixels, self.text, self.dice(rows, DEFENCE)).logits.argmax(1).cpu()
        each = 1000 * (time.perf_counter() - then) / len(rows)
        return pd.DataFrame({"index": self.pile.indices[rows], "label": self.pile.labels[rows], "attack": str(trial),
                             "defense": defense, "predicted": predicted, "forward": passes.forward / len(rows),
                             "backward": passes.backward / len(rows), "milliseconds": round(each, 2)}, columns=COLUMNS)


class Records:
    """A folder with settings.json and records.csv: appended to and flushed batch by batch.

    settings: what all records share; defenses: what each of these was set to. More of them may join later. Raises
    BenchmarkError where the folder holds records made otherwise.
    """

    def __init__(self, folder: Path, settings: dict, defenses: dict[str, str] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.path, place, defenses = folder / "records.csv", folder / "settings.json", defenses or {}
        known = json.loads(place.read_text()) if place.exists() else {**settings, "defenses": {}}
        before = known.pop("defenses")
        if known != settings or any(before.get(key, config) != config for key, config in defenses.items()):
            raise BenchmarkError(f"{folder} holds records of other settings, weights or defences: choose another --out, or"
                                 " delete it.")
        part = place.with_suffix(".part")
        part.write_text(json.dumps({**settings, "defenses": before | defenses}, indent=1) + "\n")
        part.rename(place)
        if self.path.exists():  # a kill may have cut the last line short
            content = self.path.read_bytes()
            self.path.write_bytes(content[: content.rfind(b"\n") + 1])
        if not self.path.exists() or not self.path.stat().st_size:
            pd.DataFrame(columns=COLUMNS).to_csv(self.path, index=False)

    def read(self) -> pd.DataFrame:
        return pd.read_csv(self.path)

    def append(self, rows: pd.DataFrame) -> None:
        with self.path.open("a") as file:
            rows.to_csv(file, header=False, index=False)
            file.flush()
            os.fsync(file.fileno())


def run(bench: Bench, records: Records, trials: Sequence[Trial], defenses: Sequence[str], batch: int) -> Iterator[pd.DataFrame]:
    """Make what is missing, batch by batch; yields the new records once they are on disk."""
    stored, trials, defenses = records.read(), list(dict.fromkeys(trials)), list(dict.fromkeys(defenses))
    done = {key: set(group["index"]) for key, group in stored.groupby(["attack", "defense"])}
    work = []
    for trial in trials:
        missing = {d: torch.tensor([int(i) not in done.get((str(trial), d), ()) for i in bench.pile.indices]) for d in defenses}
        if trial.adaptive:
            work += [(trial, [d], rows) for d in defenses for rows in missing[d].nonzero()[:, 0].split(batch)]
        else:  # one attack for all defences
            work += [(trial, defenses, rows) for rows in torch.stack([*missing.values()]).any(0).nonzero()[:, 0].split(batch)]
    bar = tqdm(work, mininterval=2)
    for trial, against, rows in bar:
        if not len(rows):
            continue
        bar.set_description(f"{trial}, {against[0] if len(against) == 1 else 'all defences'}")
        pixels = bench.attacked(trial, rows, against[0])
        made = []
        for defense in against:
            have = done.get((str(trial), defense), ())
            new = torch.tensor([int(i) not in have for i in bench.pile.indices[rows]])
            if new.any():
                made.append(bench.answers(rows[new], pixels[new.to(pixels.device)], trial, defense))
        found = pd.concat(made)
        records.append(found)
        yield found


def identity(clip: ZeroShotCLIP) -> str:
    """A fingerprint of the weights, and of the original's."""
    digest = hashlib.sha256()
    for tensor in clip.state_dict().values():  # holds the original too
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def fit(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """uint8 pictures at the model's own input size."""
    if pictures.shape[-1] == side:
        return pictures
    resized = F.interpolate(pictures.float(), (side, side), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255).round().to(torch.uint8)


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent with the ends of its bootstrap 95 % interval, passes and milliseconds a picture, for every
    defence and attack."""
    def summarise(group: pd.DataFrame) -> pd.Series:
        right = (group["predicted"] == group["label"]).to_numpy(float) * 100
        # Resampled means of noughts and ones are binomial: this is the percentile bootstrap with endless resamples.
        low, high = binom.ppf((0.025, 0.975), len(right), right.mean() / 100) / len(right) * 100
        return pd.Series({"accuracy": right.mean(), "low": low, "high": high, "pictures": len(group),
                          **group[["forward", "backward", "milliseconds"]].mean()})

    return records.groupby(["defense", "attack"], sort=False)[COLUMNS].apply(summarise)


def worst_cases(records: pd.DataFrame) -> pd.DataFrame:
    """Records of one more attack for each eps: the attacker who has all attacks of that eps from the true label, and
    takes whichever fools the defence. Only of defences that met them all, and pictures that did too."""
    found = []
    trials = {attack: Trial.read(attack) for attack in records["attack"].unique()}
    for eps in sorted({t.eps for t in trials.values()} - {0.0}):
        names = [name for name, t in trials.items() if t.eps == eps and not t.predicted]
        if len(names) < 2:
            continue
        mine = records[records["attack"].isin(names)]
        counts = mine.groupby(["defense", "index"])["attack"].transform("nunique")
        wrong_last = mine[counts == len(names)].assign(right=lambda r: r["predicted"] == r["label"]).sort_values("right")
        found.append(wrong_last.drop_duplicates(["defense", "index"]).drop(columns="right").assign(attack=f"{WORST}@{eps:g}"))
    return pd.concat(found) if found else records.iloc[:0]


def markdown(records: pd.DataFrame) -> str:
    """A row an attack, a column a defence: accuracy in percent with half its 95 % interval, and under the worst of all
    attacks of an eps; below, what a defence costs: passes through the image tower and milliseconds, for one attacked
    picture."""
    attacked = records[records["attack"] != CLEAN] if records["attack"].nunique() > 1 else records
    records = pd.concat([records, worst_cases(records)])
    found = table(records)
    order = {str(t): i for i, t in enumerate(default_trials())}
    attacks = sorted(dict.fromkeys(records["attack"]), key=lambda a: (a.startswith(WORST), order.get(a, len(order)), a))
    keys = [key for key in [*DEFENSES, *records["defense"].unique()] if key in set(records["defense"])]
    keys = list(dict.fromkeys(keys))
    titles = [DEFENSES[key].title if key in DEFENSES else key for key in keys]
    lines = ["| pictures | how many | " + " | ".join(titles) + " |", "|---" * (2 + len(keys)) + "|"]
    for attack in attacks:
        rows = found.xs(attack, level="attack")
        cells = [f"{rows.loc[k, 'accuracy']:.1f} ± {(rows.loc[k, 'high'] - rows.loc[k, 'low']) / 2:.1f}" if k in rows.index else ""
                 for k in keys]
        title = f"the worst of all at {attack.split('@')[1]}/255" if attack.startswith(WORST) else Trial.read(attack).title
        lines.append(f"| {title} | {int(rows['pictures'].min()):,} | " + " | ".join(cells) + " |")
    cost = attacked.groupby("defense")[["forward", "backward", "milliseconds"]].mean()
    lines.append("| *passes a picture, forward + backward* | | " + " | ".join(
        f"{cost.loc[k, 'forward']:.1f} + {cost.loc[k, 'backward']:.1f}" if k in cost.index else "" for k in keys) + " |")
    lines.append("| *milliseconds a picture, in a batch* | | " + " | ".join(
        f"{cost.loc[k, 'milliseconds']:.1f}" if k in cost.index else "" for k in keys) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="print the table of a folder of records, and do nothing else")
    parser.add_argument("--data", type=Path, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where decoded pictures are kept")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS))
    parser.add_argument("--attacks", nargs="+", default=[str(t) for t in default_trials()])
    parser.add_argument("--defenses", nargs="+", default=list(DEFENSES), choices=list(DEFENSES))
    parser.add_argument("--limit", type=int, default=1000, help="pictures, chosen at random by the seed")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--tile", type=int, default=TILE, help="pictures that go through a model at a time; the batch changes no record, this may")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="while an attack is made, image features are in bfloat16; what it made is judged in float32")
    parser.add_argument("--store", type=Path, help="with --report: also write the records to this .csv.gz")
    args = parser.parse_args(argv)
    if args.report:
        found = pd.read_csv(args.report / "records.csv")
        if args.store:
            found.sort_values(["attack", "defense", "index"]).to_csv(args.store, index=False, compression={"method": "gzip", "mtime": 0})
        print(markdown(found))
        return
    try:
        if args.data is None:
            raise BenchmarkError("Name the folder of the pictures with --data.")
        trials = [Trial.read(text) for text in args.attacks]
        vocabulary = read_vocabulary(args.data)
        pictures, labels = load_split(args.data, "val", vocabulary.wnids, args.work)
        some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(args.seed))[:args.limit]
        clip = load(args.model)
        pile = Pile(fit(pictures[some], clip.image_size), some, labels[some], tuple(vocabulary.names))
        transfers = any(t.attack in ATTACKS and ATTACKS[t.attack].transfer for t in trials)
        surrogate = load(surrogate_of(args.model)) if transfers else None
        settings = {"model": args.model, "weights": identity(clip), "seed": args.seed, "bf16": args.bf16, "tile": args.tile}
        records = Records(args.out, settings, {key: str(DEFENSES[key].config(clip.profile)) for key in args.defenses})
        for _ in run(Bench(clip, pile, args.seed, surrogate, args.bf16, args.tile), records, trials, args.defenses, args.batch):
            pass
    except (BenchmarkError, ModelUnavailable) as error:
        raise SystemExit(str(error)) from None
    print(markdown(pd.read_csv(args.out / "records.csv")))


if __name__ == "__main__":
    main()
