"""Judge defences of an embedded model on archives of photographs: the benchmark's records, from zip files.

    python -m demo_core.embedded.judge --archives ImageNet.zip --attacks clean pgd@4 --out runs/photo
    python -m demo_core.benchmark --report runs/photo --store assets/embedded/photo/records.sqlite

Attacks are written, records kept and a stopped run taken up again as in `demo_core.benchmark`, whose work
this is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_core.benchmark.options import natural, positive
from demo_core.benchmark.records import alone_in
from demo_core.benchmark.run import Plan, Setup, open_records, run
from demo_core.benchmark.trials import BenchmarkError, read_trials
from demo_core.benchmark.whole import BATCH
from demo_core.defenses import DEFENSES
from demo_core.embedded.archives import read_pile
from demo_core.models import DEFAULT_MODEL, MODELS, load, surrogate_of
from demo_core.surroundings import keep_large_blocks


def main(argv: list[str] | None = None) -> None:
    keep_large_blocks()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--archives", type=Path, nargs="+", required=True, help="zips of photographs, named like the set"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS))
    parser.add_argument("--attacks", nargs="+", required=True, help="as in demo_core.benchmark")
    parser.add_argument("--defenses", nargs="+", default=list(DEFENSES), choices=list(DEFENSES))
    parser.add_argument(
        "--limit", type=positive, help="pictures of each archive, chosen by the seed; else all"
    )
    parser.add_argument("--batch", type=positive, default=BATCH, help="pictures worked on at once")
    parser.add_argument(
        "--tile",
        type=positive,
        help="pictures that go through a model at a time; else a whole batch",
    )
    parser.add_argument(
        "--every", type=positive, default=1, help="take only every so many-th of these pictures: others later"
    )
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the records")
    args = parser.parse_args(argv)
    try:
        trials = read_trials(args.attacks)
        with alone_in(args.out):
            clip = load(args.model)
            surrogate = load(surrogate_of(args.model)) if any(t.transfers for t in trials) else None
            piles = {
                path.stem: read_pile(path, args.limit, args.seed, clip.image_size) for path in args.archives
            }
            setup = Setup(args.model, clip, surrogate, args.seed, tile=args.tile or args.batch)
            plan = Plan(trials, args.defenses, args.batch, (0, args.every))
            records = open_records(args.out, setup, piles, plan)
            for name, pile in piles.items():
                for _ in run(setup.bench(pile), name, records, plan, quiet=True):
                    pass
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
