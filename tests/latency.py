"""How long a visitor waits, from the click to the last frame, and how much of that is the model's own work:

    python -m tests.latency [--runs 9] [--races 5]

Starts the app in this process, drives it with an installed Chromium, and runs PGD-10 and the counterattack on
the first example. The model's work is the time inside its encoder's forward and backward passes. Then,
without a browser, so many examples meet every defence in the arena.
"""

import argparse
import statistics
import time

import torch
from playwright.sync_api import sync_playwright

from demo_core import story
from demo_core.clip import ZeroShotCLIP
from demo_core.examples import EXAMPLES, Example
from demo_core.labels import PRESETS
from demo_core.models import DEFAULT_MODEL, MODELS, load, profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story.race import Races
from demo_core.ui import lab, theme, visits
from tests.e2e import CHROMIUM

CLICK = """() => new Promise((resolve) => {
  const stage = document.querySelector(".stage"), then = performance.now();
  let began = false;
  new MutationObserver((_, observer) => {
    if (stage.dataset.done === "false") began = true;
    if (!began || stage.dataset.done !== "true") return;
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - then)));  // painted
  }).observe(stage, { attributes: true });
  document.querySelector("#both").click();
})"""


def timed(function, spent: list[float]):
    def wrapped(*args, **kwargs):
        then = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - then)

    return wrapped


def measured(runs: int) -> tuple[list[float], list[float]]:
    """Of each run, milliseconds from the click to the last frame, and what share of them the passes take."""
    spent: list[float] = []
    ZeroShotCLIP.encode = timed(ZeroShotCLIP.encode, spent)
    torch.autograd.grad = timed(torch.autograd.grad, spent)
    page = lab.build()
    visits.model(DEFAULT_MODEL)
    _, url, _ = page.queue(default_concurrency_limit=4).launch(
        prevent_thread_lock=True, quiet=True, **theme.launch_options()
    )
    waits, shares = [], []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(url)
        tab.wait_for_selector(".stage[data-done=true]")
        tab.wait_for_timeout(1500)
        for run in range(runs + 1):
            spent.clear()
            wait = tab.evaluate(CLICK)
            tab.wait_for_timeout(500)
            if run:  # the first one warms up
                waits.append(wait)
                shares.append(1000 * sum(spent) / wait)
        browser.close()
    page.close()
    return waits, shares


MARKS = {  # of a race, by what there is of it
    "its first lane": lambda races: races.static,
    "every row’s answer": lambda races: races.answered,
    "the last of what is rolled again": lambda races: races.finished,
}


def raced(example: Example) -> dict[str, float]:
    """Seconds from an arena’s begin to each of its marks; the attack, PGD-10, is made before."""
    clip, model = load(DEFAULT_MODEL), MODELS[DEFAULT_MODEL]
    settings = story.Settings(PRESETS[example.preset], model.template)
    picture = to_photo(open_picture(example.path))
    *_, run = story.attack(clip, story.begin(clip, picture, settings, profile_of(DEFAULT_MODEL)))
    then, passed = time.perf_counter(), {}
    for bouts in story.arena(clip, run):
        now, races = time.perf_counter() - then, Races(static=bouts)
        passed |= {mark: now for mark, is_there in MARKS.items() if mark not in passed and is_there(races)}
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--races", type=int, default=5)
    args = parser.parse_args()
    waits, shares = measured(args.runs)
    print(
        f"{args.runs} runs: {statistics.median(waits):.0f} ms from click to last frame"
        f" (median; {min(waits):.0f} to {max(waits):.0f});"
        f" {statistics.median(shares):.0%} of it the model’s passes"
    )
    races = [raced(example) for example in EXAMPLES[: args.races]]
    for mark in MARKS if races else ():
        seconds = [race[mark] for race in races]
        print(f"a race, {len(races)} photographs: {mark} after {min(seconds):.2f} to {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
