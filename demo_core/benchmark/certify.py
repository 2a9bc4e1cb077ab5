"""What randomised smoothing proves of a model: how many pictures are right, and stay so under every
perturbation up to a radius.

    python -m demo_core.benchmark.certify --data data --datasets CIFAR10 --limit 20 --draws 200

Per picture the procedure of Cohen, Rosenfeld & Kolter (ICML 2019): a few draws of noise name a label, and
others say how sure it is. Beside each l2 radius stands the largest eps, in 1/255, whose l-inf ball lies
within it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.departures import CLEANLY, answered, percent
from demo_core.benchmark.options import REFUSALS, add_download, natural, positive
from demo_core.benchmark.piles import pile_of
from demo_core.benchmark.report import tabulated
from demo_core.benchmark.run import DEFENCE, Bench, Setup
from demo_core.benchmark.tables import dataset_title
from demo_core.benchmark.trials import BenchmarkError
from demo_core.clip import in_tiles
from demo_core.defenses import SmoothingConfig, certified, linf_within
from demo_core.defenses.smoothing import radius_of
from demo_core.models import DEFAULT_MODEL, add_model_options, load, named_model

RADII = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # l2, of pixels in [0,1]


def certificates(bench: Bench, config: SmoothingConfig) -> Iterator[tuple[bool, float]]:
    """Of each picture whether the label that noise names is its own, and the radius in which it is certified,
    0 where it is not."""
    for row in torch.arange(len(bench.pile.indices)).split(1):
        batch = bench.pile.load(row)
        pixels = batch.pictures.to(bench.clip.device).float() / 255
        with in_tiles(bench.tile):
            label, radius = certified(bench.clip, pixels, bench.text, config, bench.dice(batch, DEFENCE))
        yield label == int(batch.labels), radius


def certified_accuracy(found: list[tuple[bool, float]], radius: float) -> float:
    """In percent: right, and certified at least so far."""
    return 100 * sum(right and 0 < reaches >= radius for right, reaches in found) / len(found)


def certified_table(found: dict[float, list[tuple[bool, float]]], numbers: int) -> pd.DataFrame:
    """A row for each of RADII that any sigma reaches; found: by sigma; numbers: those that a picture has."""
    longest = max(reaches for pairs in found.values() for _, reaches in pairs)
    rows = [
        {
            "l2 radius": f"{radius:g}",
            "covers eps, in 1/255": f"{255 * linf_within(radius, numbers):.3f}",
            **{
                f"sigma {sigma:g}": f"{certified_accuracy(pairs, radius):.1f}"
                for sigma, pairs in found.items()
            },
        }
        for radius in RADII
        if radius <= longest
    ]
    return pd.DataFrame(rows).set_index("l2 radius")


def reported(bench: Bench, name: str, sigmas: list[float], config: SmoothingConfig) -> str:
    """All that the command prints of a data set, in Markdown."""
    found, count = {}, len(bench.pile.indices)
    for sigma in sigmas:
        each = certificates(bench, replace(config, sigma=sigma))
        found[sigma] = list(tqdm(each, f"{name}, sigma {sigma:g}", count, unit="picture"))
    left = ", ".join(f"{sum(not r for _, r in pairs)} at sigma {sigma:g}" for sigma, pairs in found.items())
    said = (
        f"{count} pictures of {name}, of which {percent(answered(bench, CLEANLY))} % are right without noise;"
        f" {config.draws} draws each, after {config.guesses} that name the label; certificates that are wrong"
        f" with a chance of {config.alpha:g} at the most. Accuracy in percent: right, and certified to the"
        f" radius. Pictures without a certificate: {left}."
    )
    table = certified_table(found, 3 * bench.clip.image_size**2)
    return f"**{name}**\n\n{said}\n\n{tabulated(table, 'l2 radius')}\n"


def checked(config: SmoothingConfig) -> SmoothingConfig:
    """Itself. Raises BenchmarkError where even draws that all agree would certify nothing."""
    if not radius_of(config.draws, config.draws, 1.0, config.alpha):
        raise BenchmarkError(
            f"{config.draws} draws certify nothing, even where all agree: choose --draws 10 or more."
        )
    return config


def noise(text: str) -> float:
    """A standard deviation, from the command line."""
    with suppress(ValueError):
        if 0 < (sigma := float(text)) < math.inf:
            return sigma
    raise argparse.ArgumentTypeError(f"“{text}” is no noise: write a number over 0, say 0.05")


def main(argv: list[str] | None = None) -> None:
    """Print the table; ends with one sentence where that cannot be."""
    usual = SmoothingConfig(guesses=10, draws=100)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(), help="the folder that holds the data sets")
    parser.add_argument(
        "--datasets", nargs="+", required=True, help=f"of {', '.join(DATASETS)}; or folders of your own"
    )
    parser.add_argument("--limit", type=positive, default=20, help="pictures of each (default: %(default)s)")
    parser.add_argument(
        "--sigmas",
        type=noise,
        nargs="+",
        default=[usual.sigma],
        help=f"of the noise (default: {usual.sigma})",
    )
    parser.add_argument("--draws", type=positive, default=usual.draws, help="default: %(default)s")
    parser.add_argument("--seed", type=natural, default=0, help="default: %(default)s")
    add_download(parser)
    add_model_options(parser)
    args = parser.parse_args(argv)
    try:
        config = checked(replace(usual, draws=args.draws))
        model = named_model(args) or DEFAULT_MODEL
        setup = Setup(model, load(model), seed=args.seed)
        for key in args.datasets:
            pile = pile_of(key, args.data, setup.clip.image_size, args.limit, args.seed, args.download)
            print(reported(setup.bench(pile), dataset_title(key), args.sigmas, config))
    except REFUSALS as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
