"""The button that measures a model which nobody has studied here: what it does (see handlers.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr

from demo_core.calibrate import FEW, example_pictures, most_steps, studied, whole_pile_of
from demo_core.defenses.drift import Study
from demo_core.limits import LIMITS
from demo_core.models import MODELS, keep_study, profile_of, study_of
from demo_core.story import trust_words
from demo_core.ui import visits
from demo_core.ui.lent import LONGEST, computed
from demo_core.ui.render import gate_html, no_views
from demo_core.ui.visits import BAD_INPUT, IDLE, PAUSE, Changes, at_work

LONGEST_MEASURING = 4 * LIMITS.seconds  # of computing: it is done once for all visitors


def measured(key: str) -> Iterator[tuple[int, int] | Study]:
    """Step after step of at most so many, then the study of a model of the table on the example photographs.
    Raises one of visits.BAD_INPUT."""
    whole = whole_pile_of(visits.model(key), MODELS[key].template, example_pictures())
    most, done = most_steps(whole, FEW), 0
    steps = studied(whole, MODELS[key].title, profile_of(key), FEW)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            yield end.value
            return
        yield (done := done + 1), most


def measure(key: str) -> Iterator[Changes]:
    """Study a model, and say which gates can be trusted on it; at once where somebody has studied it
    meanwhile."""
    then = 0.0
    steps = (
        computed(measured, key, seconds=lambda: LONGEST, refusals=BAD_INPUT) if study_of(key) is None else ()
    )
    for found in steps:
        if isinstance(found, Study):
            keep_study(key, found)
        elif time.monotonic() - then >= PAUSE:
            yield at_work(trust_words.measuring(*found))
            then = time.monotonic()
        else:
            yield {"stage": gr.skip()}  # a place to stop at
    yield {"gate": gate_html(key), "views": no_views(key)} | IDLE
