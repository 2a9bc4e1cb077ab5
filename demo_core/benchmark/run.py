"""The work itself: a model before a pile of pictures, batch by batch, each batch's records on disk before
the next is begun.

What a picture is dealt (start noise, targets, the defences' dice) follows from the seed and its index alone,
and pictures go through the model in tiles of one size: neither the batch nor the number of processes changes
a prediction. (What a defence costs is its batch's.)
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils.memory import should_reduce_batch_size
from tqdm import tqdm

from demo_core.adaptive import Attacker
from demo_core.ascent import Step, last
from demo_core.attacks import ATTACKS, Attack, Classify, seen_by
from demo_core.benchmark.piles import Batch, Pile, Ways
from demo_core.benchmark.records import COLUMNS, FILES_OF, LEFT_OUT_OF, Records, Settings
from demo_core.benchmark.trials import CLEAN, BenchmarkError, Trial, with_smaller
from demo_core.clip import ZeroShotCLIP, count_passes, in_bf16, in_tiles
from demo_core.defenses import DEFENSES, Profile
from demo_core.models import profile_of
from demo_core.moments import exhausted

START, TARGET, DEFENCE, ATTACKER = range(4)  # what dice are rolled for
TILE = 32
HELD = 160  # passes that an adaptive attacker goes back through at once: 9 GB of the box's model at 224 px
PRECISIONS = {
    "float32": "everything in float32",
    "bf16-attacks": "image features in bfloat16 while an attack is made; what it made is judged in float32",
    "bf16": "image features in bfloat16 throughout",
}


class Bench:
    """A model before a pile of pictures; makes attacked pictures and answers for batches of it.

    precision: see PRECISIONS. tile: pictures that go through the model at a time; how many are asked for at
    once changes no bit of what is found. profile: what the table's defences are set to on this model.
    """

    def __init__(
        self,
        clip: ZeroShotCLIP,
        pile: Pile,
        seed: int = 0,
        surrogate: ZeroShotCLIP | None = None,
        precision: str = "float32",
        tile: int | None = TILE,
        profile: Profile = Profile(),
    ):
        self.clip, self.pile, self.seed, self.precision, self.tile = clip, pile, seed, precision, tile
        self.profile = profile
        self.text = clip.text_features(pile.names, pile.template)
        self.bare = clip.classifier(pile.names, pile.template)
        self.transferred = seen_by(surrogate, pile.names, pile.template) if surrogate else None

    def dice(self, batch: Batch, use: int, reroll: int = 0) -> list[torch.Generator]:
        """One generator for each picture and use, by numpy's SeedSequence from the seed (not negative), the
        picture's index in the data set, the use and, after the first roll, the re-roll, and from nothing
        else. Records made with another derivation of the dice were dealt other draws."""

        def die(index: int) -> torch.Generator:
            key = (index, use, reroll) if reroll else (index, use)
            state = np.random.SeedSequence(self.seed, spawn_key=key).generate_state(1, np.uint64)
            return torch.Generator().manual_seed(int(state[0]))

        return [die(index) for index in batch.indices.tolist()]

    def attacked(self, trial: Trial, batch: Batch, defense: str = "none") -> torch.Tensor:
        """The pictures [B,3,S,S] in [0,1] under the trial; `defense` is what an adaptive attacker knows, who
        goes back through all views of a picture at once and so takes few pictures at a time."""
        if trial.adaptive:
            few = max(1, HELD // max(1, self.attacker(trial, defense).held))
            if len(batch) > few:
                parts = torch.arange(len(batch)).split(few)
                return torch.cat([self.attacked(trial, batch[part], defense) for part in parts])
        pixels = batch.pictures.to(self.clip.device).float() / 255
        if trial.attack == CLEAN:
            return pixels
        row, labels = ATTACKS[trial.attack], batch.labels.to(self.clip.device)
        if trial.predicted:
            with torch.no_grad(), in_tiles(self.tile), in_bf16(self.precision == "bf16"):
                labels = self.bare(pixels).argmax(1)
        if row.targeted:
            other = [
                torch.randint(1, len(self.pile.names), (), generator=die) for die in self.dice(batch, TARGET)
            ]
            labels = (labels + torch.stack(other).to(labels)) % len(self.pile.names)

        def craft(attack: Attack, target: Classify) -> Iterator[Step]:
            return attack.run(
                target,
                pixels,
                labels,
                eps=trial.eps / 255,
                step_size=trial.step_size / 255,
                steps=trial.steps,
                generator=self.dice(batch, START),
                patch=trial.patch,
            )

        with in_tiles(self.tile), in_bf16(self.precision != "float32"):
            if trial.adaptive:
                found = self.attacker(trial, defense).run(craft, pixels, labels, self.dice(batch, ATTACKER))
                return pixels + last(step for step in found if step).delta
            target = self.transferred if row.transfer else self.bare
            assert target is not None  # who has a transfer attack made gives a surrogate
            return pixels + last(craft(row, target)).delta

    def attacker(self, trial: Trial, defense: str) -> Attacker:
        """Who makes an adaptive trial against a defence."""
        row = DEFENSES[defense]
        return Attacker(
            self.clip, self.text, row, self.profile, ATTACKS[trial.attack], trial.steps, trial.samples
        )

    def kept(self, batch: Batch, pixels: torch.Tensor, defense: str, most: int) -> tuple[torch.Tensor, int]:
        """Of how many re-rolls, at most so many, the defence gives each picture's label [B], and how many
        there were: one where it draws nothing. The first is the one of `answers`."""
        labels, rerolls = batch.labels.to(self.clip.device), 0
        right = torch.zeros_like(labels)
        with in_tiles(self.tile), in_bf16(self.precision == "bf16"):
            for logits in DEFENSES[defense].rolled(
                self.clip, pixels, self.text, self.profile, lambda n: self.dice(batch, DEFENCE, n), most
            ):
                right, rerolls = right + (logits.argmax(1) == labels), rerolls + 1
        return right, rerolls

    @torch.no_grad()
    def answers(self, batch: Batch, pixels: torch.Tensor, defense: str) -> pd.DataFrame:
        """What the defence says of the pixels, and what it costs; the cost is the batch's, shared out
        evenly."""
        then = time.perf_counter()
        with in_tiles(self.tile), in_bf16(self.precision == "bf16"), count_passes() as passes:
            defending = DEFENSES[defense].on(self.profile)
            defended = exhausted(defending(self.clip, pixels, self.text, self.dice(batch, DEFENCE)))
            predicted = defended.logits.argmax(1).cpu()
        each = 1000 * (time.perf_counter() - then) / len(batch)
        return pd.DataFrame(
            {
                "index": batch.indices,
                "label": batch.labels,
                "defense": defense,
                "predicted": predicted,
                "forward": passes.forward / len(batch),
                "backward": passes.backward / len(batch),
                "milliseconds": round(each, 2),
            }
        )


@dataclass(frozen=True)
class Setup:
    """A model and how it computes: what all records of a run share. key: the model's in MODELS; surrogate:
    the model that transfer attacks are crafted on, where there are any; for the others see Bench."""

    key: str
    clip: ZeroShotCLIP
    surrogate: ZeroShotCLIP | None = None
    seed: int = 0
    precision: str = "float32"
    tile: int = TILE

    @property
    def profile(self) -> Profile:
        return profile_of(self.key)

    def fixed(self, ways: Ways) -> dict[str, Any]:
        """What all records share, their weights apart."""
        chosen = {"model": self.key, "seed": self.seed, "precision": self.precision, "tile": self.tile}
        return chosen | ways.departures

    def bench(self, pile: Pile) -> Bench:
        return Bench(self.clip, pile, self.seed, self.surrogate, self.precision, self.tile, self.profile)


@dataclass(frozen=True)
class Plan:
    """What every picture meets. trials: with all that they build on; batch: pictures worked on at once;
    share: (n, of), every of-th picture from the n-th."""

    trials: Sequence[Trial]
    defenses: Sequence[str]
    batch: int
    share: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", tuple(with_smaller(self.trials)))

    def rows(self, pile: Pile) -> list[int]:
        """Those of a pile that are its share."""
        return list(range(len(pile.indices)))[self.share[0] :: self.share[1]]


def open_records(folder: Path, setup: Setup, piles: dict[str, Pile], plan: Plan) -> Records:
    """The folder's records, bound to all that they depend on. Raises BenchmarkError where it holds others, or
    where a data set cannot meet one of the attacks."""
    return Records(folder, *settings_for(setup, piles, plan), plan.share[0])


def settings_for(setup: Setup, piles: dict[str, Pile], plan: Plan) -> tuple[dict[str, Any], Settings]:
    """All that records depend on: what those of a folder share, and what may join later. Reads all weights.
    Raises BenchmarkError where a data set cannot meet one of the attacks."""
    for name, pile in piles.items():
        for trial in plan.trials:
            if trial.targeted and len(pile.names) < 2:
                raise BenchmarkError(
                    f"“{name}” has one class, and {trial} aims at another: add a second class, or leave"
                    f" {trial} out."
                )
    fixed = {"weights": identity(setup.clip)}
    for pile in piles.values():
        fixed |= setup.fixed(pile.ways)
    joining: Settings = {
        "defenses": {name: str(DEFENSES[name].config(setup.profile)) for name in plan.defenses},
        "datasets": {name: pile.description for name, pile in piles.items()},
        "classes": {name: list(pile.names) for name, pile in piles.items()},  # what the records' numbers mean
        "sources": {name: pile.source for name, pile in piles.items() if pile.source},
        "surrogate": {"weights": identity(setup.surrogate)} if setup.surrogate else {},
        **{FILES_OF + name: pile.file_names for name, pile in piles.items()},
        **{LEFT_OUT_OF + name: dict.fromkeys(map(str, pile.left_out), True) for name, pile in piles.items()},
    }
    return fixed, joining


def run(
    bench: Bench,
    dataset: str,
    records: Records,
    plan: Plan,
    quiet: bool = False,
    tally: Tally | None = None,
) -> Iterator[pd.DataFrame]:
    """Make the records that are not there yet, batch by batch; yields the new ones (COLUMNS) once they are on
    disk. A batch that does not fit into memory is halved. tally: what is computed is added to it. Raises
    BenchmarkError where not even one picture fits."""
    done, tally, batch = records.done(dataset), tally or Tally(), plan.batch

    def left(trial: Trial) -> int:
        return sum(len(work.rows) for work in queued(bench.pile, plan, trial, done))

    bar = tqdm(total=sum(map(left, plan.trials)), mininterval=2, disable=quiet, unit="picture")
    for trial in plan.trials:
        if trial.below and len(owed := fallen(records, dataset, bench.pile, plan, trial, done)):
            before = left(trial)
            records.append(owed)
            for defense, index in zip(owed["defense"], owed["index"]):
                done.setdefault((str(trial), defense), set()).add(index)
            bar.update(before - left(trial))
            yield owed
        queue = deque(queued(bench.pile, replace(plan, batch=batch), trial, done))
        while queue:
            work = queue.popleft()
            against = work.against[0] if len(work.against) == 1 else "all defences"
            bar.set_description(f"{dataset}, {trial}, {against}")
            try:
                found = answered(bench, work, done, tally)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                found = None  # what the batch holds is let go of only when this block has been left
            if found is None:
                batch = _half(work, bench.tile)
                queue = _in_batches(batch, [work, *queue])
                continue
            found = found.assign(dataset=dataset, attack=str(trial))[COLUMNS]
            records.append(found)
            bar.update(len(work.rows))
            yield found
    bar.close()


def fallen(records: Records, dataset: str, pile: Pile, plan: Plan, trial: Trial, done: Done) -> pd.DataFrame:
    """The records (COLUMNS) that a trial which may use smaller sizes owes to others, as far as they are not
    there: where the one below it made the answer wrong, that is its answer too; and where it did not, but the
    attack has been made at this size alone, what came of that. A row's dice are the same at every size."""
    smaller, alone = (
        records.of(dataset, str(other)).set_index(["defense", "index"])
        for other in (trial.below, replace(trial, upto=False))
    )
    wrong = smaller["predicted"] != smaller["label"]
    owed = pd.concat([smaller[wrong], alone[alone.index.isin(smaller.index[~wrong])]])
    mine = set(pile.indices[plan.rows(pile)].tolist())
    left = {(d, i) for d in plan.defenses for i in mine - done.get((str(trial), d), set())}
    return owed[owed.index.isin(left)].reset_index().assign(attack=str(trial))[COLUMNS]


@dataclass
class Tally:
    """What has been computed so far: seconds, and pictures through the image tower."""

    seconds: float = 0.0
    forward: float = 0.0
    backward: float = 0.0


Done = dict[tuple[str, str], set[int]]  # indices that have a record, by attack and defence


@dataclass(frozen=True)
class Work:
    """Some rows of a pile under one attack, for the defences that have no record of some of them."""

    trial: Trial
    against: tuple[str, ...]
    rows: torch.Tensor


def queued(pile: Pile, plan: Plan, trial: Trial, done: Done) -> Iterator[Work]:
    """What is left of one of the plan's trials, in batches. An adaptive attack is made for each defence, any
    other for all."""
    indices, defenses = pile.indices.tolist(), list(dict.fromkeys(plan.defenses))
    for against in [(d,) for d in defenses] if trial.adaptive else [tuple(defenses)]:
        have = [done.get((str(trial), defense), set()) for defense in against]
        left = [row for row in plan.rows(pile) if any(indices[row] not in h for h in have)]
        yield from _in_batches(plan.batch, [Work(trial, against, torch.tensor(left, dtype=torch.long))])


def answered(bench: Bench, work: Work, done: Done, tally: Tally) -> pd.DataFrame:
    """What each defence says of the pictures that it has no record of."""
    pictures, then = bench.pile.load(work.rows), time.perf_counter()
    with count_passes() as passes:
        pixels, made = bench.attacked(work.trial, pictures, work.against[0]), []
    for defense in work.against:
        have = done.get((str(work.trial), defense), set())
        new = torch.tensor([index not in have for index in pictures.indices.tolist()])
        if new.any():
            made.append(bench.answers(pictures[new], pixels[new.to(pixels.device)], defense))
    found = pd.concat(made)
    tally.seconds += time.perf_counter() - then
    tally.forward += passes.forward + found["forward"].sum()
    tally.backward += passes.backward + found["backward"].sum()
    return found


def _in_batches(batch: int, works: Iterable[Work]) -> deque[Work]:
    """The same work, of so many pictures at most at once; what has none is left out."""
    return deque(replace(work, rows=part) for work in works for part in work.rows.split(batch) if len(part))


def _half(work: Work, tile: int | None) -> int:
    """Half as many pictures as the work has, which did not fit into memory. Raises BenchmarkError where it is
    one."""
    if len(work.rows) == 1:
        raise BenchmarkError(
            f"Not even one picture at a time fits into memory: choose a --tile below {tile}, or another"
            " --precision."
        )
    torch.cuda.empty_cache()
    return -(-len(work.rows) // 2)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether it is one of the ways to say so: accelerate knows most of them."""
    said = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return should_reduce_batch_size(error) or any(words in str(error) for words in said)


def identity(clip: ZeroShotCLIP) -> str:
    """A fingerprint of the weights, and of the original's."""
    digest = hashlib.sha256()
    for tensor in clip.state_dict().values():  # holds the original too
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
