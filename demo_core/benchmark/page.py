"""The report of a folder of records as one page that opens without a server."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from demo_core.benchmark.charts import CAPTIONS, Chart
from demo_core.benchmark.checks import checked
from demo_core.benchmark.gallery import OUTCOMES, SHOWN, Cell, Picture, cells, pictures
from demo_core.benchmark.records import COSTS, FIXED, Settings
from demo_core.benchmark.report import NOTHING_PUBLISHED, said_of, title_of_attack
from demo_core.benchmark.summary import BARE, Summary
from demo_core.benchmark.tables import BOLD, dataset_title, in_table_order
from demo_core.defenses import in_order, title_of
from demo_core.plots import cut_up, svg_head

LAB = "http://127.0.0.1:7860/"  # where the demo is, if it runs on this machine
LISTED = 12_000  # pictures of all galleries together: a page stays small enough for a phone
MOST = 24  # of one list
CHARTS = ("cost", "robust", "curves")  # what the others show is in the tables
# Settings that are shown, in words: names of classes and of files are in the galleries.
SETTING_KINDS = {
    FIXED: "All records",
    "datasets": "Data sets",
    "defenses": "Defences",
    "surrogate": "The model that attacks were carried over from",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Entry:
    """A cell of a table. more: smaller, below; link: where it leads; value: what it is sorted by, missing
    where there is none; look: "best", "better" or "worse"."""

    text: str
    more: str = ""
    link: str = ""
    value: float | None = None
    look: str = ""


EMPTY = Entry("")
Cut = dict[str, list[tuple[str, Markup]]]  # charts with their names, by data set


@dataclass(frozen=True)
class Table:
    """corner: above its first column; columns: what stands above each, and smaller below; rows: by what
    stands in the first."""

    corner: str
    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Entry]]]


@dataclass(frozen=True)
class Block:
    """A cell's gallery. lists: kind, how many, and the first of them."""

    anchor: str
    attack: str
    counts: dict[str, int]
    lists: list[tuple[str, int, list[Picture]]]

    @property
    def met(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Part:
    """What the page says of one data set, or of the mean over them. galleries: by defence."""

    anchor: str
    title: str
    accuracies: Table
    differences: Table | None
    checks: Table | None
    charts: list[tuple[str, Markup]]
    galleries: dict[str, list[Block]]

    @property
    def linked(self) -> bool:
        """Whether some of its pictures can be opened by a link."""
        lists = (shown for blocks in self.galleries.values() for block in blocks for *_, shown in block.lists)
        return any(picture.link for shown in lists for picture in shown)


def page(
    summary: Summary,
    settings: Settings,
    charts: dict[str, Chart],
    beside: pd.DataFrame,
    other: str = BARE,
    lab: str = LAB,
) -> str:
    """The whole page as HTML. settings: the records' settings_of; charts: charts.charts, on a page's paper;
    beside: published.against_published; other: the defence that differences are to; lab: the address of the
    demo that links lead to."""
    groups, cut = _cut(charts)
    subject, made = said_of(summary.records, settings)
    return _TEMPLATES.get_template("page.html").render(
        title=subject,
        made=made,
        bold=BOLD,
        settings=settings,
        setting_kinds=SETTING_KINDS,
        parts=list(_parts(summary, settings, cut, other)),
        groups=groups,
        outcomes=OUTCOMES,
        shown_kinds=SHOWN,
        bare=BARE,
        other=title_of(other),
        captions=CAPTIONS,
        published=_published(beside),
        nothing_published=NOTHING_PUBLISHED,
        records=len(summary.records),
        lab=lab,
        title_of=title_of,
        dataset_title=dataset_title,
    )


def _parts(summary: Summary, settings: Settings, cut: Cut, other: str) -> Iterator[Part]:
    if len(summary.means):
        mean = str(summary.means.index[0][0])
        title = f"Mean over {len(summary.datasets)} data sets"
        yield Part(
            "mean", title, _accuracies(summary, mean), _differences(summary, mean, other), None, [], {}
        )
    found: dict[str, list[Cell]] = {}
    for one in cells(summary):
        found.setdefault(one.dataset, []).append(one)
    most = max(1, min(MOST, LISTED // max(1, len(SHOWN) * sum(map(len, found.values())))))
    for dataset in summary.datasets:
        mine = found.get(dataset, [])
        yield Part(
            f"set-{summary.datasets.index(dataset)}",
            dataset_title(dataset),
            _accuracies(summary, dataset, {(one.defense, one.attack) for one in mine}),
            _differences(summary, dataset, other),
            _texts(checked(summary.answers_to(dataset)), "defence"),
            cut.get(dataset, []),
            _galleries(mine, most, summary, settings),
        )


def _cut(charts: dict[str, Chart]) -> tuple[list[Markup], Cut]:
    """All charts of the page, drawn once and seen by no one; and what of them is shown of each data set."""
    groups, cut = [], Cut()
    for name in (name for name in CHARTS if name in charts):
        group, boxes, legend = cut_up(charts[name].figure, f"chart-{name}")
        groups.append(Markup(group))
        for dataset, box in zip(charts[name].datasets, boxes):
            described = f"{dataset_title(dataset)}: {CAPTIONS[name]}"
            seen = [(box, described), *([(legend, "legend")] if legend else [])]
            svg = "".join(f'{svg_head(*part)}<use href="#chart-{name}"/></svg>' for part in seen)
            cut.setdefault(dataset, []).append((name, Markup(svg)))
    return groups, cut


def _galleries(
    found: Iterable[Cell], most: int, summary: Summary, settings: Settings
) -> dict[str, list[Block]]:
    made: dict[str, list[Block]] = {}
    for one in found:
        lists = [(kind, one.counts[kind], pictures(one, kind, most, summary, settings)) for kind in SHOWN]
        anchor = _anchor(summary, one.dataset, one.defense, one.attack)
        block = Block(anchor, title_of_attack(one.attack), one.counts, lists)
        made.setdefault(one.defense, []).append(block)
    return made


def _anchor(summary: Summary, dataset: str, defense: str, attack: str) -> str:
    return quote(f"{summary.datasets.index(dataset)}-{defense}-{attack}", safe="@+")


def _accuracies(summary: Summary, dataset: str, linked: Iterable[tuple[str, str]] = ()) -> Table:
    """A row a defence, a column an attack, then what it costs; linked: which cells have a gallery."""
    every = summary.found if dataset in summary.datasets else summary.means
    found = every.loc[[dataset]].droplevel("dataset")
    attacks = in_table_order(found.index.unique("attack"))
    linked, rows = set(linked), []
    entries = {
        key: Entry(
            f"{row['accuracy']:.1f}",
            f"{row['low']:.1f}–{row['high']:.1f}",
            f"#{_anchor(summary, dataset, *key)}" if key in linked else "",
            round(row["accuracy"], 3),
            "best" if (dataset, *key) in summary.best else "",
        )
        for key, row in _rows(found)
    }
    for defense in in_order(found.index.get_level_values("defense")):
        cost = _cost(summary, dataset, defense)
        rows.append((title_of(defense), [*(entries.get((defense, a), EMPTY) for a in attacks), *cost]))
    counts = found["pictures"].groupby("attack").min()
    columns = [(title_of_attack(a), f"{counts[a]:,} pictures") for a in attacks]
    spent = [("passes", "forward + backward"), ("ms", "in a batch")] if dataset in summary.datasets else []
    return Table("defence", columns + spent, rows)


def _cost(summary: Summary, dataset: str, defense: str) -> list[Entry]:
    """What a defence costs for an attacked picture, where that is known; nothing of means."""
    if dataset not in summary.datasets:
        return []
    forward, backward, time = (float(summary.costs[cost][dataset, defense]) for cost in COSTS)
    if math.isnan(forward):
        return [EMPTY, EMPTY]
    passes, more = forward + backward, f"{forward:.1f} + {backward:.1f}"
    return [Entry(f"{passes:.1f}", more, value=round(passes, 2)), Entry(f"{time:.1f}", value=round(time, 2))]


def _differences(summary: Summary, dataset: str, other: str) -> Table | None:
    """Beside another defence; None where that is not there."""
    place = summary.compared.index
    kept = (place.get_level_values("dataset") == dataset) & (place.get_level_values("other") == other)
    mine = summary.compared[kept].droplevel(["dataset", "other"])
    if mine.empty:
        return None
    attacks = in_table_order(mine.index.unique("attack"))
    entries = {
        key: Entry(
            _signed(row["difference"]),
            f"{_signed(row['low'])} to {_signed(row['high'])}",
            value=round(row["difference"], 3),
            look="better" if row["low"] > 0 else "worse" if row["high"] < 0 else "",
        )
        for key, row in _rows(mine)
    }
    rows = [
        (title_of(defense), [entries.get((defense, attack), EMPTY) for attack in attacks])
        for defense in in_order(mine.index.get_level_values("defense"))
    ]
    return Table("defence", [(title_of_attack(attack), "") for attack in attacks], rows)


def _rows(found: pd.DataFrame) -> Iterator[tuple[tuple[str, str], dict[Any, Any]]]:
    """Each row of a frame by defence and attack."""
    return zip(found.index.tolist(), found.to_dict("records"))


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


def _texts(frame: pd.DataFrame, corner: str) -> Table | None:
    """A frame of text; None where it has no columns."""
    if not len(frame.columns):
        return None
    rows = [
        (str(name), [Entry(str(text)) for text in row]) for name, row in zip(frame.index, frame.to_numpy())
    ]
    return Table(corner, [(str(column), "") for column in frame.columns], rows)


def _published(found: pd.DataFrame) -> Table | None:
    if found.empty:
        return None
    numbers = ("here", "published", "difference")
    rows = [
        (
            str(row.pop("dataset")),
            [
                Entry(
                    f"{value:.2f}" if key in numbers else str(value), value=value if key in numbers else None
                )
                for key, value in row.items()
            ],
        )
        for row in found.to_dict("records")
    ]
    return Table("data set", [(str(column), "") for column in found.columns if column != "dataset"], rows)
