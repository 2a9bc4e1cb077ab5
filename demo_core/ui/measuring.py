"""The runs that the benchmark's page makes: each in a folder of its own, which is kept, so that one that was
stopped goes on where it was, and an earlier one can be opened again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from demo_core.benchmark.charts import CAPTIONS, charts
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.files import REPORT, page_of
from demo_core.benchmark.folders import hidden
from demo_core.benchmark.piles import cause, pile_of
from demo_core.benchmark.records import FIXED, Records, Settings, agree, alone_in, read_records, settings_of
from demo_core.benchmark.report import heading, tables_of
from demo_core.benchmark.run import Plan, Setup, run, settings_for
from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import dataset_title, in_table_order
from demo_core.benchmark.trials import BenchmarkError, read_trials, trial_or_none
from demo_core.defenses import in_order
from demo_core.models import MODELS, surrogate_of
from demo_core.plots import PAGE, to_svg
from demo_core.stages import lasting
from demo_core.ui.lent import IS_LENT

DATA, RUNS = "CLIP_DATA_DIR", "CLIP_RUNS_DIR"
CHOICES = "choices.json"  # in a run's folder: what it was asked for by
MadeUnder = tuple[dict[str, Any], Settings]  # what records share, and what may join
KEPT = 20  # runs; the oldest goes when another begins
TILE = 4  # small, so that rows appear steadily; a CPU is no faster with more
MOST_PICTURES = 10_000


@dataclass(frozen=True)
class Choices:
    """What a run is of; in whatever order it was chosen, and however it is written, the same. Raises
    BenchmarkError with one sentence where there can be none."""

    model: str
    datasets: list[str]
    attacks: list[str]
    defenses: list[str]
    limit: float
    seed: float

    def __post_init__(self) -> None:
        if not self.datasets or not self.attacks or not self.defenses:
            raise BenchmarkError("Choose at least one data set, one attack and one defence.")
        if not self.limit or not 1 <= self.limit <= MOST_PICTURES or self.limit != int(self.limit):
            raise BenchmarkError(f"Set the number of pictures to a whole number from 1 to {MOST_PICTURES:,}.")
        if self.seed is None or not 0 <= self.seed < 2**31 or self.seed != int(self.seed):
            raise BenchmarkError("Set the seed to a whole number from 0 to 2147483647.")
        offered = [d for _, d in data_sets()]
        if unknown := [d for d in self.datasets if d not in offered]:  # no reading of other folders
            raise BenchmarkError(f"There is no data set “{unknown[0]}”: choose from the list.")
        in_one_order = {
            "datasets": sorted({*self.datasets}, key=offered.index),
            "attacks": in_table_order({str(trial_or_none(text) or text) for text in self.attacks}),
            "defenses": in_order(self.defenses),
            "limit": int(self.limit),
            "seed": int(self.seed),
        }
        for name, value in in_one_order.items():
            object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """In short."""
        attacks, defenses = len(self.attacks), len(self.defenses)
        return (
            f"{MODELS[self.model].title}: {', '.join(map(dataset_title, self.datasets))};"
            f" {attacks} attack{'s' * (attacks > 1)}, {defenses} defence{'s' * (defenses > 1)},"
            f" {self.limit:,.0f} pictures, seed {self.seed:.0f}"
        )


@dataclass(frozen=True)
class Progress:
    """Where a run stands: in words, whether it is done, its folder, and all its records so far."""

    words: str
    done: bool
    folder: Path
    records: pd.DataFrame


@dataclass(frozen=True)
class Made:
    """What a run has made so far: its table as Markdown, its charts as HTML, its records, and what they were
    made under."""

    table: str
    charts: str
    records: pd.DataFrame
    settings: Settings


def data_folder() -> Path:
    return Path(os.environ.get(DATA, "data"))


def data_sets() -> list[tuple[str, str]]:
    """The table's, and folders of one's own beside them: title and key."""
    rows = [(row.title, key) for key, row in DATASETS.items()]
    known = {row.layout.split("/")[0] for row in DATASETS.values()}
    folders = (
        sorted(p for p in data_folder().iterdir() if p.is_dir() and not hidden(p) and p.name not in known)
        if data_folder().is_dir()
        else []
    )
    return [*((f"your folder “{p.name}”", str(p)) for p in folders), *rows]


def live(model: Callable, chosen: Choices) -> Iterator[Progress]:
    """A run, record by record; what is there already is not made again.

    Raises BenchmarkError, DatasetUnavailable or ModelUnavailable with one sentence.
    """
    if IS_LENT:
        raise BenchmarkError(
            "A GPU is lent here for moments only: run the benchmark on a machine of your own,"
            " `python -m demo_core.benchmark`."
        )
    trials, seed = read_trials(chosen.attacks), int(chosen.seed)
    clip = model(chosen.model)
    piles = {
        d: pile_of(d, data_folder(), clip.image_size, int(chosen.limit), seed, hint="")
        for d in chosen.datasets
    }
    surrogate = model(surrogate_of(chosen.model)) if any(t.transfers for t in trials) else None
    setup, plan = Setup(chosen.model, clip, surrogate, seed, tile=TILE), Plan(trials, chosen.defenses, TILE)
    made_under = settings_for(setup, piles, plan)
    with alone_in(folder := _folder(chosen, made_under)):
        records = Records(folder, *made_under)
        found, then = records.read(), time.monotonic()
        before = len(found)
        total = sum(len(pile.indices) for pile in piles.values()) * len(plan.trials) * len(plan.defenses)
        yield Progress(_words(before, total, 0.0), before >= total, folder, found)
        for name, pile in piles.items():
            for new in run(setup.bench(pile), name, records, plan, quiet=True):
                found = pd.concat([found, new], ignore_index=True) if len(found) else new
                left = (time.monotonic() - then) / (len(found) - before) * (total - len(found))
                yield Progress(_words(len(found), total, left), len(found) >= total, folder, found)


def _words(count: int, total: int, left: float) -> str:
    if count >= total:
        return f"Done: {total:,} records."
    if not left:
        return f"{count:,} of {total:,} records."
    return f"{count:,} of {total:,} records; about {lasting(left)} left."


def _folder(chosen: Choices, made_under: MadeUnder) -> Path:
    """The folder of a run, made where it is not there: the same for the same choices, weights and pictures.
    Raises BenchmarkError where nothing can be written."""
    text = json.dumps(asdict(chosen), sort_keys=True)
    name = hashlib.sha256(f"{text} {made_under}".encode()).hexdigest()[:16]
    folder = _begun(chosen, made_under) or _home() / name
    try:
        for old in _latest_first()[KEPT - 1 :] if not folder.exists() else ():
            shutil.rmtree(old)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CHOICES).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(
            f"{error.filename or folder} cannot be used ({cause(error)}): name a folder for the runs"
            f" with {RUNS}."
        ) from error
    return folder


def _begun(chosen: Choices, made_under: MadeUnder) -> Path | None:
    """The folder of such a run that is kept, whatever it is called: it may have been chosen in another order
    when that made another name."""
    fixed, joining = json.loads(json.dumps(made_under))
    for folder, known in _kept():
        with suppress(BenchmarkError):  # stopped before it began
            if known == chosen and agree(settings_of(folder), {FIXED: fixed} | joining):
                return folder
    return None


def _home() -> Path:
    return Path(os.environ.get(RUNS, "runs/page"))


def _latest_first() -> list[Path]:
    """The folders of the runs that are kept."""
    begun: dict[Path, float] = {}
    for path in _home().glob(f"*/{CHOICES}"):
        with suppress(FileNotFoundError):  # another visitor's run has just taken its place
            begun[path.parent] = path.stat().st_mtime
    return sorted(begun, key=begun.__getitem__, reverse=True)


def _kept() -> Iterator[tuple[Path, Choices]]:
    """Those of which is known what they are of."""
    for folder in _latest_first():
        # Of another version, of data that are gone, or gone itself meanwhile.
        with suppress(BenchmarkError, KeyError, OSError, TypeError, ValueError):
            yield folder, chosen_in(folder)


def kept() -> list[tuple[str, str]]:
    """The runs that are kept, the latest first: title and name."""
    found = []
    for folder, chosen in _kept():
        with suppress(KeyError, OSError):  # a model that is gone, or the folder
            when = datetime.fromtimestamp((folder / CHOICES).stat().st_mtime)
            found.append((f"{when:%d %b, %H:%M}. {chosen.title}", folder.name))
    return found


def chosen_in(folder: Path) -> Choices:
    """What a kept run is of."""
    return Choices(**json.loads((folder / CHOICES).read_text(encoding="utf-8")))


def opened(name: str) -> tuple[Choices, Made]:
    """A run that is kept, by its name. Raises BenchmarkError where it is not there, or has no records."""
    if name not in {known for _, known in kept()}:
        raise BenchmarkError("This run is not kept any more: choose another.")
    folder = _home() / name
    if (found := read_records(folder)).empty:
        raise BenchmarkError("This run was stopped before its first record: run it again.")
    return chosen_in(folder), made_of(found, settings_of(folder))


def made_of(records: pd.DataFrame, settings: Settings, unfinished: str = "") -> Made:
    """Tables and charts of some records; unfinished: where the run stands, if it is not done."""
    summary = Summary(records)
    note = f"**Not finished: {unfinished}**\n\n" if unfinished else ""
    table = f"{heading(records, settings)}\n\n{note}{tables_of(summary)}\n"
    figures = (_figure(chart.figure, CAPTIONS[name]) for name, chart in charts(summary, PAGE).items())
    return Made(table, f'<div class="charts">{"".join(figures)}</div>', records, settings)


def _figure(figure: Figure, caption: str) -> str:
    """As HTML, no larger than it was drawn."""
    drawn = to_svg(figure, caption)
    width = f"max-width: {figure.get_figwidth():g}in"
    return f'<figure style="{width}">{drawn}<figcaption>{caption}</figcaption></figure>'


def files(made: Made, lab: str) -> Iterator[list[Path]]:
    """The table, the records and the report as files, which are gone when this goes on. lab: the page's own
    address, which the report's links lead to."""
    with tempfile.TemporaryDirectory() as place:
        table, records, page = (Path(place) / name for name in ("table.md", "records.csv", REPORT))
        table.write_text(made.table, encoding="utf-8")
        made.records.to_csv(records, index=False)
        page.write_text(page_of(made.records, made.settings, lab), encoding="utf-8")
        yield [table, records, page]
