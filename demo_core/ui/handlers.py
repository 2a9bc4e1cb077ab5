"""What the Lab's parts do: functions of a visit that give what changes on the page, each part by its name.

They know no layout (lab.py gives names to components) and can be called without a server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from secrets import token_hex

import gradio as gr
import segno
import torch
from gradio.context import LocalContext

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import DEFENSES
from demo_core.device import name_of
from demo_core.labels import PRESETS, LabelError, list_labels
from demo_core.models import (
    DEFAULT_MODEL,
    MODELS,
    ModelUnavailable,
    fit_of,
    profile_of,
    study_of,
    surrogate_of,
)
from demo_core.moments import step_by_step
from demo_core.pictures import PictureError, open_picture, to_photo
from demo_core.shelf import Shelf
from demo_core.story import Run, page_words, words
from demo_core.story.race import Races
from demo_core.story.reel import Messages, made, reel, stored
from demo_core.story.scenes import FIRST, SCENES, Scene, SceneError, on_model, scene_of
from demo_core.story.seeds import draws
from demo_core.story.settings import SETTINGS, Chosen, InputError, Settings, choose, read_settings
from demo_core.story.suggest import likeliest
from demo_core.story.takeaway import NotThere
from demo_core.ui.files import FILES, written
from demo_core.ui.host import HOST
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.render import (
    arena_html,
    flips_html,
    gate_html,
    no_views,
    seeds_html,
    share_html,
    views_html,
)
from demo_core.ui.uploads import clean_copy

Changes = dict[str, object]  # what a part of the page becomes, by its name
BAD_INPUT = (PictureError, LabelError, ModelUnavailable, InputError, SceneError, NotThere)
OTHER_LABELS = "Your own"
NO_PRESET = "Another run than these: choose one of them to see it at once."
PAUSE = 0.12  # seconds between two frames sent to the page
TOLD_EVERY = 0.5  # seconds between two words on a model that is on its way
IDLE: Changes = {"stage": {"work": ""}}  # of work that leaves the stage as it is


@dataclass(frozen=True)
class Session:
    """What is on a visitor's stage. run: his last one; or scene: a finished one that came with the demo,
    whose run is made when it is asked for. made_from: what the run was begun with; a counterattack continues
    it only while the controls still say the same. name: the run's on the page; races: the arena's, on this
    picture under this attack."""

    run: Run | None = None
    made_from: tuple = ()
    scene: Scene | None = None
    name: str = ""
    races: Races = Races()


@dataclass(frozen=True)
class Visit:
    """A press of a button: the session, the title of the example that is chosen, if one is, the picture's
    file, and the controls' values by the names of SETTINGS."""

    session: Session | None
    title: str | None
    photo: str | None
    values: dict = field(default_factory=dict)

    @property
    def chosen(self) -> Chosen:
        return choose(**self.values)

    @property
    def made_from(self) -> tuple:
        """What a run of this visit is begun with."""
        return (self.photo, *(self.values[name] for name in ("model", "labels", "template")))


model = Shelf()  # a model of the table by its key, loaded once for all visitors


async def arriving(key: str) -> AsyncIterator[str]:
    """What is said while a model is on its way, until it is here. It comes on a thread of its own, so that
    nobody's turn is taken by it. Raises ModelUnavailable."""
    arrival = model.bring(key) if key in MODELS else None  # of another key, whoever reads it says so
    while arrival and not arrival.model.done():
        yield page_words.loading(MODELS[key].title, arrival.stage)
        await asyncio.wait({asyncio.wrap_future(arrival.model)}, timeout=TOLD_EVERY)
    if arrival:
        arrival.model.result()


def device_name(clip: ZeroShotCLIP) -> str:
    return name_of(clip.device)


def model_and_photo(photo: str | None, key: str) -> tuple[ZeroShotCLIP, torch.Tensor]:
    """A model, and the picture of a file [3,P,P] for it, which is opened first: it is loaded for none that
    cannot be read. Raises PictureError or ModelUnavailable."""
    if not photo:
        raise PictureError("Choose a picture first: upload one, or press one of the examples.")
    picture, clip = open_picture(photo), model(key)
    return clip, to_photo(picture, clip.image_size)


def put_in(path: str | None) -> object:
    """What a picture input becomes after a visitor's file: a clean copy; where it cannot be read he is told
    so at once. A file that he did not bring is the one that was there, which gradio sends where he takes it
    away: it must not come back."""
    page = LocalContext.blocks.get(None)
    try:
        brought = path and (page is None or path in page.upload_file_set)
        return clean_copy(path, page.upload_file_set if page else ()) if brought else gr.skip()
    except PictureError as error:
        gr.Warning(str(error), title="Not yet")
        return gr.skip()


def begin(photo: str | None, settings: Settings) -> tuple[ZeroShotCLIP, Run]:
    """The model, and the clean picture before it. Raises one of BAD_INPUT."""
    clip, picture = model_and_photo(photo, settings.model)
    return clip, story.begin(clip, picture, settings, profile_of(settings.model), fit_of(settings.model))


def surrogate_for(run: Run) -> ZeroShotCLIP | None:
    """The model that the run's attack is crafted on, where it is a transfer attack."""
    return model(surrogate_of(run.settings.model)) if ATTACKS[run.settings.attack].transfer else None


def attacked(clip: ZeroShotCLIP, run: Run) -> Iterator[Run]:
    """The chosen attack, step by step."""
    return story.attack(clip, run, surrogate_for(run))


def at_work(words: str) -> Changes:
    """How the work stands, on the stage."""
    return {"stage": {"work": words}}


def waiting(before: int) -> Changes:
    """Word for one before whom so many come."""
    return at_work(page_words.waiting(before))


def told(handler: Callable[..., Iterator[Changes]], visit) -> Iterator[Changes]:
    """What the handler changes. Bad input becomes one sentence, and nothing on the page is lost."""
    try:
        yield from handler(visit)
    except BAD_INPUT as error:
        gr.Warning(str(error), title="Not yet")
        yield IDLE
    except Exception:
        yield IDLE
        raise


# ---------------------------------------------------------------- runs


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
        return new | {"stage": stage | {"query": query}, "link": share_html(query)}

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
    return begin(visit.photo, read_settings(visit.chosen, visit.title))


def cleared(visit: Visit, known: Races = Races()) -> Changes:
    """What belongs to an earlier run goes; known: see `flips_before`."""
    marks = known.at_slider(visit.chosen.defense)
    kept = flips_html(visit.session.run, marks) if marks and visit.session else flips_html()
    return {
        "flips": kept,
        "arena": arena_html(None, Races()),
        "views": no_views(visit.values["model"]),
        "seeds": seeds_html(),
    }


def flips_before(visit: Visit, run: Run) -> Races:
    """What is known of the smallest eps where the attack before was the same but for its size: nothing else
    of its races holds of another size."""
    before = visit.session
    if not before or not before.run or before.made_from != visit.made_from:
        return Races()
    of_size = {name: getattr(run.settings, name) for name in ("eps", "step_size", "defense", "adaptive")}
    return (
        Races(flips=before.races.flips) if before.run.under(**of_size).settings == run.settings else Races()
    )


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


def attack_before(visit: Visit) -> Iterator[Changes]:
    """Returns the session with an attack that still fits the controls; one that came with the demo is made
    anew, step by step. Raises InputError."""
    session = visit.session or opening(visit)
    scene, run = session.scene, session.run
    if scene and not scene.control and _still(scene, visit):
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
            "The picture, model, labels or template changed since the attack: press Attack again."
        )
    return session


def attacked_before(visit: Visit) -> Iterator[Changes]:
    """The same, for the defence that is chosen now."""
    session = yield from attack_before(visit)
    run, chosen = session.run, visit.chosen
    if run.settings.defense != chosen.defense and run.settings.knows_defence:
        raise InputError("This attack was made through another defence: press Attack again.")
    return replace(session, run=run.under(defense=chosen.defense))


def opening(visit: Visit) -> Session:
    """The session of one of whom none is kept: what the page opens on, or opened on when he came, where the
    controls still say so."""
    first = SCENES[FIRST].scene
    start = next((start for start in (HOST.scene(first), first) if _still(start, visit)), None)
    return Session(scene=start)


def _still(scene: Scene, visit: Visit) -> bool:
    """Whether the controls still say what a run of the scene is begun with."""
    chosen = visit.chosen
    said = (visit.title, chosen.model, chosen.template, list_labels(chosen.labels))
    return said == (scene.picture, scene.model, scene.template, list_labels(scene.labels))


def counterattack(visit: Visit) -> Iterator[Changes]:
    """Counterattack the picture that was attacked last, step by step."""
    session = yield from attacked_before(visit)
    clip = model(session.run.settings.model)
    changes = streamed(clip, story.defend(clip, session.run), session.made_from, visit.title)
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
        run, races = before.run.under(defense=run.settings.defense), before.races
    changes = streamed(clip, story.defend(clip, run, control=True), visit.made_from, visit.title)
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
    yield {"views": views_html(key, story.drifts(model(key), run), run.settings.eps * 255)} | IDLE


def made_anew(scene: Scene) -> Iterator[Run]:
    """The run of a scene whose frames alone came with the demo."""
    yield made(scene, model(scene.model))


def take(key: str, visit: Visit) -> Iterator[Changes]:
    """One file of the run on the stage."""
    session = visit.session or opening(visit)
    if session.run is None and session.scene is None:
        raise NotThere("There is no run to take away yet: press a preset, or Attack.")
    yield {"file": None}  # so that no earlier one is handed over where this one is refused
    run = session.run
    if run is None:
        scene = session.scene
        *_, run = computed(made_anew, scene, seconds=lambda: seconds_of(scene), refusals=BAD_INPUT)
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
    note = page_words.note(session.run.milliseconds, device_name(model(session.run.settings.model)))
    return {
        "session": session,
        "stage": _whole_reel(session, note),
        "arena": arena_html(session.run, session.races),
    }


def _whole_reel(session: Session, note: str = "") -> dict:
    return reel(session.run, study_of(session.run.settings.model), note, name=session.name)


# ---------------------------------------------------------------- scenes


def controls_of(scene: Scene) -> Changes:
    """Every control as the scene has it."""
    names = list_labels(scene.labels)
    key = next((key for key, row in SCENES.items() if on_model(row.scene, scene.model) == scene), None)
    return {name: getattr(scene, name) for name in SETTINGS} | {
        "preset": gr.update(value=key, info=_help_of(key, scene.model)),
        "title": scene.picture,
        "photo": scene.example.path,
        "model": gr.update(value=scene.model, info=MODELS[scene.model].summary),
        "target": gr.update(choices=list(names), value=scene.target or None),
        "gate": gate_html(scene.model),
        "views": no_views(scene.model),
        "link": share_html(scene.query()),
        "arena": arena_html(None, Races()),
        "seeds": seeds_html(),
        "flips": flips_html(),
    }


def _help_of(preset: str | None, model: str) -> str:
    if preset is None:
        return NO_PRESET
    told = SCENES[preset].help
    return told if model == DEFAULT_MODEL else f"{told} {page_words.CHOSEN_ON_ANOTHER}"


def open_scene(scene: Scene) -> Changes:
    """Controls and stage of a scene, at once where it has a finished run."""
    known = stored(scene)
    if known is None:
        return controls_of(scene) | {"session": Session()}
    return controls_of(scene) | {"session": Session(scene=scene), "stage": known | {"query": scene.query()}}


def choose_preset(key: str | None) -> Changes:
    return open_scene(HOST.scene(SCENES[key].scene)) if key else {"stage": gr.skip()}


def choose_example(title: str) -> Changes:
    """The scene of an example photograph; what names none is told so."""
    try:
        return open_scene(HOST.scene(scene_of(title)))
    except SceneError as error:
        gr.Warning(str(error), title="Not yet")
        return {"stage": gr.skip()}


def open_link(query: str) -> Changes:
    """The scene that the page's address asks for: its finished run at once, or else word to make it."""
    start = HOST.scene(SCENES[FIRST].scene)
    first: Changes = {"stage": stored(start) or gr.skip(), "session": Session(scene=start)}
    if start.model != DEFAULT_MODEL:  # whose controls are on the page as it is sent
        first = controls_of(start) | first | ({} if stored(start) else {"pending": start.query()})
    try:
        scene = Scene.read(query)
        if scene is None:
            return first
        scene.settings  # noqa: B018  what cannot be run is refused before anything on the page changes
        known = open_scene(scene)
        return known if "stage" in known else known | {"pending": query}
    except BAD_INPUT as error:
        gr.Warning(str(error), title="Not yet")
        return first


def run_link(scene: Scene) -> Iterator[Changes]:
    """Make the run that a link asks for."""
    clip, run = begin(scene.example.path, scene.settings)
    made_from = (scene.example.path, scene.model, scene.labels, scene.template)
    runs = story.whole(clip, run, surrogate_for(run), control=scene.control)
    yield from streamed(clip, runs, made_from, scene.picture)


# ---------------------------------------------------------------- controls that follow others


def choose_picture(path: str | None) -> Changes:
    """A picture of the visitor's own: what is on the stage is not of it, and no link can name it."""
    return {
        "photo": put_in(path),
        "title": None,
        "preset": gr.update(value=None, info=NO_PRESET),
        "label_box": gr.update(open=True),
    }


def suggest(visit: Visit) -> Iterator[Changes]:
    """What the picture could be: the likeliest of the many words that the page knows, as its labels."""
    key = visit.chosen.model
    found = likeliest(*model_and_photo(visit.photo, key), MODELS[key].template)
    yield {"labels": "\n".join(found)} | IDLE


def choose_label_list(name: str) -> Changes:
    return {"labels": "\n".join(PRESETS[name]) if name in PRESETS else gr.skip()}


def labels_changed(text: str, target: str | None) -> Changes:
    names = list_labels(text)
    gone = {"value": None} if target and target not in names else {}
    return {
        "label_list": next((n for n, known in PRESETS.items() if known == names), OTHER_LABELS),
        "target": gr.update(choices=list(names), **gone),
    }


def attack_changed(key: str) -> Changes:
    row = ATTACKS[key]
    return {
        "attack": gr.update(info=row.help),
        "target": gr.update(visible=row.targeted),
        "step_size": gr.update(visible=not (row.single_step or row.own_step_size)),
        "steps": gr.update(visible=not row.single_step),
        "eps": gr.update(visible=not row.visible),
        "patch": gr.update(visible=row.visible),
    }


def defense_changed(key: str) -> Changes:
    return {"defense": gr.update(info=DEFENSES[key].help)}


async def model_arrives(key: str, template: str, wanted: Callable[[], bool]) -> AsyncIterator[Changes]:
    """What changes when a model is chosen: how far it is on its way, and in the end what is shown of it; the
    one in the box where it cannot be had. wanted: whether it is still the one that is chosen."""
    try:
        async for words in arriving(key):
            yield at_work(words)
    except ModelUnavailable as error:
        gr.Warning(str(error), title="This model is not available here")
        key = DEFAULT_MODEL
    if wanted():
        yield model_changed(key, template) | IDLE


def model_changed(key: str, template: str) -> Changes:
    """What is shown of a model, and its own prompt in place of another model's."""
    known = {"", *(row.template for row in MODELS.values())}
    return {
        "model": gr.update(value=key, info=MODELS[key].summary),
        "template": MODELS[key].template if template in known else gr.skip(),
        "gate": gate_html(key),
        "views": no_views(key),
        "arena": arena_html(None, Races()),
        "seeds": seeds_html(),
        "flips": flips_html(),
    }
