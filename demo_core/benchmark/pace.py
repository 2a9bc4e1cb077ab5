"""How long a run takes: what a picture of it costs here, how many pictures a time is enough for, and how much
of a run's time were the image tower's own passes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from demo_core.benchmark.datasets import OF_THE_APP
from demo_core.benchmark.piles import Pile, held, pile_of
from demo_core.benchmark.published import counterparts, figure_of, published_of, reasons
from demo_core.benchmark.report import how, tabulated
from demo_core.benchmark.run import Plan, Setup, Tally, answered, out_of_memory, queued
from demo_core.benchmark.tables import dataset_title
from demo_core.benchmark.trials import BenchmarkError
from demo_core.clip import in_bf16, in_tiles
from demo_core.defenses import title_of
from demo_core.intervals import wilson
from demo_core.stages import lasting

ROUNDS = 3  # of which the fastest counts


@dataclass(frozen=True)
class Cost:
    """Of one picture under all that a plan has. seconds: here; forward, backward: passes."""

    seconds: float
    forward: float
    backward: float


def examples(side: int, count: int) -> Pile:
    """So many pictures: the example photographs, again and again."""
    pile = pile_of(OF_THE_APP, Path(), side)
    some = pile.load(torch.arange(len(pile.indices)))
    rows = torch.arange(count) % len(some)
    return held(some.pictures[rows], some.labels[rows], pile.names, template=pile.template)


def cost_of(setup: Setup, plan: Plan) -> Cost:
    """Measured: one tile of photographs under everything, by the run's own code; that a run need not attack a
    picture again (+upto) is not counted. Gates open as they do for photographs, and a data set's number of
    classes hardly matters. Raises BenchmarkError where memory is too small for a tile."""
    bench, tally = setup.bench(examples(setup.clip.image_size, setup.tile)), Tally()
    one_tile = replace(plan, batch=setup.tile, share=(0, 1))
    try:
        bare_seconds(setup)  # what is first is slow
        for trial in plan.trials:
            for work in queued(bench.pile, one_tile, trial, {}):
                answered(bench, work, {}, tally)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise BenchmarkError(
            f"{setup.tile} pictures at a time do not fit into memory: choose a smaller --tile."
        ) from error
    return Cost(*(value / setup.tile for value in (tally.seconds, tally.forward, tally.backward)))


def bare_seconds(setup: Setup) -> tuple[float, float]:
    """Of a picture that goes through the image tower alone, a tile at once: forward, and forward and back."""
    clip, tile = setup.clip, setup.tile
    pixels = torch.rand(tile, 3, clip.image_size, clip.image_size, device=clip.device)

    def fastest(through: bool) -> float:
        times = []
        for _ in range(ROUNDS):
            then, leaf = time.perf_counter(), pixels.clone().requires_grad_(through)
            with torch.set_grad_enabled(through), in_tiles(tile), in_bf16(setup.precision == "bf16"):
                looked_at = clip.encode(leaf).pow(2).sum()
            if through:
                (looked_at,) = torch.autograd.grad(looked_at, leaf)
            looked_at.sum().item()  # a GPU has ended only now
            times.append(time.perf_counter() - then)
        return min(times) / tile

    return fastest(False), fastest(True)


def spent(tally: Tally, setup: Setup) -> str:
    """A finished run's throughput, and what of its time was not the image tower's, where its passes were of
    one precision and there is memory to time them alone."""
    passes = tally.forward + tally.backward
    said = (
        f"{passes:,.0f} passes of a picture through the image tower in {lasting(tally.seconds)},"
        f" {passes / tally.seconds:,.0f} a second"
    )
    if setup.precision == "bf16-attacks":
        return f"{said}."
    try:
        forward, both = bare_seconds(setup)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return f"{said}."
    bare = forward * (tally.forward - tally.backward) + both * tally.backward
    return f"{said}; {min(1.0, bare / tally.seconds):.0%} of that time is what the passes alone take."


def affordable(cost: Cost, seconds: float, processes: int = 1) -> int:
    """How many pictures there is time for, at least one."""
    return max(1, int(processes * seconds / cost.seconds))


def shared_out(pictures: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """So many pictures over data sets of these sizes, so that the widest interval is as narrow as it can be:
    as many of each, but for the small ones, which give all they have; each gives one at least."""
    found: dict[str, int] = {}
    left = pictures
    for rest, key in zip(range(len(sizes), 0, -1), sorted(sizes, key=lambda key: sizes[key])):
        found[key] = min(sizes[key], max(1, left // rest))
        left -= found[key]
    return {key: found[key] for key in sizes}


def forecast(cost: Cost, plan: Plan, sizes: Mapping[str, int], device: str, fixed: Mapping[str, Any]) -> str:
    """What a run will take, and what would count as reproduced, as Markdown. sizes: pictures of each data
    set; fixed: the settings that all its records will share."""
    everything = sum(sizes.values())
    most = "at most " * any(trial.upto for trial in plan.trials)  # what fell is not attacked again
    rows = {
        dataset_title(key): [f"{size:,}", f"{size * cost.seconds / 3600:.2f}", f"±{half_width(size, 50):.1f}"]
        for key, size in sizes.items()
    }
    taken = pd.DataFrame.from_dict(rows, "index", columns=["pictures", "hours", "interval, at most"])
    return "\n\n".join(
        [
            f"**{everything:,} pictures, {most}{lasting(everything * cost.seconds)} on {device}**, measured"
            f" with {len(plan.trials)} attacks and {len(plan.defenses)} defences on example photographs: of"
            f" each picture {cost.forward:.0f} passes forward and {cost.backward:.0f} back, in"
            f" {cost.seconds:.3g} s. On n such devices, each with its --share, an n-th of it. {how(fixed)}",
            tabulated(taken, "data set"),
            *_to_reproduce(plan, sizes, fixed),
        ]
    )


def _to_reproduce(plan: Plan, sizes: Mapping[str, int], fixed: Mapping[str, Any]) -> list[str]:
    """What papers printed of the plan's rows on this model, a table an attack, how far off is still the same,
    and in what else the two will not be alike."""
    printed, sources, unlike = published_of(fixed["model"]), [], dict[str, dict[str, None]]()
    tables = []
    for trial in plan.trials:
        cells: dict[str, dict[str, str]] = {}
        for dataset, defense in product(sizes, plan.defenses):
            for row in counterparts(printed, dataset, defense, trial)[:1]:
                value = figure_of(row, trial)
                off = 2**0.5 * half_width(sizes[dataset], value)
                cells.setdefault(dataset_title(dataset), {})[title_of(defense)] = f"{value:.2f} ±{off:.2f}"
                sources.append(row["source"])
                for reason in reasons(dataset, defense, trial, sizes[dataset], row, fixed):
                    unlike.setdefault(reason, {})[dataset_title(dataset)] = None
        if cells:
            tables.append(tabulated(pd.DataFrame.from_dict(cells, "index").fillna(""), trial.title))
    if not tables:
        return ["No paper printed a figure of what is planned on this model."]
    words = (
        "What papers printed, and what would reproduce it: a figure no further off than the 95 % interval of"
        " the difference between two runs over so many pictures. Sources: "
    )
    return [f"{words}{'; '.join(dict.fromkeys(sources))}.", *tables, *_unlike(unlike)]


def _unlike(found: Mapping[str, Iterable[str]]) -> list[str]:
    """found: the data sets that a reason holds for, which are named where they are not all."""
    everywhere = {title for titles in found.values() for title in titles}

    def line(reason: str, titles: Iterable[str]) -> str:
        known = {*titles} == everywhere or any(reason.startswith(f"{title}: ") for title in titles)
        return f"- {reason}" if known else f"- {', '.join(titles)}: {reason}"

    lines = [line(reason, titles) for reason, titles in found.items()]
    return ["In what the two will not be alike:\n\n" + "\n".join(lines)] if lines else []


def half_width(pictures: int, accuracy: float) -> float:
    """Of an accuracy's interval, in points."""
    low, high = wilson(accuracy / 100, pictures)
    return 100 * float(high - low) / 2
