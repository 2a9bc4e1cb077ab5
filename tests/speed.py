"""How fast this is beside what it must do anyway, each pair in turns in one run:

    python -m tests.speed [--parts rows texts gate kernels click rates] [--pictures 64] [--rounds 7]
        [--models photo vit-b-32] [--defenses dbd agc]

Prints a table: in each round both of a pair are timed, one after the other, and their ratio is told by its
least, median and greatest, beside what it should be at most (or, of the authors' way, at least). `rates` is
a table of its own, of where models compute, a GPU if there is one. ViT-B/32 has random weights, which are as
fast as any. A benchmark computes in whole tiles of sixteen pictures, the last one filled up with black; the
passes by hand are not filled up, so that a ratio tells what that costs where a gate opens for few.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import open_clip
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from demo_core.attacks import ATTACKS
from demo_core.benchmark.piles import held
from demo_core.benchmark.run import Bench
from demo_core.benchmark.trials import Trial
from demo_core.clip import ZeroShotCLIP, in_bf16, in_tiles
from demo_core.defenses import DEFENSES, title_of
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import load, profile_of
from demo_core.pictures import open_picture
from demo_core.surroundings import keep_large_blocks
from tests.rates import HEAD, Arithmetic, both, changed
from tests.rates import rows as rates_rows

Work = Callable[[], object]
TILE = 16  # pictures that are computed at once
MODELS = {"photo": "Photo CLIP", "vit-b-32": "ViT-B/32"}
LABELS = 200


@dataclass(frozen=True)
class Pair:
    """Two that are compared. goal: of the ratio of their times, the most, or where `least` is set the least;
    None where there is none."""

    title: str
    work: Work
    beside: Work
    goal: float | None = None
    least: bool = False


def seconds(work: Work) -> float:
    then = time.perf_counter()
    work()
    return time.perf_counter() - then


def row_of(pair: Pair, rounds: int) -> str:
    """A line of the table."""
    pair.work(), pair.beside()  # warm up
    ratios = sorted(seconds(pair.work) / seconds(pair.beside) for _ in range(rounds))
    middle = statistics.median(ratios)
    goal = "" if pair.goal is None else f"{'≥' if pair.least else '≤'} {pair.goal:g}"
    kept = goal and ("yes" if (middle >= pair.goal if pair.least else middle <= pair.goal) else "**no**")
    return f"| {pair.title} | {ratios[0]:.2f} | {middle:.2f} | {ratios[-1]:.2f} | {goal} | {kept} |"


# ---------------------------------------------------------------- what is computed


def model(key: str, device: str = "cpu") -> ZeroShotCLIP:
    if key == "photo":
        return load("photo", device)
    torch.manual_seed(0)
    made = open_clip.create_model("ViT-B-32-quickgelu", load_weights=False)
    tokenizer = open_clip.get_tokenizer("ViT-B-32-quickgelu")
    clip = ZeroShotCLIP(made, tokenizer, open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    return clip.to(device)


def by_hand(clip: ZeroShotCLIP, pixels: torch.Tensor, forward: int, backward: int, tile: int) -> None:
    """So many pictures forward through the image tower, so many of them back again, tile by tile."""

    def parts(pictures: int):
        return pixels[torch.arange(pictures) % len(pixels)].split(tile) if pictures else ()

    for part in parts(backward):
        both(clip, part)
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
        box, bilinear = (x, y, x + part, y + part), Image.Resampling.BILINEAR
        found.append(pil_to_tensor(photo.resize((side, side), bilinear, box, reducing_gap=2.0)))
    return torch.stack(found)


def bench_of(key: str, pictures: int, tile: int = TILE, device: str = "cpu") -> Bench:
    clip = model(key, device)
    squares = cut_out(pictures, clip.image_size)
    pile = held(squares, torch.zeros(pictures, dtype=torch.long), PRESETS["Everyday"])
    return Bench(clip, pile, tile=tile, profile=profile_of(key))


# ---------------------------------------------------------------- what is compared


def rows(
    pictures: int, models: Mapping[str, str], defenses: Sequence[str] = tuple(DEFENSES)
) -> Iterator[Pair]:
    """Each defence against its own passes made by hand, two in three pictures attacked."""
    for key, title in models.items():
        bench = bench_of(key, pictures)
        batch = bench.pile.load(torch.arange(pictures))
        clean, attacked = (
            bench.attacked(trial, batch) for trial in (Trial("clean"), Trial("pgd", 4, steps=2))
        )
        mixed = torch.where(torch.arange(pictures).view(-1, 1, 1, 1) % 3 > 0, attacked, clean)
        for name in defenses:
            cost = bench.answers(batch, mixed, name).iloc[0]
            forward, backward = (round(cost[kind] * pictures) for kind in ("forward", "backward"))
            yield Pair(
                f"{title}: {title_of(name)}, {cost['forward']:.1f} + {cost['backward']:.1f} passes a picture",
                partial(bench.answers, batch, mixed, name),
                partial(by_hand, bench.clip, mixed, forward, backward, bench.tile),
                1.05,
            )


def texts(pictures: int, models: Mapping[str, str]) -> Iterator[Pair]:
    """PGD-10 whose texts are encoded at each evaluation, as the authors' code does it, against ours."""
    if "vit-b-32" not in models:
        return
    clip = model("vit-b-32")
    labels = tuple(f"thing {number}" for number in range(LABELS))
    tokens = clip.tokenizer([f"This is a photo of a {label}." for label in labels])
    ours = clip.classifier(labels, "This is a photo of a {}.")

    def authors(pixels: torch.Tensor) -> torch.Tensor:
        text = torch.nn.functional.normalize(clip.model.encode_text(tokens), dim=-1)
        return clip.logits(clip.encode(pixels), text)

    def attack(classify, pixels: torch.Tensor) -> None:
        sizes = {"eps": 4 / 255, "step_size": 1 / 255, "steps": 10}
        goal = torch.zeros(len(pixels), dtype=torch.long)
        for _ in ATTACKS["pgd"].run(classify, pixels, goal, **sizes, generator=torch.Generator()):
            pass

    for size in (8, 64):
        pixels = torch.rand(size, 3, clip.image_size, clip.image_size)
        yield Pair(
            f"ViT-B/32: the authors’ way of PGD-10 beside ours, {LABELS} labels, batch {size}",
            partial(attack, authors, pixels),
            partial(attack, ours, pixels),
            5,
            least=True,
        )


def gate(pictures: int, models: Mapping[str, str]) -> Iterator[Pair]:
    """A gated defence on clean pictures before which its gate is shut against attacked ones before which it
    opens."""
    if "photo" not in models:
        return
    bench = bench_of("photo", pictures)
    batch = bench.pile.load(torch.arange(pictures))
    clean, attacked = (bench.attacked(trial, batch) for trial in (Trial("clean"), Trial("pgd", 4)))
    for name in ("default", "csr"):
        row = DEFENSES[name]
        gate, config = row.gate(bench.profile), row.config(bench.profile)
        with torch.no_grad(), in_tiles(TILE):
            opens = [gate.engages(row.signal(bench.clip, x, None, config)) for x in (clean, attacked)]
        count = min(int((~opens[0]).sum()), int(opens[1].sum()))
        if not count:
            continue
        shut, open_ = clean[~opens[0]][:count], attacked[opens[1]][:count]
        some = bench.pile.load(torch.arange(count))
        yield Pair(
            f"Photo CLIP: {row.title}, {count} pictures with a shut gate beside as many with an open one",
            partial(bench.answers, some, shut, name),
            partial(bench.answers, some, open_, name),
            0.6,
        )


def passes(clip: ZeroShotCLIP, pixels: torch.Tensor, lower: bool = False, threads: int = 0) -> None:
    """Of each picture one forward and one forward and back; lower: in bfloat16; threads: on so many."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with in_bf16(lower):
            by_hand(clip, pixels, 2 * len(pixels), len(pixels), TILE)
    finally:
        torch.set_num_threads(before)


def rates(pictures: int, rounds: int, models: Mapping[str, str]) -> Iterator[str]:
    """Lines of the table of pictures a second."""
    yield HEAD
    for key, title in models.items():
        yield from rates_rows(title, model(key), pictures, rounds)


def kernels(pictures: int, models: Mapping[str, str]) -> Iterator[Pair]:
    """Other ways to compute the same passes, against float32 as it is."""
    for key, title in models.items():
        clip = model(key)
        pixels = torch.rand(min(pictures, TILE), 3, clip.image_size, clip.image_size)
        last = changed(clip, Arithmetic("channels last", channels_last=True))
        compiled = changed(clip, Arithmetic("compiled", compiled=True))
        ways: dict[str, Work] = {
            "bfloat16": partial(passes, clip, pixels, lower=True),
            "channels last": partial(passes, last, pixels.to(memory_format=torch.channels_last)),
            "compiled": partial(passes, compiled, pixels),
        }
        for threads in sorted({1, os.cpu_count() or 1}):
            ways[f"{threads} thread{'s' * (threads > 1)}"] = partial(passes, clip, pixels, threads=threads)
        for name, work in ways.items():
            yield Pair(f"{title}: {name} beside float32", work, partial(passes, clip, pixels))


PARTS = {"rows": rows, "texts": texts, "gate": gate, "kernels": kernels}
CHOSEN = """
Chosen is float32 as it is, on all threads of the machine. bfloat16 is left to CLIP_PRECISION and --precision,
as it changes answers (a picture or two in a hundred); channels last and compiling change their bits too, and
with them every record that is kept, and compiling needs a compiler and a minute before the first answer.
"""


def click(rounds: int) -> str:
    """A line of the table: from the click to the verdict, against the passes of that run."""
    from tests import latency

    waits, shares = latency.measured(rounds)
    ratios = sorted(1 / share for share in shares)
    middle = statistics.median(ratios)
    title = f"a click beside its passes: {statistics.median(waits) / 1000:.1f} s to the last frame"
    kept = "yes" if middle <= 1.5 else "**no**"
    return f"| {title} | {ratios[0]:.2f} | {middle:.2f} | {ratios[-1]:.2f} | ≤ 1.5 | {kept} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*PARTS, "click", "rates"]
    parser.add_argument("--parts", nargs="+", choices=every, default=every)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--defenses",
        nargs="+",
        choices=list(DEFENSES),
        default=list(DEFENSES),
        help="the rows that are timed",
    )
    args = parser.parse_args()
    models = {key: MODELS[key] for key in args.models}
    keep_large_blocks()  # as the benchmark does
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| time of … beside … | least | median | most | goal | kept |")
    print("|---|---|---|---|---|---|", flush=True)
    if "click" in args.parts:
        print(click(args.rounds), flush=True)
    parts = PARTS | {"rows": partial(rows, defenses=args.defenses)}
    for part in (part for part in parts if part in args.parts):
        for pair in parts[part](args.pictures, models):
            try:
                print(row_of(pair, args.rounds), flush=True)
            except Exception as error:  # of compiling, where no compiler is here
                print(f"| {pair.title} | not here: {str(error).splitlines()[0][:80]} |", flush=True)
    print(CHOSEN)
    if "rates" in args.parts:
        for line in rates(args.pictures, args.rounds, models):
            print(line, flush=True)


if __name__ == "__main__":
    main()
