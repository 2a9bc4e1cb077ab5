"""How long the report of a million records takes, and how much memory:

    python -m tests.many [--records 1000000]

Ten data sets of made-up answers under ten attacks and ten defences; prints the seconds and the peak of
memory of the whole command, and how large the page is.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from demo_core.benchmark.datasets import PAPERS
from demo_core.benchmark.records import COLUMNS, Records
from demo_core.defenses import DEFENSES

ATTACKS = ["clean", "noise@4", *(f"{name}@{eps:g}" for name in ("pgd", "cw", "apgd_ce") for eps in (1, 4))]
ATTACKS += ["pgd@1+predicted", "pgd@4+predicted"]
SETS, CLASSES = PAPERS[:10], 100


def fill(folder: Path, count: int) -> None:
    """So many records in a folder, as a run would have written them."""
    dice, defenses = np.random.default_rng(0), list(DEFENSES)[:10]
    pictures = count // (len(SETS) * len(ATTACKS) * len(defenses))
    classes = {name: [f"class {label}" for label in range(CLASSES)] for name in SETS}
    settings = {"model": "vit-b-32", "precision": "float32", "seed": 0}
    records = Records(folder, settings, {"classes": classes})
    labels = dice.integers(0, CLASSES, pictures)
    for name in SETS:
        parts = []
        for a, attack in enumerate(ATTACKS):
            for d, defense in enumerate(defenses):
                right = dice.random(pictures) < 0.9 - 0.07 * a + 0.02 * d
                wrong = (labels + dice.integers(1, CLASSES, pictures)) % CLASSES
                parts.append(
                    pd.DataFrame(
                        {
                            "dataset": name,
                            "index": np.arange(pictures),
                            "label": labels,
                            "attack": attack,
                            "defense": defense,
                            "predicted": np.where(right, labels, wrong),
                            "forward": 1.0 + d,
                            "backward": 0.5 * d,
                            "milliseconds": 2.5 * d,
                        }
                    )
                )
        records.append(pd.concat(parts)[COLUMNS])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder, count)
        then = time.perf_counter()
        command = [sys.executable, "-m", "demo_core.benchmark", "--report", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds, page = time.perf_counter() - then, (folder / "report.html").stat().st_size / 2**20
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{count:,} records: {seconds:.1f} s, of which the processor worked"
        f" {used.ru_utime + used.ru_stime:.1f} s; {used.ru_maxrss / 2**10:,.0f} MiB at the peak; a page of"
        f" {page:.1f} MiB"
    )


if __name__ == "__main__":
    main()
