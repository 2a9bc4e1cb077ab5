"""The Lab: one page on which a person attacks a picture and watches the counterattack.

Here its parts are laid out and wired; what they do is in handlers.py, and what can be set in settings.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import gradio as gr
from gradio.components import Component

from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES
from demo_core.labels import PRESETS, parse_labels
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.story import arena_words, reel
from demo_core.story.race import Races
from demo_core.story.scenes import FIRST, SCENES, Scene
from demo_core.story.settings import SETTINGS, Chosen, Setting
from demo_core.ui import api, arena, bench, handlers, suspicion
from demo_core.ui.files import FILES, stage_parts
from demo_core.ui.handlers import Changes, Session, Visit
from demo_core.ui.render import (
    ABOUT,
    CHOOSE,
    COPY,
    PRINT,
    WATCH,
    arena_html,
    examples_html,
    gate_html,
    lesson_html,
    no_views,
    share_html,
)

STALE = "() => document.querySelector('.stage')?.dispatchEvent(new Event('stale'))"
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one place for all that computes, on one GPU
# How events are listed and shown. Programs have endpoints of their own; warnings need the queue.
STREAMING = {"show_progress": "hidden", "api_visibility": "undocumented", **QUEUE}
QUIET = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
SPEAKING = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}


@dataclass(frozen=True)
class Controls:
    """The page's parts. settings: a control for each line of SETTINGS, by its name; files: a button for each
    row of FILES; pending: the query of a link whose run did not come with the demo."""

    settings: dict[str, Component]
    files: dict[str, gr.Button]
    session: gr.State
    title: gr.State
    preset: gr.Dropdown
    both: gr.Button
    attack_button: gr.Button
    defend_button: gr.Button
    control_button: gr.Button
    stop: gr.Button
    photo: gr.Image
    examples: gr.HTML
    label_list: gr.Dropdown
    label_box: gr.Accordion
    suggest: gr.Button
    stage: gr.HTML
    suspect_photo: gr.Image
    suspect_button: gr.Button
    suspicion: gr.HTML
    suspect_take: gr.DownloadButton
    gate: gr.HTML
    arena_knows: gr.Checkbox
    eps_button: gr.Button
    arena_button: gr.Button
    arena_stop: gr.Button
    arena: gr.HTML
    views_button: gr.Button
    views: gr.HTML
    link: gr.HTML
    file: gr.DownloadButton
    pending: gr.Textbox

    def __getitem__(self, name: str) -> Component:
        """A part by the name that handlers know it by."""
        return self.settings[name] if name in self.settings else getattr(self, name)

    def all_of(self, *names: str) -> list[Component]:
        return [self[name] for name in names]


# ---------------------------------------------------------------- layout


def setting_control(setting: Setting, **options) -> Component:
    """The control of a line of SETTINGS; options: what is to be other than it says."""
    options = {"value": setting.default, "label": setting.label, "info": setting.help} | options
    if setting.rows:
        choices = [(row.title, key) for key, row in setting.rows().items()]
        return gr.Dropdown(choices, **options)
    if setting.slider:
        least, most, step = setting.slider
        return gr.Slider(least, most, step=step, **options)
    if setting.kind is bool:
        return gr.Checkbox(**options)
    if setting.kind is str:
        return gr.Textbox(**options)
    return gr.Number(precision=0 if setting.kind is int else None, **options)


def _setting_controls(first: Scene, eps: Component) -> tuple[dict[str, Component], dict[str, Component]]:
    """A control for each setting, as the page opens; and what else steers the labels, by its name. eps: its
    control, which lies elsewhere."""
    special = {
        "labels": {"value": first.labels, "lines": 6, "max_lines": 10, "elem_id": "labels"},
        "template": {"value": first.template, "elem_id": "template"},
        "attack": {"info": ATTACKS[SETTINGS["attack"].default].help, "elem_id": "attack-kind"},
        "patch": {"visible": ATTACKS[SETTINGS["attack"].default].visible},
        "adaptive": {"elem_id": "adaptive", "info": arena.knowing(Chosen())},
        "model": {"info": MODELS[DEFAULT_MODEL].summary, "elem_id": "model"},
        "defense": {"info": DEFENSES[SETTINGS["defense"].default].help, "elem_id": "defense"},
    }
    groups = {
        title: [name for name, setting in SETTINGS.items() if setting.group == group]
        for title, group in (("Labels", "labels"), ("Attack settings", "attack"))
    }
    made: dict[str, Component] = {"eps": eps}
    with gr.Accordion("Labels", open=False) as label_box:
        suggest = gr.Button("What could it be?", elem_id="suggest", size="sm")
        label_list = gr.Dropdown(
            [*PRESETS, handlers.OTHER_LABELS],
            value=first.example.preset,
            label="Label list",
            info="Lists of words that the embedded model knows.",
        )
        for name in groups["Labels"]:
            made[name] = setting_control(SETTINGS[name], **special.get(name, {}))
    with gr.Accordion("Attack settings", open=False):
        for name in dict.fromkeys(("attack", "target", *groups["Attack settings"])):
            if name == "eps":  # beside the buttons
                continue
            if name == "target":  # its choices are the labels of the moment
                made[name] = _target_control(parse_labels(first.labels))
            else:
                made[name] = setting_control(SETTINGS[name], **special.get(name, {}))
    for name in (name for name in SETTINGS if name not in made):
        made[name] = setting_control(SETTINGS[name], **special.get(name, {}))
    others = {"label_list": label_list, "label_box": label_box, "suggest": suggest}
    return {name: made[name] for name in SETTINGS}, others


def _target_control(labels: tuple[str, ...]) -> gr.Dropdown:
    setting = SETTINGS["target"]
    return gr.Dropdown(
        list(labels),
        value=None,
        label=setting.label,
        info=setting.help,
        visible=False,
        allow_custom_value=True,
    )


def picture_input(value: str | None, **options) -> gr.Image:
    """A picture input that hands over the uploaded file as it is: what cannot be read gets our own
    sentence. (A subclass would do too, but for each of these Gradio writes a file beside the source.)"""
    photo = gr.Image(value, type="filepath", image_mode=None, format="png", **options)
    as_gradio_does = photo.preprocess

    def file_as_it_is(payload) -> str | None:
        if payload is None or (payload.url and payload.url.startswith("data:")):
            return as_gradio_does(payload)
        return payload.path

    photo.preprocess = file_as_it_is
    return photo


def _steering(first: Scene) -> dict[str, Component]:
    """Preset, buttons and picture."""
    small = {"min_width": 100, "size": "md"}
    parts = {}
    with gr.Row(elem_classes="essential"):
        parts["preset"] = gr.Dropdown(
            [(preset.title, key) for key, preset in SCENES.items()],
            value=FIRST,
            label="Preset",
            elem_id="preset",
            info=SCENES[FIRST].help,
        )
    with gr.Row(elem_classes="essential"):
        parts["both"] = gr.Button("Attack, then counterattack", variant="primary", elem_id="both")
    parts["eps"] = setting_control(SETTINGS["eps"], elem_id="eps")
    with gr.Row():
        parts["attack_button"] = gr.Button("Attack", elem_id="attack", **small)
        parts["defend_button"] = gr.Button("Counterattack", elem_id="counterattack", **small)
    with gr.Row(elem_classes="essential"):
        parts["control_button"] = gr.Button("Clean control", elem_id="control", **small)
        parts["stop"] = gr.Button("Stop", variant="stop", elem_id="stop", **small)
    parts["photo"] = picture_input(
        first.example.path,
        label="Picture",
        height=240,
        sources=["upload", "clipboard", "webcam"],
        elem_id="photo",
        alt_text="the picture to attack",
        buttons=["fullscreen"],
    )
    parts["examples"] = gr.HTML(
        examples_html(),
        js_on_load=CHOOSE,
        apply_default_css=False,
        elem_id="examples",
        label="example photographs",
    )
    return parts


def _showing(first: Scene) -> dict[str, Component | dict]:
    """The stage, and the tabs below it."""
    parts: dict = {}
    markup, script = stage_parts()
    parts["stage"] = gr.HTML(
        {"page": reel.page()},  # of a run, nothing yet: its words alone
        html_template=markup,
        js_on_load=script,
        apply_default_css=False,
        elem_id="stage",
        label="stage",
    )
    with gr.Tabs(elem_classes="more"):
        with gr.Tab("Is it attacked?"):
            parts |= suspicion.parts(picture_input)
        with gr.Tab("Why this gate"):
            parts["gate"] = gr.HTML(gate_html(DEFAULT_MODEL), elem_id="gate")
        with gr.Tab("Arena"):
            parts |= _arena()
        with gr.Tab("Noise and views"):
            parts["views_button"] = gr.Button("Measure how this run’s pictures drift", elem_id="run-views")
            parts["views"] = gr.HTML(
                no_views(DEFAULT_MODEL), elem_id="views", label="drift over noise and views"
            )
        with gr.Tab("Share and take away"):
            parts["link"] = gr.HTML(share_html(first.query()), elem_id="share", js_on_load=COPY)
            with gr.Row():
                parts["files"] = {
                    key: gr.Button(row.title, elem_id=f"take-{key}", min_width=180)
                    for key, row in FILES.items()
                }
            parts["file"] = gr.DownloadButton("Download", elem_id="taken", visible="hidden")
        with gr.Tab("Lesson"):
            gr.HTML(lesson_html(), elem_id="lesson", js_on_load=PRINT, apply_default_css=False)
        with gr.Tab("About"):
            gr.HTML(ABOUT, elem_id="about")
    return parts


def _arena() -> dict[str, Component]:
    """The race: its switch, its buttons, its lanes."""
    parts: dict[str, Component] = {}
    parts["arena_knows"] = gr.Checkbox(
        label="The attacker knows each defence", info=arena_words.COST_UNKNOWN, elem_id="arena-knows"
    )
    with gr.Row():
        parts["arena_button"] = gr.Button(
            "Run every defence on the attacked picture", elem_id="run-arena", min_width=180
        )
        parts["eps_button"] = gr.Button("Find the smallest eps of each", elem_id="find-eps", min_width=180)
        parts["arena_stop"] = gr.Button("Stop", variant="stop", elem_id="stop-arena", min_width=80, scale=0)
    parts["arena"] = gr.HTML(
        arena_html(None, Races()),
        js_on_load=WATCH,
        apply_default_css=False,
        elem_id="arena",
        label="arena",
    )
    return parts


def _layout(first: Scene) -> Controls:
    """Everything on the page: steer | show, with the settings below steer (style.css lays them out)."""
    gr.HTML(
        "<header class='head'><h1>CLIP fights back</h1><p>CLIP names what a picture shows. A change that is"
        " hard to see makes it wrong, and CLIP itself can undo it: it nudges the pixels until its own"
        " description of the picture leaves the attacker’s trap. Nothing is trained.</p></header>"
    )
    with gr.Row(equal_height=False, elem_classes="lab"):
        with gr.Column(min_width=280, elem_classes="steer"):
            steering = _steering(first)
        with gr.Column(min_width=280, elem_classes="settings"):
            settings, others = _setting_controls(first, steering.pop("eps"))
        with gr.Column(min_width=300, elem_classes="show"):
            showing = _showing(first)
    return Controls(
        settings=settings,
        **others,
        session=gr.State(Session(scene=first)),
        title=gr.State(first.picture),
        pending=gr.Textbox(visible="hidden"),
        **steering,
        **showing,
    )


# ---------------------------------------------------------------- wiring


def _by_component(controls: Controls, changes: Changes) -> dict[Component, object]:
    return {controls[name]: value for name, value in changes.items()}


def _pressing(controls: Controls, handler: Callable[[Visit], Iterator[Changes]]) -> Callable:
    """The handler as gradio calls it: with the values of `_visit_parts`, in their order."""

    def pressed(session, title, photo, *values):
        visit = Visit(session, title, photo, dict(zip(controls.settings, values, strict=True)))
        for changes in handlers.told(handler, visit):
            yield _by_component(controls, changes)

    return pressed


def _visit_parts(controls: Controls) -> list[Component]:
    return [*controls.all_of("session", "title", "photo"), *controls.settings.values()]


def _changing(controls: Controls, handler: Callable[..., Changes]) -> Callable:
    """A handler of single values as gradio calls it."""
    return lambda *values: _by_component(controls, handler(*values))


def _wire_runs(controls: Controls) -> list:
    """The buttons that compute. Gives their events, which Stop and a new choice cancel."""
    run = ("session", "stage", "arena", "link", "views")
    wires = (
        ("both", handlers.attack_and_counterattack, "lab_both", run),
        ("attack_button", handlers.attack_only, "lab_attack", run),
        ("defend_button", handlers.counterattack, "lab_counterattack", run),
        ("control_button", handlers.clean_control, "lab_control", run),
        ("arena_button", arena.compare, "lab_arena", ("session", "stage", "arena", "arena_knows")),
        ("eps_button", arena.smallest_eps, "lab_smallest_eps", ("session", "stage", "arena")),
        ("suggest", handlers.suggest, "lab_suggest", ("stage", "labels")),
        ("views_button", handlers.measure, "lab_views", ("stage", "views")),
    )
    inputs = _visit_parts(controls)
    running = [
        controls[button].click(
            _pressing(controls, handler), inputs, controls.all_of(*outputs), api_name=name, **STREAMING
        )
        for button, handler, name, outputs in wires
    ]

    def run_link(query: str):
        for changes in handlers.told(handlers.run_link, query):
            yield _by_component(controls, changes)

    def watch(event: gr.EventData, session, title, photo, *values):
        handler = partial(arena.watch, (event._data or {}).get("key"))
        yield from _pressing(controls, handler)(session, title, photo, *values)

    private = STREAMING | {"api_visibility": "private"}
    watched = controls.all_of("session", "stage", "link", "defense")
    running.append(controls.arena.click(watch, inputs, watched, **private))
    return [*running, controls.pending.change(run_link, controls.pending, controls.all_of(*run), **private)]


def _wire_suspicion(controls: Controls):
    """The tab that looks at a picture as it is. Gives its event, which Stop and a new choice cancel."""
    found = controls.all_of("suspicion", "suspect_take")
    controls.suspect_photo.input(
        _changing(controls, suspicion.choose), controls.suspect_photo, found, **SPEAKING
    )
    inputs = [*controls.all_of("session", "title", "suspect_photo"), *controls.settings.values()]
    return controls.suspect_button.click(
        _pressing(controls, suspicion.look),
        inputs,
        [controls.stage, *found],
        api_name="lab_suspect",
        **STREAMING,
    )


def _wire_files(controls: Controls) -> None:
    for key, button in controls.files.items():
        handed = button.click(
            _pressing(controls, partial(handlers.take, key)),
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
    everything = controls.all_of(*names, "session", "stage", "arena", "link", "views")

    def example(event: gr.EventData) -> dict:
        return _by_component(controls, handlers.choose_example((event._data or {}).get("title")))

    def link(request: gr.Request) -> dict:
        return _by_component(controls, handlers.open_link(str(request.query_params)))

    preset = _changing(controls, handlers.choose_preset)
    controls.preset.input(preset, controls.preset, everything, cancels=running, **QUIET)
    controls.examples.click(example, None, everything, cancels=running, **SPEAKING)
    page.load(link, None, [*everything, controls.pending], **SPEAKING)


def _wire_settings(controls: Controls) -> None:
    """Controls that follow others."""
    wires = (
        (controls.label_list.input, handlers.choose_label_list, ("label_list",), ("labels",)),
        (
            controls["labels"].change,
            handlers.labels_changed,
            ("labels", "target"),
            ("label_list", "target"),
        ),
        (
            controls["attack"].change,
            handlers.attack_changed,
            ("attack",),
            ("attack", "target", "step_size", "steps", "eps", "patch"),
        ),
    )
    wires += tuple(
        (controls[name].change, arena.cost_of_knowing, arena.COSTS, ("adaptive",)) for name in arena.COSTS
    )
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
        _changing(controls, arena.knows_changed),
        controls.all_of("session", "arena_knows"),
        controls.all_of("adaptive", "arena_knows"),
        **QUIET,
    )
    controls["defense"].change(
        _changing(controls, handlers.defense_changed), controls["defense"], controls["defense"], **QUIET
    )
    controls.photo.input(
        _changing(controls, handlers.choose_picture),
        controls.photo,
        controls.all_of("title", "preset", "label_box"),
        **SPEAKING,
    )
    controls["model"].select(
        _changing(controls, handlers.model_changed),
        controls.all_of("model", "template"),
        controls.all_of("model", "template", "gate", "views", "arena"),
        api_visibility="private",
        show_progress="hidden",
        **QUEUE,
    )
    for changed in controls.all_of(
        "photo", "label_list", "model"
    ):  # of what is typed, the stage hears itself
        changed.input(None, None, None, js=STALE, api_visibility="private")


def build() -> gr.Blocks:
    """The page. Building it loads nothing; `handlers.model` does, at the first run or before."""
    with gr.Blocks(
        title="CLIP fights back: test-time counterattacks",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(600, 3600),  # visitors' pictures are kept for an hour
    ) as page:
        controls = _layout(SCENES[FIRST].scene)
        running = [*_wire_runs(controls), _wire_suspicion(controls)]
        stage = controls.all_of("stage")
        stopped, again = (_changing(controls, h) for h in (handlers.stopped, handlers.sent_again))
        for stop in (controls.stop, controls.arena_stop):
            stop.click(stopped, controls.session, stage, cancels=running, **QUIET)
        controls.stage.submit(again, controls.session, stage, **QUIET)

        def judge(event: gr.EventData, session: Session) -> dict:
            return _by_component(controls, handlers.judged(session, bool((event._data or {}).get("right"))))

        controls.stage.click(judge, controls.session, controls.all_of("session", "stage", "arena"), **QUIET)
        _wire_files(controls)
        _wire_scenes(page, controls, running)
        _wire_settings(controls)
        api.add(QUEUE)
        bench.add(handlers.model, QUEUE)
    return page
