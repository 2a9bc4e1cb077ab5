"""The Lab: one page on which a person attacks a picture and watches the counterattack.

Here its parts (layout.py) are wired to what they do (handlers.py, choices.py, arena.py, suspicion.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from demo_core.story.price import Price
from demo_core.story.scenes import FIRST, SCENES, Scene
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
from demo_core.ui.inputs import Page
from demo_core.ui.layout import Controls, layout
from demo_core.ui.pressing import (
    DESKS,
    at_desk,
    at_gpu,
    by_component,
    changing,
    computing,
    link_at_gpu,
    pressing,
    said,
    visit_parts,
)
from demo_core.ui.preview import TITLE
from demo_core.ui.stops import STOPS
from demo_core.ui.visits import Visit

STALE = """(found) => {
  document.querySelector(".stage")?.dispatchEvent(new CustomEvent("stale", { detail: found.behind }));
  const answer = document.querySelector(".suspicion");
  if (found.asked !== undefined) answer?.classList.toggle("stale", answer.dataset.asked !== found.asked);
}"""
PUT_IN = "(copy, photo) => (photo && copy ? copy : { __type__: 'update' })"  # else nothing changes
LANES = {False: ("lane", arena.watch, "defense"), True: ("defence", arena.beside, "beside")}  # by “Beside”
# How events are listed and shown. Programs have endpoints of their own; warnings need the queue, which holds
# nobody up: who computes waits in the place's own line.
STREAMING = {"show_progress": "hidden", "api_visibility": "undocumented", "concurrency_limit": None}
QUIET = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
SPEAKING = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}


def _wire_picture(
    photo: gr.Image, copy: gr.Image, chosen: Callable, gone: Callable, outputs: list[Component]
) -> tuple[Dependency, Dependency]:
    """A picture that a visitor brings, in whatever way (the webcam's makes no event but `change`), or takes
    away. The server's copy comes to a place of its own and from there into the picture's, unless that is
    empty by then. Gives both events."""
    brought = photo.change(chosen, photo, [copy, *outputs], **SPEAKING)
    brought.then(None, [copy, photo], photo, js=PUT_IN, api_visibility="private")
    return brought, photo.clear(gone, None, outputs, **QUIET)


def _wire_runs(controls: Controls) -> list:
    """The buttons that compute; another attack, chosen or made, has another price in the arena. Gives the
    buttons' events."""
    run = ("stage", "arena", "link", "views", "seeds", "flips")
    wires = (
        ("both", "run", handlers.attack_and_counterattack, "lab_both", run),
        ("attack_button", "run", handlers.attack_only, "lab_attack", run),
        ("defend_button", "defence", handlers.counterattack, "lab_counterattack", run),
        ("control_button", "control", handlers.clean_control, "lab_control", run),
        ("arena_button", "arena", arena.compare, "lab_arena", ("stage", "arena")),
        ("eps_button", "flips", arena.smallest_eps, "lab_smallest_eps", ("stage", "arena", "flips")),
        ("flip_button", "flip", arena.flip_point, "lab_flip", ("stage", "arena", "flips")),
        ("seeds_button", "seeds", handlers.other_seeds, "lab_seeds", ("stage", "seeds")),
        ("suggest", "look", choices.suggest, "lab_suggest", ("stage", "labels")),
        ("views_button", "views", handlers.measure, "lab_views", ("stage", "views")),
    )
    inputs, by_switch = visit_parts(controls), visit_parts(controls, adaptive=controls.arena_knows)
    running = [
        controls[button].click(
            STOPS.stoppable(pressing(controls, work, partial(at_gpu, work, handler))),
            by_switch if work == "arena" else inputs,
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

    @STOPS.stoppable
    async def run_link(request: gr.Request, query: str):
        scene = Scene.read(query)
        if scene is None:
            return
        steps, price = visits.told(link_at_gpu, scene), partial(tempo.allowed, "run", lambda: Price(scene))
        steps = computing(controls, request.session_hash, steps, scene.model, price=price)
        async with aclosing(steps) as found:
            async for changes in found:
                yield changes

    @STOPS.stoppable
    async def watch(event: gr.EventData, request: gr.Request, knows, title, photo, *values):
        key, beside = said(event).get("key"), bool(said(event).get("beside"))
        work, shown, row = LANES[beside]
        handler = partial(at_gpu, work, partial(shown, key))
        of_lane = {row: key} if beside else {row: key, "adaptive": knows}  # what it costs is the lane's, too
        pressed = pressing(controls, work, handler, of_lane)
        async with aclosing(pressed(request, title, photo, *values)) as found:
            async for changes in found:
                yield changes

    @STOPS.stoppable
    async def calibrate(event: gr.EventData, request: gr.Request, key: str):
        measure = partial(trust.measure, photographs=trust.offered(said(event).get("photographs")))
        steps, longest = visits.told(measure, key), trust.LONGEST_MEASURING
        async with aclosing(computing(controls, request.session_hash, steps, key, longest)) as found:
            async for changes in found:
                yield changes

    private = STREAMING | {"api_visibility": "private"}
    run, lane, gate = (
        controls.all_of("stage", *names)
        for names in (
            ("arena", "link", "views"),
            ("link", "defense", "adaptive", "beside"),
            ("gate", "views"),
        )
    )
    return [
        controls.pending.change(run_link, controls.pending, run, **private),
        controls.arena.click(watch, [controls.arena_knows, *visit_parts(controls)], lane, **private),
        controls.gate.click(calibrate, controls["model"], gate, **private),
    ]


def _wire_suspicion(controls: Controls):
    """The tab that looks at a picture as it is. Gives its event."""
    found = controls.all_of("suspicion", "suspect_take")
    chosen, gone = (changing(controls, handler) for handler in (suspicion.choose, suspicion.gone))
    _wire_picture(controls.suspect_photo, controls.suspect_copy, chosen, gone, found)
    inputs = [*controls.all_of("title", "suspect_photo"), *controls.settings.values()]
    return controls.suspect_button.click(
        STOPS.stoppable(pressing(controls, "suspicion", suspicion.look)),
        inputs,
        [controls.stage, *found],
        api_name="lab_suspect",
        **STREAMING,
    )


def _wire_files(controls: Controls) -> None:
    def taking(key: str) -> Callable:
        """The file of that key, and until it is there none: where it is refused, no earlier one is handed
        over."""
        pressed = pressing(controls, None, partial(handlers.take, key))

        async def taken(request: gr.Request, *values):
            yield by_component(controls, {"file": None})
            async with aclosing(pressed(request, *values)) as found:
                async for changes in found:
                    yield changes

        return taken

    for key, button in controls.files.items():
        handed = button.click(
            taking(key),
            visit_parts(controls),
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


def _wire_scenes(page: gr.Blocks, controls: Controls) -> None:
    """Presets, examples and links: what brings a whole scene."""
    names = ("preset", "gate", "title", "photo", *controls.settings)
    everything = controls.all_of(*names, "stage", "arena", "link", "views", "seeds", "flips")

    @STOPS.stopping
    def example(event: gr.EventData, request: gr.Request, *defences: str) -> dict:
        found = choices.choose_example(said(event).get("title"), *defences)
        return by_component(controls, found, request.session_hash)

    def link(request: gr.Request) -> dict:
        found = choices.open_link(str(request.query_params))
        return by_component(controls, found, request.session_hash)

    @STOPS.stopping
    def preset(request: gr.Request, key: str | None) -> dict:
        return by_component(controls, choices.choose_preset(key), request.session_hash)

    controls.preset.input(preset, controls.preset, everything, **QUIET)
    chosen = [*everything, controls.pending]
    controls.examples.click(example, controls.all_of("defense", "beside"), chosen, **SPEAKING)
    page.load(link, None, [*everything, controls.pending], **SPEAKING)


def _told(controls: Controls) -> tuple[Callable, list[Component], list[Component]]:
    """What is said of how long work takes: the handler, what it goes by, and where it is said."""
    return changing(controls, costs.told), controls.all_of(*costs.BY), controls.all_of(*costs.TOLD)


def _wire_model(page: gr.Blocks, controls: Controls, running: list) -> None:
    """A model that is chosen comes while the page goes on with the last one; what work takes with it is said
    once it is here, and anew after each run."""
    chosen: dict[str | None, object] = {}  # each visitor's last choice that has not come yet

    async def arrive(request: gr.Request, key: str, template: str):
        visitor, mine = request.session_hash, object()
        chosen[visitor] = mine
        try:
            async for changes in choices.model_arrives(key, template, lambda: chosen.get(visitor) is mine):
                yield by_component(controls, changes)
        finally:
            if chosen.get(visitor) is mine:
                del chosen[visitor]

    told = _told(controls)
    controls["model"].select(
        arrive,
        controls.all_of("model", "template"),
        controls.all_of("model", "template", "gate", "views", "arena", "seeds", "flips", "stage"),
        trigger_mode="multiple",
        **SPEAKING,
    ).then(*told, **QUIET)
    page.load(*told, **QUIET)
    for run in running:  # which knows better how long passes take here
        run.then(*told, **QUIET)


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
    for event, handler, inputs, outputs in wires:
        event(changing(controls, handler), controls.all_of(*inputs), controls.all_of(*outputs), **QUIET)
    gr.on(
        [controls[name].change for name in costs.BY],
        *_told(controls),
        trigger_mode="always_last",  # a scene changes many of them at once
        **QUIET,
    )
    controls["defense"].change(
        changing(controls, choices.defense_changed), controls["defense"], controls["defense"], **QUIET
    )
    chosen, gone = (changing(controls, h) for h in (choices.choose_picture, choices.picture_gone))
    outputs = controls.all_of("title", "preset", "label_box", "behind")
    for event in _wire_picture(controls.photo, controls.copy, chosen, gone, outputs):
        event.then(None, controls.behind, None, js=STALE, api_visibility="private")
    _asked(controls)


def _asked(controls: Controls, event: Dependency | None = None) -> None:
    """Whatever changes a setting, the stage hears whether its run is still of what is chosen (not as a value
    of its own, which might take the place of a run's last frame), an answer to “Is it attacked?” whether it
    is, and a preset goes that is so no longer. event: what else that is asked after, in place of these."""

    def behind(request: gr.Request, preset, title, photo, *values) -> dict:
        chosen = dict(zip(controls.settings, values, strict=True))
        visit = Visit(DESKS.of(request.session_hash), title, photo, chosen)
        now = {"behind": choices.behind(visit), "asked": suspicion.asked_now(visit)}
        changes = {"behind": now} | choices.preset_now(visit, preset)
        return by_component(controls, changes)

    wired = behind, [controls.preset, *visit_parts(controls)], controls.all_of("behind", "preset")
    changed = [control.change for control in controls.settings.values()]
    found = (
        event.then(*wired, **QUIET) if event else gr.on(changed, *wired, trigger_mode="always_last", **QUIET)
    )
    found.then(None, controls.behind, None, js=STALE, api_visibility="private")


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
        looked = _wire_suspicion(controls)
        _asked(controls, looked)  # what was changed while it was looked at
        running = [*_wire_runs(controls), looked]
        stage = controls.all_of("stage")
        stopped, again = (at_desk(controls, h) for h in (handlers.stopped, handlers.sent_again))
        for stop in (controls.stop, controls.arena_stop):
            stop.click(STOPS.stopping(stopped), None, stage, **QUIET)
        # one that asks again while it is being answered has missed more
        controls.stage.submit(again, None, stage, **QUIET | {"trigger_mode": "always_last"})

        def judge(event: gr.EventData, request: gr.Request) -> dict:
            right = bool(said(event).get("right"))
            return at_desk(controls, lambda session: handlers.judged(session, right))(request)

        def code(event: gr.EventData) -> dict:
            return by_component(controls, handlers.coded(str(said(event).get("address"))))

        controls.stage.select(code, None, stage, **QUIET)
        controls.stage.click(judge, None, controls.all_of("stage", "arena"), **QUIET)

        def left(request: gr.Request) -> None:
            DESKS.clear(request.session_hash)

        page.unload(left)
        _wire_files(controls)
        _wire_scenes(page, controls)
        _wire_settings(controls)
        _wire_model(page, controls, running)
        api.add()
        bench.add(visits.model)
    return page
