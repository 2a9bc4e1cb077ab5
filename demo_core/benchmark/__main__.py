"""The benchmark from the command line.

    python -m demo_core.benchmark --data DIR --datasets TinyImageNet --limit 1000 --out runs/photo
    accelerate launch -m demo_core.benchmark --data DIR --model vit-b-32 --datasets CIFAR10 DTD --out runs/b32
    python -m demo_core.benchmark --report runs/photo

DIR holds the data sets, or gets them with --download; a data set may also be a folder of your own, by its
path or, where it lies in DIR, by its name. A run that was stopped goes on where it stopped, under the same
settings only; started by `accelerate launch`, every process takes a share of the pictures, and neither the
batch nor the number of processes changes a prediction.

An attack is written NAME@EPS or NAME@EPSxSTEPS, with eps in 1/255 and NAME a row of ATTACKS; `+predicted`
starts it from the model's own clean prediction instead of the true label; `+adaptive` makes it as one who
knows each defence it then meets, and keeps of all his ways the one that does most there; `+eot4` averages
each of his gradients over four draws; `+upto` lets him use any smaller size, so that what fell at one counts.
Of a patch the number is its share of the side in percent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pandas as pd
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from demo_core.benchmark.datasets import DATASETS, OF_THE_APP
from demo_core.benchmark.files import write
from demo_core.benchmark.layouts import FILES
from demo_core.benchmark.options import REFUSALS, parser
from demo_core.benchmark.pace import affordable, cost_of, forecast, shared_out, spent
from demo_core.benchmark.piles import Pile, Ways, cause, pile_of
from demo_core.benchmark.records import (
    alone_in,
    has_records,
    merge,
    read_records,
    settings_of,
    write_as_one,
)
from demo_core.benchmark.report import tables_of
from demo_core.benchmark.run import Plan, Setup, Tally, open_records, run
from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import dataset_title
from demo_core.benchmark.trials import BenchmarkError, Trial, read_trials
from demo_core.device import chosen, name_of
from demo_core.models import (
    DEFAULT_MODEL,
    RECORDS_FILE,
    load,
    named_model,
    surrogate_of,
)
from demo_core.resizes import resize_for
from demo_core.stages import lasting
from demo_core.surroundings import keep_large_blocks


def main(argv: list[str] | None = None) -> None:
    """Run, or report, what the arguments say; ends with one sentence where that cannot be."""
    keep_large_blocks()
    try:
        args = parser(__doc__).parse_args(argv)
        args.model = named_model(args) or DEFAULT_MODEL
        if args.merge:
            args.report = args.out
        found = finished(args) if args.report else benchmark(args)
        if found is None:
            return
        summary = Summary(found)
        print(tables_of(summary))
        written = write(args.report or args.out, summary, args.beside, args.lab)
        print(f"\nWritten: {', '.join(map(str, written))}.")
    except REFUSALS as error:
        raise SystemExit(str(error)) from None
    except OSError as error:  # of the results' place: pictures and weights have sentences of their own
        place = error.filename or args.report or args.out
        raise SystemExit(f"{place} cannot be used ({cause(error)}): choose another place.") from None


def finished(args: argparse.Namespace) -> pd.DataFrame:
    """The records of a finished run, or of several that are joined in one folder; also written to a file of
    their own where that is asked for: as CSV where its name says so, with the run's settings as one file of
    records otherwise. Raises BenchmarkError."""
    found = joined(args.merge, args.out) if args.merge else read_records(args.report)
    if found.empty:
        raise BenchmarkError(f"There are no records in {args.report}: name the --out folder of a run.")
    store: Path | None = args.store
    if store and ".csv" in store.suffixes:
        gzip = {"method": "gzip", "mtime": 0}  # without the time, the same records make the same file
        found.to_csv(store, index=False, compression=gzip if store.suffix == ".gz" else "infer")
    elif store:
        write_as_one(store, settings_of(args.report), found)
    return found


def joined(places: list[Path], folder: Path) -> pd.DataFrame:
    """The records of all these places and of the folder, which has them in one file then. Raises
    BenchmarkError."""
    if empty := next((place for place in places if not has_records(place)), None):
        raise BenchmarkError(f"There are no records in {empty}: name the --out folders of runs.")
    with alone_in(folder):
        found = merge([*places, folder], folder / RECORDS_FILE)
        for part in folder.glob("records-*.sqlite"):  # they are in the one file now
            part.unlink()
    return found


def benchmark(args: argparse.Namespace) -> pd.DataFrame | None:
    """The run that the command line asks for; all its records, where this is the first process."""
    keys = dict.fromkeys(_found(key, args.data) for key in args.datasets)
    if args.data is None and not args.plan and any(key in DATASETS and key != OF_THE_APP for key in keys):
        raise BenchmarkError("Name the folder that holds the data sets with --data.")
    trials = read_trials(args.attacks)
    patience = timedelta(days=7)  # a download, or the slowest, takes long
    state = PartialState(cpu=chosen().device.type == "cpu", timeout=patience)
    with state.main_process_first():  # downloads, before the others look
        setup = _setup(args, trials, state)
    number, of = args.share
    mine = (number * state.num_processes + state.process_index, of * state.num_processes)
    plan = Plan(trials, args.defenses, args.batch, mine)
    if args.plan:
        if state.is_main_process:
            print(_forecast(args, list(keys), setup, plan))
        return None
    with ExitStack() as held:
        return _together(args, keys, setup, plan, state, held)


def _setup(args: argparse.Namespace, trials: list[Trial], state: PartialState) -> Setup:
    clip = load(args.model, state.device)
    surrogate = load(surrogate_of(args.model), state.device) if any(t.transfers for t in trials) else None
    return Setup(args.model, clip, surrogate, args.seed, args.precision, args.tile)


def _forecast(args: argparse.Namespace, keys: list[str], setup: Setup, plan: Plan) -> str:
    """What the run would take: of whole data sets as they officially are, of one's own as they lie there."""
    sizes = {
        key: (DATASETS[key].pictures if key in DATASETS else None)
        or len(pile_of(key, args.data, setup.clip.image_size).indices)
        for key in keys
    }
    limited = {key: min(size, args.limit or size) for key, size in sizes.items()}
    fixed = setup.fixed(_ways(args, setup))
    return forecast(cost_of(setup, plan), plan, limited, name_of(setup.clip.device), fixed)


def _ways(args: argparse.Namespace, setup: Setup) -> Ways:
    return Ways(resize_for(args.resize, setup.clip), args.names, args.prompts)


def _found(key: str, data: Path | None) -> str:
    """A data set of the table by its key, or the path of a folder of one's own."""
    if key in DATASETS:
        return key
    places = (Path(key), *([data / key] if data else []))
    folder = next((p for p in places if p.is_dir() or (p.is_file() and p.suffix.lower() in FILES)), None)
    if folder is None:
        raise BenchmarkError(
            f"“{key}” is no data set, no folder and no file of one: choose from {', '.join(DATASETS)}, or"
            f" name a folder, or a file that ends in {', '.join(FILES[:-1])} or {FILES[-1]}."
        )
    return str(folder.resolve())


def _together(
    args: argparse.Namespace,
    keys: Iterable[str],
    setup: Setup,
    plan: Plan,
    state: PartialState,
    held: ExitStack,
) -> pd.DataFrame | None:
    """What every process does; held: what it lets go of in the end."""
    enough = None  # pictures of all data sets
    if args.budget:
        enough = affordable(cost_of(setup, plan), args.budget, plan.share[1])
        (enough,) = broadcast_object_list([enough])  # each has measured something else
    with state.main_process_first():  # downloads, and cleans up behind a kill, before the others look
        held.enter_context(alone_in(args.out, plan.share[0], others=args.share[1] > 1))
        piles = _piles(args, keys, setup, enough)
        if enough and state.is_main_process:
            said = ", ".join(f"{len(pile.indices):,} of {dataset_title(key)}" for key, pile in piles.items())
            print(f"In {lasting(args.budget)}: {said}.", file=sys.stderr)
        records = open_records(args.out, setup, piles, plan)
    tally = Tally()
    for key, pile in piles.items():
        for _ in run(setup.bench(pile), key, records, plan, not state.is_main_process, tally):
            pass
    if state.is_main_process and tally.seconds:
        print(spent(tally, setup), file=sys.stderr)
    state.wait_for_everyone()
    found = records.read() if state.is_main_process else None
    state.destroy_process_group()
    return found


def _piles(
    args: argparse.Namespace, keys: Iterable[str], setup: Setup, enough: int | None
) -> dict[str, Pile]:
    """The data sets' pictures; enough: how many of all together are wanted, where that is said."""
    piles = {
        key: pile_of(
            key,
            args.data,
            setup.clip.image_size,
            min(filter(None, (args.limit, enough)), default=None),
            args.seed,
            args.download,
            ways=_ways(args, setup),
            skip_unreadable=args.skip_unreadable,
        )
        for key in keys
    }
    if enough is None:
        return piles
    counts = shared_out(enough, {key: len(pile.indices) for key, pile in piles.items()})
    return {key: piles[key].first(count) for key, count in counts.items()}


if __name__ == "__main__":
    main()
