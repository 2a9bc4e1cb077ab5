"""The button that measures a model which nobody has studied here: what it does (see handlers.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr

from demo_core.benchmark.whole import WholePile
from demo_core.calibrate import FEW, example_pictures, most_steps, studied, usual_cost, whole_pile_of
from demo_core.defenses import Profile
from demo_core.defenses.drift import Study
from demo_core.limits import LIMITS
from demo_core.models import MODELS, keep_study, profile_of, study_of
from demo_core.story import trust_words
from demo_core.story.trust import QUICK
from demo_core.story.trust_words import Progress
from demo_core.ui import visits
from demo_core.ui.lent import LONGEST, computed
from demo_core.ui.render import gate_html, no_views
from demo_core.ui.tempo import timed
from demo_core.ui.visits import BAD_INPUT, IDLE, PAUSE, Changes, at_work

LONGEST_MEASURING = 4 * LIMITS.seconds  # of computing: it is done once for all visitors


def expected(whole: WholePile, profile: Profile) -> float:
    """About how many seconds the study of a pile takes, by a pass forward and back of its model."""
    forward, back = usual_cost(profile, tuned=whole.clip.original is not None, attacks=FEW)
    pixels = whole.pictures[:1].to(whole.clip.device)
    timed(whole.bare, pixels)  # the first one is slow
    pair, alone = timed(whole.bare, pixels), timed(whole.bare, pixels, back=False)
    return len(whole.pictures) * (back * pair + (forward - back) * alone)


def measured(key: str, photographs: int) -> Iterator[Progress | Study]:
    """How it stands, before and after each step, and after each photograph the study of those so far, of a
    model of the table on so many of the example photographs. Raises one of visits.BAD_INPUT."""
    whole = whole_pile_of(visits.model(key), MODELS[key].template, example_pictures()[:photographs])
    profile, pictures, steps = profile_of(key), len(whole.pictures), most_steps(whole, FEW)
    guess, done, begun = expected(whole, profile), 0, time.monotonic()
    yield Progress(1, pictures, 0, steps, guess)
    for step, found in enumerate(studied(whole, MODELS[key].title, profile, FEW), 1):
        spent = time.monotonic() - begun
        if found is not None:
            yield found
            done = found.pictures
            guess = spent / done * pictures  # of the whole
        yield Progress(min(done + 1, pictures), pictures, min(step, steps), steps, max(guess - spent, 0))


def offered(photographs: object) -> int | None:
    """That number, where a button is for so many; else None."""
    return next((number for number in trust_words.BUTTONS if number == photographs), None)


def measure(key: str, photographs: int | None = None) -> Iterator[Changes]:
    """Study a model on so many photographs, all where no number is given, and say which gates can be trusted
    on it as soon as a few are measured, so that Stop leaves what is known by then; at once where somebody has
    studied it meanwhile."""
    photographs, then = photographs or len(example_pictures()), 0.0
    known = study_of(key)
    if known is None or known.pictures < photographs:
        given = (measured, key, photographs)
        for found in computed(*given, seconds=lambda: LONGEST, refusals=BAD_INPUT):
            if isinstance(found, Study):
                yield from _kept(key, found)
            elif time.monotonic() - then >= PAUSE:
                yield at_work(trust_words.measuring(found))
                then = time.monotonic()
            else:
                yield {"stage": gr.skip()}  # a place to stop at
    yield {"gate": gate_html(key), "views": no_views(key)} | IDLE


def _kept(key: str, found: Study) -> Iterator[Changes]:
    """What changes with a study that says more than the one that is kept: of a few photographs at least."""
    known = study_of(key)
    if found.pictures >= min(QUICK, len(example_pictures())) and (
        known is None or known.pictures < found.pictures
    ):
        keep_study(key, found)
        yield {"gate": gate_html(key), "views": no_views(key)}
