"""The benchmark in the page: what papers printed, the results that come with the demo, and a live run.

No part of it is sent to a browser unless it is asked for with ?view=benchmark. On a Space, or wherever the
operator has set one, that takes his secret too (?view=benchmark&secret=…, compared with the environment's
BENCHMARK_SECRET); every handler checks it again.
"""

from __future__ import annotations

import hmac
import html
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import pandas as pd

from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.files import REPORT, page_of
from demo_core.benchmark.folders import hidden
from demo_core.benchmark.page import LAB
from demo_core.benchmark.piles import DatasetUnavailable, pile_of
from demo_core.benchmark.published import published_titles
from demo_core.benchmark.records import Settings, settings_of
from demo_core.benchmark.report import heading, markdown, shipped_markdown
from demo_core.benchmark.run import Plan, Setup, open_records, run
from demo_core.benchmark.tables import UNIT
from demo_core.benchmark.trials import CLEAN, BenchmarkError, Trial, default_trials
from demo_core.defenses import DEFENSES
from demo_core.labels import LabelError
from demo_core.models import DEFAULT_MODEL, MODELS, ModelUnavailable, surrogate_of
from demo_core.story import page_words
from demo_core.ui.lent import IS_LENT
from demo_core.ui.place import Refused, in_turn

SECRET, DATA = "BENCHMARK_SECRET", "CLIP_DATA_DIR"
TILE = 4  # small, so that rows appear steadily; a CPU is no faster with more
MOST_PICTURES = 10_000
PAUSE = 3.0  # seconds between two tables, or ten times what one takes: each is made of all records
CELLS = ":is(#shipped, #bench-table) :is(th, td)"
NAV = f"""<nav class="views" aria-label="views"><a href="./">Lab</a><b aria-current="page">Benchmark</b></nav>
<style>
.head, .lab {{ display: none !important; }}
.views {{ display: flex; gap: 1.2rem; }}
.bench h1 {{ font-size: 1.7rem; margin: 0; }}
#shipped, #bench-table {{ overflow-x: auto; }}
{CELLS} {{ white-space: nowrap; font-variant-numeric: tabular-nums; padding: .3rem .5rem !important;
  font-size: .85rem; }}
{CELLS}:first-child {{ white-space: normal; min-width: 7.5rem; position: sticky; left: 0;
  background: var(--body-background-fill); }}
#bench-data {{ overflow-wrap: anywhere; }}
.bench details {{ margin: .4rem 0; }}
.bench summary {{ cursor: pointer; }}
.bench dt {{ font-weight: 600; }}
.bench dd {{ margin: 0 0 .4rem 1rem; }}
</style>"""
# What stands in the tables, in words.
WORDS = {
    "from the predicted label": "The attack starts from what the model says of the clean picture, which leaks"
    " nothing of the true label.",
    "knows the defence": "The attacker has the defence’s code, though not its dice, and attacks through it;"
    " of that and the plain attack he keeps what does most.",
    "the worst of all": "A picture counts as right only where it withstood every attack of that eps.",
    "passes": "Through the image encoder, the honest cost; milliseconds are those of one machine, to be"
    " compared with each other only.",
}
NOT_OPEN = (
    "The benchmark is not open to this visit: open the page with ?view=benchmark"
    " (where the operator has set one, with his secret)."
)


def legend() -> str:
    """How to read the tables."""
    rows = {row.title: row.help for row in DEFENSES.values()} | WORDS
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows.items()
    )
    return (
        f"<p>{UNIT} Each is recomputed from one record for each picture, attack and defence.</p>"
        f"<details><summary>What the rows and columns mean</summary><dl>{listed}</dl></details>"
    )


def allowed(request: gr.Request) -> bool:
    """Whether this visitor may see and run the benchmark."""
    if request.query_params.get("view") != "benchmark":
        return False
    secret, given = os.environ.get(SECRET, ""), request.query_params.get("secret", "")
    if not secret and not os.environ.get("SPACE_ID"):
        return True
    return bool(secret) and hmac.compare_digest(secret.encode(), given.encode())


def address(request: gr.Request) -> str:
    """The page's own, as this visitor sees it, without what he asked of it."""
    seen = urlsplit(request.headers.get("referer", ""))
    return f"{seen.scheme}://{seen.netloc}{seen.path or '/'}" if seen.scheme in ("http", "https") else LAB


def data_folder() -> Path:
    return Path(os.environ.get(DATA, "data"))


def choices() -> list[tuple[str, str]]:
    """The table's data sets, and folders of one's own beside them."""
    rows = [(row.title, key) for key, row in DATASETS.items()]
    known = {row.layout.split("/")[0] for row in DATASETS.values()}
    folders = (
        sorted(p for p in data_folder().iterdir() if p.is_dir() and not hidden(p) and p.name not in known)
        if data_folder().is_dir()
        else []
    )
    return [*((f"your folder “{p.name}”", str(p)) for p in folders), *rows]


def shipped() -> str:
    """The tables of the results that come with the demo, recomputed from their records."""
    found = {row.title: shipped_markdown(key) for key, row in MODELS.items()}
    return "\n\n".join(f"### {title}\n\n{tables}" for title, tables in found.items() if tables)


def live(
    model: Callable,
    key: str,
    datasets: list[str],
    attacks: list[str],
    defenses: list[str],
    limit: float,
    seed: float,
    folder: Path,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """A run, record by record into the folder: a sentence on where it stands, and all records so far.

    Raises BenchmarkError, DatasetUnavailable or ModelUnavailable with one sentence.
    """
    if IS_LENT:
        raise BenchmarkError(
            "A GPU is lent here for moments only: run the benchmark on a machine of your own,"
            " `python -m demo_core.benchmark`."
        )
    if not datasets or not attacks or not defenses:
        raise BenchmarkError("Choose at least one data set, one attack and one defence.")
    if not limit or not 1 <= limit <= MOST_PICTURES or limit != int(limit):
        raise BenchmarkError(f"Set the number of pictures to a whole number from 1 to {MOST_PICTURES:,}.")
    if seed is None or not 0 <= seed < 2**31 or seed != int(seed):
        raise BenchmarkError("Set the seed to a whole number from 0 to 2147483647.")
    offered = {d for _, d in choices()}
    if unknown := [d for d in datasets if d not in offered]:  # no reading of other folders
        raise BenchmarkError(f"There is no data set “{unknown[0]}”: choose from the list.")
    trials, clip, seed = [Trial.read(text) for text in attacks], model(key), int(seed)
    piles = {d: pile_of(d, data_folder(), clip.image_size, int(limit), seed, hint="") for d in datasets}
    surrogate = model(surrogate_of(key)) if any(t.transfers for t in trials) else None
    setup, plan = Setup(key, clip, surrogate, seed, tile=TILE), Plan(trials, defenses, TILE)
    records = open_records(folder, setup, piles, plan)
    total = sum(len(pile.indices) for pile in piles.values()) * len(trials) * len(defenses)
    found, then = records.read(), time.monotonic()
    for name, pile in piles.items():
        for new in run(setup.bench(pile), name, records, plan, quiet=True):
            found = pd.concat([found, new], ignore_index=True)
            left = (time.monotonic() - then) / len(found) * (total - len(found))
            words = f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left"
            done = len(found) >= total
            words = (
                f"Done: {total:,} records."
                if done
                else f"{len(found):,} of {total:,} records; about {words}."
            )
            yield words, found


@dataclass(frozen=True)
class Finished:
    """What a run of a visitor has made so far: its table as Markdown, its records, and what they were made
    under; lab: the page's own address."""

    table: str
    records: pd.DataFrame
    settings: Settings
    lab: str


def downloads(finished: Finished | None) -> Iterator[tuple]:
    """What the three download buttons become. Files are written, and copied into the page's cache, once a
    run: when it ends, in whatever way."""
    if finished is None:
        yield (gr.skip(),) * 3
        return
    with tempfile.TemporaryDirectory() as place:
        table, records, page = (Path(place) / name for name in ("table.md", "records.csv", REPORT))
        table.write_text(finished.table)
        page.write_text(page_of(finished.records, finished.settings, finished.lab), encoding="utf-8")
        finished.records.to_csv(records, index=False)
        # Gradio takes copies before it asks for what comes after.
        yield tuple(gr.update(value=str(path), interactive=True) for path in (table, records, page))


def go(model: Callable, request: gr.Request, *chosen) -> Iterator[tuple]:
    """The chosen benchmark (live's arguments between `model` and `folder`), batch by batch: where it stands,
    its table, what it has made (Finished), and the three downloads, which are offered when it ends."""
    if not allowed(request):
        raise gr.Error(NOT_OPEN)
    made, due, same = None, 0.0, (gr.skip(),) * 5
    yield status("Getting ready …"), gr.skip(), None, *(gr.update(interactive=False),) * 3
    with tempfile.TemporaryDirectory() as place:
        try:
            for words, rows in live(model, *chosen, Path(place)):
                done = words.startswith("Done")
                if (then := time.monotonic()) < due and not done:
                    yield status(words), *same
                    continue
                unfinished = "" if done else f"**Not finished: {words}**\n\n"
                settings = settings_of(Path(place))
                table = f"{heading(rows, settings)}\n\n{unfinished}{markdown(rows)}\n"
                made = Finished(table, rows, settings, address(request))
                due = then + max(PAUSE, 10 * (time.monotonic() - then))
                yield status(words), table, made, *same[2:]
        except (BenchmarkError, DatasetUnavailable, ModelUnavailable, LabelError) as error:
            gr.Warning(str(error), title="Not yet")
            yield status(f"{'It ended early' if made else 'Nothing was run'}. {error}"), *same
    for files in downloads(made):
        yield *same[:3], *files


def stopped(made: Finished | None) -> Iterator[tuple]:
    """After Stop: where it stands, and what there is to download."""
    words = "What is shown stays, and can be downloaded; another run begins anew."
    for files in downloads(made):
        yield status(f"Stopped. {words}" if made else "Stopped before anything was made."), *files


def waiting(before: int) -> tuple:
    """Word for one before whom so many come."""
    return status(page_words.waiting(before)), *(gr.skip(),) * 5


def status(words: str) -> str:
    return f'<p role="status">{html.escape(words)}</p>'


def add(model: Callable) -> None:
    """Put the benchmark into the page under construction; `model` loads one by its key."""

    @gr.render()
    def benchmark(request: gr.Request) -> None:
        if allowed(request):
            _build(model)


def _build(model: Callable) -> None:
    gr.HTML(NAV)
    gr.HTML(
        "<h1>Benchmark</h1><p>Many pictures, every attack, every defence: what papers printed, what was"
        " measured with this demo, and a run of your own.</p>",
        elem_classes="bench",
    )
    with gr.Tabs():
        with gr.Tab("Measured here"):
            gr.HTML(legend(), elem_classes="bench", elem_id="legend")
            gr.Markdown(shipped(), elem_id="shipped")
        with gr.Tab("In papers"):
            gr.HTML(
                "<p>OpenAI’s CLIPs throughout, accuracies in percent. These figures are other people’s;"
                " each names its source. “Second-hand” ones are cited by another paper.</p>"
            )
            gr.Dataframe(
                published_titles(),
                interactive=False,
                show_search="filter",
                wrap=True,
                max_height=560,
                elem_id="published",
                column_widths=[130, 90, 130, 80, 70, 80, 90, 90, 260, 430],
            )
        with gr.Tab("Run"):
            _build_run(model)


def _controls() -> list:
    """The components that a run is chosen by, in the order of live's arguments."""
    given = {"interactive": True}  # what is built late is not found out to be an input
    with gr.Row():
        kind = gr.Dropdown(
            [(row.title, key) for key, row in MODELS.items()],
            value=DEFAULT_MODEL,
            label="Model",
            min_width=220,
            **given,
        )
        datasets = gr.Dropdown(
            choices(),
            value=["Examples"],
            multiselect=True,
            label="Data sets",
            elem_id="bench-data",
            min_width=220,
            **given,
            info=f"Read from the folder “{data_folder()}” ({DATA} names another).",
        )
        limit = gr.Number(50, precision=0, label="Pictures of each", elem_id="bench-limit", **given)
        seed = gr.Number(0, precision=0, label="Seed", **given)
    attacks = gr.CheckboxGroup(
        [(t.title, str(t)) for t in default_trials()],
        value=[CLEAN, "pgd@1", "pgd@4"],
        label="Attacks",
        elem_id="bench-attacks",
        **given,
    )
    defenses = gr.CheckboxGroup(
        [(row.title, key) for key, row in DEFENSES.items()],
        value=["none", "ttc", "default"],
        label="Defences",
        elem_id="bench-defenses",
        **given,
    )
    return [kind, datasets, attacks, defenses, limit, seed]


def _build_run(model: Callable) -> None:
    chosen = _controls()
    with gr.Row():
        start = gr.Button("Run the benchmark", variant="primary", elem_id="bench-run")
        stop = gr.Button("Stop", variant="stop", elem_id="bench-stop")
    progress = gr.HTML(status("Nothing has run yet."), elem_id="bench-progress")
    found, made = gr.Markdown(elem_id="bench-table"), gr.State()
    with gr.Row():
        table = gr.DownloadButton(
            "Download the table (Markdown)", interactive=False, elem_id="bench-download"
        )
        records = gr.DownloadButton("Download the records (CSV)", interactive=False, elem_id="bench-records")
        page = gr.DownloadButton("Download the report (HTML)", interactive=False, elem_id="bench-report")

    async def started(key, datasets, attacks, defenses, limit, seed, request: gr.Request):
        steps = go(model, request, key, datasets, attacks, defenses, limit, seed)
        try:
            async with aclosing(in_turn(steps, waiting, longest=math.inf)) as items:
                async for found in items:
                    yield found
        except Refused as error:
            yield status(f"Nothing was run. {error}"), *(gr.skip(),) * 5

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    running = start.click(
        started, chosen, [progress, found, made, table, records, page], **quiet, concurrency_limit=None
    )
    stop.click(stopped, made, [progress, table, records, page], cancels=[running], queue=False, **quiet)
