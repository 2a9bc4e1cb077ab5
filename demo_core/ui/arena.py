"""What the arena's buttons do: functions of a visit that give what changes on the page, as in handlers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import gradio as gr

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.defenses import CONTROL, DEFENSES
from demo_core.moments import step_by_step
from demo_core.story import Run
from demo_core.story.flips import flips
from demo_core.story.race import Races
from demo_core.story.settings import InputError
from demo_core.ui.handlers import attack_before, attacked_before, keeping, streamed
from demo_core.ui.render import arena_html, flips_html
from demo_core.ui.visits import IDLE, Changes, Session, Visit, attacked, model, surrogate_for


def compare(visit: Visit) -> Iterator[Changes]:
    """Every defence on the picture that was attacked last, and on the clean one, defence by defence: against
    the attacker who knows none of them, or with `adaptive` against the one who knows each."""
    session = yield from attack_before(visit)
    clip, run = model(session.run.settings.model), session.run
    adaptive = visit.chosen.adaptive and run.settings.attack_can_know
    if run.settings.knows_defence and not adaptive:  # his attack was made through one of them
        run = run.under(adaptive=False)
        run = yield from step_by_step(attacked(clip, run), {"stage": gr.skip()})
    run = run.under(adaptive=adaptive)
    side = "adaptive" if adaptive else "static"
    yield from _lane_by_lane(session, run, side, story.arena(clip, run))
    yield IDLE


def _lane_by_lane(
    session: Session, run: Run, field: str, found: Iterator[tuple]
) -> Generator[Changes, None, Races]:
    """The lanes as rows answer, and in the end the races; field: of Races, which `found` fills, the same
    tuple again at each step of the work between two answers."""
    races, shown = replace(session.races, **{field: ()}), ()
    yield {"arena": arena_html(run, races)}
    for answers in found:
        if not answers or answers is shown:
            yield {"stage": gr.skip()}  # a place to stop at
            continue
        races, shown = replace(races, **{field: answers}), answers
        yield {"arena": arena_html(run, races), "session": replace(session, races=races)}
    return races


def watch(key: str, visit: Visit) -> Iterator[Changes]:
    """A lane of the arena on the stage, step by step: against the attacker that the switch names."""
    visit = replace(visit, values=visit.values | {"defense": key})
    session = yield from attack_before(visit)
    clip, run = model(session.run.settings.model), session.run
    adaptive = visit.chosen.adaptive and run.settings.attack_can_know
    anew = adaptive or run.settings.knows_defence
    run = run.under(adaptive=adaptive, defense=key, beside=visit.chosen.beside)
    runs = story.whole(clip, run, surrogate_for(run)) if anew else story.both(clip, run)
    yield {"defense": gr.update(value=key, info=DEFENSES[key].help), "adaptive": adaptive}
    yield from keeping(session.races, streamed(clip, runs, session.made_from, visit.title))


def beside(key: str, visit: Visit) -> Iterator[Changes]:
    """A lane of the arena beside the row on the stage, on the picture that this one has met."""
    first = visit.chosen.defense
    if key == first:
        raise InputError(f"“{DEFENSES[key].title}” is on the stage already: set another lane beside it.")
    session = yield from attacked_before(replace(visit, values=visit.values | {"beside": key}))
    clip, run, before = model(session.run.settings.model), session.run, visit.session
    answered = run.defended is not None and not run.control and before.run.settings.defense == first
    runs = story.second(clip, run) if answered else story.both(clip, run)
    yield {"beside": key}
    yield from keeping(session.races, streamed(clip, runs, session.made_from, visit.title))


def flip_point(visit: Visit) -> Iterator[Changes]:
    """How small an eps turns the picture, without a defence and with the one that is chosen."""
    yield from smallest_eps(visit, tuple(dict.fromkeys((CONTROL, visit.chosen.defense))))


def smallest_eps(visit: Visit, keys: tuple[str, ...] | None = None) -> Iterator[Changes]:
    """The same with each defence, or those named: beside what the lanes say, and at the eps slider without a
    defence and with the one that is chosen."""
    session = yield from attack_before(visit)
    clip, run = model(session.run.settings.model), session.run
    if ATTACKS[run.settings.attack].visible:
        raise InputError("A patch keeps to no eps: choose another attack to find the smallest one.")
    found = flips(clip, run, surrogate_for(run), keys)
    for changes in _lane_by_lane(session, run, "flips", found):
        now = changes.get("session")
        shown = now.races.at_slider(visit.chosen.defense) if isinstance(now, Session) else ()
        yield changes | ({"flips": flips_html(run, shown)} if shown else {})
    yield IDLE
