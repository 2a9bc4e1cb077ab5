"""What the Lab's buttons do: functions of a visit that give what changes on the page, each part by its name.

They know no layout (lab.py gives names to components) and can be called without a server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from secrets import token_hex

import gradio as gr
import segno

from demo_core import story
from demo_core.clip import ZeroShotCLIP
from demo_core.labels import list_labels
from demo_core.models import (
    study_of,
)
from demo_core.moments import step_by_step
from demo_core.story import Run, page_words, words
from demo_core.story.finished import made
from demo_core.story.price import Price
from demo_core.story.race import Races
from demo_core.story.reel import Messages, reel
from demo_core.story.scenes import FIRST, SCENES, Scene
from demo_core.story.seeds import draws
from demo_core.story.settings import InputError, read_settings
from demo_core.story.takeaway import NotThere
from demo_core.ui import visits
from demo_core.ui.files import FILES, written
from demo_core.ui.host import HOST
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.render import (
    arena_html,
    flips_html,
    nothing_found,
    seeds_html,
    share_html,
    views_html,
)
from demo_core.ui.visits import (
    BAD_INPUT,
    IDLE,
    PAUSE,
    Changes,
    Session,
    Visit,
    attacked,
    begin,
    device_name,
    surrogate_for,
)


def streamed(
    clip: ZeroShotCLIP,
    runs: Iterator[Run],
    made_from: tuple,
    picture: str | None,
    also: Changes | None = None,
) -> Iterator[Changes]:
    """What changes on the page, at most every PAUSE seconds; the last of the runs is never left out. picture:
    the title of the example, if it is one; also: what else changes with the first of them."""
    study = study_of(made_from[1])
    messages, then, run, also = Messages(token_hex(4), study), 0.0, None, also or {}

    def changed(run: Run, done: bool = False) -> Changes:
        stage = messages.next(run, page_words.note(run.milliseconds, device_name(clip)), done)
        new: Changes = {"session": Session(run, made_from, name=messages.name), "stage": stage}
        if not done:
            return new
        query = link_to(picture, run)
        return new | {"stage": stage | {"query": query}, "link": share_html(query, run.settings)}

    for newer in runs:
        if run and time.monotonic() - then >= PAUSE:
            yield also | changed(run)
            also, then = {}, time.monotonic()
        elif run:
            yield {"stage": gr.skip()}  # a place to stop at
        run = newer
    if run:
        yield also | changed(run, done=True)


def link_to(title: str | None, run: Run) -> str:
    """What a link has to say to make this run again; nothing where the picture is the visitor's own."""
    if not title:
        return ""
    return Scene(picture=title, control=run.control, **asdict(run.settings.chosen())).query()


def fresh(visit: Visit) -> tuple[ZeroShotCLIP, Run]:
    """A run of what is chosen, with what the visitor has said of the first answer to the very same."""
    clip, run = begin(visit.photo, read_settings(visit.chosen, visit.title))
    before = before_alike(visit)
    if before and before.judgement is not None:
        run = run.judged(before.judgement)
    return clip, run


def before_alike(visit: Visit) -> Run | None:
    """The run before, where it was begun with the very same."""
    before = visit.session
    return before.run if before and before.made_from == visit.made_from else None


def cleared(visit: Visit, known: Races = Races()) -> Changes:
    """What belongs to an earlier run goes; known: see `flips_before`."""
    marks = known.at_slider(visit.chosen.defense)
    kept = {"flips": flips_html(visit.session.run, marks)} if marks and visit.session else {}
    return nothing_found(visit.values["model"], attacked=True) | kept


def flips_before(visit: Visit, run: Run) -> Races:
    """What is known of the smallest eps where the attack before was the same but for its size: nothing else
    of its races holds of another size."""
    before = before_alike(visit)
    of_size = {
        name: getattr(run.settings, name) for name in ("eps", "step_size", "defense", "adaptive", "beside")
    }
    if not visit.session or not before or before.under(**of_size).settings != run.settings:
        return Races()
    return Races(flips=visit.session.races.flips)


def attack_only(visit: Visit) -> Iterator[Changes]:
    """Attack a picture step by step."""
    clip, run = fresh(visit)
    yield from _anew(visit, clip, run, attacked(clip, run))


def _anew(visit: Visit, clip: ZeroShotCLIP, run: Run, runs: Iterator[Run]) -> Iterator[Changes]:
    """The runs of an attack that begins with this one."""
    known = flips_before(visit, run)
    changes = streamed(clip, runs, visit.made_from, visit.title, cleared(visit, known))
    yield from keeping(known, changes)


def attack_and_counterattack(visit: Visit) -> Iterator[Changes]:
    """Attack a picture, then counterattack, step by step."""
    clip, run = fresh(visit)
    yield from _anew(visit, clip, run, story.whole(clip, run, surrogate_for(run)))


def scene_before(visit: Visit) -> Scene | None:
    """The finished run on the stage whose attack is made anew before anything goes on from it. Raises
    InputError."""
    scene = (visit.session or opening(visit)).scene
    return scene if scene and not scene.control and _still(scene, visit) else None


def price_of(visit: Visit) -> Price:
    """By what is chosen now, and what is on the stage. Raises InputError."""
    return Price(visit.chosen, scene_before(visit))


def attack_before(visit: Visit) -> Iterator[Changes]:
    """Returns the session with an attack that still fits the controls; one that came with the demo is made
    anew, step by step. Raises InputError."""
    session = visit.session or opening(visit)
    run = session.run
    if scene := scene_before(visit):
        clip, run = begin(visit.photo, scene.settings)
        run = yield from step_by_step(attacked(clip, run), {"stage": gr.skip()})
        return Session(run, visit.made_from)
    if run and run.attack and not run.attack_finished:
        raise InputError("The attack was stopped before its end: press Attack again.")
    if run is None or not run.attack_finished:
        raise InputError(
            "Press Attack first: no attacked picture of this page is kept here (a run is, for an hour)."
        )
    if session.made_from != visit.made_from:
        raise InputError(
            "The picture, model, labels, template or resizing changed since the attack: press Attack again."
        )
    return session


def attacked_before(visit: Visit) -> Iterator[Changes]:
    """The same, for the defence that is chosen now."""
    session = yield from attack_before(visit)
    run, chosen = session.run, visit.chosen
    if run.settings.defense != chosen.defense and run.settings.knows_defence:
        raise InputError("This attack was made through another defence: press Attack again.")
    return replace(session, run=run.under(defense=chosen.defense, beside=chosen.beside))


def opening(visit: Visit) -> Session:
    """The session of one of whom none is kept: what the page opens on, or opened on when he came, where the
    controls still say so."""
    first = SCENES[FIRST].scene
    start = next((start for start in (HOST.scene(first), first) if _still(start, visit)), None)
    return Session(scene=start)


def _still(scene: Scene, visit: Visit) -> bool:
    """Whether the controls still say what a run of the scene is begun with."""
    chosen = visit.chosen
    said = (visit.title, chosen.model, chosen.template, chosen.resize, list_labels(chosen.labels))
    return said == (scene.picture, scene.model, scene.template, scene.resize, list_labels(scene.labels))


def counterattack(visit: Visit) -> Iterator[Changes]:
    """Counterattack the picture that was attacked last, step by step."""
    session = yield from attacked_before(visit)
    clip = visits.model(session.run.settings.model)
    changes = streamed(clip, story.both(clip, session.run), session.made_from, visit.title)
    yield from keeping(session.races, changes)


def keeping(races: Races, changes: Iterator[Changes]) -> Iterator[Changes]:
    """The same changes, with the arena's races kept, for they are of the same attack."""
    for new in changes:
        if isinstance(new.get("session"), Session):
            new = new | {"session": replace(new["session"], races=races)}
        yield new


def clean_control(visit: Visit) -> Iterator[Changes]:
    """Run the same defence on the clean picture; an attack that was made on it stays for a counterattack."""
    clip, run = fresh(visit)
    before, races = visit.session, Races()
    if before and before.run and before.run.attack_finished and before.made_from == visit.made_from:
        defences = {"defense": run.settings.defense, "beside": run.settings.beside}
        run, races = before.run.under(**defences), before.races
    changes = streamed(clip, story.both(clip, run, control=True), visit.made_from, visit.title)
    yield from keeping(races, changes)


def other_seeds(visit: Visit) -> Iterator[Changes]:
    """How often the attack turns this picture, and the defence brings it back, with other seeds."""
    clip, run = fresh(visit)
    shown = None
    for found in draws(clip, run, surrogate_for(run)):
        if found == shown:
            yield {"stage": gr.skip()}  # a place to stop at
            continue
        shown = found
        yield {"seeds": seeds_html(run, found)}
    yield IDLE


def measure(visit: Visit) -> Iterator[Changes]:
    """How far this run's pictures drift under noise and views."""
    try:
        run = (yield from attacked_before(visit)).run
    except InputError:
        run = fresh(visit)[1]
    key = run.settings.model
    yield {"views": views_html(key, story.drifts(visits.model(key), run), run.settings.eps * 255)} | IDLE


def made_anew(scene: Scene) -> Iterator[Run]:
    """The run of a scene whose frames alone came with the demo."""
    yield made(scene, visits.model(scene.model))


def take(key: str, visit: Visit) -> Iterator[Changes]:
    """One file of the run on the stage."""
    session = visit.session or opening(visit)
    if session.run is None and session.scene is None:
        raise NotThere("There is no run to take away yet: press a preset, or Attack.")
    run = session.run
    if run is None:
        scene = session.scene
        seconds = partial(seconds_of, "run", Price(scene))
        *_, run = computed(made_anew, scene, seconds=seconds, refusals=BAD_INPUT)
    picture, row = session.scene.picture if session.scene else visit.title, FILES[key]
    with written(run, picture, row) as path:
        yield {"file": path}


def stopped(session: Session | None) -> Changes:
    """After Stop."""
    said = words.stopped(session.run) if session and session.run else ""
    if not said:
        return IDLE
    verdict = {"text": said, "tone": "wait", "note": ""}
    return {"stage": _whole_reel(session) | {"stopped": True, "verdict": verdict}}


def coded(address: str) -> Changes:
    """A QR code that leads to an address, as SVG; none where it is no address of a page, or too long."""
    drawn = ""
    if address.startswith(("http://", "https://")):
        with suppress(segno.DataOverflowError):
            drawn = segno.make_qr(address, error="m").svg_inline(border=2, omitsize=True)
    return {"stage": {"qr": drawn}}


def sent_again(session: Session | None) -> Changes:
    """For a page that missed a message of a run: all of it."""
    return {"stage": _whole_reel(session) if session and session.run else gr.skip()}


def judged(session: Session | None, right: bool) -> Changes:
    """What the visitor says of the first answer: the verdict is another, and nothing is computed."""
    if session is None or session.run is None:
        return {"stage": gr.skip()}
    session = replace(session, run=session.run.judged(right))
    note = page_words.note(session.run.milliseconds, device_name(visits.model(session.run.settings.model)))
    return {
        "session": session,
        "stage": _whole_reel(session, note),
        "arena": arena_html(session.run, session.races),
    }


def _whole_reel(session: Session, note: str = "") -> dict:
    return reel(session.run, study_of(session.run.settings.model), note, name=session.name)
