"""Many pictures: one record for each picture, attack and defence; every table is recomputed from records.

    python -m demo_core.benchmark --data DIR --datasets TinyImageNet --limit 1000 --out runs/photo accelerate
    launch -m demo_core.benchmark --data DIR --model vit-b-32 --datasets CIFAR10 DTD --out runs/b32 --download
    python -m demo_core.benchmark --report runs/photo

DIR holds the data sets, or gets them with --download; a data set may also be a folder of your own, by its
path or, where it lies in DIR, by its name. A run that was stopped goes on where it stopped, under the same
settings only; started by `accelerate launch`, every process takes a share of the pictures. What a picture is
dealt (start noise, targets, the defences' dice) follows from the seed and its index alone, and pictures go
through the model in tiles of one size: neither the batch nor the number of processes changes a prediction.
(What a defence costs is its batch's. On a GPU this has not been measured.)

An attack is written NAME@EPS or NAME@EPSxSTEPS, with eps in 1/255 and NAME a row of ATTACKS; `+predicted`
starts it from the model's own clean prediction instead of the true label; `+adaptive` makes it through each
defence it then meets and through the defence's surrogates, and keeps of these and the plain one what does
most there; `+eot4` averages each of its gradients over four draws.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils.memory import should_reduce_batch_size
from filelock import FileLock, Timeout
from tqdm import tqdm

from demo_core.adaptive import informed
from demo_core.ascent import Step, last
from demo_core.attacks import ATTACKS, seen_by
from demo_core.clip import ZeroShotCLIP, count_passes, in_bf16, in_tiles
from demo_core.datasets import DATASETS, Batch, DatasetUnavailable, Pile, pile_of
from demo_core.defenses import DEFENSES, Profile
from demo_core.labels import LabelError
from demo_core.models import DEFAULT_MODEL, MODELS, ModelUnavailable, load, profile_of, surrogate_of
from demo_core.moments import exhausted

CLEAN = "clean"
KEYS = ["dataset", "attack", "defense"]
COLUMNS = [
    "dataset",
    "index",
    "label",
    "attack",
    "defense",
    "predicted",
    "forward",
    "backward",
    "milliseconds",
]
START, TARGET, DEFENCE, ATTACKER = range(4)  # what dice are rolled for
TILE = 32
SETTINGS_FILE = "settings.json"
PRECISIONS = {
    "float32": "everything in float32",
    "bf16-attacks": "image features in bfloat16 while an attack is made; what it made is judged in float32",
    "bf16": "image features in bfloat16 throughout",
}


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
            if name not in ATTACKS or not {flag for flag in flags if flag[:3] != "eot"} <= {
                "predicted",
                "adaptive",
            }:
                raise ValueError
            steps = 10 if ATTACKS[name].single_step else int(steps or 10)
            trial = Trial(name, float(eps), steps, "predicted" in flags, "adaptive" in flags, *draws)
            if not (math.isfinite(trial.eps) and trial.eps >= 0 and trial.steps >= 1):
                raise ValueError
        except (ValueError, TypeError):
            raise BenchmarkError(
                f"“{text}” is no attack: write it like pgd@4 or pgd@4x20, with +predicted or +adaptive"
                f" after it; the names are {', '.join(ATTACKS)}."
            ) from None
        if trial.adaptive and not ATTACKS[name].adaptable:
            raise BenchmarkError(f"“{text}” cannot know a defence: leave +adaptive out.")
        if trial.samples != 1 and not trial.adaptive or trial.samples < 1:
            raise BenchmarkError(f"“{text}” averages over no draws: +eot4 goes with +adaptive.")
        return trial

    def __str__(self) -> str:
        if self.attack == CLEAN:
            return CLEAN
        steps = "" if self.steps == 10 else f"x{self.steps}"
        draws = f"+eot{self.samples}" if self.samples > 1 else ""
        return f"{self.attack}@{self.eps:g}{steps}{'+predicted' * self.predicted}{'+adaptive' * self.adaptive}{draws}"

    @property
    def transfers(self) -> bool:
        """Whether it is crafted on another model."""
        return self.attack != CLEAN and ATTACKS[self.attack].transfer

    @property
    def step_size(self) -> float:
        """In 1/255: the 1 of the paper's protocol; a quarter of eps where ten such steps would not cross the
        ball."""
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
    """Every row of ATTACKS at 4/255 (APGD needs some tens of steps to be itself); PGD also at 1/255, from the
    predicted label, and through the defence."""
    return [
        Trial(CLEAN),
        *(Trial(name, 4, 50 if row.own_step_size else 10) for name, row in ATTACKS.items()),
        Trial("pgd", 1),
        Trial("pgd", 1, predicted=True),
        Trial("pgd", 4, predicted=True),
        Trial("pgd", 1, adaptive=True),
        Trial("pgd", 4, adaptive=True),
    ]


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
        tile: int = TILE,
        profile: Profile = Profile(),
    ):
        self.clip, self.pile, self.seed, self.precision, self.tile = clip, pile, seed, precision, tile
        self.profile = profile
        self.text = clip.text_features(pile.names, pile.template)
        self.bare = clip.classifier(pile.names, pile.template)
        self.transferred = surrogate and seen_by(surrogate, pile.names, pile.template)

    def dice(self, batch: Batch, use: int) -> list[torch.Generator]:
        """One generator for each picture and use."""
        return [
            torch.Generator().manual_seed((self.seed * 1_000_003 + int(i)) * 4 + use) for i in batch.indices
        ]

    def attacked(self, trial: Trial, batch: Batch, defense: str = "none") -> torch.Tensor:
        """The pictures [B,3,S,S] in [0,1] under the trial; `defense` is what an adaptive attacker knows."""
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

        def craft(target: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[Step]:
            return row.run(
                target,
                pixels,
                labels,
                eps=trial.eps / 255,
                step_size=trial.step_size / 255,
                steps=trial.steps,
                generator=self.dice(batch, START),
            )

        with in_tiles(self.tile), in_bf16(self.precision != "float32"):
            delta = last(craft(self.transferred if row.transfer else self.bare)).delta
            if trial.adaptive:
                known = DEFENSES[defense]
                delta = last(
                    informed(
                        craft,
                        known.on(self.profile),
                        self.clip,
                        self.text,
                        pixels,
                        labels,
                        delta,
                        self.dice(batch, ATTACKER),
                        surrogates=known.surrogates_on(self.profile),
                        samples=trial.samples,
                        targeted=row.targeted,
                    )
                ).delta
        return pixels + delta

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


class Records:
    """A folder with settings.json and, from each process that writes, records-N.csv: appended to and flushed
    batch by batch.

    settings: what all records share; joining: dicts of what may join later, say "defenses": what each was set
    to. process: the number of the one that writes. Raises BenchmarkError where the folder holds records made
    otherwise.
    """

    def __init__(
        self, folder: Path, settings: dict, joining: dict[str, dict] | None = None, process: int = 0
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / f"records-{process}.csv"
        if process == 0:  # the others wait for it, see main
            self._agree(settings, joining or {})
            for path in folder.glob("records-*.csv"):  # a kill may have cut the last line short
                if (whole := len(whole_lines(path))) < path.stat().st_size:
                    os.truncate(path, whole)

    def _agree(self, settings: dict, joining: dict[str, dict]) -> None:
        known = settings_of(self.folder) or {"fixed": settings}
        clash = known["fixed"] != settings or any(
            known.get(kind, {}).get(key, value) != value
            for kind, found in joining.items()
            for key, value in found.items()
        )
        if clash:
            raise BenchmarkError(
                f"{self.folder} holds records of other settings, weights, data or defences: choose another"
                " --out, or delete it."
            )
        merged = known | {kind: known.get(kind, {}) | found for kind, found in joining.items()}
        place = self.folder / SETTINGS_FILE
        part = place.with_suffix(".part")
        part.write_text(json.dumps(merged, indent=1) + "\n")
        part.rename(place)

    def read(self) -> pd.DataFrame:
        """All records so far, of every process."""
        return read_records(self.folder)

    def append(self, rows: pd.DataFrame) -> None:
        with self.path.open("a") as file:
            rows[COLUMNS].to_csv(file, header=not file.tell(), index=False)
            file.flush()
            os.fsync(file.fileno())


def whole_lines(path: Path) -> bytes:
    """A file without what a kill, or a process that is just writing, left of its last line."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def settings_of(folder: Path) -> dict | None:
    """What the records in a folder were made under; None where that is not written down there."""
    place = folder / SETTINGS_FILE
    return json.loads(place.read_text()) if place.exists() else None


def read_records(folder: Path) -> pd.DataFrame:
    """All records in a folder, of every process that wrote."""
    found = filter(None, map(whole_lines, sorted(folder.glob("records-*.csv"))))
    parts = [
        pd.read_csv(BytesIO(content), keep_default_na=False, dtype={"dataset": str}) for content in found
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


@dataclass(frozen=True)
class _Work:
    """Some rows of a pile under one attack, for the defences that have no record of some of them."""

    trial: Trial
    against: tuple[str, ...]
    rows: torch.Tensor


def run(
    bench: Bench,
    dataset: str,
    records: Records,
    stored: pd.DataFrame,
    trials: Sequence[Trial],
    defenses: Sequence[str],
    batch: int,
    share: tuple[int, int] = (0, 1),
    quiet: bool = False,
) -> Iterator[pd.DataFrame]:
    """Make what `stored` lacks, batch by batch; yields the new records once they are on disk.

    share: (n, of): every of-th picture from the n-th. A batch that does not fit into memory is halved.
    """
    trials, defenses = list(dict.fromkeys(trials)), list(dict.fromkeys(defenses))
    stored = stored[stored["dataset"] == dataset]
    done = {key: set(group["index"]) for key, group in stored.groupby(["attack", "defense"])}
    indices = bench.pile.indices.tolist()
    mine = range(len(indices))[share[0] :: share[1]]

    def lacks(trial: Trial, defense: str, row: int) -> bool:
        return indices[row] not in done.get((str(trial), defense), ())

    queue: deque[_Work] = deque()
    for trial in trials:
        for against in (
            [(d,) for d in defenses] if trial.adaptive else [tuple(defenses)]
        ):  # else one attack for all
            missing = torch.tensor(
                [row for row in mine if any(lacks(trial, d, row) for d in against)], dtype=torch.long
            )
            queue.extend(_Work(trial, against, rows) for rows in missing.split(batch) if len(rows))
    bar = tqdm(total=sum(len(work.rows) for work in queue), mininterval=2, disable=quiet, unit="picture")
    while queue:
        work = queue.popleft()
        bar.set_description(
            f"{dataset}, {work.trial}, {work.against[0] if len(work.against) == 1 else 'all defences'}"
        )
        try:
            pictures = bench.pile.load(work.rows)
            pixels, made = bench.attacked(work.trial, pictures, work.against[0]), []
            for defense in work.against:
                new = torch.tensor([lacks(work.trial, defense, row) for row in work.rows.tolist()])
                if new.any():
                    made.append(bench.answers(pictures[new], pixels[new.to(pixels.device)], defense))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            made = None
        if made is None:
            if len(work.rows) == 1:
                raise BenchmarkError(
                    f"Not even one picture at a time fits into memory: choose a --tile below {bench.tile}, or"
                    " another --precision."
                )
            torch.cuda.empty_cache()
            batch = -(-len(work.rows) // 2)
            queue = deque(
                _Work(other.trial, other.against, rows)
                for other in (work, *queue)
                for rows in other.rows.split(batch)
            )
            continue
        found = pd.concat(made).assign(dataset=dataset, attack=str(work.trial))
        records.append(found)
        bar.update(len(work.rows))
        yield found
    bar.close()


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


def open_records(
    folder: Path,
    key: str,
    clip: ZeroShotCLIP,
    surrogate: ZeroShotCLIP | None,
    piles: dict[str, Pile],
    defenses: Sequence[str],
    seed: int,
    precision: str,
    tile: int,
    process: int = 0,
) -> Records:
    """The folder's records, bound to all that they depend on. Raises BenchmarkError where it holds others."""
    settings = {"model": key, "weights": identity(clip), "seed": seed, "precision": precision, "tile": tile}
    joining = {
        "defenses": {name: str(DEFENSES[name].config(profile_of(key))) for name in defenses},
        "datasets": {name: pile.description for name, pile in piles.items()},
        "classes": {name: list(pile.names) for name, pile in piles.items()},  # what the records' numbers mean
        "surrogate": {"weights": identity(surrogate)} if surrogate else {},
    }
    return Records(folder, settings, joining, process)


def positive(text: str) -> int:
    """A number of something, from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"“{text}” is no number of pictures: write a whole number from 1")
    return int(text)


def main(argv: list[str] | None = None) -> None:
    from demo_core.report import markdown, write

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--report",
        type=Path,
        help="print the tables of a folder of records, write them into it (Markdown, CSV, LaTeX, figure), and do nothing else",
    )
    parser.add_argument(
        "--store", type=Path, help="with --report: also write the records to this .csv.gz or .csv.xz"
    )
    parser.add_argument("--data", type=Path, help="the folder that holds the data sets")
    parser.add_argument(
        "--datasets",
        nargs="+",
        default=["TinyImageNet"],
        help=f"of {', '.join(DATASETS)}; or folders of your own (default: TinyImageNet)",
    )
    parser.add_argument("--download", action="store_true", help="fetch a data set that is not there")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/benchmark"),
        help="the folder of the records; a run that was stopped goes on there (default: %(default)s)",
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS), help="default: %(default)s")
    parser.add_argument(
        "--attacks",
        nargs="+",
        default=[str(t) for t in default_trials()],
        help=f"clean, or attacks by {', '.join(ATTACKS)}, written as above (default: {' '.join(map(str, default_trials()))})",
    )
    parser.add_argument(
        "--defenses", nargs="+", default=list(DEFENSES), choices=list(DEFENSES), help="default: all of them"
    )
    parser.add_argument(
        "--limit", type=positive, help="pictures of each data set, chosen at random by the seed; else all"
    )
    parser.add_argument(
        "--batch",
        type=positive,
        default=128,
        help="pictures worked on at once; halved where memory is too small (default: %(default)s)",
    )
    parser.add_argument(
        "--tile",
        type=positive,
        default=TILE,
        help="pictures that go through a model at a time; the batch changes no prediction, this may (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of start noise, targets, the defences' dice, and which pictures --limit takes (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=PRECISIONS,
        help="; ".join(f"{k}: {v}" for k, v in PRECISIONS.items()),
    )
    args = parser.parse_args(argv)
    try:
        found = finished(args.report, args.store) if args.report else benchmark(args)
    except (BenchmarkError, ModelUnavailable, DatasetUnavailable, LabelError) as error:
        raise SystemExit(str(error)) from None
    if found is None:
        return
    print(markdown(found))
    if args.report:
        print(f"\nWritten: {', '.join(str(path) for path in write(args.report))}.")


def finished(folder: Path, store: Path | None) -> pd.DataFrame:
    """The records of a finished run, also written to `store` where that is given. Raises BenchmarkError."""
    found = read_records(folder)
    if found.empty:
        raise BenchmarkError(f"There are no records in {folder}: name the --out folder of a run.")
    if store:
        found.sort_values([*KEYS, "index"]).to_csv(
            store,
            index=False,
            compression={"method": "gzip", "mtime": 0} if store.suffix == ".gz" else "infer",
        )
    return found


@contextmanager
def alone_in(folder: Path, process: int = 0) -> Iterator[None]:
    """Meanwhile nobody else writes what this process writes into the folder; the first one sees to it that
    nothing is left of another run either. Raises BenchmarkError where somebody else writes."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for other in folder.glob("lock-*") if process == 0 else ():
            with FileLock(other, timeout=0):
                pass
        with FileLock(folder / f"lock-{process}", timeout=0):
            yield
    except Timeout:
        raise BenchmarkError(
            f"Another run is writing into {folder}: wait for it, or choose another --out."
        ) from None


def benchmark(args: argparse.Namespace) -> pd.DataFrame | None:
    """The run that the command line asks for; all its records, where this is the first process."""
    keys = dict.fromkeys(_found(key, args.data) for key in args.datasets)
    if args.data is None and any(key in DATASETS for key in keys):
        raise BenchmarkError("Name the folder that holds the data sets with --data.")
    trials = [Trial.read(text) for text in args.attacks]
    state = PartialState(
        cpu=not torch.cuda.is_available(), timeout=timedelta(days=7)
    )  # a download, or the slowest, takes long
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = (
        False,
        True,
    )  # on a GPU, too, float32 is float32, and the same twice
    with ExitStack() as held:
        return _together(args, keys, trials, state, held)


def _found(key: str, data: Path | None) -> str:
    """A data set of the table by its key, or the path of a folder of one's own."""
    folder = next((path for path in (Path(key), *([data / key] if data else [])) if path.is_dir()), None)
    if key not in DATASETS and folder is None:
        raise BenchmarkError(
            f"“{key}” is no data set and no folder: choose from {', '.join(DATASETS)}, or name a folder."
        )
    return key if key in DATASETS else str(folder.resolve())


def _together(
    args: argparse.Namespace, keys: Iterable[str], trials: list[Trial], state: PartialState, held: ExitStack
) -> pd.DataFrame | None:
    """What every process does; held: what it lets go of in the end."""
    with state.main_process_first():  # downloads, and cleans up behind a kill, before the others look
        held.enter_context(alone_in(args.out, state.process_index))
        clip = load(args.model, state.device)
        piles = {
            key: pile_of(key, args.data, clip.image_size, args.limit, args.seed, args.download)
            for key in keys
        }
        surrogate = load(surrogate_of(args.model), state.device) if any(t.transfers for t in trials) else None
        records = open_records(
            args.out,
            args.model,
            clip,
            surrogate,
            piles,
            args.defenses,
            args.seed,
            args.precision,
            args.tile,
            state.process_index,
        )
    stored = records.read()
    state.wait_for_everyone()  # nobody writes before all have read
    for key, pile in piles.items():
        bench = Bench(clip, pile, args.seed, surrogate, args.precision, args.tile, profile_of(args.model))
        for _ in run(
            bench,
            key,
            records,
            stored,
            trials,
            args.defenses,
            args.batch,
            (state.process_index, state.num_processes),
            quiet=not state.is_main_process,
        ):
            pass
    state.wait_for_everyone()
    found = records.read() if state.is_main_process else None
    state.destroy_process_group()
    return found


if __name__ == "__main__":
    main()
