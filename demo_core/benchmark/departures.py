"""Why a bare accuracy is not the paper's: what each choice in which two runs may differ moves, on the same
pictures.

    python -m demo_core.benchmark.departures --data data --datasets CIFAR10 OxfordPets --limit 100
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torchvision.transforms.v2 import functional as vision

from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.options import REFUSALS, add_download, natural, positive
from demo_core.benchmark.piles import Batch, Pile, Ways, pile_of
from demo_core.benchmark.report import tabulated
from demo_core.benchmark.run import Bench, Setup
from demo_core.benchmark.tables import dataset_title
from demo_core.benchmark.trials import CLEAN, Trial
from demo_core.clip import in_tiles
from demo_core.models import DEFAULT_MODEL, add_model_options, load, named_model
from demo_core.resizes import PAPER, Resize

SMALL = {"CIFAR10": 32, "CIFAR100": 32, "STL10": 96, "PCAM": 96}  # pixels a side, less than a model's
AS_IT_IS = Resize("as it is", 1.0, "bilinear")
CLEANLY, ATTACK = Trial.read(CLEAN), Trial.read("pgd@1")
BATCH = 128


@dataclass(frozen=True)
class Pictures:
    """Of a data set under `data`, which download fetches where it is not there, `limit` pictures by the
    model's seed, before the model."""

    key: str
    data: Path
    limit: int
    setup: Setup
    download: bool = False

    def pile(self, ways: Ways = Ways(), side: int | None = None) -> Pile:
        """side: in pixels, the model's where nothing is said."""
        size = side or self.setup.clip.image_size
        return pile_of(self.key, self.data, size, self.limit, self.setup.seed, self.download, ways=ways)

    def bench(self, ways: Ways = Ways(), precision: str = "float32") -> Bench:
        return replace(self.setup, precision=precision).bench(self.pile(ways))


def answered(bench: Bench, trial: Trial) -> torch.Tensor:
    """Which pictures get their own label [N]."""
    found = [bench.answers(batch, bench.attacked(trial, batch), "none") for batch in batches(bench)]
    return torch.cat([torch.tensor((rows["predicted"] == rows["label"]).to_numpy()) for rows in found])


def batches(bench: Bench) -> Iterator[Batch]:
    """All its pictures."""
    return map(bench.pile.load, torch.arange(len(bench.pile.indices)).split(BATCH))


def on_its_own_pixels(pictures: Pictures, trial: Trial) -> torch.Tensor:
    """Which pictures get their own label [N] where those of a SMALL set are attacked before they are brought
    to the model's size."""
    bench = pictures.setup.bench(pictures.pile(Ways(AS_IT_IS), SMALL[pictures.key]))
    bare, side = bench.bare, bench.clip.image_size

    def enlarging(pixels: torch.Tensor) -> torch.Tensor:
        larger = vision.resize(pixels, [round(side * PAPER.larger)], vision.InterpolationMode.BILINEAR)
        return bare(vision.center_crop(larger, [side, side]))

    bench.bare, found = enlarging, []
    for batch in batches(bench):
        pixels = bench.attacked(trial, batch)
        with torch.no_grad(), in_tiles(bench.tile):
            found.append(bench.bare(pixels).argmax(1).cpu() == batch.labels)
    return torch.cat(found)


def column(pictures: Pictures) -> dict[str, str]:
    """What each choice makes of a data set, a cell a row of the table."""
    rows = {
        "CLIP’s authors’ names (`--names clip`)": pictures.bench(Ways(names="clip")),
        "CLIP’s authors’ prompts (`--prompts clip`)": pictures.bench(Ways(prompts="clip")),
        "both": pictures.bench(Ways(names="clip", prompts="clip")),
        "the model’s own resize (`--resize clip`)": pictures.bench(Ways(Resize.of(pictures.setup.clip))),
        "the image tower in bfloat16 (`--precision bf16`)": pictures.bench(precision="bf16"),
    }
    before = answered(pictures.bench(), CLEANLY)
    cells = {"as in the paper’s code": percent(before)}
    cells |= {title: moved(before, answered(bench, CLEANLY)) for title, bench in rows.items()}
    if pictures.key in SMALL:
        before = answered(pictures.bench(), ATTACK)
        cells[f"{ATTACK.title}, after a small picture was enlarged"] = percent(before)
        cells["the same, before it is enlarged"] = moved(before, on_its_own_pixels(pictures, ATTACK))
    return cells


def percent(right: torch.Tensor) -> str:
    return f"{100 * right.float().mean().item():.1f}"


def moved(before: torch.Tensor, after: torch.Tensor) -> str:
    """An accuracy, with how many pictures were won and lost."""
    return f"{percent(after)} (+{int((after & ~before).sum())} −{int((before & ~after).sum())})"


def main(argv: list[str] | None = None) -> None:
    """Print the table; ends with one sentence where that cannot be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--datasets", nargs="+", required=True, choices=list(DATASETS))
    parser.add_argument("--limit", type=positive, default=100, help="pictures of each (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="default: %(default)s")
    add_download(parser)
    add_model_options(parser)
    args = parser.parse_args(argv)
    try:
        model = named_model(args) or DEFAULT_MODEL
        setup = Setup(model, load(model), seed=args.seed)
        columns = {
            dataset_title(key): column(Pictures(key, args.data, args.limit, setup, args.download))
            for key in args.datasets
        }
    except REFUSALS as error:
        raise SystemExit(str(error)) from None
    print(tabulated(pd.DataFrame(columns).fillna(""), "accuracy in percent; pictures won and lost"))


if __name__ == "__main__":
    main()
