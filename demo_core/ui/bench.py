"""The benchmark in the page: what papers printed, the results that come with the demo, and a live run.

No part of it is sent to a browser unless it is asked for with ?view=benchmark. On a Space, or wherever the
operator has set one, that takes his secret too (?view=benchmark&secret=…, compared with the environment's
BENCHMARK_SECRET); every handler checks it again.
"""

from __future__ import annotations

import hmac
import html
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pandas as pd

from demo_core.benchmark import (
    CLEAN,
    COLUMNS,
    Bench,
    BenchmarkError,
    Trial,
    default_trials,
    open_records,
    run,
    settings_of,
)
from demo_core.datasets import DATASETS, DatasetUnavailable, pile_of
from demo_core.defenses import DEFENSES
from demo_core.labels import LabelError
from demo_core.models import DEFAULT_MODEL, MODELS, ModelUnavailable, profile_of, surrogate_of
from demo_core.report import UNIT, heading, markdown, published_titles, shipped_markdown

SECRET, DATA = "BENCHMARK_SECRET", "CLIP_DATA_DIR"
TILE = 4  # small, so that rows appear steadily; a CPU is no faster with more
MOST_PICTURES = 10_000
PAUSE = 3.0  # seconds between two tables: each is made of all records
NAV = (
    '<nav class="views" aria-label="views"><a href="./">Lab</a><b aria-current="page">Benchmark</b></nav>'
    "<style>.head, .lab { display: none !important; } .views { display: flex; gap: 1.2rem; } .bench h1 { font-size: 1.7rem; margin: 0; }"
    " #shipped, #bench-table { overflow-x: auto; }"
    " :is(#shipped, #bench-table) :is(th, td) { white-space: nowrap; font-variant-numeric: tabular-nums; padding: .3rem .5rem !important;"
    " font-size: .85rem; }"
    " :is(#shipped, #bench-table) :is(th, td):first-child { white-space: normal; min-width: 7.5rem; position: sticky; left: 0;"
    " background: var(--body-background-fill); }"
    " #bench-data { overflow-wrap: anywhere; } .bench details { margin: .4rem 0; } .bench summary { cursor: pointer; } .bench dt { font-weight: 600; } .bench dd { margin: 0 0 .4rem 1rem; }</style>"
)
# What stands in the tables, in words.
WORDS = {
    "from the predicted label": "The attack starts from what the model says of the clean picture, which leaks nothing of the true label.",
    "knows the defence": "The attacker has the defence’s code, though not its dice, and attacks through it; of that and the plain"
    " attack he keeps what does most.",
    "the worst of all": "A picture counts as right only where it withstood every attack of that eps.",
    "passes": "Through the image encoder, the honest cost; milliseconds are those of one machine, to be compared with each other only.",
}


def legend() -> str:
    """How to read the tables."""
    rows = {row.title: row.help for row in DEFENSES.values()} | WORDS
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows.items()
    )
    return f"<p>{UNIT} Each is recomputed from one record for each picture, attack and defence.</p><details><summary>What the rows and columns mean</summary><dl>{listed}</dl></details>"


def allowed(request: gr.Request) -> bool:
    """Whether this visitor may see and run the benchmark."""
    if request.query_params.get("view") != "benchmark":
        return False
    secret, given = os.environ.get(SECRET, ""), request.query_params.get("secret", "")
    if not secret and not os.environ.get("SPACE_ID"):
        return True
    return bool(secret) and hmac.compare_digest(secret.encode(), given.encode())


def data_folder() -> Path:
    return Path(os.environ.get(DATA, "data"))


def choices() -> list[tuple[str, str]]:
    """The table's data sets, and folders of one's own beside them."""
    rows = [(row.title, key) for key, row in DATASETS.items()]
    known = {row.layout.split("/")[0] for row in DATASETS.values()}
    folders = (
        sorted(p for p in data_folder().iterdir() if p.is_dir() and p.name not in known)
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
    records = open_records(folder, key, clip, surrogate, piles, defenses, seed, "float32", TILE)
    total = sum(len(pile.indices) for pile in piles.values()) * len(trials) * len(defenses)
    found, then = records.read(), time.monotonic()
    for name, pile in piles.items():
        for new in run(
            Bench(clip, pile, seed, surrogate, tile=TILE, profile=profile_of(key)),
            name,
            records,
            found,
            trials,
            defenses,
            TILE,
            quiet=True,
        ):
            found = pd.concat([found, new[COLUMNS]], ignore_index=True)
            left = (time.monotonic() - then) / len(found) * (total - len(found))
            words = f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left"
            yield (
                f"{len(found):,} of {total:,} records; about {words}."
                if len(found) < total
                else f"Done: {total:,} records.",
                found,
            )


def status(words: str) -> str:
    return f'<p role="status">{html.escape(words)}</p>'


def add(model: Callable, queue: dict) -> None:
    """Put the benchmark into the page under construction; `model` loads one by its key, `queue`: its
    place."""

    @gr.render()
    def benchmark(request: gr.Request) -> None:
        if allowed(request):
            _build(model, queue)


def _build(model: Callable, queue: dict) -> None:
    given = {"interactive": True}  # what is built late is not found out to be an input
    gr.HTML(NAV)
    gr.HTML(
        "<h1>Benchmark</h1><p>Many pictures, every attack, every defence: what papers printed, what was measured with this demo,"
        " and a run of your own.</p>",
        elem_classes="bench",
    )
    with gr.Tabs():
        with gr.Tab("Measured here"):
            gr.HTML(legend(), elem_classes="bench", elem_id="legend")
            gr.Markdown(shipped(), elem_id="shipped")
        with gr.Tab("In papers"):
            gr.HTML(
                "<p>OpenAI’s ViT-B/32 throughout, accuracies in percent. These figures are other people’s; each names its source."
                " “Second-hand” ones are cited by another paper.</p>"
            )
            gr.Dataframe(
                published_titles(),
                interactive=False,
                show_search="filter",
                wrap=True,
                max_height=560,
                elem_id="published",
                column_widths=[130, 130, 80, 70, 80, 90, 90, 260, 430],
            )
        with gr.Tab("Run"):
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
            with gr.Row():
                start = gr.Button("Run the benchmark", variant="primary", elem_id="bench-run")
                stop = gr.Button("Stop", variant="stop", elem_id="bench-stop")
            progress = gr.HTML(status("Nothing has run yet."), elem_id="bench-progress")
            found = gr.Markdown(elem_id="bench-table")
            with gr.Row():
                table = gr.DownloadButton(
                    "Download the table (Markdown)", interactive=False, elem_id="bench-download"
                )
                records = gr.DownloadButton(
                    "Download the records (CSV)", interactive=False, elem_id="bench-records"
                )

    def go(key, names, chosen, against, count, start_seed, request: gr.Request):
        """Run the chosen benchmark, batch by batch."""
        if not allowed(request):
            raise gr.Error(
                "The benchmark is not open to this visit: open the page with ?view=benchmark"
                " (where the operator has set one, with his secret)."
            )
        with tempfile.TemporaryDirectory() as place:
            folder, shown = Path(place), 0.0
            try:
                yield status("Getting ready …"), gr.skip(), gr.skip(), gr.skip()
                for words, rows in live(model, key, names, chosen, against, count, start_seed, folder):
                    done = words.startswith("Done")
                    if shown and time.monotonic() - shown < PAUSE and not done:
                        yield status(words), gr.skip(), gr.skip(), gr.skip()
                        continue
                    shown, path = time.monotonic(), folder / "table.md"
                    unfinished = "" if done else f"**Not finished: {words}**\n\n"
                    path.write_text(f"{heading(rows, settings_of(folder))}\n\n{unfinished}{markdown(rows)}\n")
                    yield (
                        status(words),
                        path.read_text(),
                        gr.update(value=str(path), interactive=True),
                        gr.update(value=str(folder / "records-0.csv"), interactive=True),
                    )
            except (BenchmarkError, DatasetUnavailable, ModelUnavailable, LabelError) as error:
                gr.Warning(str(error), title="Not yet")
                yield (
                    status(f"{'It ended early' if shown else 'Nothing was run'}. {error}"),
                    gr.skip(),
                    gr.skip(),
                    gr.skip(),
                )

    running = start.click(
        go,
        [kind, datasets, attacks, defenses, limit, seed],
        [progress, found, table, records],
        api_visibility="private",
        show_progress="hidden",
        **queue,
    )
    stop.click(
        lambda: status("Stopped. What is shown stays, and can be downloaded; another run begins anew."),
        None,
        progress,
        cancels=[running],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
