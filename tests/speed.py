"""How fast the benchmark defends and classifies, against the same passes made by hand, in turns in one run:

    python -m tests.speed [--pictures 256] [--rounds 5]

Prints pictures per second of both, and their ratio: what is spent on anything but the model.
"""

import argparse
import statistics
import time

import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from demo_core.benchmark.piles import held
from demo_core.benchmark.run import Bench
from demo_core.benchmark.trials import Trial
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import load
from demo_core.pictures import open_picture


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


def cut_out(pictures: int, side: int) -> torch.Tensor:
    """uint8 [N,3,side,side]: so many squares out of the example photographs, some large and some small, so
    that gates open as often as they do for photographs."""
    photos, generator = [open_picture(example.path) for example in EXAMPLES], torch.Generator().manual_seed(0)
    found = []
    for i, (size, left, top) in enumerate(torch.rand(pictures, 3, generator=generator).tolist()):
        photo = photos[i % len(photos)]
        part = min(photo.size) * (0.5 + size / 2)
        x, y = left * (photo.width - part), top * (photo.height - part)
        found.append(
            pil_to_tensor(
                photo.resize(
                    (side, side), Image.Resampling.BILINEAR, (x, y, x + part, y + part), reducing_gap=2.0
                )
            )
        )
    return torch.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    clip = load("photo", "cpu")
    pile = held(
        cut_out(args.pictures, clip.image_size),
        torch.zeros(args.pictures, dtype=torch.long),
        PRESETS["Everyday"],
    )
    bench = Bench(clip, pile)
    batch = pile.load(torch.arange(args.pictures))
    clean, attacked = (bench.attacked(trial, batch) for trial in (Trial("clean"), Trial("pgd", 4)))
    mixed = torch.where(torch.arange(args.pictures).view(-1, 1, 1, 1) % 3 > 0, attacked, clean)
    for title, pixels in (("clean", clean), ("attacked", attacked), ("two in three attacked", mixed)):
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
            print(
                f"{title}: {defense:8s} {cost['forward']:.2f} + {cost['backward']:.2f} passes a picture:"
                f" benchmark {a:7.1f} pictures/s, by hand {b:7.1f}, ratio {a / b:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
