"""Whether a benchmark survives being killed (SIGKILL), again and again, at random moments:

    python -m tests.kills [--kills 20] [--seed 0]

The run is on the example photographs, a picture at a time. Each process is killed a random moment after its
first record, or on its way to it; the last one is left alone. Then every answer must be that of a run that
nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo_core.benchmark.records import ANSWER, KEY, read_records
from demo_core.benchmark.trials import BenchmarkError

RUN = (
    "--datasets Examples --attacks clean pgd@1x2 pgd@4x2+predicted --defenses none tte ttc --batch 1".split()
)
LONGEST = 3.0  # seconds after a record that a process has at most


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "demo_core.benchmark", *RUN, "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count(folder: Path) -> int:
    """How many records lie there; none where nothing is begun."""
    try:
        return len(read_records(folder))
    except BenchmarkError:
        return 0


def killed(folder: Path, dice: random.Random) -> str:
    """Starts a process, kills it, and says when; empty where it was done before that."""
    process, before, then = start(folder), count(folder), time.monotonic()
    waits_for_record = dice.random() < 0.8
    after = dice.uniform(0, LONGEST)
    while process.poll() is None and waits_for_record and count(folder) == before:
        time.sleep(0.05)
    time.sleep(after)
    if process.poll() is not None:
        return ""
    process.send_signal(signal.SIGKILL)
    process.wait()
    return f"after {time.monotonic() - then:.1f} s, with {count(folder)} records"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dice, done = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as place:
        whole, broken = Path(place) / "whole", Path(place) / "broken-0"
        start(whole).wait()
        undisturbed = read_records(whole)[KEY + ANSWER]
        runs = [broken]
        while done < args.kills:
            if said := killed(runs[-1], dice):
                done += 1
                print(f"killed {done:2d}: {said} of {len(undisturbed)}", flush=True)
            else:
                runs.append(Path(place) / f"broken-{len(runs)}")
        for run in runs:
            start(run).wait()
            if not read_records(run)[KEY + ANSWER].equals(undisturbed):
                raise SystemExit(f"{run.name}: the records are not those of an undisturbed run.")
    print(f"{done} times killed, in {len(runs)} run(s): every answer is that of an undisturbed one.")


if __name__ == "__main__":
    main()
