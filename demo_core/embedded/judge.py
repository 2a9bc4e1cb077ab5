"""Judge defences of an embedded model on archives of photographs: the benchmark's records, from zip files.

    python -m demo_core.embedded.judge --archives ImageNet.zip --model photo --attacks clean pgd@1 pgd@4 --out
    runs/photo python -m demo_core.benchmark --report runs/photo --store assets/embedded/photo/records.csv.xz

Attacks are written, records kept and a stopped run taken up again as in `demo_core.benchmark`, whose work
this is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from demo_core.benchmark import Bench, BenchmarkError, Trial, alone_in, open_records, positive, run
from demo_core.defenses import DEFENSES
from demo_core.embedded.gallery import BATCH, read_pile
from demo_core.models import DEFAULT_MODEL, MODELS, load, profile_of, surrogate_of


def main(argv: list[str] | None = None) -> None:
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
    parser.add_argument("--batch", type=positive, default=BATCH)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the records")
    args = parser.parse_args(argv)
    # On a GPU, too, float32 is float32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        trials = [Trial.read(text) for text in args.attacks]
        with alone_in(args.out):
            clip = load(args.model)
            surrogate = load(surrogate_of(args.model)) if any(t.transfers for t in trials) else None
            piles = {
                path.stem: read_pile(path, args.limit, args.seed, clip.image_size) for path in args.archives
            }
            records = open_records(
                args.out, args.model, clip, surrogate, piles, args.defenses, args.seed, "float32", args.batch
            )
            for name, pile in piles.items():
                bench = Bench(
                    clip, pile, args.seed, surrogate, tile=args.batch, profile=profile_of(args.model)
                )
                for _ in run(
                    bench, name, records, records.read(), trials, args.defenses, args.batch, quiet=True
                ):
                    pass
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
