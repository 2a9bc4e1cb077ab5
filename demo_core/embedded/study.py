"""Study how far a model's embedding drifts: clean and attacked photographs, over noise strengths and over
views; the work itself is demo_core/calibrate.py's.

    python -m demo_core.embedded.study --photographs ImageNet.zip --model photo

Writes study.json and study.svg into the model's folder; the Lab draws them behind a run's own points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_core.benchmark.whole import WholePile
from demo_core.calibrate import studied
from demo_core.embedded.archives import read_pile
from demo_core.models import DEFAULT_MODEL, MODELS, STUDY_FILE, folder_of, load, profile_of
from demo_core.moments import exhausted
from demo_core.plots import as_file, study_figure

BATCH = 8  # of which an attack and its signals take some 2 GB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="a zip of photographs, a folder a class"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=list(MODELS))
    parser.add_argument("--limit", type=int, help="pictures, chosen at random; else all")
    args = parser.parse_args()
    whole = WholePile(load(args.model), read_pile(args.photographs, args.limit), BATCH)
    title, folder = MODELS[args.model].title, folder_of(args.model)
    found = exhausted(studied(whole, title, profile_of(args.model)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STUDY_FILE).write_text(found.text(), encoding="utf-8")
    (folder / STUDY_FILE).with_suffix(".svg").write_bytes(as_file(study_figure(found), "svg"))
    print(found.title, found.median_flip_eps)


if __name__ == "__main__":
    main()
