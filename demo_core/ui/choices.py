"""What choosing does, before any button is pressed: of an example, a preset, a link, or a control that others
follow. As handlers.py, these give what changes on the page, each part by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import gradio as gr

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES
from demo_core.labels import PRESETS, list_labels
from demo_core.models import (
    DEFAULT_MODEL,
    MODELS,
    ModelUnavailable,
    study_of,
)
from demo_core.story import page_words
from demo_core.story.scenes import SCENES, Scene, SceneError, on_model, scene_of
from demo_core.story.settings import OFF, SETTINGS, Settings, read_settings
from demo_core.story.suggest import likeliest
from demo_core.story.summary import OF_ATTACK, summary
from demo_core.ui.handlers import opening, streamed
from demo_core.ui.host import HOST
from demo_core.ui.reels import address_of, first_scene
from demo_core.ui.render import (
    gate_html,
    no_views,
    nothing_found,
    share_html,
)
from demo_core.ui.visits import (
    BAD_INPUT,
    IDLE,
    MADE_FROM,
    Changes,
    Session,
    Visit,
    arriving,
    at_work,
    begin,
    brought,
    model_and_photo,
    put_in,
    surrogate_for,
)

OTHER_LABELS = "Your own"
NO_PRESET = "None of these is chosen now. One that you choose is shown at once."


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
        "link": share_html(scene.query(), scene.settings),
        **nothing_found(scene.model, attacked=not scene.control),
    }


def _help_of(preset: str | None, model: str) -> str:
    if preset is None:
        return NO_PRESET
    told = SCENES[preset].help
    return told if model == DEFAULT_MODEL else f"{told} {page_words.CHOSEN_ON_ANOTHER}"


def open_scene(scene: Scene) -> Changes:
    """Controls and stage of a scene, at once where it has a finished run."""
    where, changes = address_of(scene), controls_of(scene)
    if where is None:
        return changes | {"session": Session()}
    return changes | {"session": Session(scene=scene), "stage": {"at": where, "query": scene.query()}}


def choose_preset(key: str | None) -> Changes:
    return open_scene(HOST.scene(SCENES[key].scene)) if key else {"stage": gr.skip()}


def choose_example(title: str, defense: str, beside: str = OFF) -> Changes:
    """The scene of an example photograph under the defences that are chosen, with word to make its run where
    none came with the demo; what names no example is told so."""
    given = {"defense": defense, "beside": beside}
    kept = {name: key for name, key in given.items() if (rows := SETTINGS[name].rows) and key in rows()}
    try:
        scene = replace(HOST.scene(scene_of(title)), **kept)
    except SceneError as error:
        gr.Warning(str(error), title="Not yet")
        return {"stage": gr.skip()}
    known = open_scene(scene)
    return known if "stage" in known else known | {"pending": scene.query()}


def preset_now(visit: Visit, key: str | None) -> Changes:
    """The line of a preset after a setting has changed. It is the one that is chosen no longer where its run
    would be another: what it says would not be of that."""
    if key not in SCENES:
        return {}
    gone = {"preset": gr.update(value=None, info=NO_PRESET)}
    try:
        chosen, now = visit.chosen, read_settings(visit.chosen, visit.title)
    except BAD_INPUT:
        return gone
    scene = on_model(SCENES[key].scene, chosen.model)
    same = now == scene.settings and visit.title == scene.picture
    return {"preset": gr.update(info=_help_of(key, chosen.model))} if same else gone


def open_link(query: str) -> Changes:
    """The scene that the page's address asks for: its finished run at once, or else word to make it."""
    start = first_scene()
    where = address_of(start)
    first: Changes = {"stage": {"at": where} if where else gr.skip(), "session": Session(scene=start)}
    if study_of(DEFAULT_MODEL) is not HOST.studied:  # a command has measured it since
        first |= {"gate": gate_html(DEFAULT_MODEL), "views": no_views(DEFAULT_MODEL)}
    if start.model != DEFAULT_MODEL:  # whose controls are on the page as it is sent
        first = controls_of(start) | first | ({} if where else {"pending": start.query()})
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
    made_from = (scene.example.path, *(getattr(scene, name) for name in MADE_FROM))
    runs = story.whole(clip, run, surrogate_for(run), control=scene.control)
    yield from streamed(clip, runs, made_from, scene.picture)


def kept_for_all(scene: Scene, changes: Iterator[Changes]) -> Iterator[Changes]:
    """The same changes; the run that they end with is kept, where the page may open on it."""
    session = None
    for new in changes:
        session = new.get("session", session)
        yield new
    if isinstance(session, Session) and session.run:
        HOST.keep(scene, session.run)


def choose_picture(path: str | None) -> Changes:
    """A picture of the visitor's own; nothing changes where the page itself put one in."""
    if path is None or not brought(path):
        return {"copy": None, "behind": {"behind": None}}
    return picture_gone() | {"copy": put_in(path), "label_box": gr.update(open=True)}


def picture_gone() -> Changes:
    """Without the picture that was there, what is on the stage is of another one, and no link can name it."""
    return {"title": None, "preset": gr.update(value=None, info=NO_PRESET), "behind": {"behind": True}}


def suggest(visit: Visit) -> Iterator[Changes]:
    """What the picture could be: the likeliest of the many words that the page knows, as its labels."""
    key, resize = visit.chosen.model, visit.chosen.resize
    found = likeliest(*model_and_photo(visit.photo, key, resize), MODELS[key].template)
    gr.Info(page_words.TAKEN_FOR.format(first=found[0]), title=page_words.COULD_BE)
    yield {"labels": "\n".join(found)} | IDLE


def behind(visit: Visit) -> bool | None:
    """Whether the run on the stage is of another picture or other settings than are chosen now, as far as
    they count; None where it is not known which run that is."""
    session = visit.session or opening(visit)
    run, scene = session.run, session.scene
    if not (run or scene):
        return None
    try:
        now = read_settings(visit.chosen, visit.title)
    except BAD_INPUT:
        return True
    if run is None:
        return visit.title != scene.picture or _other(now, scene.settings, scene.control)
    if run.attack_finished and run.engaged is None:  # a defence is yet to come, and may be any
        defense = run.settings.defense if run.settings.knows_defence else now.defense
        run = run.under(defense=defense, beside=now.beside)
    own = visit.title is None and session.made_from[:1] != (visit.photo,)
    return own or _other(now, run.settings, run.control)


def _other(now: Settings, then: Settings, control: bool) -> bool:
    return summary(now, control)["rows"] != summary(then, control)["rows"]


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
    shown = {name: gr.update(visible=has(row)) for name, has in OF_ATTACK.items()}
    return {"attack": gr.update(info=row.help)} | shown


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
        **nothing_found(key, attacked=False),
    }
