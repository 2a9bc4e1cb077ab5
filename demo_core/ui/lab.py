"""The Lab: one page on which a person attacks a picture and watches the counterattack.

Here its parts (layout.py) are wired to what they do (handlers.py, choices.py, arena.py, suspicion.py).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import count

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency
from starlette.concurrency import run_in_threadpool

from demo_core.models import ModelUnavailable
from demo_core.story import page_words
from demo_core.story.scenes import FIRST, SCENES, Scene
from demo_core.story.settings import choose
from demo_core.ui import (
    api,
    arena,
    bench,
    choices,
    costs,
    handlers,
    suspicion,
    tempo,
    trust,
    uploads,
    visits,
)
from demo_core.ui.desks import Desks
from demo_core.ui.inputs import Page
from demo_core.ui.layout import Controls, layout
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.place import Refused, in_turn
from demo_core.ui.preview import TITLE
from demo_core.ui.tempo import TEMPO
from demo_core.ui.visits import Changes, Session, Visit

DESKS: Desks[Session] = Desks()
NUMBERS = count()
STALE = """(found) => document.querySelector(".stage")?.dispatchEvent(
  new CustomEvent("stale", { detail: found.behind }))"""
PUT_IN = "(copy, photo) => (photo && copy ? copy : { __type__: 'update' })"  # else nothing changes
# How events are listed and shown. Programs have endpoints of their own; warnings need the queue, which holds
# nobody up: who computes waits in the place's own line.
STREAMING = {"show_progress": "hidden", "api_visibility": "undocumented", "concurrency_limit": None}
QUIET = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
SPEAKING = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}


def _by_component(
    controls: Controls, changes: Changes, visitor: str | None = None
) -> dict[Component, object]:
    """What changes on the page; the session among it goes to the visitor's desk. A word on the work and a run
    that is to be made are numbered: gradio tells the page of no value that it has already."""
    if "session" in changes:
        DESKS.put(visitor, changes["session"])
    if "pending" in changes:
        changes = changes | {"pending": f"{changes['pending']}&{next(NUMBERS)}"}
    if "work" in (stage := changes.get("stage") or {}):
        changes = changes | {"stage": stage | {"number": next(NUMBERS)}}
    return {controls[name]: value for name, value in changes.items() if name != "session"}


async def _computing(
    controls: Controls,
    visitor: str | None,
    steps: Iterator[Changes],
    key: str,
    longest: float | None = None,
    price: Callable[[], float | None] = lambda: math.inf,
) -> AsyncIterator[dict[Component, object]]:
    """The same changes on the page, computed when it is the visitor's turn and the model is here; key: its
    own; longest: as `in_turn` takes it; price: the seconds that it takes, where that is known; raises Refused
    where they are too many. A frame that comes after he has chosen another run is left out."""
    begun = False
    try:
        async for words in visits.arriving(key):
            yield _by_component(controls, visits.at_work(words))
        seconds = await run_in_threadpool(price)
        if page_words.is_long(seconds):
            yield _by_component(controls, visits.at_work(page_words.working(seconds)))
        while_waiting, steps = partial(visits.waiting, own=seconds), TEMPO.watching(key, steps)
        async with aclosing(in_turn(steps, while_waiting, visitor, longest, seconds)) as found:
            async for changes in found:
                there = DESKS.of(visitor)
                if begun and there and there.scene:
                    return
                begun = begun or "session" in changes
                yield _by_component(controls, changes, visitor)
    except (Refused, ModelUnavailable) as refused:
        gr.Warning(str(refused), title="Not yet")
        yield _by_component(controls, visits.IDLE)


def _there(work: str, handler: Callable[[Visit], Iterator[Changes]], visit: Visit) -> Iterator[Changes]:
    """What the handler changes, computed where the GPU is, if one is lent. work: of price.WORKS, which it
    costs as much as."""
    return computed(handler, visit, seconds=lambda: seconds_of(work, visit.chosen), refusals=visits.BAD_INPUT)


def _link_there(scene: Scene) -> Iterator[Changes]:
    """The same for the run that a link asks for."""
    seconds = partial(seconds_of, "run", scene)
    steps = computed(choices.run_link, scene, seconds=seconds, refusals=visits.BAD_INPUT)
    return choices.kept_for_all(scene, steps)


def _pressing(controls: Controls, work: str, handler: Callable[[Visit], Iterator[Changes]]) -> Callable:
    """The handler as gradio calls it: with the values of `_visit_parts`, in their order. work: as `_there`
    takes it."""

    async def pressed(request: gr.Request, title, photo, *values):
        chosen = dict(zip(controls.settings, values, strict=True))

        def visited() -> Iterator[Changes]:
            """With what is on the desk when the turn comes: what was pressed before has ended by then."""
            yield from visits.told(handler, Visit(DESKS.of(request.session_hash), title, photo, chosen))

        price = partial(tempo.allowed, work, partial(choose, **chosen))
        steps = _computing(controls, request.session_hash, visited(), chosen["model"], price=price)
        async with aclosing(steps) as found:
            async for changes in found:
                yield changes

    return pressed


def _visit_parts(controls: Controls) -> list[Component]:
    return [*controls.all_of("title", "photo"), *controls.settings.values()]


def _changing(controls: Controls, handler: Callable[..., Changes]) -> Callable:
    """A handler of single values as gradio calls it."""
    return lambda *values: _by_component(controls, handler(*values))


def _wire_picture(
    photo: gr.Image, copy: gr.Image, chosen: Callable, gone: Callable, outputs: list[Component]
) -> tuple[Dependency, Dependency]:
    """A picture that a visitor brings, in whatever way (the webcam's makes no event but `change`), or takes
    away. The server's copy comes to a place of its own and from there into the picture's, unless that is
    empty by then. Gives both events."""
    brought = photo.change(chosen, photo, [copy, *outputs], **SPEAKING)
    brought.then(None, [copy, photo], photo, js=PUT_IN, api_visibility="private")
    return brought, photo.clear(gone, None, outputs, **QUIET)


def _at_desk(controls: Controls, handler: Callable[..., Changes]) -> Callable:
    """The same for a handler of the visitor's session, and of single values."""

    def changed(request: gr.Request, *values):
        visitor = request.session_hash
        return _by_component(controls, handler(DESKS.of(visitor), *values), visitor)

    return changed


def _wire_runs(controls: Controls) -> list:
    """The buttons that compute; another attack, chosen or made, has another price in the arena. Gives the
    buttons' events, which Stop and a new choice cancel."""
    run = ("stage", "arena", "link", "views", "seeds", "flips")
    wires = (
        ("both", "run", handlers.attack_and_counterattack, "lab_both", run),
        ("attack_button", "run", handlers.attack_only, "lab_attack", run),
        ("defend_button", "defence", handlers.counterattack, "lab_counterattack", run),
        ("control_button", "defence", handlers.clean_control, "lab_control", run),
        ("arena_button", "arena", arena.compare, "lab_arena", ("stage", "arena")),
        ("eps_button", "flips", arena.smallest_eps, "lab_smallest_eps", ("stage", "arena", "flips")),
        ("flip_button", "flip", arena.flip_point, "lab_flip", ("stage", "arena", "flips")),
        ("seeds_button", "seeds", handlers.other_seeds, "lab_seeds", ("stage", "seeds")),
        ("suggest", "look", choices.suggest, "lab_suggest", ("stage", "labels")),
        ("views_button", "look", handlers.measure, "lab_views", ("stage", "views")),
    )
    inputs = _visit_parts(controls)
    running = [
        controls[button].click(
            _pressing(controls, work, partial(_there, work, handler)),
            inputs,
            controls.all_of(*outputs),
            api_name=name,
            **STREAMING,
        )
        for button, work, handler, name, outputs in wires
    ]
    return [*running, *_wire_pieces(controls)]


def _wire_pieces(controls: Controls) -> list:
    """What computes from within a part of the page: a link's run, a lane that is watched, a model that is
    measured. Gives their events."""

    async def run_link(request: gr.Request, query: str):
        scene = Scene.read(query)
        if scene is None:
            return
        steps, price = visits.told(_link_there, scene), partial(tempo.allowed, "run", lambda: scene)
        steps = _computing(controls, request.session_hash, steps, scene.model, price=price)
        async with aclosing(steps) as found:
            async for changes in found:
                yield changes

    async def watch(event: gr.EventData, request: gr.Request, title, photo, *values):
        said = event._data or {}
        shown = arena.beside if said.get("beside") else arena.watch
        handler = partial(_there, "run", partial(shown, said.get("key")))
        async with aclosing(_pressing(controls, "run", handler)(request, title, photo, *values)) as found:
            async for changes in found:
                yield changes

    async def calibrate(event: gr.EventData, request: gr.Request, key: str):
        measure = partial(trust.measure, photographs=(event._data or {}).get("photographs"))
        steps, longest = visits.told(measure, key), trust.LONGEST_MEASURING
        async with aclosing(_computing(controls, request.session_hash, steps, key, longest)) as found:
            async for changes in found:
                yield changes

    private = STREAMING | {"api_visibility": "private"}
    run, lane, gate = (
        controls.all_of("stage", *names)
        for names in (("arena", "link", "views"), ("link", "defense", "beside"), ("gate", "views"))
    )
    return [
        controls.pending.change(run_link, controls.pending, run, **private),
        controls.arena.click(watch, _visit_parts(controls), lane, **private),
        controls.gate.click(calibrate, controls["model"], gate, **private),
    ]


def _wire_suspicion(controls: Controls):
    """The tab that looks at a picture as it is. Gives its event, which Stop and a new choice cancel."""
    found = controls.all_of("suspicion", "suspect_take")
    chosen, gone = (_changing(controls, handler) for handler in (suspicion.choose, suspicion.gone))
    _wire_picture(controls.suspect_photo, controls.suspect_copy, chosen, gone, found)
    inputs = [*controls.all_of("title", "suspect_photo"), *controls.settings.values()]
    return controls.suspect_button.click(
        _pressing(controls, "suspicion", suspicion.look),
        inputs,
        [controls.stage, *found],
        api_name="lab_suspect",
        **STREAMING,
    )


def _wire_files(controls: Controls) -> None:
    for key, button in controls.files.items():
        handed = button.click(
            _pressing(controls, "run", partial(handlers.take, key)),
            _visit_parts(controls),
            controls.all_of("stage", "file"),
            api_name=f"lab_take_{key}",
            **STREAMING,
        )
        handed.success(
            None,
            None,
            None,
            js="() => document.querySelector('#taken')?.click()",
            api_visibility="private",
        )


def _wire_scenes(page: gr.Blocks, controls: Controls, running: list) -> None:
    """Presets, examples and links: what brings a whole scene."""
    names = ("preset", "gate", "title", "photo", *controls.settings)
    everything = controls.all_of(*names, "stage", "arena", "link", "views", "seeds", "flips")

    def example(event: gr.EventData, request: gr.Request, *defences: str) -> dict:
        found = choices.choose_example((event._data or {}).get("title"), *defences)
        return _by_component(controls, found, request.session_hash)

    def link(request: gr.Request) -> dict:
        found = choices.open_link(str(request.query_params))
        return _by_component(controls, found, request.session_hash)

    def preset(request: gr.Request, key: str | None) -> dict:
        return _by_component(controls, choices.choose_preset(key), request.session_hash)

    controls.preset.input(preset, controls.preset, everything, cancels=running, **QUIET)
    chosen = [*everything, controls.pending]
    controls.examples.click(
        example, controls.all_of("defense", "beside"), chosen, cancels=running, **SPEAKING
    )
    page.load(link, None, [*everything, controls.pending], **SPEAKING)


def _wire_model(page: gr.Blocks, controls: Controls) -> None:
    """A model that is chosen comes while the page goes on with the last one; what work takes with it is said
    once it is here."""
    chosen: dict[str | None, object] = {}  # each visitor's last choice that has not come yet

    async def arrive(request: gr.Request, key: str, template: str):
        visitor, mine = request.session_hash, object()
        chosen[visitor] = mine
        try:
            async for changes in choices.model_arrives(key, template, lambda: chosen.get(visitor) is mine):
                yield _by_component(controls, changes)
        finally:
            if chosen.get(visitor) is mine:
                del chosen[visitor]

    told = (_changing(controls, costs.told), controls.all_of(*costs.OF), controls.all_of(*costs.TOLD))
    controls["model"].select(
        arrive,
        controls.all_of("model", "template"),
        controls.all_of("model", "template", "gate", "views", "arena", "seeds", "flips", "stage"),
        trigger_mode="multiple",
        **SPEAKING,
    ).then(*told, **QUIET)
    page.load(*told, **QUIET)


def _wire_settings(controls: Controls) -> None:
    """Controls that follow others."""
    wires = (
        (controls.label_list.input, choices.choose_label_list, ("label_list",), ("labels",)),
        (
            controls["labels"].change,
            choices.labels_changed,
            ("labels", "target"),
            ("label_list", "target"),
        ),
        (
            controls["attack"].change,
            choices.attack_changed,
            ("attack",),
            ("attack", "target", "step_size", "steps", "eps", "patch"),
        ),
    )
    wires += tuple((controls[name].change, costs.told, costs.OF, costs.TOLD) for name in costs.OF)
    for event, handler, inputs, outputs in wires:
        event(_changing(controls, handler), controls.all_of(*inputs), controls.all_of(*outputs), **QUIET)
    controls["adaptive"].change(
        None,
        controls["adaptive"],
        controls.arena_knows,
        js="value => value",
        api_visibility="private",
        show_progress="hidden",
    )
    controls.arena_knows.input(
        None, controls.arena_knows, controls["adaptive"], js="value => value", api_visibility="private"
    )
    controls["defense"].change(
        _changing(controls, choices.defense_changed), controls["defense"], controls["defense"], **QUIET
    )
    chosen, gone = (_changing(controls, h) for h in (choices.choose_picture, choices.picture_gone))
    outputs = controls.all_of("title", "preset", "label_box", "behind")
    for event in _wire_picture(controls.photo, controls.copy, chosen, gone, outputs):
        event.then(None, controls.behind, None, js=STALE, api_visibility="private")
    _wire_behind(controls)


def _wire_behind(controls: Controls) -> None:
    """Whatever changes a setting, the stage hears whether its run is still of what is chosen (not as a value
    of its own, which might take the place of a run's last frame), and a preset goes that is so no longer."""

    def behind(request: gr.Request, preset, title, photo, *values) -> dict:
        chosen = dict(zip(controls.settings, values, strict=True))
        visit = Visit(DESKS.of(request.session_hash), title, photo, chosen)
        changes = {"behind": {"behind": choices.behind(visit)}} | choices.preset_now(visit, preset)
        return _by_component(controls, changes)

    settings = controls.settings.values()
    gr.on(
        [control.change for control in settings],
        behind,
        [controls.preset, *_visit_parts(controls)],
        controls.all_of("behind", "preset"),
        trigger_mode="always_last",
        **QUIET,
    ).then(None, controls.behind, None, js=STALE, api_visibility="private")


def build() -> gr.Blocks:
    """The page. Building it loads nothing; `visits.model` does, at the first run or before."""
    uploads.folder()  # gradio asks for it when parts are made
    uploads.sweep()
    with Page(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(uploads.SWEPT_EVERY, uploads.KEPT),
    ) as page:
        controls = layout(SCENES[FIRST].scene)
        running = [*_wire_runs(controls), _wire_suspicion(controls)]
        stage = controls.all_of("stage")
        stopped, again = (_at_desk(controls, h) for h in (handlers.stopped, handlers.sent_again))
        for stop in (controls.stop, controls.arena_stop):
            stop.click(stopped, None, stage, cancels=running, **QUIET)
        controls.stage.submit(again, None, stage, **QUIET)

        def judge(event: gr.EventData, request: gr.Request) -> dict:
            said = bool((event._data or {}).get("right"))
            return _at_desk(controls, lambda session: handlers.judged(session, said))(request)

        def code(event: gr.EventData) -> dict:
            return _by_component(controls, handlers.coded(str((event._data or {}).get("address"))))

        controls.stage.select(code, None, stage, **QUIET)
        controls.stage.click(judge, None, controls.all_of("stage", "arena"), **QUIET)

        def left(request: gr.Request) -> None:
            DESKS.clear(request.session_hash)

        page.unload(left)
        _wire_files(controls)
        _wire_scenes(page, controls, running)
        _wire_settings(controls)
        _wire_model(page, controls)
        api.add()
        bench.add(visits.model)
    return page
