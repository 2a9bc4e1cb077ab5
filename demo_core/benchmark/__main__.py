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
each of his gradients over four draws. Of a patch the number is its share of the side in percent.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pandas as pd
from accelerate import PartialState

from demo_core.attacks import ATTACKS
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.piles import PAPER, RESIZES, DatasetUnavailable, Resize, cause, pile_of
from demo_core.benchmark.records import alone_in, merge, read_records
from demo_core.benchmark.report import markdown, write
from demo_core.benchmark.run import PRECISIONS, TILE, Plan, Setup, open_records, run
from demo_core.benchmark.trials import SUITES, BenchmarkError, Trial, default_trials, read_trials
from demo_core.defenses import DEFENSES
from demo_core.device import DeviceError, chosen
from demo_core.labels import LabelError
from demo_core.models import (
    CHECKPOINT_VARIABLE,
    DEFAULT_MODEL,
    MODELS,
    ModelUnavailable,
    add_checkpoint,
    load,
    surrogate_of,
)


def positive(text: str) -> int:
    """A number of something, from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"“{text}” is no number of pictures: write a whole number from 1")
    return int(text)


def natural(text: str) -> int:
    """A seed, from the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no seed: write a whole number from 0")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The options, as --help shows them."""
    found = argparse.ArgumentParser(
        prog="python -m demo_core.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_report(found)
    _add_run(found)
    return found


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        type=Path,
        help="print the tables of a folder of records, write them into it (Markdown, CSV, LaTeX, figure), and"
        " do nothing else",
    )
    parser.add_argument(
        "--store",
        type=Path,
        help="with --report: also write the records into this one file: .sqlite (with the run's settings), or"
        " .csv.gz or .csv.xz",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--model",
        choices=list(MODELS),
        help=f"default: {DEFAULT_MODEL}; with --checkpoint, the one that was fine-tuned (default: the first"
        " that has its shapes)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="a file with a fine-tuned image tower, to take in place of the model’s",
    )
    parser.add_argument(
        "--attacks",
        nargs="+",
        default=[str(t) for t in default_trials()],
        help=f"clean, or attacks by {', '.join(ATTACKS)}, written as above; or {' or '.join(SUITES)}, for all"
        f" that those need"
        f" (default: {' '.join(map(str, default_trials()))})",
    )
    parser.add_argument(
        "--defenses", nargs="+", default=list(DEFENSES), choices=list(DEFENSES), help="default: all of them"
    )
    parser.add_argument(
        "--limit", type=positive, help="pictures of each data set, chosen at random by the seed; else all"
    )
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out the pictures that cannot be read, and say how many; without this the first one ends"
        " the run before it begins",
    )
    parser.add_argument(
        "--resize",
        default=PAPER.title,
        choices=list(RESIZES),
        help="; ".join(f"{k}: {v}" for k, v in RESIZES.items()) + " (default: %(default)s)",
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
        help="pictures that go through a model at a time; the batch changes no prediction, this may"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=natural,
        default=0,
        help="of start noise, targets, the defences' dice, and which pictures --limit takes"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=PRECISIONS,
        help="; ".join(f"{k}: {v}" for k, v in PRECISIONS.items()),
    )


def main(argv: list[str] | None = None) -> None:
    """Run, or report, what the arguments say; ends with one sentence where that cannot be."""
    try:
        if path := os.environ.get(CHECKPOINT_VARIABLE):
            add_checkpoint(path)
        args = parser().parse_args(argv)
        found = finished(args.report, args.store) if args.report else benchmark(args)
        if found is None:
            return
        print(markdown(found))
        if args.report:
            print(f"\nWritten: {', '.join(str(path) for path in write(args.report))}.")
    except (BenchmarkError, ModelUnavailable, DeviceError, DatasetUnavailable, LabelError) as error:
        raise SystemExit(str(error)) from None
    except OSError as error:  # of the results' place: pictures and weights have sentences of their own
        place = error.filename or args.report or args.out
        raise SystemExit(f"{place} cannot be used ({cause(error)}): choose another place.") from None


def finished(folder: Path, store: Path | None) -> pd.DataFrame:
    """The records of a finished run, also written to `store` where that is given: as CSV where its name says
    so, with the run's settings as one file of records otherwise. Raises BenchmarkError."""
    found = read_records(folder)
    if found.empty:
        raise BenchmarkError(f"There are no records in {folder}: name the --out folder of a run.")
    if store and ".csv" in store.suffixes:
        gzip = {"method": "gzip", "mtime": 0}  # without the time, the same records make the same file
        found.to_csv(store, index=False, compression=gzip if store.suffix == ".gz" else "infer")
    elif store:
        merge([folder], store)
    return found


def benchmark(args: argparse.Namespace) -> pd.DataFrame | None:
    """The run that the command line asks for; all its records, where this is the first process."""
    keys = dict.fromkeys(_found(key, args.data) for key in args.datasets)
    if args.data is None and any(key in DATASETS for key in keys):
        raise BenchmarkError("Name the folder that holds the data sets with --data.")
    trials = read_trials(args.attacks)
    args.model = (
        add_checkpoint(args.checkpoint, args.model) if args.checkpoint else args.model or DEFAULT_MODEL
    )
    patience = timedelta(days=7)  # a download, or the slowest, takes long
    state = PartialState(cpu=chosen().device.type == "cpu", timeout=patience)
    with ExitStack() as held:
        return _together(args, keys, trials, state, held)


def _found(key: str, data: Path | None) -> str:
    """A data set of the table by its key, or the path of a folder of one's own."""
    if key in DATASETS:
        return key
    places = (Path(key), *([data / key] if data else []))
    folder = next((p for p in places if p.is_dir() or (p.is_file() and p.suffix.lower() == ".zip")), None)
    if folder is None:
        raise BenchmarkError(
            f"“{key}” is no data set, no folder and no zip: choose from {', '.join(DATASETS)}, or name a"
            " folder or a zip of one."
        )
    return str(folder.resolve())


def _together(
    args: argparse.Namespace, keys: Iterable[str], trials: list[Trial], state: PartialState, held: ExitStack
) -> pd.DataFrame | None:
    """What every process does; held: what it lets go of in the end."""
    with state.main_process_first():  # downloads, and cleans up behind a kill, before the others look
        held.enter_context(alone_in(args.out, state.process_index))
        clip = load(args.model, state.device)
        resize = PAPER if args.resize == PAPER.title else Resize.of(clip)
        piles = {
            key: pile_of(
                key,
                args.data,
                clip.image_size,
                args.limit,
                args.seed,
                args.download,
                resize=resize,
                skip_unreadable=args.skip_unreadable,
            )
            for key in keys
        }
        surrogate = load(surrogate_of(args.model), state.device) if any(t.transfers for t in trials) else None
        setup = Setup(args.model, clip, surrogate, args.seed, args.precision, args.tile)
        share = (state.process_index, state.num_processes)
        plan = Plan(trials, args.defenses, args.batch, share)
        records = open_records(args.out, setup, piles, plan)
    for key, pile in piles.items():
        for _ in run(setup.bench(pile), key, records, plan, quiet=not state.is_main_process):
            pass
    state.wait_for_everyone()
    found = records.read() if state.is_main_process else None
    state.destroy_process_group()
    return found


if __name__ == "__main__":
    main()
