"""Whether the demo holds in public. Each starts the app as the README says, as a process of its own.

Many visitors at once, each of whom checks that he gets his own answer, the same each time; ten of them leave
in the middle, again and again:

    python -m tests.crowd visitors [--visitors 50] [--minutes 5]

Many runs in a row, each of a new visitor of the page, who leaves then, with memory, threads, open files and
kept files; after a fifth of them each must be flat, within ±5 % or, of the few threads and files, within 3.
Of each visitor something is kept for a while (some 0.3 MiB, of as many as CLIP_MAX_VISITORS says): here of
50, so that the bound is met within that fifth:

    python -m tests.crowd runs [--runs 500] [--out curve.csv]
"""

from __future__ import annotations

import argparse
import csv
import statistics
import threading
import time
from pathlib import Path

import psutil
from gradio_client import Client, handle_file

from demo_core.examples import EXAMPLES
from demo_core.story.settings import SETTINGS
from demo_core.ui import uploads
from tests import hostile
from tests.e2e import started

LABELS = "tabby cat\nespresso\nrocket\nmotorcycle\ndahlia"
BAND, FEW = 0.05, 3  # of what is flat: a share, and so many threads or files
LEAVING = 10  # visitors who never wait for an answer


def measured(pid: int) -> dict[str, float]:
    app = psutil.Process(pid)
    kept = uploads.home() / str(pid)
    return {
        "MiB": app.memory_info().rss / 2**20,
        "threads": app.num_threads(),
        "open files": app.num_fds(),
        "kept files": sum(path.is_file() for path in kept.rglob("*")),
    }


def visitor(address: str, number: int, until: float, waits: list[float], faults: list[str]) -> None:
    """Attacks his own picture with his own seed until the time is over."""
    picture = hostile.upload(address, EXAMPLES[number % len(EXAMPLES)].path)
    sent, first = hostile.given("attack", picture, labels=LABELS, seed=number, steps=3), None
    while time.monotonic() < until:
        then = time.monotonic()
        with hostile.asked(address, "attack", sent) as stream:
            if number < LEAVING:
                stream.readline()
                time.sleep(0.5 + number / 10)
                continue
            answered, said = hostile.last_of(stream)
        waits.append(time.monotonic() - then)
        # How long it takes is reckoned anew each time.
        report = {k: v for k, v in said[0].items() if k != "expected_seconds"} if answered else None
        first = first or report
        if report is None or report != first:
            faults.append(f"visitor {number} got {said if report is None else 'another answer'}")


def visitors(count: int, minutes: float) -> bool:
    """Whether everybody got his own answer."""
    waits: list[float] = []
    faults: list[str] = []
    with started() as (address, pid):
        before, until = measured(pid), time.monotonic() + 60 * minutes
        crowd = [
            threading.Thread(target=visitor, args=(address, number, until, waits, faults))
            for number in range(count)
        ]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        after = measured(pid)
    cuts = statistics.quantiles(waits, n=20)
    print(f"{count} visitors for {minutes:g} minutes, {LEAVING} of whom leave in the middle of each run")
    print(f"{len(waits)} answers; a visitor waited {cuts[9]:.1f} s (median), {cuts[18]:.1f} s (19 of 20)")
    print(", ".join(f"{name} {before[name]:.0f} to {after[name]:.0f}" for name in before))
    print(f"{len(faults)} faults", *faults[:10], sep="\n")
    return not faults


def runs(count: int, out: Path | None) -> bool:
    """Whether what is measured is flat after a fifth of the runs."""
    rows: list[dict[str, float]] = []
    values = [SETTINGS[name].default for name in SETTINGS]
    with started(CLIP_MAX_VISITORS="50") as (address, pid):
        for run in range(count + 1):
            if run % max(1, count // 50) == 0:
                rows.append({"run": run, **measured(pid)})
                print(", ".join(f"{name} {value:.0f}" for name, value in rows[-1].items()), flush=True)
            client = Client(address, verbose=False)
            picture = handle_file(EXAMPLES[run % len(EXAMPLES)].path)
            given = dict(zip(SETTINGS, values, strict=True)) | {"labels": LABELS, "steps": 3, "seed": run}
            client.predict(picture, *given.values(), api_name="/lab_both")
            client.close()
    if out:
        with out.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    late = [row for row in rows if row["run"] >= count / 5]
    return all([is_flat(name, [row[name] for row in late]) for name in rows[0] if name != "run"])


def is_flat(name: str, late: list[float]) -> bool:
    """Whether what is measured after the first fifth stays where it is; says so."""
    most, least = max(late), min(late)
    spread = (most - least) / max(1.0, statistics.median(late)) / 2
    flat = spread <= BAND or (name != "MiB" and most - least <= FEW)
    said = "flat" if flat else "NOT FLAT"
    print(f"{name}: {least:.0f} to {most:.0f} after the first fifth, ±{spread:.1%}: {said}")
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = parser.add_subparsers(dest="way", required=True)
    crowd = ways.add_parser("visitors")
    crowd.add_argument("--visitors", type=int, default=50)
    crowd.add_argument("--minutes", type=float, default=5)
    row = ways.add_parser("runs")
    row.add_argument("--runs", type=int, default=500)
    row.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.way == "visitors":
        raise SystemExit(not visitors(options.visitors, options.minutes))
    raise SystemExit(not runs(options.runs, options.out))


if __name__ == "__main__":
    main()
