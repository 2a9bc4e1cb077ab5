"""The benchmark's command line: its options, and what is no value of theirs."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

import pandas as pd

from demo_core import models
from demo_core.attacks import ATTACKS
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.page import LAB
from demo_core.benchmark.piles import WAYS, DatasetUnavailable
from demo_core.benchmark.run import PRECISIONS, TILE
from demo_core.benchmark.summary import BARE
from demo_core.benchmark.trials import SUITES, BenchmarkError, default_trials
from demo_core.defenses import DEFENSES
from demo_core.resizes import PAPER

REFUSALS = (*models.REFUSALS, BenchmarkError, DatasetUnavailable)  # the one sentence that a command ends with


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


def share(text: str) -> tuple[int, int]:
    """Which of how many shares, from the command line."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise argparse.ArgumentTypeError(f"“{text}” is no share: write 0/4 to 3/4 for the four of a run")
    return int(number), int(of)


def duration(text: str) -> float:
    """Seconds, from the command line."""
    with suppress(ValueError):
        if (seconds := pd.Timedelta(text).total_seconds()) > 0 and not text.isdecimal():
            return float(seconds)
    raise argparse.ArgumentTypeError(f"“{text}” is no time: write it like 2h, 45min or 1h30min")


def parser(description: str) -> argparse.ArgumentParser:
    """The options, as --help shows them under what is said first."""
    found = argparse.ArgumentParser(
        prog="python -m demo_core.benchmark",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_report(found)
    _add_run(found)
    _add_ways(found)
    _add_pace(found)
    return found


def add_download(parser: argparse.ArgumentParser) -> None:
    """--download: the same for every command that opens data sets."""
    parser.add_argument("--download", action="store_true", help="fetch a data set that is not there")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        type=Path,
        help="print the tables of a folder of records, write its report into it as at the end of a run"
        " (tables as Markdown, CSV and LaTeX, charts, and all of it as one page, report.html), and do nothing"
        " else",
    )
    parser.add_argument(
        "--beside",
        default=BARE,
        choices=list(DEFENSES),
        help="the defence that the report says differences to, on the same pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--lab",
        default=LAB,
        metavar="ADDRESS",
        help="where the demo runs, for the links of report.html (default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        help="with --report: also write the records into this one file: .sqlite (with the run's settings), or"
        " .csv.gz or .csv.xz",
    )
    parser.add_argument(
        "--merge",
        type=Path,
        nargs="+",
        metavar="PLACE",
        help="join the records of these folders or files in the folder --out and print its tables; what was"
        " made under other settings is refused",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="the folder that holds the data sets")
    parser.add_argument(
        "--datasets",
        nargs="+",
        default=["TinyImageNet"],
        help=f"of {', '.join(DATASETS)}; or folders of your own (default: TinyImageNet)",
    )
    add_download(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/benchmark"),
        help="the folder of the records; a run that was stopped goes on there (default: %(default)s)",
    )
    models.add_model_options(parser)
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


def _add_ways(parser: argparse.ArgumentParser) -> None:
    for way, choices in WAYS.items():
        parser.add_argument(
            f"--{way}",
            default=PAPER.title,
            choices=list(choices),
            help="; ".join(f"{k}: {v}" for k, v in choices.items()) + " (default: %(default)s)",
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


def _add_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        action="store_true",
        help="say what the run would take here, what would reproduce the figures that papers printed, and in"
        " what else the two would not be alike, and do nothing else",
    )
    parser.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        help="take as many pictures of each data set as this time is enough for, say 2h: a few are timed"
        " first, and the widest interval is made as narrow as can be",
    )
    parser.add_argument(
        "--share",
        type=share,
        default=(0, 1),
        metavar="N/OF",
        help="work on every OF-th picture from the N-th alone, 0/4 to 3/4: for the jobs of an array, on one"
        " folder --out or each on its own, to be merged",
    )
