"""The report of a folder of records, as files in it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from demo_core.benchmark.charts import charts
from demo_core.benchmark.latex import latex
from demo_core.benchmark.page import LAB, page
from demo_core.benchmark.published import against_published
from demo_core.benchmark.records import Settings, read_records, settings_of
from demo_core.benchmark.report import heading, paired_markdown, published_markdown, tables_of
from demo_core.benchmark.summary import BARE, Summary
from demo_core.benchmark.trials import BenchmarkError
from demo_core.plots import PAGE, as_file

KINDS = ("svg", "png")  # of a chart
REPORT = "report.html"


def write(folder: Path, summary: Summary | None = None, other: str = BARE, lab: str = LAB) -> list[Path]:
    """The report of a folder of records, into the folder: tables as Markdown, CSV and LaTeX, charts, the
    comparison with what papers printed, and all of it as one page. summary: of the records, where they have
    been read already; other: the defence that differences are to; lab: the address of the demo that the
    page's links lead to. The files written. Raises BenchmarkError where no record is of that defence."""
    summary, settings = summary or Summary(read_records(folder)), settings_of(folder)
    if other != BARE and other not in set(summary.records["defense"]):
        raise BenchmarkError(f"No record in {folder} is of “{other}”: name a defence that was run there.")
    paired = paired_markdown(summary, other)
    beside = against_published(summary.plain, settings["fixed"])
    made = charts(summary, PAGE)
    texts = {
        "table.md": "\n\n".join(
            part for part in (heading(summary.records, settings), tables_of(summary), paired) if part
        ),
        "table.csv": whole_table(summary, other).to_csv(index=False).rstrip(),
        "table.tex": latex(summary),
        "published.md": published_markdown(beside),
        REPORT: page(summary, settings, made, beside, other, lab),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    pictures = [folder / f"{name}.{kind}" for name in made for kind in KINDS]
    for path in pictures:
        path.write_bytes(as_file(made[path.stem].figure, path.suffix[1:]))
        if path.suffix[1:] == KINDS[-1]:
            del made[path.stem]  # as large in memory as all records of a long run
    return [*(folder / name for name in texts), *pictures]


def page_of(records: pd.DataFrame, settings: Settings, lab: str) -> str:
    """The page of a report alone; settings: the records' settings_of."""
    summary = Summary(records)
    beside = against_published(summary.plain, settings["fixed"])
    return page(summary, settings, charts(summary, PAGE), beside, lab=lab)


def whole_table(summary: Summary, other: str = BARE) -> pd.DataFrame:
    """Accuracies in percent with both ends of their intervals, pictures and mean costs, the worst cases and
    the means over data sets among them; best: whether a row is of the best of its attack; then, where the
    other defence met the same pictures, the difference to it in points (beside, difference, with both ends
    of its interval), how many pictures the one alone was right of (gained) and the other alone (lost), and p
    by McNemar's exact test."""
    found = pd.concat([summary.found, summary.means])
    found = found.assign(best=[key in summary.best for key in found.index])
    level = summary.compared.index.get_level_values("other")
    paired = summary.compared[level == other].droplevel("other").drop(columns="pictures")
    paired = paired.rename(columns={"low": "difference_low", "high": "difference_high"})
    if paired.empty:
        return found.reset_index()
    paired.insert(0, "beside", other)
    return found.join(paired.astype({"gained": "Int64", "lost": "Int64"})).reset_index()
