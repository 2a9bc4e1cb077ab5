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
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import astuple
from urllib.parse import urlsplit

import gradio as gr

from demo_core.benchmark.datasets import OF_THE_APP
from demo_core.benchmark.options import REFUSALS
from demo_core.benchmark.page import LAB
from demo_core.benchmark.published import published_titles
from demo_core.benchmark.records import settings_of
from demo_core.benchmark.report import shipped_markdown
from demo_core.benchmark.tables import UNIT
from demo_core.benchmark.trials import CLEAN, BenchmarkError, default_trials
from demo_core.defenses import DEFENSES
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.story import time_words
from demo_core.ui.measuring import (
    DATA,
    KEPT,
    Choices,
    Made,
    data_folder,
    data_sets,
    files,
    kept,
    live,
    made_of,
    opened,
)
from demo_core.ui.place import Refused, Waiting, in_turn
from demo_core.ui.stops import STOPS

SECRET = "BENCHMARK_SECRET"
PAUSE = 3.0  # seconds between two tables, or ten times what one takes: each is made of all records
TABLES = ":is(#shipped, #bench-table) table"  # each scrolls by itself
CELLS = ":is(#shipped, #bench-table) :is(th, td)"
NAV = f"""<nav class="views" aria-label="views"><a href="./">Lab</a><b aria-current="page">Benchmark</b></nav>
<style>
.head, .lab {{ display: none !important; }}
.views {{ display: flex; gap: 1.2rem; }}
.bench h1 {{ font-size: 1.7rem; margin: 0; }}
{TABLES} {{ display: block; width: fit-content; max-width: 100%; overflow-x: auto; border-spacing: 0;
  border-collapse: separate; border: 0 !important; padding: 0 !important; }}
#bench-charts .charts {{ display: flex; flex-wrap: wrap; gap: 1.5rem; }}
#bench-charts figure {{ margin: 0; flex: 1 1 22rem; }}
#bench-charts svg {{ width: 100%; height: auto; }}
#bench-charts figcaption {{ font-size: .85rem; opacity: .8; }}
{CELLS} {{ white-space: nowrap; font-variant-numeric: tabular-nums; padding: .3rem .5rem !important;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important;
  font-size: .85rem; }}
{CELLS}:first-child {{ white-space: normal; min-width: 7.5rem; position: sticky; left: 0; z-index: 1;
  background: var(--background-fill-primary) !important; }}
#bench-data {{ overflow-wrap: anywhere; }}
.bench details {{ margin: .4rem 0; }}
.bench summary {{ cursor: pointer; }}
.bench dt {{ font-weight: 600; }}
.bench dd {{ margin: 0 0 .4rem 1rem; }}
</style>"""
# What stands in the tables, in words.
WORDS = {
    "from the predicted label": "The attack starts from what the model says of the clean picture, which leaks"
    " less of the true label.",
    "knows the defence": "The attacker has the defence’s code, though not its dice, and attacks through it;"
    " of that and the plain attack he keeps what does most.",
    "the worst of all": "A picture counts as right only where it withstood every attack of that eps.",
    "passes": "Through the image encoder, the honest cost; milliseconds are those of one machine, to be"
    " compared with each other only.",
}
SAME = (gr.skip(),) * 6  # of a run: its table, its charts, what it has made, and three downloads
OFFERED = {
    "the table (Markdown)": "bench-download",
    "the records (CSV)": "bench-records",
    "the report (HTML)": "bench-report",
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


def open_to_all() -> bool:
    """Whether whoever sees the Lab may see the benchmark too."""
    return not os.environ.get(SECRET) and not os.environ.get("SPACE_ID")


def allowed(request: gr.Request) -> bool:
    """Whether this visitor may see and run the benchmark."""
    if request.query_params.get("view") != "benchmark":
        return False
    if open_to_all():
        return True
    secret, given = os.environ.get(SECRET, ""), request.query_params.get("secret", "")
    return bool(secret) and hmac.compare_digest(secret.encode(), given.encode())


def address(request: gr.Request) -> str:
    """The page's own, as this visitor sees it, without what he asked of it."""
    seen = urlsplit(request.headers.get("referer", ""))
    return f"{seen.scheme}://{seen.netloc}{seen.path or '/'}" if seen.scheme in ("http", "https") else LAB


def shipped() -> str:
    """The tables of the results that come with the demo, recomputed from their records."""
    found = {row.title: shipped_markdown(key) for key, row in MODELS.items()}
    return "\n\n".join(f"### {title}\n\n{tables}" for title, tables in found.items() if tables)


def downloads(made: Made | None, lab: str) -> Iterator[tuple]:
    """What the three download buttons become. Files are written, and copied into the page's cache, once a
    run: when it ends, in whatever way."""
    if made is None:
        yield (gr.skip(),) * 3
        return
    for written in files(made, lab):  # gradio takes copies before it asks for what comes after
        yield tuple(gr.update(value=str(path), interactive=True) for path in written)


def go(model: Callable, request: gr.Request, *given) -> Iterator[tuple]:
    """The chosen benchmark (given: its Choices, one by one), batch by batch: where it stands, its table and
    charts, what it has made, and the three downloads, which are offered when it ends."""
    if not allowed(request):
        raise gr.Error(NOT_OPEN)
    made, due, same = None, 0.0, SAME
    yield status("Getting ready …"), *same[:2], None, *(gr.update(interactive=False),) * 3
    try:
        for progress in live(model, Choices(*given)):
            if (then := time.monotonic()) < due and not progress.done or progress.records.empty:
                yield status(progress.words), *same
                continue
            unfinished = "" if progress.done else progress.words
            made = made_of(progress.records, settings_of(progress.folder), unfinished)
            due = then + max(PAUSE, 10 * (time.monotonic() - then))
            yield status(progress.words), made.table, made.charts, made, *same[3:]
    except REFUSALS as error:
        gr.Warning(str(error), title="Not yet")
        yield status(f"{'It ended early' if made else 'Nothing was run'}. {error}"), *same
    for written in downloads(made, address(request)):
        yield *same[:4], *written


@STOPS.stopping
def stopped(made: Made | None, request: gr.Request) -> str:
    """After Stop: where it stands."""
    words = "What is shown stays, and can be downloaded; the same run goes on from here when it is run again."
    return status(f"Stopped. {words}" if made else "Stopped before anything was made.")


def offered(made: Made | None, request: gr.Request) -> Iterator[tuple]:
    """After Stop: what there is to download."""
    yield from downloads(made, address(request))


def earlier(request: gr.Request) -> object:
    """The runs to choose from."""
    return gr.update(choices=kept() if allowed(request) else [])


def again(name: str | None, request: gr.Request) -> Iterator[tuple]:
    """A run that is kept: the choices it was made by, where it stands, and what it has made."""
    if not allowed(request):
        raise gr.Error(NOT_OPEN)
    same = (gr.skip(),) * 13
    if not name:
        yield same
        return
    try:
        chosen, made = opened(name)
    except BenchmarkError as error:
        gr.Warning(str(error), title="Not yet")
        yield same
        return
    words = f"{len(made.records):,} records. Run it to see whether any are missing."
    for written in downloads(made, address(request)):
        yield *astuple(chosen), status(words), made.table, made.charts, made, *written


def waiting(word: Waiting) -> tuple:
    """Word for one who waits."""
    return status(time_words.waiting(word.before, word.seconds)), *SAME


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
            data_sets(),
            value=[OF_THE_APP],
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
    before = gr.Dropdown(
        [],
        value=None,
        label="Earlier runs",
        info=f"The last {KEPT}. One that was stopped goes on when it is run again.",
        elem_id="bench-kept",
        interactive=True,
    )
    chosen = _controls()
    with gr.Row():
        start = gr.Button("Run the benchmark", variant="primary", elem_id="bench-run")
        stop = gr.Button("Stop", variant="stop", elem_id="bench-stop")
    progress = gr.HTML(status("Nothing has run yet."), elem_id="bench-progress")
    found, made = gr.Markdown(elem_id="bench-table"), gr.State()
    drawn = gr.HTML(elem_id="bench-charts")
    buttons = []
    with gr.Row():
        for title, name in OFFERED.items():
            buttons.append(gr.DownloadButton(f"Download {title}", interactive=False, elem_id=name))
    shown = [progress, found, drawn, made, *buttons]

    @STOPS.stoppable
    async def started(key, datasets, attacks, defenses, limit, seed, request: gr.Request):
        steps = go(model, request, key, datasets, attacks, defenses, limit, seed)
        try:
            async with aclosing(in_turn(steps, waiting, longest=math.inf, expected=math.inf)) as items:
                async for found in items:
                    yield found
        except Refused as error:
            yield status(f"Nothing was run. {error}"), *SAME

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    start.click(started, chosen, shown, **quiet, concurrency_limit=None)
    ended = stop.click(stopped, made, progress, queue=False, **quiet)
    ended.then(offered, made, buttons, queue=False, **quiet)
    before.focus(earlier, None, before, **quiet)
    before.input(again, before, [*chosen, *shown], **quiet)
