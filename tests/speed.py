"""How fast the benchmark defends and classifies, against the same passes made by hand, in turns in one run:

    python -m tests.speed [--pictures 256] [--rounds 5]

Prints pictures per second of both, and their ratio: what is spent on anything but the model.
"""
import argparse
import statistics
import time

import torch

from demo_core.benchmark import Bench, Trial
from demo_core.clip import load
from demo_core.datasets import held
from demo_core.labels import PRESETS


def by_hand(clip, pixels: torch.Tensor, forward: int, backward: int, tile: int) -> None:
    """So many pictures forward through the image tower, so many of them back again, tile by tile."""
    def parts(pictures: int):
        return pixels[torch.arange(pictures) % len(pixels)].split(tile) if pictures else ()

    for part in parts(backward):
        leaf = part.clone().requires_grad_(True)
        torch.autograd.grad(clip.encode(leaf).pow(2).sum(), leaf)
    with torch.no_grad():
        for part in parts(forward - backward):
            clip.encode(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    clip, generator = load("pocket"), torch.Generator().manual_seed(0)
    noisy = torch.randint(0, 256, (args.pictures, 3, 64, 64), dtype=torch.uint8, generator=generator)
    pile = held(noisy, torch.zeros(args.pictures, dtype=torch.long), PRESETS["Everyday"])
    bench = Bench(clip, pile)
    batch = pile.load(torch.arange(args.pictures))
    pixels = bench.attacked(Trial("pgd", 4, 2), batch)
    for defense in ("none", "tte", "ttc", "default"):
        cost = bench.answers(batch, pixels, defense).iloc[0]  # warms up too
        forward, backward = (round(cost[kind] * args.pictures) for kind in ("forward", "backward"))
        ours, hands = [], []
        for _ in range(args.rounds):
            then = time.perf_counter()
            bench.answers(batch, pixels, defense)
            ours.append(args.pictures / (time.perf_counter() - then))
            then = time.perf_counter()
            by_hand(clip, pixels, forward, backward, bench.tile)
            hands.append(args.pictures / (time.perf_counter() - then))
        a, b = statistics.median(ours), statistics.median(hands)
        print(f"{defense:8s} {cost['forward']:.2f} + {cost['backward']:.2f} passes a picture: benchmark {a:7.1f} pictures/s, by hand {b:7.1f}, ratio {a / b:.2f}", flush=True)


if __name__ == "__main__":
    main()
