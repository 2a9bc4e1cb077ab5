"""The Lab's parts, and where they lie on the page; what they do is wired in lab.py."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES
from demo_core.labels import PRESETS, parse_labels
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.story import arena_words, page_words, reel, seed_words
from demo_core.story.scenes import FIRST, SCENES, Scene
from demo_core.story.settings import SETTINGS, Chosen, Setting
from demo_core.ui import choices, costs, suspicion
from demo_core.ui.files import FILES, stage_parts
from demo_core.ui.inputs import as_sent, picture_input
from demo_core.ui.render import (
    ABOUT,
    CHOOSE,
    COPY,
    LEAD,
    MEASURE,
    PRINT,
    WATCH,
    examples_html,
    flips_html,
    gate_html,
    head_html,
    lesson_html,
    no_arena,
    no_views,
    seeds_html,
    share_html,
)


@dataclass(frozen=True)
class Controls:
    """The page's parts. settings: a control for each line of SETTINGS, by its name; files: a button for each
    row of FILES; copy, suspect_copy: what the server makes of a picture that is put in; pending: the query of
    a link whose run did not come with the demo; behind: whether the run on the stage is of other settings
    than are chosen."""

    settings: dict[str, Component]
    files: dict[str, gr.Button]
    title: gr.State
    preset: gr.Dropdown
    both: gr.Button
    attack_button: gr.Button
    defend_button: gr.Button
    control_button: gr.Button
    stop: gr.Button
    flips: gr.HTML
    flip_button: gr.Button
    photo: gr.Image
    copy: gr.Image
    examples: gr.HTML
    label_list: gr.Dropdown
    label_box: gr.Accordion
    suggest: gr.Button
    stage: gr.HTML
    takes_run: gr.HTML
    takes_flip: gr.HTML
    takes_seeds: gr.HTML
    takes_arena: gr.HTML
    seeds_button: gr.Button
    seeds: gr.HTML
    suspect_photo: gr.Image
    suspect_copy: gr.Image
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
    behind: gr.JSON

    def __getitem__(self, name: str) -> Component:
        """A part by the name that handlers know it by."""
        return self.settings[name] if name in self.settings else getattr(self, name)

    def all_of(self, *names: str) -> list[Component]:
        return [self[name] for name in names]


def setting_control(setting: Setting, **options) -> Component:
    """The control of a line of SETTINGS; options: what is to be other than it says."""
    options = {"value": setting.default, "label": setting.label, "info": setting.help} | options
    if setting.rows:
        choices = [(row.title, key) for key, row in setting.rows().items()]
        return as_sent(gr.Dropdown(choices, **options))
    if setting.slider:
        least, most, step = setting.slider
        return as_sent(gr.Slider(least, most, step=step, **options))
    if setting.kind is bool:
        return as_sent(gr.Checkbox(**options))
    if setting.kind is str:
        return gr.Textbox(**options)
    return as_sent(gr.Number(precision=0 if setting.kind is int else None, **options))


def _setting_controls(first: Scene, eps: Component) -> tuple[dict[str, Component], dict[str, Component]]:
    """A control for each setting, as the page opens; and what else steers the labels, by its name. eps: its
    control, which lies elsewhere."""
    special = {
        "labels": {"value": first.labels, "lines": 6, "max_lines": 10, "elem_id": "labels"},
        "template": {"value": first.template, "elem_id": "template"},
        "attack": {"info": ATTACKS[SETTINGS["attack"].default].help, "elem_id": "attack-kind"},
        "patch": {"visible": ATTACKS[SETTINGS["attack"].default].visible},
        "adaptive": {"elem_id": "adaptive", "info": costs.of_knowing(Chosen())},
        "model": {"info": MODELS[DEFAULT_MODEL].summary, "elem_id": "model"},
        "defense": {"info": DEFENSES[SETTINGS["defense"].default].help, "elem_id": "defense"},
        "beside": {"elem_id": "beside"},
        "resize": {"elem_id": "resize"},
    }
    groups = {
        title: [name for name, setting in SETTINGS.items() if setting.group == group]
        for title, group in (("Labels", "labels"), ("Attack settings", "attack"))
    }
    last = ("defense", "beside", "model", "resize")  # what answers the attack, and then what seldom changes
    made: dict[str, Component] = {"eps": eps}
    with gr.Accordion("Labels", open=False, elem_classes="of-picture") as label_box:
        suggest = gr.Button(page_words.COULD_BE, elem_id="suggest", size="sm")
        label_list = gr.Dropdown(
            [*PRESETS, choices.OTHER_LABELS],
            value=first.example.preset,
            label="Label list",
            info="Lists of words that the embedded model knows.",
        )
        for name in groups["Labels"]:
            made[name] = setting_control(SETTINGS[name], **special.get(name, {}))
    with gr.Accordion("Attack settings", open=False, elem_classes="attack-box"):
        for name in dict.fromkeys(("attack", "target", *groups["Attack settings"])):
            if name == "eps":  # beside the buttons
                continue
            if name == "target":  # its choices are the labels of the moment
                made[name] = _target_control(parse_labels(first.labels))
            else:
                made[name] = setting_control(SETTINGS[name], **special.get(name, {}))
    with gr.Column(elem_classes="answering"):
        for name in (name for name in dict.fromkeys((*last, *SETTINGS)) if name not in made):
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
    with gr.Row(elem_classes=["essential", "both-row"]):
        parts["both"] = gr.Button("Attack, then counterattack", variant="primary", elem_id="both")
    parts["takes_run"] = _takes("the run")
    with gr.Column(elem_classes="strength"):
        parts["eps"] = setting_control(SETTINGS["eps"], elem_id="eps")
        parts["flips"] = gr.HTML(
            flips_html(), elem_id="flips", apply_default_css=False, label="where it flips"
        )
        parts["flip_button"] = gr.Button(arena_words.FLIP_BUTTON, elem_id="find-flip", size="sm")
        parts["takes_flip"] = _takes("the smallest eps")
    with gr.Row(elem_classes="single"):
        parts["attack_button"] = gr.Button("Attack", elem_id="attack", **small)
        parts["defend_button"] = gr.Button("Counterattack", elem_id="counterattack", **small)
    with gr.Row(elem_classes=["essential", "single"]):
        parts["control_button"] = gr.Button("Clean control", elem_id="control", **small)
        parts["stop"] = gr.Button("Stop", variant="stop", elem_id="stop", **small)
    parts["photo"] = picture_input(
        first.example.path,
        label="Picture",
        height=240,
        sources=["upload", "clipboard", "webcam"],
        elem_id="photo",
        elem_classes="of-picture",
        alt_text="the picture to attack",
        buttons=["fullscreen"],
    )
    parts["copy"] = picture_input(visible="hidden")
    parts["examples"] = gr.HTML(
        examples_html(),
        js_on_load=CHOOSE,
        apply_default_css=False,
        elem_id="examples",
        elem_classes="of-picture",
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
    with gr.Column(elem_classes="again"):
        parts["seeds_button"] = gr.Button(
            seed_words.BUTTON, elem_id="try-seeds", elem_classes="seeds-button", size="sm"
        )
        parts["takes_seeds"] = _takes("several seeds")
        parts["seeds"] = gr.HTML(
            seeds_html(), elem_id="seeds", apply_default_css=False, label="several seeds"
        )
    with gr.Tabs(elem_classes="more", overflow_behavior="wrap"):
        with gr.Tab(page_words.TABS["suspicion"]):
            parts |= suspicion.parts(picture_input)
        with gr.Tab(page_words.TABS["gate"]):
            parts["gate"] = gr.HTML(
                gate_html(DEFAULT_MODEL), js_on_load=MEASURE, elem_id="gate", label="the gates of this model"
            )
        with gr.Tab(page_words.TABS["arena"]):
            parts |= _arena()
        with gr.Tab(page_words.TABS["views"]):
            parts["views_button"] = gr.Button("Measure how this run’s pictures drift", elem_id="run-views")
            parts["views"] = gr.HTML(
                no_views(DEFAULT_MODEL), elem_id="views", label="drift over noise and views"
            )
        with gr.Tab(page_words.TABS["share"]):
            parts["link"] = gr.HTML(share_html(first.query()), elem_id="share", js_on_load=COPY)
            with gr.Row(elem_classes="files"):
                parts["files"] = {
                    key: gr.Button(row.title, elem_id=f"take-{key}", min_width=180)
                    for key, row in FILES.items()
                }
            parts["file"] = gr.DownloadButton("Download", elem_id="taken", visible="hidden")
        with gr.Tab(page_words.TABS["lesson"]):
            gr.HTML(lesson_html(), elem_id="lesson", js_on_load=PRINT, apply_default_css=False)
        with gr.Tab(page_words.TABS["about"]):
            gr.HTML(ABOUT, elem_id="about")
    return parts


def _takes(of: str) -> gr.HTML:
    """Where it is said how long work takes, once that is known."""
    return gr.HTML("", elem_classes="takes", apply_default_css=False, label=f"how long {of} takes")


def _arena() -> dict[str, Component]:
    """The race: its switch, its buttons, its lanes."""
    parts: dict[str, Component] = {}
    parts["arena_knows"] = gr.Checkbox(
        label="The attacker knows each defence", info=costs.of_knowing_each(Chosen()), elem_id="arena-knows"
    )
    with gr.Row():
        parts["arena_button"] = gr.Button(arena_words.BUTTON, elem_id="run-arena", min_width=180)
        parts["eps_button"] = gr.Button("Find the smallest eps of each", elem_id="find-eps", min_width=180)
        parts["arena_stop"] = gr.Button("Stop", variant="stop", elem_id="stop-arena", min_width=80, scale=0)
    parts["takes_arena"] = _takes("the arena")
    parts["arena"] = gr.HTML(
        no_arena(attacked=True),
        js_on_load=WATCH,
        apply_default_css=False,
        elem_id="arena",
        label="arena",
    )
    return parts


def layout(first: Scene) -> Controls:
    """Everything on the page: steer | show (style.css lays them out, on a phone what steers in two sheets:
    what is of the picture, and the rest)."""
    gr.HTML(head_html(), js_on_load=LEAD)
    with gr.Row(equal_height=False, elem_classes="lab"):
        with gr.Column(min_width=280, elem_classes="steer"):
            steering = _steering(first)
            settings, others = _setting_controls(first, steering.pop("eps"))
        with gr.Column(min_width=300, elem_classes="show"):
            showing = _showing(first)
    return Controls(
        settings=settings,
        **others,
        title=gr.State(first.picture),
        pending=gr.Textbox(visible="hidden"),
        behind=gr.JSON(visible="hidden"),
        **steering,
        **showing,
    )
